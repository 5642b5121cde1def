"""When the next request to a cloud may leave, for all callers of a process.

A gate only decides: it yields how long to wait, and the driver of the call waits, in a thread or on a loop. Its lock
is held for moments, never during a wait, so threads and loops can share a gate.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

#: Seconds after which another caller may probe a server that has throttled, if the first has had no answer yet.
_PROBE = 5.0


class Gate:
    """When the next request may leave: one for all callers of a process with the same server, credentials and cloud.

    A 429 or 503 closes it for all of them (``close``). When that is over, one request goes first: the others follow
    only when the server takes it. A server that is still throttling would have to refuse, and may count, them all. A
    server that refuses time and again is asked ever more seldom, however soon it says that it may be asked. Slots space
    requests evenly, ``requests_per_minute``, also those that have waited while it was closed.

    :ivar refusals: how often in a row the server has throttled, with nothing let through in between.
    """

    def __init__(self) -> None:
        self.renew_lock()
        self._opens = 0.0
        self._last_slot = float("-inf")
        self._throttled_since: float | None = None
        self._closed_at = 0.0
        self._probe_ends = 0.0
        self._closings = 0
        self.refusals = 0

    def renew_lock(self) -> None:
        """Take a fresh lock (in a forked child)."""
        self._lock = threading.Lock()

    def close(self, seconds: float) -> None:
        """Let nothing through for the next `seconds`."""
        with self._lock:
            now = time.monotonic()
            self._opens = max(self._opens, now + seconds)
            self._last_slot = min(self._last_slot, now)  # those who wait for a later slot will take another
            self._probe_ends = 0.0
            self._closings += 1
            self._closed_at = now
            if self._throttled_since is None:
                self._throttled_since = now

    def close_as_asked(self, seconds: float) -> None:
        """Let nothing through for as long as the server has asked for, and longer if that hasn't helped so far."""
        self.close(max(seconds, backoff(self.refusals - 3)))

    def answered(self, left_at: float, *, throttled: bool, opens: bool = True) -> None:
        """Note whether the server took a request, or throttled it.

        :param left_at: when the request left (monotonic seconds).
        :param opens: whether a request that was taken opens a closed gate. If not, it only lets the next one follow.
        """
        if not throttled and self._throttled_since is None and not self.refusals:
            return  # as nearly always: no lock is needed
        with self._lock:
            if left_at < self._closed_at:
                return  # it left before the gate was closed, so it says nothing of what the server does since
            if throttled:
                self._closed_at = time.monotonic()
                self.refusals += 1
            elif opens:
                self._throttled_since, self.refusals = None, 0
            else:
                self._probe_ends = 0.0

    @property
    def throttled_for(self) -> float:
        """For how many seconds the server has let nothing through; 0 if it isn't throttling."""
        since = self._throttled_since
        return 0.0 if since is None else time.monotonic() - since

    def waits(self, requests_per_minute: float | None) -> Iterator[float]:
        """Yield the seconds to wait, again and again, until one more request may leave."""
        while True:
            while (seconds := self._closed_for()) > 0:
                yield seconds
            closings = self._closings
            # Taken only now: all that waited at the gate would leave at once, above the ceiling.
            slot = self._slot(requests_per_minute)
            while (seconds := slot - time.monotonic()) > 0 and closings == self._closings:
                yield seconds
            if closings == self._closings:
                return

    def _closed_for(self) -> float:
        """Return the seconds until a request may leave; it may have closed again then.

        Those who wait at a closed gate don't all come back at once. Of those who find it just opened, one leaves.
        """
        if self._throttled_since is None:
            return 0.0  # as nearly always: no lock is needed
        with self._lock:
            now = time.monotonic()
            if now < self._opens:
                closed = self._opens - now
                return closed + random.uniform(0, min(1.0, closed / 4))
            if self._throttled_since is None:
                return 0.0
            if now < self._probe_ends:
                return random.uniform(0.05, 0.2)
            self._probe_ends = now + _PROBE
            return 0.0

    def _slot(self, requests_per_minute: float | None) -> float:
        """Take the earliest moment (monotonic seconds) at which one more request keeps to the ceiling."""
        if requests_per_minute is None:
            return 0.0
        with self._lock:
            self._last_slot = max(time.monotonic(), self._last_slot + 60.0 / requests_per_minute)
            return self._last_slot


class Passage:
    """One call's way through a gate, request after request.

    :param requests_per_minute: ceiling on the requests that pass; ``None`` for none.
    :ivar left_at: when the call's last request left (monotonic seconds).
    """

    def __init__(self, gate: Gate, requests_per_minute: float | None = None) -> None:
        self.gate = gate
        self.left_at = 0.0
        self._requests_per_minute = requests_per_minute

    def waits(self) -> Iterator[float]:
        """Yield the seconds to wait, again and again, until the call's next request may leave."""
        yield from self.gate.waits(self._requests_per_minute)
        self.left_at = time.monotonic()

    def answered(self, *, throttled: bool, opens: bool = True) -> None:
        """Note whether the server took the call's last request, or throttled it (see ``Gate.answered``)."""
        self.gate.answered(self.left_at, throttled=throttled, opens=opens)


def backoff(tries: int) -> float:
    """Return the longest wait, in seconds, after so many tries."""
    # A server that asks for no wait at all can be tried more often than a float has exponents for.
    return min(30.0, 0.5 * 2.0 ** min(tries, 10))
