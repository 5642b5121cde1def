"""What updates and creates by list PUT have in common: the call, its answer, and the parts that are still open.

https://docs.api.dotypos.com/api-reference/general/methods
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeAlias

import msgspec

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.errors import (
    DotyposNotFoundError,
    DotyposUncertainWriteError,
    DotyposUnreadableAnswerError,
    DotyposValidationError,
)
from airflow_provider_dotypos.api.exchange import Exchange
from airflow_provider_dotypos.api.http import Answer
from airflow_provider_dotypos.api.page import decode_row, read_page
from airflow_provider_dotypos.api.steps import Flow
from airflow_provider_dotypos.writes.applying.course import Course
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.verdicts import Verdict

Row: TypeAlias = dict[str, Any]

#: Receives the verdict on a row; the last one counts.
Note: TypeAlias = Callable[[PlannedRow, Verdict], None]

#: Rows that are tried as a canary before list PUT is given up.
CANARIES = 3

#: Statuses by which an API refuses to take one row by list PUT. Others say nothing of lists.
NOT_BY_LIST = frozenset({400, 404, 405, 409, 412, 428, 501})


class Canary(NamedTuple):
    """What the first list PUT has shown.

    :param left: the rows that are still to be written.
    :param refused: why they can't be written by list PUT; ``None`` if they can.
    """

    left: list[PlannedRow]
    refused: str | None = None


class Part(NamedTuple):
    """Rows that are sent together.

    :param pauses: how long to wait when the API says that they aren't as they were read. It may be a write of ours that
        doesn't show yet.
    """

    rows: list[PlannedRow]
    pauses: Iterator[float]

    def halves(self, pauses: Iterator[float] | None = None) -> list[Part]:
        """Return the part in two, which share their pauses.

        :param pauses: other pauses.
        """
        half = len(self.rows) // 2
        return [Part(rows, pauses or self.pauses) for rows in (self.rows[:half], self.rows[half:]) if rows]

    def without(self, indexes: Iterable[int]) -> list[Part]:
        """Return the rows with some indexes each by itself, and the others as one part. Without any index, halves."""
        named = {index for index in indexes if index < len(self.rows)}
        if not named:
            return self.halves()
        others = [row for index, row in enumerate(self.rows) if index not in named]
        return [*each_alone([self.rows[index] for index in sorted(named)]), Part(others, self.pauses)]


def each_alone(rows: Iterable[PlannedRow]) -> list[Part]:
    """Return rows each as a part of its own."""
    return [Part([row], iter(())) for row in rows]


class ListWrites(ABC):
    """Writes of a plan by list PUT. Threads may run its flows for different rows at once.

    :param cloud_id: the plan's cloud.
    :param settle: seconds until a write shows in the API.
    :param note: receives verdicts. A row whose write is open is noted as *uncertain* until more is known.
    :param begin: returns a row's course, as earlier attempts have left it. Defaults to a new one.
    """

    #: Writes one row by its own path.
    _write_row: ClassVar[Callable[..., Flow[Verdict]]]

    def __init__(
        self,
        exchange: Exchange,
        entity: Entity,
        *,
        cloud_id: int,
        settle: float,
        note: Note,
        begin: Callable[[PlannedRow], Course] = lambda planned: Course(),
    ) -> None:
        self._exchange = exchange
        self._entity = entity
        self._cloud_id = cloud_id
        self._settle = settle
        self._note = note
        self._begin = begin
        self._stopped = False
        self._courses: dict[str | None, Course] = {}

    def write(self, rows: Sequence[PlannedRow]) -> Flow[None]:
        """Write rows, at most as many as the array of a PUT may have. After a write that did what the plan doesn't say,
        another thread's flows send nothing more, either.

        :raises DotyposSideEffectError: if a write did what the plan doesn't say.
        """
        parts = [self._first_part([*rows])]
        while parts and not self._stopped:
            part = parts.pop()
            if len(part.rows) == 1:
                yield from self._write_alone(part.rows[0])
            elif part.rows:
                parts += yield from self._write_part(part)

    @abstractmethod
    def _first_part(self, rows: list[PlannedRow]) -> Part:
        """Return rows that nothing is known of as a part."""

    @abstractmethod
    def _write_part(self, part: Part) -> Flow[list[Part]]:
        """Send several rows once, and return the parts in which the open ones go on."""

    def _write_alone(self, planned: PlannedRow) -> Flow[Verdict]:
        """Write one row by its own path, and note its verdict."""
        course = self._course(planned)
        try:
            verdict = yield from self._write_row(
                self._exchange, self._entity, planned, cloud_id=self._cloud_id, settle=self._settle, course=course
            )
        except BaseException:
            if course.lost:
                self._note_open([planned])
            raise
        self._note(planned, verdict)
        return verdict

    def _close(self, planned: PlannedRow, verdict: Verdict) -> None:
        """Note the verdict on a row."""
        self._note(planned, self._course(planned).close(verdict))

    def _course(self, planned: PlannedRow) -> Course:
        """Return a row's course."""
        if planned.id not in self._courses:
            self._courses[planned.id] = self._begin(planned)
        return self._courses[planned.id]

    def _note_open(self, rows: Iterable[PlannedRow]) -> None:
        """Note that a write of some rows may have been carried out."""
        for planned in rows:
            course = self._course(planned)
            course.lose()
            self._note(planned, course.interrupt("no answer says what became of it"))

    def _put(
        self, rows: Sequence[PlannedRow], bodies: Sequence[Mapping[str, Any]], etag: str | None = None
    ) -> Flow[dict[str, Row]]:
        """Send rows, and return them as answered, by id; nothing if no answer says what became of them."""
        for planned in rows:
            self._course(planned).tries += 1
        try:
            answered = yield from self._exchange.flow(
                "PUT",
                self._entity.url_path(),
                json=msgspec.Raw(msgspec.json.encode(bodies)),
                headers={"If-Match": etag} if etag else None,
                decode=_rows_answered,
            )
        except (DotyposUncertainWriteError, DotyposUnreadableAnswerError):
            answered = {}
        except DotyposNotFoundError as error:
            if not error.refusal.empty:
                raise
            answered = {}  # a gateway in trouble answers like this, whatever was carried out
        except GeneratorExit:  # what ends the task, such as its time-out, breaks in upon the call
            self._note_open(rows)
            raise
        if not answered.keys() >= {planned.id for planned in rows}:
            self._note_open(rows)
        return answered


def named_rows(error: DotyposValidationError) -> list[int]:
    """Return the indexes of the rows that violations name, as ``[3].name`` does. Whether they do is unknown [U]."""
    indexes = ((field or "").partition("[")[2].partition("]")[0] for field, _ in error.violations)
    return [int(index) for index in indexes if index.isdecimal()]


def _rows_answered(answer: Answer) -> dict[str, Row]:
    page = read_page(answer.body, None)
    return dict(zip(page.ids, map(decode_row, page.rows), strict=True))
