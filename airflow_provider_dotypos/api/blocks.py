"""Requests that a process has claimed of a budget, and when they count: see ``spending``."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

from airflow_provider_dotypos.api.ledger import Entry

#: For how long the requests of a block may leave, in seconds.
USE = 120.0


class Moment(NamedTuple):
    """A moment by both clocks: the monotonic one stands still while the machine is suspended, the other can be set."""

    monotonic: float
    wall: float

    @classmethod
    def now(cls) -> Moment:
        """Return this moment."""
        return cls(time.monotonic(), time.time())

    @property
    def ago(self) -> float:
        """For how many seconds it is past, by the clock that has gone further."""
        return max(time.monotonic() - self.monotonic, time.time() - self.wall)


class Block:
    """Requests that a process has claimed.

    :param window: how long a request counts after its end, in seconds.
    :param timeout: the longest that each may take, in seconds.
    :ivar settled: whether its claim stays in the ledger.
    """

    def __init__(self, size: int, window: float, timeout: float) -> None:
        self.size = size
        self.settled = False
        self._taken = self._sent = self._under_way = 0
        self._claimed = Moment.now()
        self._closed = False
        self._timeout = timeout
        self._window = window
        self._left_at = self._ended_at = 0.0

    @property
    def available(self) -> bool:
        """Whether a further request may be taken."""
        return self.settled and self._taken < self.size and self._usable

    @property
    def done(self) -> bool:
        """Whether nothing of it can change any more."""
        return self.settled and not self._usable and not self._under_way

    @property
    def entry(self) -> Entry:
        """What counts of it."""
        if self._usable:
            return Entry(self.size, self._claimed.monotonic + USE + self._timeout + self._window)
        last = self._left_at + self._timeout if self._under_way else self._ended_at
        return Entry(self._sent, last + self._window)

    @property
    def _usable(self) -> bool:
        self._closed = self._closed or self._claimed.ago >= USE  # and stays so, if the clock is set back
        return self._sent < self.size and not self._closed

    def take(self) -> None:
        """Set a request apart."""
        self._taken += 1

    def give_back(self) -> None:
        """Give a request back that won't leave."""
        self._taken -= 1

    def leave(self) -> bool:
        """Note that a request leaves now; return whether it still may."""
        if not self._usable:
            return False
        self._sent += 1
        self._under_way += 1
        self._left_at = time.monotonic()
        return True

    def end(self, *, sent: bool) -> None:
        """Note that a request has ended.

        :param sent: whether the server may have it. If not, another one may leave in its place.
        """
        self._under_way -= 1
        self._ended_at = time.monotonic()
        if not sent:
            self._sent -= 1
            self._taken -= 1

    def close(self) -> None:
        """Give back what hasn't left."""
        self._closed = True


class Permit:
    """Permission for one request of a block."""

    def __init__(self, block: Block, guard: threading.Lock) -> None:
        self._block = block
        self._guard = guard

    def leave(self) -> bool:
        """Note that the request leaves now; return whether it still may."""
        with self._guard:
            return self._block.leave()

    def end(self, *, sent: bool) -> None:
        """Note that the request has ended (see ``Block.end``)."""
        with self._guard:
            self._block.end(sent=sent)

    def give_back(self) -> None:
        """Note that the request won't leave."""
        with self._guard:
            self._block.give_back()
