"""Sharing the pieces of a walk among threads: an idle thread takes half of the widest piece.

No totals are needed: the pages read so far show how dense rows are.
"""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from collections.abc import Iterable

from airflow_provider_dotypos.api.streams import Piece

#: A piece is split if an estimate gives it at least this many pages; each end of a piece costs part of a page.
WORTH_SPLITTING = 3.0


class Pieces:
    """The waiting pieces of a walk, and those under way; safe to share between threads.

    :param pieces: the pieces to walk.
    :param may_split: whether a piece under way may be divided, which costs requests.
    """

    def __init__(self, pieces: Iterable[Piece], *, may_split: bool = True) -> None:
        self._waiting = deque(pieces)
        self._may_split = may_split
        self._under_way: dict[Piece, None] = {}  # in the order in which they were taken
        self._lock = threading.Lock()
        self._stopped = False
        # Of finished pieces, by name: their length in milliseconds, and their rows.
        self._length: Counter[str] = Counter()
        self._rows: Counter[str] = Counter()

    @property
    def are_under_way(self) -> bool:
        """Whether a thread walks one of them."""
        return bool(self._under_way)

    @property
    def pages_to_share(self) -> float:
        """An estimate of the pages left of the widest piece; infinite if a piece waits."""
        with self._lock:
            if self._stopped:
                return 0.0
            if self._waiting:
                return math.inf
            return max((piece.pages_left for piece in self._under_way), default=0.0)

    @property
    def rows_left(self) -> float | None:
        """An estimate of the rows still to come, if they are as dense as those that came; ``None`` before any came.

        Streams without a row so far don't count: deleted rows are walked last, and there are few.
        """
        left: Counter[str] = Counter()
        with self._lock:
            length, rows = self._length.copy(), self._rows.copy()
            for piece in (*self._waiting, *self._under_way):
                length[piece.name] += _walked(piece)
                rows[piece.name] += piece.rows
                left[piece.name] += 0 if piece.lo is None else piece.hi - piece.lo
        known = [left[stream] * rows[stream] / length[stream] for stream in left if length[stream]]
        return sum(known) if known else None

    @property
    def requests_left(self) -> int:
        """The requests still to make, as far as is known: one for each piece, and those of the rows that are expected.

        How dense the rows of a piece are nobody knows before its first page has come.
        """
        with self._lock:
            return sum(max(1, math.ceil(piece.pages_left)) for piece in (*self._waiting, *self._under_way))

    def next(self) -> Piece | None:
        """Return a waiting piece, or half of the widest; ``None`` if there is nothing to take at the moment."""
        with self._lock:
            if self._stopped:
                return None
            piece = self._waiting.popleft() if self._waiting else self._half_of_the_widest()
            if piece is not None:
                self._under_way[piece] = None
            return piece

    def is_worth_splitting(self, piece: Piece) -> bool:
        """Return whether an idle thread may take half of a piece under way."""
        return self._may_split and piece.pages_left >= WORTH_SPLITTING

    def done(self, piece: Piece) -> None:
        """Note that nobody walks a piece any more."""
        with self._lock:
            self._under_way.pop(piece, None)
            self._length[piece.name] += _walked(piece)
            self._rows[piece.name] += piece.rows

    def stop(self) -> None:
        """Hand out no more pieces."""
        with self._lock:
            self._stopped = True

    def _half_of_the_widest(self) -> Piece | None:
        for piece in sorted(self._under_way, key=lambda piece: piece.pages_left, reverse=True):
            if not self.is_worth_splitting(piece):
                break
            if (half := piece.split()) is not None:
                return half
        return None  # or all that is left lies within a second, which can't be split


def _walked(piece: Piece) -> int:
    return 0 if piece.lo is None or piece.start is None else piece.lo - piece.start
