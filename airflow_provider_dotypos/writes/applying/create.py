"""One row created, under an id that follows from its key: by PUT without an ETag, which is create-if-absent.

| seen | what follows |
|---|---|
| SEND: PUT without ``If-Match``; 2xx | as planned in the answer: *applied*; otherwise *not taken* |
| SEND: 400 and the like | *rejected* |
| SEND: the answer is lost | the same again, after a wait that grows to `settle` |
| SEND: 428 or 412: the row exists | READ, until it shows |
| READ: all fields as planned | *already*; *applied*, if an answer was lost |
| READ: deleted, or with other values | *conflict* |
| SEND: 409 | READ, if an answer was lost: as above; else *rejected* |
| SEND: 404, 405, 400 for the id; twice a 404 without a body | the cloud takes no ids of ours: the run ends |
| tries used up | READ: as above; *uncertain*, if there is no such row |

**A crash neither loses nor doubles.** The id is a hash of cloud, entity and key. Whoever creates the row for this key,
a second task or a late copy of a lost request, sends the same id, and all but the first meet 428. A deleted row keeps
its id, so it isn't created again: that is a conflict, for a person to decide. *Assumed:* the API refuses a PUT without
an ETag to a row that exists [D2].

https://docs.api.dotypos.com/api-reference/general/methods, …/etags
"""

from __future__ import annotations

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.errors import DotyposApiError
from airflow_provider_dotypos.api.exchange import Exchange
from airflow_provider_dotypos.api.steps import Flow, Sleep
from airflow_provider_dotypos.writes.applying.answers import taken
from airflow_provider_dotypos.writes.applying.calls import Clash, Open, Outcome, read_row, write_row
from airflow_provider_dotypos.writes.applying.course import Course, waits
from airflow_provider_dotypos.writes.errors import DotyposPlanError
from airflow_provider_dotypos.writes.judging import judge_created
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.verdicts import Verdict


def create(
    exchange: Exchange,
    entity: Entity,
    planned: PlannedRow,
    *,
    cloud_id: int,
    settle: float,
    course: Course | None = None,
) -> Flow[Verdict]:
    """Return the flow that creates a row under its planned id, unless that exists.

    :param settle: seconds until a write shows in the API.
    :param course: receives what happens.
    :raises DotyposPlanError: if the cloud takes no ids of ours.
    :raises DotyposError: if something else ends the whole run. `course` then says what became of the row.
    """
    course = course or Course()
    was_empty = False
    for wait in waits(settle):
        outcome = yield from _put(exchange, entity, planned, course)
        if isinstance(outcome, dict):
            return course.close(taken(entity, planned, outcome))
        if isinstance(outcome, Verdict):
            return course.close(outcome)
        if isinstance(outcome, Clash) and not course.lost:
            return course.close(outcome.verdict)
        if outcome is Open.CHANGED or isinstance(outcome, Clash):
            break
        if outcome is Open.EMPTY and was_empty:
            raise _own_ids_refused(entity, "404")
        was_empty = outcome is Open.EMPTY
        yield Sleep(wait)
    for wait in waits(settle):
        yield from read_row(exchange, entity, planned, course)
        if course.row is not None:
            return course.close(judge_created(entity, planned, course.row, cloud_id))
        yield Sleep(wait)
    if isinstance(outcome, Clash):
        return course.close(outcome.verdict)
    why = "the API says that its id exists" if outcome is Open.CHANGED else "answers were lost"
    return course.close(Verdict("uncertain", f"{why}, and it doesn't show"))


def _put(exchange: Exchange, entity: Entity, planned: PlannedRow, course: Course) -> Flow[Outcome]:
    """Send the row, and raise if it is the id that is refused."""
    try:
        outcome = yield from write_row(exchange, "PUT", entity, planned, course, json=planned.after)
    except DotyposApiError as error:
        if error.status != 405:
            raise
        raise _own_ids_refused(entity, "405") from None
    if outcome is Open.MISSING:
        raise _own_ids_refused(entity, "404")
    if isinstance(outcome, dict) and str(outcome.get("id")) != planned.id:
        raise _own_ids_refused(entity, f"it was created as {outcome.get('id')}")
    if isinstance(outcome, Verdict) and "id" in outcome.fields:
        raise _own_ids_refused(entity, str(outcome.why))
    return outcome


def _own_ids_refused(entity: Entity, why: str) -> DotyposPlanError:
    return DotyposPlanError(
        f"this cloud takes no ids of ours for {entity.name} (PUT of a new row: {why}), so rows can't be created "
        'exactly once. create="post" creates them by POST: a row whose answer is lost is looked up by its key, and a '
        "request that is carried out very late can create it twice"
    )
