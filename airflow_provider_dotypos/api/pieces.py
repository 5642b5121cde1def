"""Sharing out the pieces of a walk among threads: whoever is idle takes half of what is widest.

No totals are needed: how thick rows lie is known from the pages read so far.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable

from airflow_provider_dotypos.api.streams import Piece

#: A piece is split if it has at least this many pages left, by estimate; each end of a piece costs part of a page.
WORTH_SPLITTING = 3.0


class Pieces:
    """The pieces of a walk that wait, and those under way; safe to share between threads.

    :param pieces: what is to be walked.
    """

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._waiting = deque(pieces)
        self._under_way: dict[Piece, None] = {}  # in the order in which they were taken
        self._changed = threading.Condition()
        self._idle = 0
        self._stopped = False
        # Of pieces that are done, by stream: their length in milliseconds, and their rows.
        self._length: Counter[str] = Counter()
        self._rows: Counter[str] = Counter()

    @property
    def rows_left(self) -> float | None:
        """About how many rows are still to come, if they lie as thick as those that came; ``None`` if nothing tells.

        Streams of which nothing came yet (deleted rows are walked last) are left out: most have few rows.
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
        """Return a piece to walk, as soon as there is one; ``None`` once all is walked, or the walk was stopped."""
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
        """Return a piece that waits, or half of the widest; ``None`` if there is nothing to take at the moment."""
        with self._changed:
            piece = self._waiting.popleft() if self._waiting else self._half_of_the_widest()
            if piece is not None:
                self._under_way[piece] = None
            return piece

    def moved(self) -> None:
        """Tell that a piece under way has shown another page: it may be worth splitting now."""
        if self._idle:
            with self._changed:
                self._changed.notify()

    def done(self, piece: Piece) -> None:
        """Tell that a piece is walked to its end."""
        with self._changed:
            self._under_way.pop(piece, None)
            self._length[piece.name] += _walked(piece)
            self._rows[piece.name] += piece.rows
            self._changed.notify_all()

    def stop(self) -> None:
        """Give out no more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _half_of_the_widest(self) -> Piece | None:
        for piece in sorted(self._under_way, key=lambda piece: piece.pages_left, reverse=True):
            if piece.pages_left < WORTH_SPLITTING:
                break
            if (half := piece.split()) is not None:
                return half
        return None  # or what is left lies within a second, which can't be parted


def _walked(piece: Piece) -> int:
    return 0 if piece.lo is None or piece.start is None else piece.lo - piece.start
