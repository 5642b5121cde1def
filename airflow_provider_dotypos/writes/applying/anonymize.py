"""One customer deleted, and their personal data with them.

``DELETE …?anonymize=true`` does both to a customer who isn't deleted. To one who is, it does nothing [A]: their
personal data stay. Those are blanked by PATCH. In the end an answer shows the row as deleted and without personal data.

| seen | what follows |
|---|---|
| READ: gone; deleted and without personal data | *already*; *applied*, if a write was sent |
| READ: of another cloud; not deleted, and edited since the plan was made | *conflict* |
| READ: not deleted | SEND: DELETE with ``anonymize=true`` |
| READ: deleted, with personal data | SEND: PATCH that blanks them, with the ETag of this read |
| SEND: 2xx | deleted and without personal data in the answer: *applied*; otherwise READ |
| SEND: PATCH taken, and the data are still there | *not taken*, with the fields |
| SEND: 400, 409 | *rejected*, with the fields that still hold personal data |
| SEND: 412, 404; the answer is lost | READ, after a wait that grows to `settle` |

**A crash neither loses nor doubles**: each READ says what is left to do, and what is done is never undone. A PATCH that
makes the row live again is followed by another DELETE.

https://docs.api.dotypos.com/entity/customer
"""

from __future__ import annotations

import msgspec

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.exchange import Exchange
from airflow_provider_dotypos.api.steps import Flow, Sleep
from airflow_provider_dotypos.writes.applying.calls import Clash, Outcome, read_row, write_row
from airflow_provider_dotypos.writes.applying.course import Course, waits
from airflow_provider_dotypos.writes.blanks import blanks, personal_left
from airflow_provider_dotypos.writes.judging import is_deleted, judge
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.verdicts import Verdict


def anonymize(
    exchange: Exchange,
    entity: Entity,
    planned: PlannedRow,
    *,
    cloud_id: int,
    settle: float,
    course: Course | None = None,
) -> Flow[Verdict]:
    """Return the flow that deletes a customer and their personal data.

    :param settle: seconds until a write shows in the API.
    :param course: receives what happens.
    :raises DotyposError: if something ends the whole run. `course` then says what became of the row.
    """
    course = course or Course()
    for wait in waits(settle):
        yield from read_row(exchange, entity, planned, course)
        verdict = judge(entity, planned, course.row, cloud_id)
        if verdict is None:
            outcome = yield from _send(exchange, entity, planned, course)
            verdict = _verdict(entity, course, outcome)
        if verdict is not None:
            return _closed(course, verdict)
        yield Sleep(wait)
    yield from read_row(exchange, entity, planned, course)
    left = personal_left(entity, course.row or {})
    verdict = judge(entity, planned, course.row, cloud_id)
    return _closed(course, verdict or Verdict("uncertain", "it isn't seen as deleted and anonymized", left))


def _send(exchange: Exchange, entity: Entity, planned: PlannedRow, course: Course) -> Flow[Outcome]:
    """Send what the row lacks, as it was just read."""
    row = course.row or {}
    if is_deleted(row):
        return (yield from write_row(exchange, "PATCH", entity, planned, course, json=blanks(entity, row)))
    return (yield from write_row(exchange, "DELETE", entity, planned, course, params={"anonymize": "true"}))


def _verdict(entity: Entity, course: Course, outcome: Outcome) -> Verdict | None:
    """Return the verdict on what was sent; ``None`` if the row has to be read."""
    before = course.before or {}
    if isinstance(outcome, dict):
        left = personal_left(entity, outcome, before)
        if is_deleted(outcome) and not left:
            return Verdict("applied")
        if is_deleted(before) and left:
            return Verdict("not taken", "the API accepted the write and left personal data as they are", left)
        return None
    refusal = outcome.verdict if isinstance(outcome, Clash) else outcome
    if isinstance(refusal, Verdict):
        return msgspec.structs.replace(refusal, fields=refusal.fields or personal_left(entity, before))
    return None


def _closed(course: Course, verdict: Verdict) -> Verdict:
    """Return a verdict with what it cost. A row that is done after a write of ours counts as ``applied``."""
    done = verdict.status == "already" and course.tries > 0
    return course.close(msgspec.structs.replace(verdict, status="applied") if done else verdict)
