"""Creates by list PUT without an ETag: up to a hundred rows in one request, each under its planned id.

| SEND: PUT of a list | then |
|---|---|
| 2xx with every row | *applied* or *not taken*, field by field |
| 2xx with other ids | the run ends: the API gives its own, so no write could be repeated |
| 428, 412: some exist | READ them by ``id|in|``: *already* or *conflict*; SEND the rest; if none shows, wait |
| 400 | rows that the violations name alone, the others together; if none is named, halves |
| 409: one can't be stored beside another row | halves |
| no answer, or one that can't be read | *uncertain* for now; wait, SEND halves |
| one row | PUT of that row (``create``), which ends with a read |

The first list has one row.

**Why a crash neither loses nor doubles.** An id follows from cloud, entity and key, so every copy of a list (lost,
late, of a second writer, of a dead process) has the same ids. The first that is carried out creates them; the others
get 428 and write nothing. If lists are applied in part [U], a row that exists is still refused.

https://docs.api.dotypos.com/api-reference/general/methods, …/etags
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_dotypos.api.errors import (
    DotyposApiError,
    DotyposConflictError,
    DotyposPreconditionError,
    DotyposValidationError,
)
from airflow_provider_dotypos.api.steps import Flow, Sleep
from airflow_provider_dotypos.writes.applying.answers import taken
from airflow_provider_dotypos.writes.applying.course import waits
from airflow_provider_dotypos.writes.applying.create import create
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
from airflow_provider_dotypos.writes.errors import DotyposSideEffectError
from airflow_provider_dotypos.writes.judging import judge_created
from airflow_provider_dotypos.writes.look_up import look_up
from airflow_provider_dotypos.writes.plan import PlannedRow


class ListCreates(ListWrites):
    """Creates of a plan by list PUT."""

    _write_row = staticmethod(create)

    def canary(self, rows: Sequence[PlannedRow]) -> Flow[Canary]:
        """Create rows one by one, until a list PUT of one has worked.

        :raises DotyposSideEffectError: if a write did what the plan doesn't say.
        """
        left, failed, why, by_lists = [*rows], 0, "no list PUT was answered", False
        while left and failed < CANARIES:
            first = left.pop(0)
            try:
                answered = yield from self._put_new([first])
            except DotyposApiError as error:
                if error.status not in NOT_BY_LIST:
                    raise
                why = f"the API answered {error.status} to a list PUT of one new row"
            else:
                if answered:
                    self._compare([first], answered, stops=True)
                    return Canary(left)
            verdict = yield from self._write_alone(first)
            failed += verdict.status == "applied"
            if verdict.status in ("already", "conflict") and not by_lists:
                left, by_lists = (yield from self._still_open(left)), True
        return Canary(left, why if failed == CANARIES else None)

    def _first_part(self, rows: list[PlannedRow]) -> Part:
        return Part(rows, waits(self._settle))

    def _write_part(self, part: Part) -> Flow[list[Part]]:
        try:
            answered = yield from self._put_new(part.rows)
        except DotyposPreconditionError:
            left = yield from self._still_open(part.rows)
            if len(left) == len(part.rows):
                pause = next(part.pauses, None)
                if pause is None:
                    return each_alone(left)
                yield Sleep(pause)
            return [Part(left, part.pauses)]
        except DotyposConflictError:
            return part.halves()
        except DotyposValidationError as error:
            self._note_open(part.rows)  # a list that is refused may have been applied in part [U]
            return part.without(named_rows(error))
        if answered:
            self._compare(part.rows, answered)
            return []
        pauses = waits(self._settle)
        yield Sleep(next(pauses))
        return part.halves(pauses)

    def _put_new(self, rows: Sequence[PlannedRow]) -> Flow[dict[str, Row]]:
        """Send new rows, and return them as answered, by id; nothing if no answer says what became of them.

        :raises DotyposSideEffectError: if they were created under other ids.
        """
        bodies: list[dict[str, Any]] = [{**planned.after, "id": planned.id} for planned in rows]
        answered = yield from self._put(rows, bodies)
        others = sorted(answered.keys() - {planned.id for planned in rows})
        if others:
            self._stopped = True
            raise DotyposSideEffectError(
                f"The API created {self._entity.name} under ids of its own ({', '.join(others[:5])}), not under those "
                "of the plan. Nothing more was written. Delete these rows, and create by create='post'."
            )
        return answered if len(answered) == len(rows) else {}

    def _compare(self, sent: Sequence[PlannedRow], answered: dict[str, Row], *, stops: bool = False) -> None:
        """Note what the answer to a list PUT says of its rows.

        :param stops: whether a row that isn't as planned ends it all.
        """
        for planned in sent:
            verdict = taken(self._entity, planned, answered[str(planned.id)])
            self._close(planned, verdict)
            if stops and verdict.fields:
                raise DotyposSideEffectError(
                    f"{self._entity.name} {planned.id}: the API created the row, and {', '.join(verdict.fields)} isn't "
                    "as planned. Nothing more was written. Take the field out of the source, or set it in Dotypos."
                )

    def _still_open(self, rows: Sequence[PlannedRow]) -> Flow[list[PlannedRow]]:
        """Look rows up, note the verdicts on those that exist, and return the others."""
        shown = yield from look_up(self._exchange, self._entity, "id", [str(planned.id) for planned in rows])
        for planned in rows:
            for row in shown.get(str(planned.id), ()):
                self._close(planned, judge_created(self._entity, planned, row, self._cloud_id))
        return [planned for planned in rows if str(planned.id) not in shown]
