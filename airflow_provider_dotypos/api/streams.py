"""What a walk is made of: streams, disjoint sets of an entity's rows, and pieces of them.

Live and deleted rows are in different streams: lists without a filter on ``deleted`` are documented to hold rows whose
marker is null, and what ``deleted|in|0,1`` does with these is unknown [U]. Rows without a cursor are in a stream of
their own. With two cursors, each row belongs to the first of them that lies in the window.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from itertools import product

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.page import SECOND
from airflow_provider_dotypos.api.query import MAX_LIMIT, Triple
from airflow_provider_dotypos.api.window import Window


@dataclass(frozen=True)
class Stream:
    """A set of rows that a walk reads; no row is in two.

    :param name: its name in names of parts: ``live``, ``deleted`` or ``rows``, with ``-null`` for rows without a
        cursor.
    :param conditions: the filter that its rows match.
    :param cursor: the field that orders it, if any.
    :param deleted: the rows' soft-delete marker, where null counts as not deleted; ``None`` for rows of both kinds.
    :param window: the window whose rows they are; ``None`` for any.
    """

    name: str
    conditions: tuple[Triple, ...]
    cursor: str | None
    deleted: bool | None = None
    window: Window | None = None


class Piece:
    """A stretch of a stream's cursors that one thread walks: ``[lo, hi)``, in epoch milliseconds.

    The owner moves `lo` up by claiming; a thread that splits the piece moves `hi` down.

    :param lo: its first cursor; ``None`` for the beginning.
    :param hi: the cursor at which it ends.
    :param parent: the id of what the rows lie below, if anything.
    :param rate: rows in a millisecond, as the last full page showed; 0 until one has.
    :ivar start: the cursor at which it began; from the beginning, that at which its first page ended.
    :ivar rows: rows delivered so far, for the log of progress.
    """

    def __init__(self, stream: Stream, lo: int | None, hi: int, parent: str | None = None, rate: float = 0.0) -> None:
        self.stream = stream
        self.parent = parent
        self.start = self.lo = lo
        self.hi = hi
        self.rate = rate
        self.rows = 0
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """What names of parts call its stream: the stream's name, after the parent that it lies below."""
        return f"{self.parent}-{self.stream.name}" if self.parent else self.stream.name

    @property
    def pages_left(self) -> float:
        """An estimate of the full pages still to be read, if rows stay as dense as they were."""
        return 0.0 if self.lo is None else (self.hi - self.lo) * self.rate / MAX_LIMIT

    def claim(self, end: int | None = None) -> int:
        """Take everything before `end`, and return where that ends: earlier, if the piece was split meanwhile.

        :param end: ``None`` for all of the piece.
        """
        with self._lock:
            self.lo = self.hi if end is None else min(end, self.hi)
            self.start = self.lo if self.start is None else self.start
            return self.lo

    def split(self) -> Piece | None:
        """Cut off and return the upper half of what isn't claimed; ``None`` if no whole second lies in it."""
        with self._lock:
            if self.lo is None:
                return None
            middle = (self.lo + self.hi) // 2
            middle -= middle % SECOND
            if middle <= self.lo:
                return None
            upper = Piece(self.stream, middle, self.hi, self.parent, self.rate)
            self.hi = middle
            return upper


def streams(entity: Entity, window: Window, conditions: tuple[Triple, ...] = ()) -> tuple[Stream, ...]:
    """Return the streams that together hold every row of the window once.

    :param conditions: further conditions, from `window_conditions`. One on ``deleted`` replaces the division into live
        and deleted rows.
    """
    # Live rows first: a row that is deleted in between then shows among the deleted ones.
    markers: list[tuple[str, tuple[Triple, ...], bool | None]] = [("rows", (), None)]
    if entity.deleted_filterable and not any(name == "deleted" for name, _, _ in conditions):
        markers = [("live", (), False), ("deleted", (("deleted", "eq", "1"),), True)]
    return tuple(
        Stream(marker + suffix, conditions + terms + apart, cursor, deleted, window)
        for marker, terms, deleted in markers
        for suffix, cursor, apart in _by_cursor(entity, window)
    )


def _by_cursor(entity: Entity, window: Window) -> list[tuple[str, str | None, tuple[Triple, ...]]]:
    """Return the ways in which a row can be of the window: a name's suffix, the cursor and the conditions of each."""
    if not entity.cursors:
        return [("", None, ())]
    ways: list[tuple[str, str | None, tuple[Triple, ...]]] = []
    for index, cursor in enumerate(entity.cursors):
        elsewhere = [_outside(earlier, window) for earlier in entity.cursors[:index]]
        for number, apart in enumerate(product(*elsewhere)):
            suffix = "" if index == 0 else f"-{cursor}-{number}"
            ways.append((suffix, cursor, apart))
    if all(entity.fields[cursor].nullable for cursor in entity.cursors):
        ways.append(("-null", None, tuple((cursor, "eq", "null") for cursor in entity.cursors)))
    return ways


def _outside(cursor: str, window: Window) -> list[Triple]:
    before = [] if window.since is None else [(cursor, "lt", str(window.since))]
    return [*before, (cursor, "gteq", str(window.until)), (cursor, "eq", "null")]
