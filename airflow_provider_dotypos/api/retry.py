"""Which failures are worth another try, when, and for how long.

Stopped by time, not by a count of tries: one page that fails for good fails a whole run. Two budgets, because a fault
that lasts two minutes will last, while a throttled client only has to wait. Jitter goes on top of ``Retry-After``:
the exact value would wake every worker together. What this is worth is measured in ``benchmarks/``.
"""

from __future__ import annotations

import copy
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tenacity import RetryCallState, Retrying, retry_if_exception
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from airflow_provider_dotypos.api.errors import DotyposApiError, DotyposError, DotyposRateLimitError


@dataclass(frozen=True)
class Patience:
    """How long to go on trying, in seconds: after faults, and while throttled."""

    faults: float = 120.0
    throttling: float = 900.0


def worth_another_try(error: BaseException) -> bool:
    """Return whether the same call may succeed soon. (A write that may have been carried out never arrives here.)"""
    return isinstance(error, DotyposError) and error.passing


class Gate:
    """When the next request may leave: one for all threads of a process that talk to the same server.

    A 429 or 503 closes it for everybody (``close``); slots space requests evenly, ``requests_per_minute``, also those
    that have waited while it was closed.
    """

    def __init__(self) -> None:
        self.renew_lock()
        self._opens = 0.0
        self._next_slot = 0.0
        self._passed = threading.local()

    def renew_lock(self) -> None:
        """Take a fresh lock (in a forked child)."""
        self._lock = threading.Lock()

    def close(self, seconds: float) -> None:
        """Let nothing through for the next `seconds`."""
        with self._lock:
            self._opens = max(self._opens, time.monotonic() + seconds)

    @property
    def passed_at(self) -> float:
        """When this thread's last request left (monotonic seconds)."""
        return getattr(self._passed, "at", 0.0)

    def waits(self, requests_per_minute: float | None) -> Iterator[float]:
        """Yield the seconds to wait, again and again, until one more request of this thread may leave."""
        slot = self._slot(requests_per_minute)
        while (seconds := self.delay(slot)) > 0:
            yield seconds
            if slot < self._opens:
                # It closed over this slot: all that waited would leave at once, above the ceiling.
                slot = self._slot(requests_per_minute)
        self._passed.at = time.monotonic()

    def delay(self, slot: float = 0.0) -> float:
        """Return the seconds until a request with this slot may leave; it may have closed anew then.

        Those who wait at a closed gate don't all leave at once.
        """
        now = time.monotonic()
        if slot >= self._opens:
            return max(slot - now, 0.0)
        closed = max(self._opens - now, 0.0)
        return closed + random.uniform(0, min(1.0, closed / 4))

    def _slot(self, requests_per_minute: float | None) -> float:
        """Take the earliest moment (monotonic seconds) at which one more request keeps to the ceiling."""
        if requests_per_minute is None:
            return 0.0
        with self._lock:
            slot = max(time.monotonic(), self._next_slot)
            self._next_slot = slot + 60.0 / requests_per_minute
            return slot


_gates: dict[str, Gate] = {}


def gate(base_url: str) -> Gate:
    """Return this process's gate to a server."""
    return _gates.setdefault(base_url, Gate())


def _renew_locks() -> None:
    """In a forked child: a lock that another thread of the parent held would never be released here."""
    for known in _gates.values():
        known.renew_lock()


os.register_at_fork(after_in_child=_renew_locks)


class _wait_as_told(wait_base):  # noqa: N801 (tenacity's waits are named like this)
    """``Retry-After`` plus jitter where the server said it; otherwise exponential with full jitter."""

    def __call__(self, retry_state: RetryCallState) -> float:
        told = _retry_after(_error(retry_state))
        if told is not None:
            return told + random.uniform(0, 1 + told / 10)
        return random.uniform(0, min(30.0, 0.5 * 2**retry_state.attempt_number))


class _stop_out_of_budget(stop_base):  # noqa: N801
    """Stops when the next wait would overdraw the budget of the kind of failure just seen.

    Booked are the call's own waits between its tries, and how long a request took to fail. That a call had to wait for
    its turn, at a gate that others closed or for its slot, isn't held against it.
    """

    def __init__(self, patience: Patience, gate: Gate) -> None:
        self._patience = patience
        self._gate = gate
        self._spent = {True: 0.0, False: 0.0}
        self._tried_at = time.monotonic()

    def __call__(self, retry_state: RetryCallState) -> bool:
        error = _error(retry_state)
        throttled = isinstance(error, DotyposRateLimitError) or _retry_after(error) is not None
        budget = self._patience.throttling if throttled else self._patience.faults
        failed_at, sent_at = time.monotonic(), self._gate.passed_at
        if sent_at > self._tried_at:  # otherwise it failed with another thread's sign-in, and sent nothing
            self._spent[throttled] += failed_at - sent_at
        self._tried_at = failed_at
        self._spent[throttled] += retry_state.upcoming_sleep
        return self._spent[throttled] > budget


def policy(
    patience: Patience,
    gate: Gate,
    *,
    sleep: Callable[[float], None],
    before_sleep: Callable[[DotyposError, float, int], None],
) -> Retrying:
    """Return the retry policy of one call: try while it is worth it and the budget lasts, then raise the last error.

    :param gate: what the call's requests pass. :param sleep: waits, and raises when the task is killed meanwhile.
    :param before_sleep: told of each failure: the error, the seconds until the next try, and the tries so far.
    """
    return Retrying(
        retry=retry_if_exception(worth_another_try),
        wait=_wait_as_told(),
        stop=_stop_out_of_budget(patience, gate),
        sleep=sleep,
        before_sleep=lambda state: before_sleep(_error(state), state.upcoming_sleep, state.attempt_number),
        retry_error_callback=_give_up,
    )


def _give_up(retry_state: RetryCallState) -> None:
    last = _error(retry_state)
    tries, seconds = retry_state.attempt_number, retry_state.seconds_since_start or 0.0
    error = copy.copy(last)  # somebody else may hold the last one
    error.args = (f"{last} (gave up after {tries} {'try' if tries == 1 else 'tries'} in {seconds:.0f} s)",)
    raise error.with_traceback(last.__traceback__) from last.__cause__


def _error(retry_state: RetryCallState) -> DotyposError:
    outcome = retry_state.outcome
    error = outcome.exception() if outcome else None
    if not isinstance(error, DotyposError):
        raise TypeError(f"only Dotypos errors are retried, not {type(error).__name__}")
    return error


def _retry_after(error: DotyposError) -> float | None:
    return error.retry_after if isinstance(error, DotyposApiError) else None
