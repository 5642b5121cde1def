"""Sharing out the pieces of a walk among threads: whoever is idle takes half of what is widest.

No totals are needed: how thick rows lie is known from the pages read so far.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable

from airflow_provider_dotypos.api.walk import Piece

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
        self._walked = 0

    @property
    def share_walked(self) -> float | None:
        """How much of the pieces is walked, by their length in time, 0 to 1; ``None`` if that can't be told."""
        with self._changed:
            begun = [piece for piece in (*self._waiting, *self._under_way) if piece.lo is not None]
            walked = self._walked + sum(map(_walked, begun))
            whole = walked + sum(piece.hi - (piece.lo or 0) for piece in begun)
        return walked / whole if walked else None

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
            self._walked += _walked(piece)
            self._changed.notify_all()

    def stop(self) -> None:
        """Give out no more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _half_of_the_widest(self) -> Piece | None:
        widest = max(self._under_way, key=lambda piece: piece.pages_left, default=None)
        if widest is None or widest.pages_left < WORTH_SPLITTING:
            return None
        return widest.split()


def _walked(piece: Piece) -> int:
    return 0 if piece.lo is None or piece.start is None else piece.lo - piece.start
