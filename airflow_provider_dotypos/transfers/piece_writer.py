"""Cutting a piece's rows into parts: when a part ends, and which cursors it covers."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager

from airflow_provider_dotypos.api.list_log import list_log
from airflow_provider_dotypos.api.streams import Piece
from airflow_provider_dotypos.api.walk import Batch
from airflow_provider_dotypos.transfers.sink import PartWriter, SupersededError

log = list_log(__name__)


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
    """Writes one piece into parts. If an error ends it, the rows covered so far are kept.

    Rows of an open tie aren't covered yet. They are held back, or, if they are many, written to a part of their own,
    which is discarded if the tie isn't read to its end.

    :param parts: writes the parts.
    :param max_bytes: size at which a part ends, as soon as it may.
    :param age: how old a part may get.
    """

    def __init__(self, piece: Piece, parts: PartWriter, max_bytes: int, age: PartAge) -> None:
        self._parts = parts
        self._max_bytes = max_bytes
        self._age = age
        self._ordered = piece.stream.cursor is not None
        self._low = self._high = piece.lo
        self._begun = time.monotonic()
        self._held: list[Batch] = []
        self._held_bytes = 0
        #: Whether the part under way holds exactly the rows in its range.
        self._is_whole = self._ordered

    def take(self, batch: Batch) -> None:
        """Write a batch's rows; end the part if it is large or old enough and may end here."""
        was_whole, self._is_whole = self._is_whole, False
        # Within a tie no part may end: its range would say nothing of the rest. Rows without a cursor have no range.
        if batch.covered is None and self._ordered:
            self._is_whole = self._hold(batch, was_whole)
            return
        self._write(batch)
        if batch.covered is not None:
            self._high = batch.covered
        if self._parts.size >= self._max_bytes or self._age.is_over(self._begun):
            self._end_part()
        self._is_whole = self._ordered

    def end(self) -> None:
        """End the last part: the piece is walked to its end."""
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
            log.warning("The last part couldn't be kept (%s); its rows will be read again.", failure)
        finally:
            self._parts.discard()

    def _hold(self, batch: Batch, was_whole: bool) -> bool:
        """Take rows of an open tie; return whether the part under way is still whole."""
        self._held.append(batch)
        self._held_bytes += sum(map(len, batch.rows))
        if self._held_bytes <= _MOST_HELD:
            return was_whole
        if was_whole:
            self._end_part()
        self._write()
        return False

    def _write(self, *batches: Batch) -> None:
        for batch in (*self._held, *batches):
            if batch.rows:
                self._parts.write(batch)
        self._held, self._held_bytes = [], 0

    def _end_part(self) -> None:
        self._parts.end(*((self._low, self._high) if self._ordered else (None, None)))
        self._low = self._high
        self._begun = time.monotonic()
