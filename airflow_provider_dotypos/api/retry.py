"""When a call that failed is tried again, and for how long; ``retry_table`` says which failures are.

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
from airflow_provider_dotypos.api.retry_table import Verdict, verdict


@dataclass(frozen=True)
class Patience:
    """How long to go on trying.

    :param faults: seconds after faults.
    :param throttling: seconds while throttled.
    :param blind: seconds while the server lets nothing through and doesn't say for how long. ``None``: `throttling`.
    """

    faults: float = 120.0
    throttling: float = 900.0
    blind: float | None = None


#: Of a task that can be put off without its slot: a window of a minute is waited out, one of half an hour isn't.
PUT_OFF_SOON = Patience(blind=120.0)


def worth_another_try(error: BaseException) -> bool:
    """Return whether the same call may succeed soon, as ``retry_table`` says."""
    return isinstance(error, DotyposError) and verdict(error) is Verdict.RETRY


#: Seconds after which another thread may probe a server that has throttled, if the first has had no answer yet.
_PROBE = 5.0


class Gate:
    """When the next request may leave: one for all threads of a process that talk to the same server.

    A 429 or 503 closes it for everybody (``close``). When that is over, one request goes first: only when the server
    takes it do the others follow, as a server that is still throttling would have to refuse, and may count, them all.
    A server that refuses time and again is asked ever more seldom, however soon it says that it may be asked.
    Slots space requests evenly, ``requests_per_minute``, also those that have waited while it was closed.

    :ivar refusals: how often in a row the server has throttled, with nothing let through in between.
    """

    def __init__(self) -> None:
        self.renew_lock()
        self._opens = 0.0
        self._last_slot = float("-inf")
        self._passed = threading.local()
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

    def close_as_told(self, seconds: float) -> None:
        """Let nothing through for as long as the server has asked for, and longer if that hasn't helped so far."""
        self.close(max(seconds, _backoff(self.refusals - 3)))

    def answered(self, *, throttled: bool) -> None:
        """Note whether the server took this thread's last request, or throttled it."""
        if not throttled and self._throttled_since is None and not self.refusals:
            return  # as nearly always: no lock is needed
        with self._lock:
            if self.passed_at < self._closed_at:
                return  # it left before the gate was closed, so it says nothing of what the server does since
            if not throttled:
                self._throttled_since, self.refusals = None, 0
                return
            self._closed_at = time.monotonic()
            self.refusals += 1

    @property
    def throttled_for(self) -> float:
        """For how many seconds the server has let nothing through; 0 if it isn't throttling."""
        since = self._throttled_since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def passed_at(self) -> float:
        """When this thread's last request left (monotonic seconds)."""
        return getattr(self._passed, "at", 0.0)

    def waits(self, requests_per_minute: float | None) -> Iterator[float]:
        """Yield the seconds to wait, again and again, until one more request of this thread may leave."""
        while True:
            while (seconds := self._closed_for()) > 0:
                yield seconds
            closings = self._closings
            # Taken only now: all that waited at the gate would leave at once, above the ceiling.
            slot = self._slot(requests_per_minute)
            while (seconds := slot - time.monotonic()) > 0 and closings == self._closings:
                yield seconds
            if closings == self._closings:
                break
        self._passed.at = time.monotonic()

    def _closed_for(self) -> float:
        """Return the seconds until a request may leave; it may have closed anew then.

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
    """``Retry-After`` plus jitter where the server said it; otherwise exponential with full jitter.

    What throttles one throttles all, so there the exponent counts the refusals that all have met; and as one goes first
    when that is over, at least half of the time is waited.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def __call__(self, retry_state: RetryCallState) -> float:
        error = _error(retry_state)
        told = _retry_after(error)
        if told is not None:
            return told + random.uniform(0, 1 + told / 10)
        if isinstance(error, DotyposRateLimitError):
            longest = _backoff(max(retry_state.attempt_number, self._gate.refusals))
            return random.uniform(longest / 2, longest)
        return random.uniform(0, _backoff(retry_state.attempt_number))


def _backoff(tries: int) -> float:
    """Return the longest wait, in seconds, after so many tries."""
    # A server that asks for no wait at all can be tried more often than a float has exponents for.
    return min(30.0, 0.5 * 2.0 ** min(tries, 10))


class _stop_out_of_budget(stop_base):  # noqa: N801
    """Stops when the next wait would overdraw the budget of the kind of failure just seen.

    Booked are the call's own waits between its tries, and how long a request took to fail. That a call had to wait for
    its turn, at a gate that others closed or for its slot, isn't held against it. But while the server throttles
    everybody, what counts is for how long it has let nothing through since the call began.
    """

    def __init__(self, patience: Patience, gate: Gate) -> None:
        self._patience = patience
        self._gate = gate
        self._spent = {True: 0.0, False: 0.0}
        self._began = self._tried_at = time.monotonic()

    def __call__(self, retry_state: RetryCallState) -> bool:
        error = _error(retry_state)
        told = _retry_after(error) is not None
        throttled = isinstance(error, DotyposRateLimitError) or told
        budget = self._patience.throttling if throttled else self._patience.faults
        failed_at, sent_at = time.monotonic(), self._gate.passed_at
        if sent_at > self._tried_at:  # otherwise it failed with another thread's sign-in, and sent nothing
            self._spent[throttled] += failed_at - sent_at
        self._tried_at = failed_at
        self._spent[throttled] += retry_state.upcoming_sleep
        if throttled and (since := min(self._gate.throttled_for, failed_at - self._began)):
            blind = self._patience.blind
            longest = budget if told or blind is None else blind
            return since + retry_state.upcoming_sleep > longest or self._spent[throttled] > budget
        return self._spent[throttled] > budget


def policy(
    patience: Patience,
    gate: Gate,
    *,
    sleep: Callable[[float], None],
    before_sleep: Callable[[DotyposError, float, int], None],
) -> Retrying:
    """Return the retry policy of one call: try while it is worth it and the budget lasts, then raise the last error.

    :param gate: what the call's requests pass.
    :param sleep: waits, and raises when the task is killed meanwhile.
    :param before_sleep: told of each failure: the error, the seconds until the next try, and the tries so far.
    """
    return Retrying(
        retry=retry_if_exception(worth_another_try),
        wait=_wait_as_told(gate),
        stop=_stop_out_of_budget(patience, gate),
        sleep=sleep,
        before_sleep=lambda state: before_sleep(_error(state), state.upcoming_sleep, state.attempt_number),
        retry_error_callback=_give_up,
    )


def _give_up(retry_state: RetryCallState) -> None:
    last = _error(retry_state)
    error = copy.copy(last)  # somebody else may hold the last one
    error.tries, error.waited = retry_state.attempt_number, retry_state.seconds_since_start or 0.0
    tried = f"{error.tries} {'try' if error.tries == 1 else 'tries'}"
    error.args = (f"{last} (gave up after {tried} in {error.waited:.0f} s)",)
    raise error.with_traceback(last.__traceback__) from last.__cause__


def _error(retry_state: RetryCallState) -> DotyposError:
    outcome = retry_state.outcome
    error = outcome.exception() if outcome else None
    if not isinstance(error, DotyposError):
        raise TypeError(f"only Dotypos errors are retried, not {type(error).__name__}")
    return error


def _retry_after(error: DotyposError) -> float | None:
    return error.retry_after if isinstance(error, DotyposApiError) else None
