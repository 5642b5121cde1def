"""Updates by list PUT: up to a hundred rows in one request, behind a canary.

**A batch.** READ its rows by ``id|in|``, live ones only: the answer's ETag covers exactly these, in this order. Rows
that are finished get their verdict; then the rest is read again, as the ETag must cover no others. SEND each row value
by value as it came, with our fields changed. What the answer shows gives the verdicts.

| SEND | then |
|---|---|
| 2xx with every row | *applied* or *not taken*, field by field |
| 412, 409: a row was changed in between | READ halves; after a lost answer wait first, up to `settle` in all |
| 400 | rows that the violations name alone, the others together; if none is named, halves |
| no answer, or one that can't be read | *uncertain* for now; wait, READ halves |
| one row, or a row that the list doesn't show | PATCH (``update``), which ends with a read |

**PUT replaces**: a field that isn't sent becomes null, or gets a default. So a nullable field that the answer leaves
out is sent as null. The first list PUT, the *canary*, has one row. If a field changed that isn't ours, it is put back
by PATCH, unless somebody has changed the row since, and nothing more is written. Later answers are compared, too.

**Why a crash neither loses nor doubles.** A list PUT takes effect only while each of its rows is as it was read, which
is what the ETag says. Of all its copies (lost, late, of a second writer, of a dead process) at most one takes effect;
the others get 412. If a list is applied in part [U], its ETag fits no more either, and the next READ shows which rows
are done. So a kill leaves each row as it was or as planned. A kill between the canary and putting its field back leaves
one row with a foreign field changed: the next attempt's canary meets the same and names the field.

https://docs.api.dotypos.com/api-reference/general/methods, …/etags, …/etags/etag-examples
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from airflow_provider_dotypos.api.characters import REPLACEMENT
from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.errors import (
    DotyposApiError,
    DotyposConflictError,
    DotyposError,
    DotyposValidationError,
)
from airflow_provider_dotypos.api.listing import ask_page
from airflow_provider_dotypos.api.page import decode_row
from airflow_provider_dotypos.api.query import MAX_LIMIT, list_params
from airflow_provider_dotypos.api.steps import Flow, Sleep
from airflow_provider_dotypos.writes.applying.answers import foreign_changes, taken
from airflow_provider_dotypos.writes.applying.course import Course, waits
from airflow_provider_dotypos.writes.applying.list_writes import (
    CANARIES,
    NOT_BY_LIST,
    Canary,
    ListWrites,
    Part,
    Row,
    each_alone,
    named_rows,
)
from airflow_provider_dotypos.writes.applying.update import update
from airflow_provider_dotypos.writes.errors import DotyposSideEffectError
from airflow_provider_dotypos.writes.judging import differing, judge
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.verdicts import DONE, Verdict


class _Open(NamedTuple):
    """A row that is to be sent.

    :param row: as it was read.
    :param body: as it is sent: each value's bytes as they came, but for ours.
    """

    planned: PlannedRow
    row: Row
    body: Mapping[str, Any]


class _Look(NamedTuple):
    """What a list has shown of some rows.

    :param open: those that are to be sent, in the list's order.
    :param unseen: those that it doesn't show, or shows with a lost character.
    :param etag: the list's ETag; ``None`` if it has none, or if it covers other rows as well.
    """

    open: list[_Open]
    unseen: list[PlannedRow]
    etag: str | None

    @property
    def planned(self) -> list[PlannedRow]:
        return [each.planned for each in self.open]

    @property
    def bodies(self) -> list[Mapping[str, Any]]:
        return [each.body for each in self.open]


class ListUpdates(ListWrites):
    """Updates of a plan by list PUT."""

    _write_row = staticmethod(update)

    def canary(self, rows: Sequence[PlannedRow]) -> Flow[Canary]:
        """Write rows one by one, until a list PUT of one has worked.

        :raises DotyposSideEffectError: if a write did what the plan doesn't say.
        """
        left, failed, why, by_lists = [*rows], 0, "no list PUT was answered, or no list had an ETag", False
        while left and failed < CANARIES:
            first = left.pop(0)
            look = yield from self._look([first])
            if look.open and look.etag:
                try:
                    answered = yield from self._put(look.planned, look.bodies, look.etag)
                except DotyposApiError as error:
                    if error.status not in NOT_BY_LIST:
                        raise
                    why = f"the API answered {error.status} to a list PUT of one row"
                else:
                    if first.id in answered:
                        yield from self._compare(look.open, answered, stops=True)
                        return Canary(left)
            elif not look.open and not look.unseen:
                if not by_lists:  # an attempt before has got further: one request shows a hundred rows
                    left, by_lists = (yield from self._still_open(left)), True
                continue
            verdict = yield from self._write_alone(first)
            failed += verdict.status in DONE
        return Canary(left, why if failed == CANARIES else None)

    def _first_part(self, rows: list[PlannedRow]) -> Part:
        return Part(rows, iter(()))

    def _write_part(self, part: Part) -> Flow[list[Part]]:
        look = yield from self._look(part.rows)
        singles = each_alone(look.unseen)
        seen = Part(look.planned, part.pauses)
        if look.etag is None:  # without the rows that are finished the list has another
            return [*singles, *([seen] if len(seen.rows) < len(part.rows) else each_alone(seen.rows))]
        if len(seen.rows) == 1:
            return [*singles, seen]
        try:
            answered = yield from self._put(seen.rows, look.bodies, look.etag)
        except DotyposConflictError:
            pause = next(seen.pauses, None)
            if pause is None:
                return [*singles, *seen.halves()]
            yield Sleep(pause)
            return [*singles, seen]
        except DotyposValidationError as error:
            self._note_open(seen.rows)  # a list that is refused may have been applied in part [U]
            return [*singles, *seen.without(named_rows(error))]
        if all(planned.id in answered for planned in seen.rows):
            yield from self._compare(look.open, answered)
            return singles
        pauses = waits(self._settle)
        yield Sleep(next(pauses))
        return [*singles, *seen.halves(pauses)]

    def _look(self, rows: Sequence[PlannedRow]) -> Flow[_Look]:
        """Read rows that aren't deleted, and note the verdicts on those that are finished."""
        params = list_params(self._entity, filter=[("id", "in", [row.id for row in rows])])
        page = yield from ask_page(self._exchange, self._entity.url_path(), params)
        waiting = {planned.id: planned for planned in rows}
        open: list[_Open] = []
        for id, raw in zip(page.ids, page.rows, strict=True):
            row = decode_row(raw)
            if id not in waiting or _has_lost_characters(row):
                continue
            planned = waiting.pop(id)
            course = self._course(planned)
            verdict = judge(self._entity, planned, row, self._cloud_id) or course.put_back(row)
            if verdict is None:
                course.before = row
                open.append(_Open(planned, row, _body(self._entity, planned, raw)))
            else:
                self._close(planned, verdict)
        return _Look(open, [*waiting.values()], page.etag if open and len(open) == len(page.rows) else None)

    def _still_open(self, rows: Sequence[PlannedRow]) -> Flow[list[PlannedRow]]:
        """Read rows by lists, note the verdicts on those that are finished, and return the others."""
        left: list[PlannedRow] = []
        for start in range(0, len(rows), MAX_LIMIT):
            look = yield from self._look(rows[start : start + MAX_LIMIT])
            left += [*look.planned, *look.unseen]
        return left

    def _compare(self, sent: Sequence[_Open], answered: Mapping[str, Row], *, stops: bool = False) -> Flow[None]:
        """Note what the answer to a list PUT says of its rows.

        :param stops: whether a row that isn't as planned ends it all.
        :raises DotyposSideEffectError: if a field changed that the plan doesn't name.
        """
        harmed: list[tuple[_Open, tuple[str, ...]]] = []
        for each in sent:
            row = answered[str(each.planned.id)]
            verdict = taken(self._entity, each.planned, row)
            self._close(each.planned, verdict)
            if fields := foreign_changes(self._entity, each.planned, each.row, row):
                harmed.append((each, fields))
                self._stopped = True
            elif stops and verdict.fields:
                raise DotyposSideEffectError(
                    f"{self._entity.name} {each.planned.id}: the API accepted a list PUT and left "
                    f"{', '.join(verdict.fields)} as it was. Nothing more was written. Take the field out of the "
                    "source, or set it in Dotypos."
                )
        said: list[str] = []
        for each, fields in harmed:
            said.append((yield from self._put_back(each, answered[str(each.planned.id)], fields)))
        if said:
            raise DotyposSideEffectError(
                f"A list PUT changed what the plan doesn't name, and nothing more was written. {' '.join(said)} Apply "
                "the plan row by row: method='patch'."
            )

    def _put_back(self, sent: _Open, row: Row, fields: tuple[str, ...]) -> Flow[str]:
        """Give foreign fields their values again, unless somebody has changed them since. Return what became of it.

        :param row: the row as the list PUT has left it.
        """
        planned, course = sent.planned, Course()
        back = msgspec.structs.replace(
            planned,
            before={name: row.get(name) for name in fields},
            after={name: sent.row.get(name) for name in fields},
        )
        try:
            verdict = yield from update(
                self._exchange, self._entity, back, cloud_id=self._cloud_id, settle=self._settle, course=course
            )
            outcome = "was put back" if verdict.status in DONE else f"wasn't put back: {verdict.why}"
        except DotyposError as error:
            outcome = f"wasn't put back: {error}"
        if undone := tuple(differing(self._entity, planned.after, course.row or row)):
            self._close(planned, Verdict("not taken", "it went with a foreign field that was put back", undone))
        return f"{', '.join(fields)} of {self._entity.name} {planned.id} {outcome}."


def _body(entity: Entity, planned: PlannedRow, raw: msgspec.Raw) -> dict[str, Any]:
    """Return a row as it came, with our fields changed. A null that the answer leaves out could get a default [D2]."""
    nulls = {field.name: None for field in entity.fields.values() if field.nullable and not field.read_only}
    return nulls | msgspec.json.decode(raw, type=dict[str, msgspec.Raw]) | dict(planned.after)


def _has_lost_characters(row: Row) -> bool:
    """Return whether a text of the row isn't as the API holds it, so that it must not be sent back."""
    return REPLACEMENT.encode() in msgspec.json.encode(row)
