"""Walking a whole entity while it changes, without losing or repeating a row. Pure: yields queries, receives pages.

**Why page numbers can't do it.** A row that changes moves to the end of ``sort=versionDate``. The rows behind it move
up by one, and the next page number skips one of them. So every query here starts at a *value* (keyset), never at a page
number.

**The proof**, for a window ``[lo, hi)`` whose end lies in the settled past:

1. A row that doesn't change keeps its cursor ``v``. A row that changes gets a cursor at or after ``hi`` and leaves the
   window for good: it belongs to a later one. So rows of the window only ever leave it. That ``hi`` has settled is
   assumed of the server's clock and ours together: an answer counts if both had come so far (``settling``).
2. The API shows ``v`` cut to a *tick* (1 ms, or 1 s where no fraction is shown), but filters and sorts by ``v`` itself.
   That ``v`` is cut, not rounded, is assumed [A]. A full page sorted by the cursor alone therefore holds every row of
   the ticks before its last row's tick, and perhaps only some of that last tick. The rows before that tick are
   delivered. The walk continues at the start of the tick and reads it again. **A tick is delivered only from a query
   that shows it whole**. So it is delivered once, and nothing falls between queries.
3. A tick with more rows than a page is a *tie*, as a bulk change makes it. It can't be passed like this, and lists
   can't be sorted by ``id``. But ids can be excluded: ``id|notin|<seen>`` shows what is left, until a later tick or the
   end shows. Rows that leave meanwhile hide none, as every query asks for the first page of what is left. An address
   has a longest length. The rows that it can't exclude are read by page numbers, to the last page and back. That misses
   no row that stays, as long as the order of equal rows is stable (proof in ``passes``). Sorting by further fields
   helps, as far as the API takes them. Where the order isn't stable, and where rows may also come (there is no cursor),
   passes are repeated until two agree; otherwise the walk fails.
4. Where lists can't be sorted by the cursor, a range is halved until each half is one short page: one atomic answer.
5. Rows that break these rules (out of order, outside the window, excluded but present) are an error, not a guess. An
   answer that contradicts itself is refused (``page.check_page``). An answer may also contradict only what is known: it
   lacks a row that another answer showed in its range, or it ends before as many rows came as were counted (or
   estimated, where a piece was split off). Such an answer may be right, for the row can have left (1). So it is asked
   for once more, and then believed.
6. Several threads may walk a stream at once, in *pieces* of ``[lo, hi)`` each. A piece's owner *claims* a range before
   it delivers it. A piece is split only above what is claimed, at a whole second, which no tick crosses. If a piece is
   split while its page is on the way, the page is delivered up to the new end only.

A walk is made of streams, disjoint sets of rows. ``streams`` says under which assumptions they hold every row once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import msgspec

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.errors import DotyposValidationError, DotyposWalkError
from airflow_provider_dotypos.api.page import SECOND, Page, tick_of
from airflow_provider_dotypos.api.passes import (
    Plan,
    Wait,
    excludable,
    excluding,
    spared_fields,
    there_and_back,
    until_two_agree,
)
from airflow_provider_dotypos.api.query import MAX_LIMIT, Triple
from airflow_provider_dotypos.api.streams import Piece
from airflow_provider_dotypos.api.window import iso

#: What to do about answers that break the rules of lists.
RUN_AGAIN = "Run the task again; if it continues, report this message."


@dataclass(frozen=True)
class Query:
    """One list call: ``MAX_LIMIT`` rows of `page`, under all `conditions`, sorted by `sort`.

    :param again: whether it asks once more, as the first answer lacked rows that are known.
    """

    conditions: tuple[Triple, ...]
    sort: tuple[str, ...] = ()
    page: int = 1
    again: bool = False


@dataclass(frozen=True)
class Batch:
    """Rows to deliver.

    :param covered: every row of the stream before this cursor (epoch ms) has now been delivered. ``None`` while a tie
        is open: no part may end in it.
    :param unmarked: the id of one of them whose soft-delete marker is null, if the stream is of live rows.
    :param read_at: when the first request left that brought them (monotonic seconds): they are not older than that.
    """

    rows: Sequence[msgspec.Raw]
    ids: Sequence[str]
    covered: int | None
    unmarked: str | None = None
    read_at: float = 0.0


Walk: TypeAlias = Generator["Query | Batch | Wait", "Page | None", None]


def walk(entity: Entity, piece: Piece, patience: float = 120.0) -> Walk:
    """Walk one piece: yield a `Query` to be answered with a `Page`, a `Batch` of rows to deliver, or a `Wait`.

    If the API finds a `Query` invalid, throw its `DotyposValidationError` into the generator.

    :param patience: seconds to wait, in all, for a list that changes during each reading.
    :raises DotyposWalkError: if the answers can't be walked without losing rows.
    """
    walker = _Walker(entity, piece, patience)
    if piece.stream.cursor is None:
        yield from walker.whole(None, None)
        yield Batch((), (), piece.claim())
    elif entity.cursor_sortable:
        yield from walker.sorted()
    else:
        yield from walker.halved()


class _Walker:
    """One piece's walk: the tick as far as it is known, and the four ways to read a range."""

    def __init__(self, entity: Entity, piece: Piece, patience: float) -> None:
        self._entity = entity
        self._piece = piece
        self._stream = piece.stream
        self._patience = patience
        self._tick = SECOND
        self._earlier_ticks: dict[str, int] = {}
        self._tie_breakers = entity.tie_breakers

    def sorted(self) -> Walk:
        """Read the piece from page to page by the cursor's value; in an open tie, exclude the rows delivered."""
        piece = self._piece
        lo, end = piece.lo, piece.hi
        held: Mapping[str, int] = {}
        tied: dict[str, None] = {}
        left = int(piece.pages_left >= 1)  # a piece that was split off knows how dense rows should be
        while lo is None or lo < piece.hi:
            hi = piece.hi
            # A count of the piece as it was before it was split says nothing about what is left of it.
            doubt = functools.partial(self._lacks, held, left if hi == end else 0)
            page = yield from self._ask(lo, hi, self._order(), [*tied], doubt=doubt)
            self._check_order(page)
            if not page.is_full(MAX_LIMIT):
                claimed = piece.claim()
                yield self._batch(page, claimed, before=claimed)
                return
            end = hi
            first, last = self._floor(page.moment(0)), self._floor(page.moment(-1))
            left = page.rows_left(MAX_LIMIT)
            if first < last:
                held = {id: moment for id, moment in page.moments.items() if moment >= last}
                left += len(held)
                # From the start of the query, not from the first row: no row lies between the two.
                piece.rate = len(page.rows) / (last - (first if lo is None else min(lo, first)))
                lo, tied = piece.claim(last), {}
                yield self._batch(page, lo, before=lo)
                continue
            # The order of equal rows may have hidden some that the page before had shown.
            held = {id: moment for id, moment in held.items() if moment >= last and id not in page.moments}
            start = last if lo is None else max(lo, last)
            if start != lo:  # the tick before is complete
                tied = {}
                yield Batch((), (), piece.claim(start))
            lo = claimed = piece.claim(last + self._tick)
            if start < claimed:
                yield self._batch(page, None)
                tied.update(dict.fromkeys(page.ids))
                lo = start
                if len(self._excludable(tied)) < len(tied):
                    left += len(tied)
                    yield from self._passes(start, claimed, tied)
                    lo, tied, held, left = claimed, {}, {}, left - len(tied)
                    yield Batch((), (), claimed)

    def halved(self) -> Walk:
        """Read the piece without an order: halves of halves, each one short page."""
        pieces: list[tuple[int, int, Mapping[str, int], int]] = [(self._piece.lo or 0, self._piece.hi, {}, 0)]
        count = 0
        while pieces:
            start, end, seen, due = pieces.pop()
            page = yield from self._ask(start, end, (), doubt=functools.partial(self._lacks, seen, due - count))
            middle = self._floor((start + end) // 2)
            if page.is_full(MAX_LIMIT) and start < middle < end and len(page.rows) >= page.size(MAX_LIMIT):
                seen = {**seen, **page.moments}
                # The lower half is read first; the upper one has what is left of their total then.
                for lo, hi, total in ((middle, end, count + page.rows_in_all(MAX_LIMIT)), (start, middle, 0)):
                    pieces.append((lo, hi, {id: at for id, at in seen.items() if self._floor(lo) <= at < hi}, total))
                continue
            if page.is_full(MAX_LIMIT):
                yield from self.whole(start, end, page, seen)
                yield Batch((), (), self._piece.claim(end))
            else:
                yield self._batch(page, self._piece.claim(end))
            count += page.rows_in_all(MAX_LIMIT)

    def whole(
        self, lo: int | None, hi: int | None, first: Page | None = None, known: Mapping[str, int] | None = None
    ) -> Walk:
        """Read a range without an order whole, by excluding the rows seen.

        :param first: a page of it that has been read already.
        :param known: rows that other answers showed in it.
        """
        seen: dict[str, None] = {}
        if "in" not in self._entity.fields["id"].operators:
            yield from self._passes(lo, hi, seen)
            return
        page = first or (yield from self._ask(lo, hi, self._order()))
        while True:
            yield self._batch(page, None)
            seen.update(dict.fromkeys(page.ids))
            if not page.is_full(MAX_LIMIT):
                return
            if len(self._excludable(seen)) < len(seen):
                yield from self._passes(lo, hi, seen)
                return
            missing = {id: moment for id, moment in (known or {}).items() if id not in seen}
            doubt = functools.partial(self._lacks, missing, page.rows_left(MAX_LIMIT))
            page = yield from self._ask(lo, hi, self._order(), [*seen], doubt=doubt)

    def _passes(self, lo: int | None, hi: int | None, seen: dict[str, None]) -> Walk:
        """Read a range by page numbers, excluding as many of the rows seen as an address can."""
        excluded = self._excludable(seen)
        plans = [until_two_agree(self._patience, self._entity.paged)]
        if hi is not None:  # inside the window rows only leave
            plans.insert(0, there_and_back())
        for plan in plans:
            if (yield from self._carry_out(plan, lo, hi, excluded, seen)):
                return
        kind, why = "have no cursor", "their list changed whenever it was read; run it when fewer of them change"
        if hi is not None:
            kind, why = "share one instant", "the order of equal rows isn't stable; divide them by a filter, or wait"
        raise self._error(f"{len(seen)} rows {kind}, and page numbers can't show them all, as {why}")

    def _carry_out(
        self, plan: Plan, lo: int | None, hi: int | None, excluded: Sequence[str], seen: dict[str, None]
    ) -> Generator[Query | Batch | Wait, Page | None, bool]:
        """Read the pages that a plan names, deliver the new rows, and return whether the plan has seen every row."""
        # If page 1 is the only one, it shows the rows that were seen and aren't excluded.
        rest = functools.partial(self._lacks, dict.fromkeys(set(seen).difference(excluded), hi or 0), 0)
        before: tuple[int, Page] | None = None
        step = next(plan)
        while True:
            if isinstance(step, Wait):
                yield step
                before, step = None, next(plan)
                continue
            earlier = before[1] if before is not None and before[0] == step - 1 else None
            doubt: Callable[[Page], bool] | None = rest if step == 1 else None
            if earlier is not None:
                doubt = functools.partial(earlier.contradicted_by, MAX_LIMIT, step)
            page = yield from self._ask_numbered(lo, hi, excluded, step, doubt)
            if earlier is not None and page.ids and page.ids == earlier.ids:
                raise self._error(f"page {step} repeats page {step - 1}")
            yield self._batch(page, None, without=seen)
            seen.update(dict.fromkeys(page.ids))
            before = (step, page)
            try:
                step = plan.send(page)
            except StopIteration as end:
                return bool(end.value)

    def _ask_numbered(
        self,
        lo: int | None,
        hi: int | None,
        excluded: Sequence[str],
        number: int,
        doubt: Callable[[Page], bool] | None,
    ) -> Generator[Query, Page | None, Page]:
        """Ask for a page by its number, in an order that distinguishes as many rows as the API allows."""
        while True:
            sort = self._order() + self._tie_breakers
            try:
                return (yield from self._ask(lo, hi, sort, excluded, number, doubt))
            except DotyposValidationError as refusal:
                if not self._tie_breakers:
                    raise
                self._tie_breakers = spared_fields(self._tie_breakers, refusal)

    def _ask(
        self,
        lo: int | None,
        hi: int | None,
        sort: tuple[str, ...],
        excluded: Sequence[str] = (),
        page: int = 1,
        doubt: Callable[[Page], bool] | None = None,
    ) -> Generator[Query, Page | None, Page]:
        """Ask for a page of a range; if the answer raises a doubt, ask once more, and believe the second answer.

        If the first answer had rows and the second has none, ask again.
        """
        cursor, edges = self._stream.cursor, (("gteq", lo), ("lt", hi))
        bounds = tuple((cursor, operator, str(edge)) for operator, edge in edges if cursor and edge is not None)
        query = Query(self._stream.conditions + bounds + excluding(excluded), sort, page)
        while True:
            answer = _answered((yield query))
            self._tick = min(self._tick, answer.tick)
            self._check_inside(answer, lo, hi)
            if not set(excluded).isdisjoint(answer.ids):
                raise self._error("rows excluded by id|notin came back")
            if doubt is None or not doubt(answer):
                return (yield from self._set_apart(answer))
            doubt = _has_no_rows if answer.rows else None
            query = replace(query, again=True)

    def _set_apart(self, page: Page) -> Generator[Query, Page | None, Page]:
        """Return the page, and say which of its rows the streams of earlier cursors deliver, see ``streams``."""
        elsewhere: set[str] = set()
        for cursor, moments in zip(self._stream.earlier, page.earlier, strict=False):
            tick = self._earlier_ticks[cursor] = min(self._earlier_ticks.get(cursor, SECOND), tick_of(moments))
            inside, unclear = self._stream.divide(zip(page.ids, moments, strict=True), tick)
            elsewhere |= inside
            # A wrong answer without rows would repeat them, so it is asked for once more.
            for _ in range(2 if unclear else 0):
                answer = _answered((yield Query(self._stream.asking_for(unclear, cursor))))
                elsewhere |= set(answer.ids)
                if answer.ids:
                    break
        return replace(page, elsewhere=frozenset(elsewhere)) if elsewhere else page

    def _lacks(self, known: Mapping[str, int], left: int, page: Page) -> bool:
        """Return whether an answer lacks what is known of its range.

        :param known: rows in it, and their cursors.
        :param left: least number of rows in it.
        """
        if not page.is_full(MAX_LIMIT):
            return len(page.rows) < left or not known.keys() <= set(page.ids)
        if not (known and self._order()):
            return False  # a full page without an order may hold any rows
        end = self._floor(page.moment(-1))
        return not {id for id, at in known.items() if at < end} <= set(page.ids)

    def _excludable(self, ids: Iterable[str]) -> list[str]:
        return excludable(ids) if "in" in self._entity.fields["id"].operators else []

    def _order(self) -> tuple[str, ...]:
        return (self._stream.cursor,) if self._stream.cursor and self._entity.cursor_sortable else ()

    def _floor(self, moment: int) -> int:
        return moment - moment % self._tick

    def _batch(
        self, page: Page, covered: int | None, *, before: int | None = None, without: Mapping[str, None] | None = None
    ) -> Batch:
        """Return the page's rows that belong to the stream.

        :param before: only rows before this cursor.
        :param without: none of these ids.
        """
        wanted = [
            i
            for i, deleted in enumerate(page.deleted)
            if (self._stream.deleted is None or self._stream.deleted == bool(deleted))
            and page.ids[i] not in page.elsewhere
            and (before is None or page.moment(i) < before)
            and (without is None or page.ids[i] not in without)
        ]
        unmarked = None
        if self._stream.deleted is False:
            unmarked = next((page.ids[i] for i in wanted if page.deleted[i] is None), None)
        return Batch([page.rows[i] for i in wanted], [page.ids[i] for i in wanted], covered, unmarked)

    def _check_inside(self, page: Page, lo: int | None, hi: int | None) -> None:
        """Raise unless every row lies in ``[lo, hi)``, up to the tick that `lo` was cut to."""
        if self._stream.cursor is None:
            return
        lowest = None if lo is None else self._floor(lo)
        for moment in page.cursors:
            if moment is None:
                raise self._error(f"a row without {self._stream.cursor} came; only rows with one were asked for")
            if (hi is not None and moment >= hi) or (lowest is not None and moment < lowest):
                raise self._error(
                    f"a row of {iso(moment)} came outside the range asked for, "
                    f"{'start' if lo is None else iso(lo)} to {'end' if hi is None else iso(hi)}"
                )

    def _check_order(self, page: Page) -> None:
        for earlier, later in zip(page.cursors, page.cursors[1:], strict=False):
            if earlier is not None and later is not None and later < earlier:
                raise self._error(f"rows came out of order ({iso(later)} after {iso(earlier)})")

    def _error(self, problem: str) -> DotyposWalkError:
        return DotyposWalkError(
            f"walking {self._entity.name} ({self._stream.name}): {problem}. Nothing was committed, as rows "
            f"could be lost. {RUN_AGAIN}"
        )


def _answered(page: Page | None) -> Page:
    if page is None:
        raise TypeError("a walk's query must be answered with a page")
    return page


def _has_no_rows(page: Page) -> bool:
    return not page.rows
