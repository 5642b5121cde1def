"""Sharing the pieces of a walk among threads: an idle thread takes half of the widest piece.

No totals are needed: the pages read so far show how dense rows are.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable

from airflow_provider_dotypos.api.streams import Piece

#: A piece is split if an estimate gives it at least this many pages; each end of a piece costs part of a page.
WORTH_SPLITTING = 3.0


class Pieces:
    """The waiting pieces of a walk, and those under way; safe to share between threads.

    :param pieces: the pieces to walk.
    """

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._waiting = deque(pieces)
        self._under_way: dict[Piece, None] = {}  # in the order in which they were taken
        self._changed = threading.Condition()
        self._idle = 0
        self._stopped = False
        # Of finished pieces, by name: their length in milliseconds, and their rows.
        self._length: Counter[str] = Counter()
        self._rows: Counter[str] = Counter()

    @property
    def rows_left(self) -> float | None:
        """An estimate of the rows still to come, if they are as dense as those that came; ``None`` before any came.

        Streams without a row so far don't count: deleted rows are walked last, and there are few.
        """
        left: Counter[str] = Counter()
        with self._changed:
            length, rows = self._length.copy(), self._rows.copy()
            for piece in (*self._waiting, *self._under_way):
                length[piece.name] += _walked(piece)
                rows[piece.name] += piece.rows
                left[piece.name] += 0 if piece.lo is None else piece.hi - piece.lo
        known = [left[stream] * rows[stream] / length[stream] for stream in left if length[stream]]
        return sum(known) if known else None

    def take(self) -> Piece | None:
        """Wait for a piece to walk and return it; ``None`` once all is walked, or the walk was stopped."""
        with self._changed:
            self._idle += 1
            try:
                while not self._stopped:
                    if (piece := self.next()) is not None:
                        return piece
                    if not self._under_way:
                        break
                    self._changed.wait()
                return None
            finally:
                self._idle -= 1

    def next(self) -> Piece | None:
        """Return a waiting piece, or half of the widest; ``None`` if there is nothing to take at the moment."""
        with self._changed:
            piece = self._waiting.popleft() if self._waiting else self._half_of_the_widest()
            if piece is not None:
                self._under_way[piece] = None
            return piece

    def moved(self) -> None:
        """Note that a piece under way has shown another page: it may be worth splitting now."""
        if self._idle:
            with self._changed:
                self._changed.notify()

    def done(self, piece: Piece) -> None:
        """Note that a piece has been walked to its end."""
        with self._changed:
            self._under_way.pop(piece, None)
            self._length[piece.name] += _walked(piece)
            self._rows[piece.name] += piece.rows
            self._changed.notify_all()

    def stop(self) -> None:
        """Hand out no more pieces."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _half_of_the_widest(self) -> Piece | None:
        for piece in sorted(self._under_way, key=lambda piece: piece.pages_left, reverse=True):
            if piece.pages_left < WORTH_SPLITTING:
                break
            if (half := piece.split()) is not None:
                return half
        return None  # or all that is left lies within a second, which can't be split


def _walked(piece: Piece) -> int:
    return 0 if piece.lo is None or piece.start is None else piece.lo - piece.start
