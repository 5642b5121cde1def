"""When a call that failed is tried again, and for how long; ``retry_table`` says which failures are.

Stopped by time, not by a count of tries: one page that fails for good fails a whole run. Two budgets, because a fault
that lasts two minutes will last, while a throttled client only has to wait. Jitter goes on top of ``Retry-After``:
the exact value would wake every worker together. What this is worth is measured in ``benchmarks/``.
"""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from tenacity import RetryCallState, Retrying, retry_if_exception
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from airflow_provider_dotypos.api.errors import (
    DotyposApiError,
    DotyposConnectionError,
    DotyposError,
    DotyposRateLimitError,
)
from airflow_provider_dotypos.api.gate import Passage, backoff
from airflow_provider_dotypos.api.retry_table import Verdict, verdict


@dataclass(frozen=True)
class Patience:
    """How long to keep trying.

    :param faults: seconds after faults.
    :param unreachable: seconds while no connection can be made to a server that has never answered this process: its
        address may be wrong.
    :param throttling: seconds while throttled.
    :param blind: seconds while the server lets nothing through and doesn't say for how long. ``None``: `throttling`.
    """

    faults: float = 120.0
    throttling: float = 900.0
    blind: float | None = None
    unreachable: float = 30.0


#: Of a task that can be put off without its slot: a window of a minute is waited out, one of half an hour isn't.
PUT_OFF_SOON = Patience(blind=120.0)


def worth_another_try(error: BaseException) -> bool:
    """Return whether the same call may succeed soon, as ``retry_table`` says."""
    return isinstance(error, DotyposError) and verdict(error) is Verdict.RETRY


class _wait_as_asked(wait_base):  # noqa: N801 (tenacity's waits are named like this)
    """``Retry-After`` plus jitter where the server said it; otherwise exponential with full jitter.

    What throttles one throttles all, so there the exponent counts the refusals that all have met; and as one goes first
    when that is over, at least half of the time is waited.
    """

    def __init__(self, passage: Passage, is_stranger: Callable[[DotyposError], bool]) -> None:
        self._gate = passage.gate
        self._is_stranger = is_stranger

    def __call__(self, retry_state: RetryCallState) -> float:
        error = _error(retry_state)
        asked = _retry_after(error)
        if asked is not None:
            return asked + random.uniform(0, 1 + asked / 10)
        if isinstance(error, DotyposRateLimitError):
            longest = backoff(max(retry_state.attempt_number, self._gate.refusals))
            return random.uniform(longest / 2, longest)
        if self._is_stranger(error):  # long waits would end its short budget early
            return random.uniform(0, backoff(min(retry_state.attempt_number, 3)))
        return random.uniform(0, backoff(retry_state.attempt_number))


class _stop_out_of_budget(stop_base):  # noqa: N801
    """Stops when the next wait would overdraw the budget of the kind of failure just seen.

    Booked are the call's own waits between its tries, and how long a request took to fail. That a call had to wait for
    its turn, at a gate that others closed or for its slot, isn't held against it. But while the server throttles
    everybody, what counts is for how long it has let nothing through since the call began.
    """

    def __init__(self, patience: Patience, passage: Passage, is_stranger: Callable[[DotyposError], bool]) -> None:
        self._patience = patience
        self._passage = passage
        self._is_stranger = is_stranger
        self._spent = {True: 0.0, False: 0.0}
        self._began = self._tried_at = time.monotonic()

    def __call__(self, retry_state: RetryCallState) -> bool:
        error = _error(retry_state)
        wait_is_known = _retry_after(error) is not None
        throttled = isinstance(error, DotyposRateLimitError) or wait_is_known
        budget = self._patience.throttling if throttled else self._patience.faults
        if self._is_stranger(error):
            budget = min(budget, self._patience.unreachable)
        failed_at, sent_at = time.monotonic(), self._passage.left_at
        if sent_at > self._tried_at:  # otherwise it failed with another caller's sign-in, and sent nothing
            self._spent[throttled] += failed_at - sent_at
        self._tried_at = failed_at
        self._spent[throttled] += retry_state.upcoming_sleep
        if throttled and (since := min(self._passage.gate.throttled_for, failed_at - self._began)):
            blind = self._patience.blind
            longest = budget if wait_is_known or blind is None else blind
            return since + retry_state.upcoming_sleep > longest or self._spent[throttled] > budget
        return self._spent[throttled] > budget


def policy(
    patience: Patience,
    passage: Passage,
    *,
    before_sleep: Callable[[DotyposError, float, int], None],
    has_answered: Callable[[], bool] = lambda: True,
) -> Retrying:
    """Return the retry policy of one call: try while it is worth it and the budget lasts, then raise the last error.

    It only decides, by ``iter``: who performs the call tries and waits.

    :param passage: the call's way through its gate.
    :param before_sleep: receives each failure: the error, the seconds until the next try, and the tries so far.
    :param has_answered: whether the server has ever answered this process.
    """

    def is_stranger(error: DotyposError) -> bool:
        return isinstance(error, DotyposConnectionError) and error.unreachable and not has_answered()

    return Retrying(
        retry=retry_if_exception(worth_another_try),
        wait=_wait_as_asked(passage, is_stranger),
        stop=_stop_out_of_budget(patience, passage, is_stranger),
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
