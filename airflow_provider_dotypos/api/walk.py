"""Walking a whole entity while it changes, without losing or doubling a row. Pure: yields a query, receives a page.

**Why page numbers can't do it.** A row that changes moves to the end of ``sort=versionDate``; the rest moves up by one,
and the next page number skips a row. So every query here starts at a *value* (keyset), never at a page number.

**The proof**, for a window ``[lo, hi)`` whose end lies in the settled past:

1. A row that doesn't change keeps its cursor ``v``. A row that changes gets a cursor at or after ``hi`` and leaves the
   window for good: it belongs to a later one. So inside the window rows only ever vanish.
2. The API shows ``v`` cut to a *tick* (1 ms, or 1 s where no fraction is shown), but filters and sorts by ``v`` itself.
   A full page sorted by the cursor therefore holds every row of the ticks before its last row's tick, and perhaps only
   some of that last tick. The rows before it are delivered; the walk goes on at the start of that tick and reads it
   again. **A tick is delivered only from a query that shows it whole**, hence once, and nothing falls between queries.
   (That texts are cut, not rounded, is assumed [A].)
3. A tick with more rows than a page (a *tie*: a bulk change) can't be passed like this, and ``id`` can't be sorted by.
   It can be excluded: ``id|notin|<seen>`` shows what is left, until a page is short. Where that address gets too long,
   the tick is read by page numbers, again and again, until two passes in a row show the same rows, each once.
4. Where the cursor can't be sorted by, a range is halved until each piece is one short page: one atomic answer.
5. Rows that are wrong under these rules (out of order, outside the window, excluded yet there) are an error, not a
   guess.

6. A stream may be walked in *pieces*, ``[lo, hi)`` each, by several threads at once. A piece's owner *claims* a range
   before it delivers it, and a piece is split only above what is claimed, at a whole second, which no tick crosses. A
   page that was on its way while its piece was split is delivered up to the new end only.

A walk is made of *streams*, disjoint sets of rows: live and deleted rows apart (what ``deleted|in|0,1`` does with rows
whose marker is null is unknown, and lists without a filter on ``deleted`` are documented to hold those), rows without
a cursor apart, and for an entity with two cursors each row under the first of them that lies in the window.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

import msgspec

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.errors import DotyposInputError, DotyposWalkError
from airflow_provider_dotypos.api.page import SECOND, Page
from airflow_provider_dotypos.api.query import MAX_LIMIT, Filter, conditions
from airflow_provider_dotypos.api.window import Window, iso

#: Ids excluded in one address at most; the longest URL is unknown, and most servers take 8 KB.
MAX_EXCLUDED_CHARACTERS = 6000

#: Passes over a tie by page numbers before giving up.
MAX_PASSES = 12

Triple: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True)
class Query:
    """One list call: ``MAX_LIMIT`` rows of `page`, under all `conditions`, sorted by `sort`."""

    conditions: tuple[Triple, ...]
    sort: tuple[str, ...] = ()
    page: int = 1


@dataclass(frozen=True)
class Batch:
    """Rows to deliver.

    :param covered: everything of the stream before this cursor (epoch ms) has now been delivered; ``None`` while a tie
        is open, in which no part may end.
    """

    rows: Sequence[msgspec.Raw]
    ids: Sequence[str]
    covered: int | None


@dataclass(frozen=True)
class Stream:
    """A disjoint part of what a walk reads.

    :param name: what it is called in names of parts: ``live``, ``deleted``, ``rows``; with ``-null`` for rows without
        a cursor.
    :param conditions: what its rows have in common. :param cursor: what orders it; ``None`` if nothing does.
    :param deleted: the rows' soft-delete marker (null counts as not deleted); ``None`` if it doesn't matter.
    """

    name: str
    conditions: tuple[Triple, ...]
    cursor: str | None
    deleted: bool | None = None


Walk: TypeAlias = Generator["Query | Batch", "Page | None", None]


def streams(entity: Entity, window: Window, filter: Filter = None) -> tuple[Stream, ...]:
    """Return the streams that together hold every row of the window once.

    :param filter: further conditions; one on ``deleted`` replaces the division into live and deleted rows.
    :raises DotyposInputError: the filter names a cursor, or asks what the API doesn't allow.
    """
    own = conditions(entity, filter)
    named = {field for field, _, _ in own}
    for name in entity.cursors:
        if name in named:
            raise DotyposInputError(
                f"filter: {name} is the cursor of {entity.name}; the window already filters by it (use since and until)"
            )
    # Live rows first: a row deleted in between is then found among the deleted ones.
    markers: list[tuple[str, tuple[Triple, ...], bool | None]] = [("rows", (), None)]
    if entity.deleted_filterable and "deleted" not in named:
        markers = [("live", (), False), ("deleted", (("deleted", "eq", "1"),), True)]
    found = []
    for marker, terms, deleted in markers:
        for suffix, cursor, apart in _by_cursor(entity, window):
            found.append(Stream(marker + suffix, own + terms + apart, cursor, deleted))
    return tuple(found)


def _by_cursor(entity: Entity, window: Window) -> list[tuple[str, str | None, tuple[Triple, ...]]]:
    """Divide rows by the first cursor that lies in the window, and those that have none."""
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


class Piece:
    """A stretch of a stream's cursors that one thread walks: ``[lo, hi)``, in epoch milliseconds.

    The owner moves `lo` up by claiming; whoever splits the piece moves `hi` down.

    :param lo: ``None`` from the beginning. :param parent: what the rows lie below (a warehouse), or ``None``.
    :ivar start: where it began; for one from the beginning, where its first page ended.
    :ivar rate: rows in a millisecond, as the last full page showed; 0 as long as nothing is known.
    :ivar rows: rows delivered so far, for whoever tells how far it is.
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
    def pages_left(self) -> float:
        """About how many full pages are still to be read, if rows go on coming as thick as they did."""
        return 0.0 if self.lo is None else (self.hi - self.lo) * self.rate / MAX_LIMIT

    def claim(self, end: int | None = None) -> int:
        """Take everything before `end` (``None``: all there is), and return how far that goes.

        That is less than asked for if the piece was split meanwhile.
        """
        with self._lock:
            self.lo = self.hi if end is None else min(end, self.hi)
            self.start = self.lo if self.start is None else self.start
            return self.lo

    def split(self) -> Piece | None:
        """Part with the upper half of what isn't claimed; ``None`` if there is no whole second to part at."""
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


