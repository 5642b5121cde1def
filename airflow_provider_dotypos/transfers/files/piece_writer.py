"""A piece's rows on their way into parts: when a part ends, which cursors it covers, and which files belong to it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import msgspec

from airflow_provider_dotypos.api.streams import Piece
from airflow_provider_dotypos.api.walk import Batch
from airflow_provider_dotypos.transfers.extraction import Extraction
from airflow_provider_dotypos.transfers.files.commit import Attempt, SupersededError
from airflow_provider_dotypos.transfers.files.formats.encoder import EncodingThread
from airflow_provider_dotypos.transfers.files.formats.writer import RowWriter
from airflow_provider_dotypos.transfers.files.store import Store
from airflow_provider_dotypos.transfers.rows.children import split_children
from airflow_provider_dotypos.transfers.rows.columns import Columns

log = logging.getLogger(__name__)


class PartAge:
    """How old a part may get: a tenth of the time that the extraction has taken, from 5 s to two minutes.

    Size alone would let a crash lose much where rows come slowly, or in a format that packs many of them into few
    bytes; and a fixed age would let a short extraction lose all, or a long one end in a great many small files.
    """

    SHARE = 0.1
    LEAST, MOST = 5.0, 120.0

    def __init__(self) -> None:
        self._began = time.monotonic()

    def is_over(self, since: float) -> bool:
        """Return whether a part that was begun at `since` (monotonic seconds) is old enough to end."""
        now = time.monotonic()
        return now - since >= min(max(self.LEAST, (now - self._began) * self.SHARE), self.MOST)


#: Bytes of an open tie that are held in memory, so that the part before it can still be ended there.
_MOST_HELD = 2**20


class PieceWriter(AbstractContextManager["PieceWriter"]):
    """Writes one piece. If an error ends it, what is covered so far is put all the same.

    Rows of an open tie aren't covered yet. They are held back, or, if they are many, written to a part of their own,
    which is discarded if the tie isn't read to its end.

    :param staging: where parts under way are written.
    :param encoder: where their writers do their work.
    :param age: how old a part may get.
    """

    def __init__(
        self,
        piece: Piece,
        extraction: Extraction,
        attempt: Attempt,
        staging: Path,
        store: Store,
        encoder: EncodingThread,
        age: PartAge,
    ) -> None:
        self._piece = piece
        self._extraction = extraction
        self._attempt = attempt
        self._staging = staging
        self._store = store
        self._encoder = encoder
        self._age = age
        self._tables: dict[str, Columns] = {extraction.entity: extraction.columns, **extraction.children}
        self._cut = {name for name, columns in extraction.children.items() if not columns.whole}
        self._writers: dict[str, RowWriter] = {}
        self._ordered = piece.stream.cursor is not None
        self._low = self._high = piece.lo
        self._begun = time.monotonic()
        self._held: list[msgspec.Raw] = []
        self._held_bytes = 0
        #: Whether the part under way holds exactly the rows in its range.
        self._is_whole = self._ordered

    def take(self, batch: Batch) -> None:
        """Write a batch's rows; end the part if it is large enough and may end here."""
        was_whole, self._is_whole = self._is_whole, False
        # Within a tie no part may end: its range would say nothing of the rest. Rows without a cursor have no range.
        if batch.covered is None and self._ordered:
            self._is_whole = self._hold(batch.rows, was_whole)
            return
        self._write([*self._held, *batch.rows])
        self._held, self._held_bytes = [], 0
        if batch.covered is not None:
            self._high = batch.covered
        if self._is_due():
            self._end_part()
        self._is_whole = self._ordered

    def end_part(self) -> None:
        """Put the part under way, if there is one. If it has no rows, note that there are none."""
        self._is_whole = False
        self._end_part()
        self._is_whole = self._ordered

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            # An exception may break in anywhere, also into the midst of a write; such a part isn't whole.
            if error is not None and self._is_whole and not isinstance(error, SupersededError):
                self._is_whole = False
                self._end_part()
        except SupersededError:
            raise
        except Exception as failure:
            log.warning("A part couldn't be put any more (%s); its rows will be read again.", failure)
        finally:
            with ExitStack() as all_of_them:
                for writer in self._writers.values():
                    all_of_them.callback(writer.discard)

    def _hold(self, rows: Sequence[msgspec.Raw], was_whole: bool) -> bool:
        """Take rows of an open tie; return whether the part under way is still whole."""
        self._held += rows
        self._held_bytes += sum(map(len, rows))
        if self._held_bytes <= _MOST_HELD:
            return was_whole
        if was_whole:
            self._end_part()
        self._write(self._held)
        self._held, self._held_bytes = [], 0
        return False

    def _end_part(self) -> None:
        if self._writers:
            low, high = (self._low, self._high) if self._ordered else (None, None)
            children = dict(self._writers)
            writer = children.pop(self._extraction.entity)
            suffix = self._extraction.file_format.suffix
            self._attempt.put(writer, self._piece.name, low, high, suffix, children)
            self._writers = {}
        elif self._ordered and self._high is not None and self._high != self._low:
            self._attempt.note_rowless(self._piece.name, self._low, self._high)
        self._low = self._high
        self._begun = time.monotonic()

    def _is_due(self) -> bool:
        size = sum(writer.bytes for writer in self._writers.values())
        return size >= self._extraction.max_part_bytes or self._age.is_over(self._begun)

    def _write(self, rows: Sequence[msgspec.Raw]) -> None:
        if not rows:
            return
        extraction = self._extraction
        writer = self._writer(extraction.entity)
        kept: Iterable[msgspec.Raw] = rows
        children: dict[str, list[msgspec.Raw]] = {}
        if extraction.children:
            kept, children, misfits = split_children(extraction.entity, rows, extraction.include, self._cut)
            writer.misfits.update(misfits)
        writer.write(kept)
        for child, its in children.items():
            if its and child in self._tables:
                self._writer(child).write(its)

    def _writer(self, table: str) -> RowWriter:
        if table not in self._writers:
            path = self._staging / self._store.staging_name()
            self._writers[table] = self._extraction.file_format.writer(path, self._tables[table], self._encoder)
        return self._writers[table]
