"""What a walk is made of: streams, disjoint sets of an entity's rows, and pieces of them.

**Live and deleted rows.** Lists without a filter on ``deleted`` hold the rows that aren't deleted, null markers among
them [D]. What ``deleted|in|0,1`` does with a null is unknown [U]. So there are two streams, ``live`` without the filter
and ``deleted``: together they hold every row, whatever the filter does. Where it hides no row, one stream with it,
``both``, holds the same rows, and a change of the marker is one of its changes like any other. *Assumed:* that it hides
none, as was found out (``markers``), or said by a person. A row whose null marker it hides is missed.

**Rows without a cursor** are in a stream of their own (``-null``). No window holds them, so a window may leave them to
the reads from the beginning. A row that loses its cursor, or is made without one, comes with the next of these.

**Two cursors.** A row belongs to a window if either cursor lies in it, and it is delivered under the first of them that
does. Stream 1 walks by the first cursor, A, and delivers all that it shows. Stream 2 walks by the second, B, and passes
over the rows whose A lies in the window. *Assumed:* A only moves up, and each change moves A or B. The window has
settled, so a change moves a cursor to the window's end or beyond.

- A row that stream 2 passes over has A in the window at that moment, so it has had this A since the window settled.
  Stream 1 has delivered it by then, or will, unless it changes first. Then it belongs to a later window.
- A row that stream 2 delivers has A outside at that moment. If the row doesn't change, A was outside all the time, and
  stream 1 doesn't show it.

So a row that doesn't change is delivered once, in whatever order, and by whatever attempts, the streams are walked.
Whether A lies in the window shows in the row itself, except in a tick that an edge of the window cuts in two: of A the
API may show only the tick [A]. Such rows are asked for by their ids and the exact edges. A window from the beginning
holds most rows under both cursors, and would read them twice. There stream 2 is two streams, whose filters say where A
lies: behind the window, or nowhere. Where a walk has no end, A may move into it at any time, so nothing is passed over.

**Parts are kept by the names of streams**, also by an attempt that divides the rows differently, as more is known by
then, or by another version. A name therefore stands for the same rows for good. A set is made of the parts of one
attempt's streams, which are disjoint; what others have read under other names isn't in it, and is read again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.markers import LIVE_AND_DELETED
from airflow_provider_dotypos.api.page import SECOND
from airflow_provider_dotypos.api.query import MAX_LIMIT, Triple
from airflow_provider_dotypos.api.window import Window


@dataclass(frozen=True)
class Stream:
    """A set of rows that a walk reads; no row is in two.

    :param name: its name in names of parts: ``live``, ``deleted``, ``both`` or ``rows``, with ``-null`` for rows
        without a cursor. A name stands for one set of rows for good, as a later attempt keeps parts by it.
    :param conditions: the filter that its rows match.
    :param cursor: the field that orders it, if any.
    :param deleted: the rows' soft-delete marker, where null counts as not deleted; ``None`` for rows of both kinds.
    :param window: the window whose rows they are; ``None`` for any.
    :param earlier: cursors that come before its own. It delivers no row that has one of them in the window.
    """

    name: str
    conditions: tuple[Triple, ...]
    cursor: str | None
    deleted: bool | None = None
    window: Window | None = None
    earlier: tuple[str, ...] = ()

    def divide(self, rows: Iterable[tuple[str, int | None]], tick: int) -> tuple[set[str], set[str]]:
        """Return the rows that have an earlier cursor in the window, and those whose tick an edge of it cuts.

        :param rows: each one's id and cursor, cut to the tick.
        """
        if self.window is None:
            return set(), set()
        since, until = self.window.since or 0, self.window.until
        dated = [(id, moment) for id, moment in rows if moment is not None]
        inside = {id for id, moment in dated if since <= moment and moment + tick <= until}
        return inside, {id for id, moment in dated if since < moment + tick and moment < until} - inside

    def asking_for(self, ids: Iterable[str], cursor: str) -> tuple[Triple, ...]:
        """Return the conditions that show which of some rows have a cursor in the window, exactly."""
        edges = () if self.window is None else (("gteq", self.window.since or 0), ("lt", self.window.until))
        bounds = tuple((cursor, operator, str(edge)) for operator, edge in edges)
        return (*self.conditions, *bounds, ("id", "in", ",".join(sorted(ids))))


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


def divides_deleted(entity: Entity, conditions: tuple[Triple, ...]) -> bool:
    """Return whether a walk decides by which filters live and deleted rows are read; a user's filter may do so."""
    return entity.deleted_filterable and not any(name == "deleted" for name, _, _ in conditions)


def streams(
    entity: Entity, window: Window, conditions: tuple[Triple, ...] = (), one_filter: bool = False
) -> tuple[Stream, ...]:
    """Return the streams that together hold every row of the window once.

    :param conditions: further conditions, from `window_conditions`. One on ``deleted`` replaces the division into live
        and deleted rows.
    :param one_filter: whether live and deleted rows are one stream. Rows whose marker is null are missing then, if the
        filter hides them.
    """
    # Live rows first: a row that is deleted in between then shows among the deleted ones.
    markers: list[tuple[str, tuple[Triple, ...], bool | None]] = [("rows", (), None)]
    if divides_deleted(entity, conditions):
        markers = [("live", (), False), ("deleted", (("deleted", "eq", "1"),), True)]
        if one_filter:
            markers = [("both", (LIVE_AND_DELETED,), None)]
    return tuple(
        Stream(marker + suffix, conditions + terms + apart, cursor, deleted, window, earlier)
        for marker, terms, deleted in markers
        for suffix, cursor, apart, earlier in _by_cursor(entity, window)
    )


#: A way in which a row can be of a window: a name's suffix, the cursor, the conditions, and the cursors before it.
_Way: TypeAlias = tuple[str, "str | None", "tuple[Triple, ...]", "tuple[str, ...]"]


def _by_cursor(entity: Entity, window: Window) -> list[_Way]:
    if not entity.cursors:
        return [("", None, (), ())]
    ways: list[_Way] = []
    for index, cursor in enumerate(entity.cursors):
        earlier = entity.cursors[:index]
        if not earlier:
            ways.append(("", cursor, (), ()))
        elif window.since is not None:
            ways.append((f"-{cursor}", cursor, (), earlier))
        else:
            apart = product(*(((name, "gteq", str(window.until)), (name, "eq", "null")) for name in earlier))
            ways += [(f"-{cursor}-{number}", cursor, terms, ()) for number, terms in enumerate(apart)]
    if all(entity.fields[cursor].nullable for cursor in entity.cursors):
        ways.append(("-null", None, tuple((cursor, "eq", "null") for cursor in entity.cursors), ()))
    return ways