def walk(entity: Entity, piece: Piece) -> Walk:
    """Walk one piece: yields a `Query` to be answered with a `Page`, and a `Batch` of rows to deliver.

    :raises DotyposWalkError: the answers can't be walked without losing rows.
    """
    walker = _Walker(entity, piece)
    if piece.stream.cursor is None:
        yield from walker.whole(None, None)
        yield Batch((), (), piece.claim())
    elif entity.cursor_sortable:
        yield from walker.sorted()
    else:
        yield from walker.halved()


class _Walker:
    """One piece's walk: what it has learned of the tick, and the four ways to read a range."""

    def __init__(self, entity: Entity, piece: Piece) -> None:
        self._entity = entity
        self._piece = piece
        self._stream = piece.stream
        self._tick = SECOND

    def sorted(self) -> Walk:
        """Read the piece from page to page by the cursor's value."""
        piece = self._piece
        while piece.lo is None or piece.lo < piece.hi:
            lo = piece.lo
            page = yield from self._ask(lo, piece.hi, self._order())
            self._check_order(page)
            if not page.is_full(MAX_LIMIT):
                end = piece.claim()
                yield self._batch(page, end, before=end)
                return
            first, last = self._floor(_cursor(page, 0)), self._floor(_cursor(page, -1))
            if first < last:
                # From where it was asked for, not from the first row: that nothing lies between is known as well.
                piece.rate = len(page.rows) / (last - (first if lo is None else min(lo, first)))
                end = piece.claim(last)
                yield self._batch(page, end, before=end)
                continue
            start = last if lo is None else max(lo, last)
            end = piece.claim(last + self._tick)
            if start < end:
                yield from self.whole(start, end, page)
            yield Batch((), (), end)

    def halved(self) -> Walk:
        """Read the piece without an order: halves of halves, each one short page."""
        pieces = [(self._piece.lo or 0, self._piece.hi)]
        while pieces:
            start, end = pieces.pop()
            page = yield from self._ask(start, end, ())
            middle = self._floor((start + end) // 2)
            if not page.is_full(MAX_LIMIT):
                yield self._batch(page, self._piece.claim(end))
            elif start < middle < end and len(page.rows) >= page.size(MAX_LIMIT):
                pieces += [(middle, end), (start, middle)]
            else:
                yield from self.whole(start, end, page)
                yield Batch((), (), self._piece.claim(end))

    def whole(self, lo: int | None, hi: int | None, first: Page | None = None) -> Walk:
        """Read all of a range that has no order, by excluding what was seen; `first` is a page of it already read."""
        if "in" not in self._entity.fields["id"].operators:
            yield from self._passes(lo, hi, set())
            return
        seen: set[str] = set()
        page = first or (yield from self._ask(lo, hi, self._order()))
        while True:
            if not seen.isdisjoint(page.ids):
                raise self._error("rows excluded by id|notin came back all the same")
            yield self._batch(page, None)
            seen.update(page.ids)
            if not page.is_full(MAX_LIMIT):
                return
            excluded = ",".join(sorted(seen))
            if len(excluded) > MAX_EXCLUDED_CHARACTERS:
                break
            page = yield from self._ask(lo, hi, self._order(), (("id", "notin", excluded),))
        yield from self._passes(lo, hi, seen)

    def _passes(self, lo: int | None, hi: int | None, delivered: set[str]) -> Walk:
        """Read a range by page numbers, until two passes in a row hold the same rows, each once.

        A row that leaves meanwhile can hide another from one pass. It can't from two: it is in the first pass's rows
        (it was read before it left) and not in the second's, so the two differ.
        """
        previous: set[str] | None = None
        for _ in range(MAX_PASSES):
            ids: set[str] = set()
            rows = 0
            number = 0
            full = True
            while full:
                number += 1
                page = yield from self._ask(lo, hi, self._order(), page=number)
                yield self._batch(page, None, without=delivered)
                delivered.update(page.ids)
                repeats = ids.issuperset(page.ids)
                ids.update(page.ids)
                rows += len(page.ids)
                # A page of nothing new ends the pass (a server that ignores page numbers would go on for ever).
                full = self._entity.paged and not repeats and page.is_full(MAX_LIMIT, number)
            if (number == 1 and not repeats) or not ids or (rows == len(ids) and ids == previous):
                return
            previous = ids if rows == len(ids) else None
        raise self._error(
            f"{len(delivered)} rows share one instant, and {MAX_PASSES} passes over them by page number didn't agree"
        )

    def _ask(
        self,
        lo: int | None,
        hi: int | None,
        sort: tuple[str, ...],
        further: tuple[Triple, ...] = (),
        page: int = 1,
    ) -> Generator[Query, Page | None, Page]:
        cursor = self._stream.cursor
        bounds: list[Triple] = []
        if cursor is not None and lo is not None:
            bounds.append((cursor, "gteq", str(lo)))
        if cursor is not None and hi is not None:
            bounds.append((cursor, "lt", str(hi)))
        answer = yield Query(self._stream.conditions + tuple(bounds) + further, sort, page)
        if answer is None:
            raise TypeError("a walk's query must be answered with a page")
        self._tick = min(self._tick, answer.tick)
        self._check_inside(answer, lo, hi)
        return answer

    def _order(self) -> tuple[str, ...]:
        by_cursor = (self._stream.cursor,) if self._stream.cursor and self._entity.cursor_sortable else ()
        return by_cursor + self._entity.tie_breakers

    def _floor(self, moment: int) -> int:
        return moment - moment % self._tick

    def _batch(
        self, page: Page, covered: int | None, *, before: int | None = None, without: set[str] | None = None
    ) -> Batch:
        """Return the page's rows that belong to the stream (and lie before a cursor, or aren't among `without`)."""
        wanted = [
            i
            for i, deleted in enumerate(page.deleted)
            if (self._stream.deleted is None or self._stream.deleted == deleted)
            and (before is None or _cursor(page, i) < before)
            and (without is None or page.ids[i] not in without)
        ]
        return Batch([page.rows[i] for i in wanted], [page.ids[i] for i in wanted], covered)

    def _check_inside(self, page: Page, lo: int | None, hi: int | None) -> None:
        """Raise unless every row lies in ``[lo, hi)``, up to the tick that `lo` was cut to."""
        if self._stream.cursor is None:
            return
        lowest = None if lo is None else self._floor(lo)
        for moment in page.cursors:
            if moment is None:
                raise self._error(f"a row without {self._stream.cursor} came where only rows with one were asked for")
            if (hi is not None and moment >= hi) or (lowest is not None and moment < lowest):
                raise self._error(
                    f"a row of {iso(moment)} came outside the range asked for, "
                    f"{'start' if lo is None else iso(lo)} to {'end' if hi is None else iso(hi)}"
                )

    def _check_order(self, page: Page) -> None:
        for earlier, later in zip(page.cursors, page.cursors[1:], strict=False):
            if earlier is not None and later is not None and later < earlier:
                raise self._error(f"rows came out of order ({iso(later)} after {iso(earlier)})")

    def _error(self, what: str) -> DotyposWalkError:
        return DotyposWalkError(
            f"walking {self._entity.name} ({self._stream.name}): {what}. Nothing was committed. The API doesn't behave "
            "as documented here; going on could lose rows."
        )


def _cursor(page: Page, index: int) -> int:
    moment = page.cursors[index]
    if moment is None:
        raise TypeError("a page of a stream with a cursor was checked to have one in every row")
    return moment
