"""One row deleted, which its source has named: a read, a comparison, DELETE.

| seen | what follows |
|---|---|
| READ: gone or deleted | *already*; *applied*, if the answer to a write of ours was lost |
| READ: of another cloud, or a field not as it was when the plan was made | *conflict* |
| READ: otherwise | SEND: DELETE with the ETag of this read |
| SEND: 2xx | *applied*, if the answer's row is marked as deleted; *not taken*, if it says that it isn't |
| SEND: 409 | *rejected*: other rows refer to it |
| SEND: 412; 404; the answer is lost or shows no marker | READ, after a wait that grows to `settle` |

**A crash neither loses nor doubles**: a second DELETE changes nothing, and none is sent to a row that reads as deleted.
What the ETag would catch, an edit between the read and the DELETE, goes unseen as long as the API ignores ``If-Match``
here [D2]. The API keeps the row, marked as deleted.

https://docs.api.dotypos.com/api-reference/general/methods
"""

from __future__ import annotations

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.exchange import Exchange
from airflow_provider_dotypos.api.steps import Flow, Sleep
from airflow_provider_dotypos.writes.applying.calls import Clash, read_row, write_row
from airflow_provider_dotypos.writes.applying.course import Course, waits
from airflow_provider_dotypos.writes.judging import is_deleted, judge
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.verdicts import Verdict


def delete(
    exchange: Exchange,
    entity: Entity,
    planned: PlannedRow,
    *,
    cloud_id: int,
    settle: float,
    course: Course | None = None,
) -> Flow[Verdict]:
    """Return the flow that deletes a row, unless it isn't what it was when the plan was made.

    :param settle: seconds until a write shows in the API.
    :param course: receives what happens.
    :raises DotyposError: if something ends the whole run. `course` then says what became of the row.
    """
    course = course or Course()
    for wait in waits(settle):
        yield from read_row(exchange, entity, planned, course)
        if (verdict := judge(entity, planned, course.row, cloud_id)) is not None:
            return course.close(verdict)
        outcome = yield from write_row(exchange, "DELETE", entity, planned, course)
        if isinstance(outcome, Verdict):
            return course.close(outcome)
        if isinstance(outcome, Clash):
            return course.close(outcome.verdict)
        if isinstance(outcome, dict):
            if is_deleted(outcome):
                return course.close(Verdict("applied"))
            if "deleted" in outcome:
                return course.close(Verdict("not taken", "the API accepted it, and didn't", ("deleted",)))
            course.lost = True  # it is done, and shows nothing of it
        yield Sleep(wait)
    yield from read_row(exchange, entity, planned, course)
    verdict = judge(entity, planned, course.row, cloud_id)
    return course.close(verdict or Verdict("uncertain" if course.lost else "starved", "it still isn't deleted"))
