"""Extracting one window of one list into a sink: what its coordinator does, while a crew walks its pieces."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_dotypos.api.errors import DotyposError
from airflow_provider_dotypos.api.list_log import list_log
from airflow_provider_dotypos.api.pieces import Pieces
from airflow_provider_dotypos.api.streams import Piece
from airflow_provider_dotypos.api.window import DAY, OPEN_END, SETTLE, Window
from airflow_provider_dotypos.transfers.crew import Crew
from airflow_provider_dotypos.transfers.piece_writer import PartAge, PieceWriter
from airflow_provider_dotypos.transfers.progress import Progress
from airflow_provider_dotypos.transfers.selection import Selection, Slice
from airflow_provider_dotypos.transfers.sink import Range, Sink, SupersededError, Walked
from airflow_provider_dotypos.transfers.wording import count, period, spoken

if TYPE_CHECKING:
    from airflow_provider_dotypos.api.reading import Reader

log = list_log(__name__)

ResultT = TypeVar("ResultT")

#: Requests after which an attempt should have something that the next one can go on with.
_MANY = 100

#: Requests of which the log speaks beforehand, though a task has many lists.
_SEVERAL = 10


def extract(
    selection: Selection,
    window: Window,
    reader: Reader,
    sink: Sink[ResultT],
    *,
    settle: float = SETTLE,
    new_progress: Callable[[str, int], Progress] = Progress,
    crew: Crew | None = None,
) -> ResultT:
    """Extract a window into a sink and commit it; return the sink's result, of an earlier commit if there is one.

    An attempt that fails leaves what it has read. The next one keeps its whole parts, and fetches what is missing.

    :param settle: seconds that a change may need to show in the API.
    :param new_progress: makes what shows how far the walk is, like `Progress`.
    :param crew: whose thread this is. Defaults to a crew for this list alone.
    :raises DotyposError: if the API refused, or its answers can't be walked.
    """
    if crew is None:
        crew = Crew(reader.concurrency)
        coordinate: Callable[[], ResultT] = functools.partial(
            extract, selection, window, reader, sink, settle=settle, new_progress=new_progress, crew=crew
        )
        ((_, outcome),) = crew.run({selection.entity.name: coordinate}, reader.cancel)
        return outcome.result()
    return fill(sink, lambda: Engine(selection, reader, sink, settle, new_progress, crew).walk(window), reader)


def fill(sink: Sink[ResultT], walk: Callable[[], Walked], reader: Reader) -> ResultT:
    """Bring rows into a sink and commit it; return the sink's result, of an earlier commit if there is one.

    :param walk: brings the rows.
    """
    with sink:
        if (finished := sink.finished) is not None:
            return finished
        before = reader.requests
        try:
            return sink.commit(walk(), reader.check_cancelled)
        except SupersededError:
            return sink.give_way()
        except BaseException as error:
            sink.leave()
            if isinstance(error, DotyposError):
                error.brought_rows = sink.has_kept_rows
            if reader.requests - before >= _MANY and not sink.has_kept_rows:
                log.warning(
                    "Nothing that %d requests brought can be kept for the next attempt. It is one instant with very "
                    "many rows, or rows without a cursor, which count only when all of them are read. Under the same "
                    "limit the next attempt may fare alike: ask for a window or a filter that divides these rows.",
                    reader.requests - before,
                )
            raise


class Engine:
    """Walks a selection into a sink.

    Whatever ends it early, each thread keeps what it has read so far and is covered.

    :param settle: seconds that a change may need to show in the API.
    """

    def __init__(
        self,
        selection: Selection,
        reader: Reader,
        sink: Sink[Any],
        settle: float,
        new_progress: Callable[[str, int], Progress],
        crew: Crew,
    ) -> None:
        self._selection = selection
        self._reader = reader
        self._sink = sink
        self._settle = settle
        self._new_progress = new_progress
        self._crew = crew
        self._kept_rows = 0
        self._unmarked: str | None = None

    def walk(self, window: Window) -> Walked:
        """Walk all of a window that the sink doesn't keep yet.

        :raises SupersededError: if another attempt has committed meanwhile.
        """
        entity, division = self._selection.entity, self._selection.division
        self._reader.ready(entity, window, self._settle)
        self._one_filter = self._reader.reads_as_one(entity, window, division)
        undated = division.has_undated(window)
        pieces = self._missing(self._pieces(window, without_cursor=undated))
        requests = pieces.requests_left
        say = log.info if requests >= _SEVERAL else log.detail
        say("Reading %s takes at least %s.", spoken(entity.name), count(requests, "requests"))
        # Begun now: waiting for the window to settle, and checking what is kept already, are no walking.
        self._age = PartAge()
        self._progress = self._new_progress(entity.name, self._kept_rows)
        self._walk_all(pieces)
        tail = None
        if window.since is None and entity.cursors and self._selection.slice is None:
            tail = self._reader.tail(window.until, self._settle)
        if tail is not None:
            log.info("Reading on %s: rows that changed meanwhile have moved there.", period(tail))
            self._walk_all(self._missing(self._pieces(tail, without_cursor=False)))
        if self._selection.open_end and entity.cursors:
            self._walk_to_the_open_end((tail or window).until)
        if not self._one_filter:
            # Rows that earlier attempts have read were not looked at.
            whole = window.since is None and not (
                self._selection.conditions or self._selection.slice or self._kept_rows
            )
            division.learn(entity, self._unmarked, whole=whole, filtered=self._reader.markers_by_filter)
        return Walked(tail, self._reader.requests, self._crew.threads, self._one_filter, undated)

    def _walk_to_the_open_end(self, start: int) -> None:
        """Read the ids of all rows from a cursor on, settled or not: a snapshot misses no row then.

        A row's cursor, as the API shows it, only moves up, and this walk goes up from where the earlier ones ended. A
        row that none of them showed lies ahead of it, therefore, and stays ahead, however often it changes, until a
        page shows it. That a change may show late does no harm, for until then its row shows at its old place, and ids
        may come twice. A second thread would break this: a row could change from its unread range into one that the
        other has read already. So one thread reads all, in order: live rows first, as rows are deleted more often than
        restored.
        """
        for piece in self._open_pieces(start):
            self._walk(Pieces((), may_split=False), piece)  # how much of an open end is left nobody knows

    def _pieces(self, window: Window, *, without_cursor: bool) -> Iterator[Piece]:
        selection = self._selection
        pieces = self._reader.pieces(
            selection.entity, window, selection.conditions, selection.warehouse_id, without_cursor,
            selection.division, self._one_filter,
        )  # fmt: skip
        return pieces if selection.slice is None else (_of_slice(piece, selection.slice) for piece in pieces)

    def _open_pieces(self, start: int) -> Iterator[Piece]:
        """Yield each stream from a cursor on, without an end.

        Where ranges are halved, the next day comes as a piece of its own: halving all time would take many requests.
        The streams have names of their own, as no later attempt may keep what was read before it had settled.
        """
        sortable = self._selection.entity.cursor_sortable
        for piece in self._pieces(Window(start, OPEN_END), without_cursor=False):
            # No row is passed over here: it may have moved under its earlier cursor behind this walk.
            stream = replace(piece.stream, name=f"{piece.stream.name}-latest", earlier=())
            cuts = (start, OPEN_END) if sortable else (start, start + DAY, OPEN_END)
            yield from (Piece(stream, low, high, piece.parent) for low, high in pairwise(cuts))

    def _missing(self, pieces: Iterable[Piece]) -> Pieces:
        """Return the ranges that the sink doesn't keep from an earlier attempt."""
        before = self._kept_rows
        missing = Pieces(
            (gap for piece in pieces for gap in gaps(piece, self._kept(piece))), may_split=self._reader.may_split
        )
        if rows := self._kept_rows - before:
            log.info("Kept from an earlier attempt: %s.", count(rows, self._selection.entity.name))
        return missing

    def _kept(self, piece: Piece) -> list[Range]:
        kept: list[Range] = []
        self._reader.check_cancelled()
        for part in self._sink.kept(piece):
            kept.append(part)
            self._reader.check_cancelled()  # before the sink reads the next one
        self._kept_rows += sum(part.rows for part in kept)
        return kept

    def _walk_all(self, pieces: Pieces) -> None:
        self._crew.walk(pieces, functools.partial(self._walk, pieces), self._reader.cancel)

    def _walk(self, pieces: Pieces, piece: Piece) -> None:
        """Walk one piece to its end.

        :param pieces: what is walked with it.
        """
        with PieceWriter(piece, self._sink.open(piece), self._sink.max_part_bytes, self._age) as writer:
            for batch in self._reader.walk(self._selection.entity, piece, self._selection.include):
                writer.take(batch)
                self._unmarked = self._unmarked or batch.unmarked
                piece.rows += len(batch.rows)
                self._progress.report(len(batch.rows), self._reader.requests, pieces)
                self._crew.moved(pieces, piece)
            writer.end()


def _of_slice(piece: Piece, slice: Slice) -> Piece:
    stream = piece.stream
    if stream.cursor is None:
        return piece
    name, conditions = f"{slice.name}-{stream.name}", (*stream.conditions, slice.condition)
    return Piece(replace(stream, name=name, conditions=conditions), piece.lo, piece.hi, piece.parent)


def gaps(piece: Piece, ranges: Iterable[Range]) -> Iterator[Piece]:
    """Yield the gaps between the ranges of a piece.

    :param ranges: in order, inside the piece, none over another.
    """
    low = piece.lo
    for kept in ranges:
        if kept.low is not None and (low is None or low < kept.low):
            yield Piece(piece.stream, low, kept.low, piece.parent)
        low = kept.high
    if low is None or low < piece.hi:
        yield Piece(piece.stream, low, piece.hi, piece.parent)
