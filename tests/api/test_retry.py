"""The gate in simulated time: when requests of many threads may leave, whatever closes it meanwhile."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos.api import retry
from airflow_provider_dotypos.api.errors import DotyposServerError, error_for
from airflow_provider_dotypos.api.retry import Gate, Patience

SPACING = 0.5
PER_MINUTE = 60 / SPACING

#: When it closes, and for how long, in seconds.
closings = st.lists(st.tuples(st.floats(0, 10), st.floats(0.1, 8)), max_size=4)


class Clock:
    """Stands in for the module's clock."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


def leave(gate: Gate, clock: Clock, threads: int, requests: int, closed: list[tuple[float, float]]) -> Iterator[float]:
    """Run threads that send request after request; yield when each leaves."""
    begun = clock.now
    events: list[tuple[float, int, object]] = [(begun + at, -1 - i, lasts) for i, (at, lasts) in enumerate(closed)]
    events += [(begun, number, gate.waits(PER_MINUTE)) for number in range(threads)]
    heapq.heapify(events)
    while requests:
        clock.now, number, what = heapq.heappop(events)
        if number < 0:
            gate.close(what)  # type: ignore[arg-type]
        elif (seconds := next(what, None)) is not None:  # type: ignore[call-overload]
            heapq.heappush(events, (clock.now + seconds, number, what))
        else:
            gate.answered(throttled=False)
            yield clock.now
            requests -= 1
            heapq.heappush(events, (clock.now, number, gate.waits(PER_MINUTE)))


def test_what_a_thread_did_before_a_call_is_not_held_against_it() -> None:
    """A first try that sends nothing, as it shares another thread's failed sign-in, ends no budget."""
    clock, gate = Clock(), Gate()
    failure = error_for("POST", "/v2/signin/token", 503, {}, b"")
    tries: list[int] = []

    def fail() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise failure

    def sleep(seconds: float) -> None:
        clock.now += seconds

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retry, "time", clock)
        assert list(gate.waits(None)) == []  # a request leaves
        clock.now += 1000  # then its thread uploads a part
        retry.policy(Patience(), gate, sleep=sleep, before_sleep=lambda *_: None)(fail)
    assert len(tries) == 3


def test_a_server_that_never_asks_to_wait_can_be_tried_for_as_long_as_the_budget_lasts() -> None:
    """Waits of no time at all end no budget, and the next one still has to be told."""
    clock, tries = Clock(), 0

    def fail() -> None:
        nonlocal tries
        tries += 1
        raise error_for("GET", "/v2/clouds", 503, {"Retry-After": "0"} if tries < 1200 else {}, b"")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retry, "time", clock)
        patch.setattr(retry.random, "uniform", lambda low, high: low)
        policy = retry.policy(Patience(), Gate(), sleep=lambda seconds: None, before_sleep=lambda *_: None)
        with pytest.raises(DotyposServerError):
            policy(lambda: fail() if tries < 1300 else _refuse())
    assert tries == 1300


def _refuse() -> None:
    raise error_for("GET", "/v2/clouds", 501, {}, b"")


@given(threads=st.integers(1, 16), closed=closings)
def test_the_ceiling_holds_also_when_a_closed_gate_opens(threads: int, closed: list[tuple[float, float]]) -> None:
    clock, gate = Clock(), Gate()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retry, "time", clock)
        times = list(leave(gate, clock, threads, 40, closed))
    assert all(later - earlier > SPACING - 1e-6 for earlier, later in pairwise(times))
    shut = [(1000 + at, 1000 + at + lasts) for at, lasts in closed]
    assert not [moment for moment in times for begin, end in shut if begin < moment < end]
