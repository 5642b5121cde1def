"""The threads that walk a window together, each writing the pieces that it walks into parts of their own."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.pieces import Pieces
from airflow_provider_dotypos.api.query import split_names
from airflow_provider_dotypos.api.reading import Reader
from airflow_provider_dotypos.api.streams import Piece
from airflow_provider_dotypos.api.window import Window, iso
from airflow_provider_dotypos.transfers.extraction import Extraction
from airflow_provider_dotypos.transfers.files.commit import Attempt, gaps
from airflow_provider_dotypos.transfers.files.formats.encoder import EncodingThread
from airflow_provider_dotypos.transfers.files.manifest import Part
from airflow_provider_dotypos.transfers.files.piece_writer import PartAge, PieceWriter
from airflow_provider_dotypos.transfers.files.store import Store
from airflow_provider_dotypos.transfers.id_counter import DistinctIds
from airflow_provider_dotypos.transfers.progress import Progress

log = logging.getLogger(__name__)

#: Later than any cursor (the last day that Python knows), in epoch milliseconds.
OPEN_END = 253_402_214_400_000

DAY = 86_400_000


class Engine(ExitStack):
    """Walks what an attempt is to extract. A context manager: afterwards no thread and no staging file is left.

    Whatever ends it early, each thread puts what it has read so far and is covered.

    :ivar tail: what was read on top of a window from the beginning: what changed meanwhile.
    """

    def __init__(self, extraction: Extraction, attempt: Attempt, reader: Reader, store: Store) -> None:
        super().__init__()
        self._extraction = extraction
        self._entity = find_entity(extraction.entity)
        self._included = tuple(split_names(extraction.include))
        self._attempt = attempt
        self._reader = reader
        self._store = store
        self._staging = self.enter_context(store.staging())
        self._encoder = self.enter_context(EncodingThread())
        self._ids: dict[str | None, DistinctIds] = {}
        self._ids_lock = threading.Lock()
        self._kept_rows = 0
        self.tail: Window | None = None

    @property
    def requests(self) -> int:
        """List calls made."""
        return self._reader.requests

    def work(self) -> None:
        """Walk all that isn't there yet, and put it.

        :raises SupersededError: another attempt has committed meanwhile.
        """
        settle = self._extraction.settle
        self._reader.ready(self._entity, self._extraction.window, settle)
        pieces = self._missing(self._pieces(self._extraction.window))
        # Begun now: waiting for the window to settle, and checking what is there already, are no walking.
        self._age = PartAge()
        self._progress = Progress(f"{self._extraction.entity} of cloud {self._extraction.cloud_id}", self._kept_rows)
        self._walk_all(pieces)
        if self._extraction.window.since is None and self._entity.cursors:
            self.tail = self._reader.tail(self._extraction.window.until, settle)
        if self.tail is not None:
            log.info("What has changed from %s to %s is read as well.", iso(self.tail.since or 0), iso(self.tail.until))
            self._walk_all(self._missing(self._pieces(self.tail, without_cursor=False)))
        if self._extraction.snapshot and self._entity.cursors:
            self._walk_to_the_open_end((self.tail or self._extraction.window).until)

    def _walk_to_the_open_end(self, start: int) -> None:
        """Read the ids of all rows from a cursor on, settled or not: a snapshot misses no row then.

        A row's cursor, as the API shows it, only moves up, and this walk goes up from where the earlier ones ended. A
        row that none of them showed lies ahead of it, therefore, and stays ahead, however often it changes, until a
        page shows it. That a change may show late does no harm, for until then its row shows at its old place, and ids
        may come twice. A second thread would break this: a row could change from its unread range into one that the
        other has read already. So one thread reads all, in order: live rows first, as rows are deleted more often than
        restored.
        """
        self._walk(Pieces(self._open_pieces(start)))

    def distinct_ids(self) -> int:
        """Return how many different ids there are (summed over warehouses)."""
        return sum(ids.count() for ids in self._ids.values())

    def _pieces(self, window: Window, *, without_cursor: bool = True) -> Iterator[Piece]:
        conditions, warehouse = self._extraction.conditions, self._extraction.warehouse_id
        return self._reader.pieces(self._entity, window, conditions, warehouse, without_cursor)

    def _open_pieces(self, start: int) -> Iterator[Piece]:
        """Yield each stream from a cursor on, without an end.

        Where ranges are halved, the next day comes as a piece of its own: halving all time would take many requests.
        The streams have names of their own, as no later attempt may keep what was read before it had settled.
        """
        sortable = self._entity.cursor_sortable
        for piece in self._pieces(Window(start, OPEN_END), without_cursor=False):
            stream = replace(piece.stream, name=f"{piece.stream.name}-latest")
            cuts = (start, OPEN_END) if sortable else (start, start + DAY, OPEN_END)
            yield from (Piece(stream, low, high, piece.parent) for low, high in pairwise(cuts))

    def _missing(self, pieces: Iterable[Piece]) -> Pieces:
        """Return what of these pieces isn't in the parts of an earlier attempt."""
        return Pieces(gap for piece in pieces for gap in gaps(piece, self._kept(piece)))

    def _kept(self, piece: Piece) -> list[Part]:
        """Return what an earlier attempt has left of a piece, checked."""
        count_rows = functools.partial(self._note_ids_of_part, piece.parent)
        kept = self._attempt.keep(piece.name, piece.lo, piece.hi, count_rows)
        if files := [part for part in kept if not part.is_rowless]:
            rows = sum(part.rows for part in files)
            self._kept_rows += rows
            log.info("%d rows in %d parts of %s are there already.", rows, len(files), piece.name)
        return kept

    def _note_ids_of_part(self, parent: str | None, part: Part) -> int:
        """Note the ids of a part's rows; return how many rows it has."""
        self._reader.check_cancelled()

        def note_ids() -> int:
            rows = 0
            with self._store.open(part.name) as file:
                for ids in self._extraction.file_format.ids(file):
                    self._note_ids(parent, ids)
                    rows += len(ids)
            return rows

        return self._store.patiently(note_ids)  # ids that are noted twice count once

    def _walk_all(self, pieces: Pieces) -> None:
        threads = self._extraction.concurrency
        if threads == 1:
            self._walk(pieces)
            return
        with ThreadPoolExecutor(threads, "dotypos-walk") as pool:
            try:
                walks = [pool.submit(self._walk, pieces) for _ in range(threads)]
                for walk in as_completed(walks):
                    walk.result()
            except BaseException:
                # The others take in the answers that are on their way, and put what they have; they ask for no more.
                pieces.stop()
                self._reader.cancel()
                raise

    def _walk(self, pieces: Pieces) -> None:
        """Walk piece after piece, until there is none left."""
        while (piece := pieces.take()) is not None:
            ahead = pieces if piece.hi < OPEN_END else Pieces(())  # how much of an open end is left nobody knows
            with PieceWriter(
                piece, self._extraction, self._attempt, self._staging, self._store, self._encoder, self._age
            ) as writing:
                for batch in self._reader.walk(self._entity, piece, self._included):
                    writing.take(batch)
                    piece.rows += len(batch.rows)
                    self._note_ids(piece.parent, batch.ids)
                    self._progress.tell(len(batch.rows), self._reader.requests, ahead)
                    pieces.moved()
                writing.end_part()
            pieces.done(piece)

    def _note_ids(self, parent: str | None, ids: Iterable[str | int]) -> None:
        with self._ids_lock:
            if parent not in self._ids:
                self._ids[parent] = self.enter_context(DistinctIds())
            self._ids[parent].add(ids)
