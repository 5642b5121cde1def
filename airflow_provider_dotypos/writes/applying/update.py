"""One row changed: by PATCH, as compare-and-swap.

| seen | what follows |
|---|---|
| READ: gone, deleted, of another cloud | *conflict* |
| READ: all fields as planned | *already*; *applied*, if the answer to a write of ours was lost |
| READ: a field of ours neither as before nor as planned | *conflict* |
| READ: as before, and it has changed since a write whose answer was lost | *conflict* |
| READ: otherwise | SEND: PATCH with the ETag of this read |
| SEND: 2xx | as planned in the answer: *applied*; otherwise *not taken* |
| SEND: 400 and the like | *rejected* |
| SEND: 412; 404; the answer is lost | READ, after a wait that grows to `settle` |
| SEND: 409 | the same; *rejected*, if the same ETag meets it again |
| tries used up | a last READ, `settle` after the last SEND: as above; else *starved*, or *uncertain* |

**A crash neither loses nor doubles.** (1) A PATCH takes effect only if its ETag is the one that was read while the row
was as before. Of all its copies (a lost one, a late one, a second task's, a dead process's) at most one does, and the
others meet 412. (2) Nothing else is remembered: a crash leaves the row as before or as planned, and READ knows both.
(3) *Already* is a success: the row is as planned, by any hand. (4) A read that shows an old state has an old ETag, so
its PATCH meets 412 and nothing is overwritten. *Assumed:* an ETag never comes back.

**Put back.** Between a write whose answer was lost and the read that settles it, somebody may put the very field back
to what it held before. An edit of another field, after a write that was never carried out, looks the same. So a row
that is as before is written again only if its ``versionDate`` is that of the row which the lost write was sent to.
Otherwise a person decides. The same holds for a row that an earlier attempt has left *applied* or *uncertain*.

**The last read.** A write whose answer was lost, with the ETag that the row still has, may be carried out yet. So that
row is *uncertain*, not *starved*.

https://docs.api.dotypos.com/api-reference/general/methods, …/etags
"""

from __future__ import annotations

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.exchange import Exchange
from airflow_provider_dotypos.api.steps import Flow, Sleep
from airflow_provider_dotypos.writes.applying.answers import taken
from airflow_provider_dotypos.writes.applying.calls import Clash, Open, read_row, write_row
from airflow_provider_dotypos.writes.applying.course import Course, waits
from airflow_provider_dotypos.writes.judging import judge
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.verdicts import Verdict


def update(
    exchange: Exchange,
    entity: Entity,
    planned: PlannedRow,
    *,
    cloud_id: int,
    settle: float,
    course: Course | None = None,
) -> Flow[Verdict]:
    """Return the flow that changes a row as planned, unless somebody else has changed the same fields.

    :param settle: seconds until a write shows in the API.
    :param course: receives what happens. If it holds an ETag, the row was just read.
    :raises DotyposError: if something ends the whole run. `course` then says what became of the row.
    """
    course = course or Course()
    lost_with = clashed_with = None
    etags: set[str | None] = set()
    for wait in waits(settle):
        if course.etag is None:
            yield from read_row(exchange, entity, planned, course)
        verdict = judge(entity, planned, course.row, cloud_id) or course.put_back(course.row or {})
        if verdict is not None:
            return course.close(verdict)
        etag = course.etag
        etags.add(etag)
        outcome = yield from write_row(exchange, "PATCH", entity, planned, course, json=planned.after)
        if isinstance(outcome, dict):
            return course.close(taken(entity, planned, outcome))
        if isinstance(outcome, Verdict):
            return course.close(outcome)
        if isinstance(outcome, Clash):
            if clashed_with == etag:
                return course.close(outcome.verdict)
            clashed_with = etag
        elif outcome in (Open.LOST, Open.EMPTY):
            lost_with = etag
        yield Sleep(wait)
    yield from read_row(exchange, entity, planned, course)
    verdict = judge(entity, planned, course.row, cloud_id) or course.put_back(course.row or {})
    if verdict is not None:
        return course.close(verdict)
    if lost_with is not None and lost_with == course.etag:
        return course.close(Verdict("uncertain", "answers were lost, and a write may be carried out yet"))
    if etags == {course.etag}:
        why = "the API refused the ETag that it had given, and the row didn't change; a proxy may have changed the ETag"
        return course.close(Verdict("starved", why))
    return course.close(Verdict("starved", f"it was edited between each read and write, {course.tries} times"))
