"""``gate`` and ``retry`` in simulated time: when requests of many callers may leave, whatever closes it meanwhile."""

from __future__ import annotations

import heapq
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tenacity import DoAttempt, RetryCallState, Retrying

from airflow_provider_dotypos.api import channel, retry
from airflow_provider_dotypos.api import gate as gates
from airflow_provider_dotypos.api.errors import (
    DotyposApiError,
    DotyposConnectionError,
    DotyposError,
    DotyposResponseError,
    DotyposServerError,
    error_for,
)
from airflow_provider_dotypos.api.exchange import Exchange
from airflow_provider_dotypos.api.gate import Gate, Passage
from airflow_provider_dotypos.api.http import Answer, Request
from airflow_provider_dotypos.api.retry import Patience
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.steps import Flow
from tests.api.flows import Played, answer, scripted

SPACING = 0.5
PER_MINUTE = 60 / SPACING

#: When it closes, and for how long, in seconds.
closings = st.lists(st.tuples(st.floats(0, 10), st.floats(0.1, 8)), max_size=4)


class Clock:
    """Stands in for the module's clock."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


def keep_time(patch: pytest.MonkeyPatch, clock: Clock) -> None:
    for module in (gates, retry):
        patch.setattr(module, "time", clock)


def draw(patch: pytest.MonkeyPatch, chance: Random) -> None:
    for module in (gates, retry):
        patch.setattr(module, "random", chance)


def tried(policy: Retrying, attempt: Callable[[], None], sleep: Callable[[float], None]) -> None:
    """Make a call's tries as ``exchange`` does, and wait by `sleep`."""
    policy.begin()
    state = RetryCallState(policy, None, (), {})
    while not isinstance(step := policy.iter(state), type(None)):
        if isinstance(step, DoAttempt):
            try:
                state.set_result(attempt())
            except DotyposError:
                state.set_exception(sys.exc_info())  # type: ignore[arg-type]
        else:
            state.prepare_for_next_attempt()
            sleep(step)


def leave(gate: Gate, clock: Clock, threads: int, requests: int, closed: list[tuple[float, float]]) -> Iterator[float]:
    """Run threads that send request after request; yield when each leaves."""
    begun = clock.now
    events: list[tuple[float, int, object]] = [(begun + at, -1 - i, lasts) for i, (at, lasts) in enumerate(closed)]
    passages = [Passage(gate, PER_MINUTE) for _ in range(threads)]
    events += [(begun, number, passage.waits()) for number, passage in enumerate(passages)]
    heapq.heapify(events)
    while requests:
        clock.now, number, what = heapq.heappop(events)
        if number < 0:
            gate.close(what)  # type: ignore[arg-type]
        elif (seconds := next(what, None)) is not None:  # type: ignore[call-overload]
            heapq.heappush(events, (clock.now + seconds, number, what))
        else:
            passages[number].answered(throttled=False)
            yield clock.now
            requests -= 1
            heapq.heappush(events, (clock.now, number, passages[number].waits()))


def test_what_a_thread_did_before_a_call_is_not_held_against_it() -> None:
    """A first try that sends nothing, as it shares another thread's failed sign-in, ends no budget."""
    clock, passage = Clock(), Passage(Gate())
    failure = error_for("POST", "/v2/signin/token", 503, {}, b"")
    tries: list[int] = []

    def fail() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise failure

    def sleep(seconds: float) -> None:
        clock.now += seconds

    with pytest.MonkeyPatch.context() as patch:
        keep_time(patch, clock)
        assert list(passage.waits()) == []  # a request leaves
        clock.now += 1000  # then its thread uploads a part
        tried(retry.policy(Patience(), passage, before_sleep=lambda *_: None), fail, sleep)
    assert len(tries) == 3


def test_a_server_that_never_asks_to_wait_can_be_tried_for_as_long_as_the_budget_lasts() -> None:
    """Waits of no time at all end no budget, and the next one still has to be told."""
    clock, tries = Clock(), 0

    def fail() -> None:
        nonlocal tries
        tries += 1
        raise error_for("GET", "/v2/clouds", 503, {"Retry-After": "0"} if tries < 1200 else {}, b"")

    with pytest.MonkeyPatch.context() as patch:
        keep_time(patch, clock)
        patch.setattr(retry.random, "uniform", lambda low, high: low)
        policy = retry.policy(Patience(), Passage(Gate()), before_sleep=lambda *_: None)
        with pytest.raises(DotyposServerError):
            tried(policy, lambda: fail() if tries < 1300 else _refuse(), lambda seconds: None)
    assert tries == 1300


def test_a_server_that_never_answered_is_tried_for_half_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address may be wrong. One that has answered this process, whoever asked, may only be restarting."""
    keep_time(monkeypatch, Clock())
    monkeypatch.setattr(retry.random, "uniform", lambda low, high: 2.5)
    channel.forget_tokens()
    refused = DotyposConnectionError("x", sent=False, unreachable=True)
    broken = DotyposConnectionError("x", sent=False)

    def patience(error: DotyposError, server: str = "here", secret: str = "r", **options: Patience) -> float:
        """Return for how many seconds of waiting a call is tried."""

        def fail(request: Request) -> Answer:
            raise error

        played = Played(fail)
        with pytest.raises(DotyposConnectionError):
            played.run(call(server, secret, **options))
        return sum(played.slept)

    def call(server: str, secret: str, **options: Patience) -> Flow[object]:
        settings = Settings(f"https://{server}.example", secret * 32)
        return Exchange(settings, **options).flow("GET", "/clouds", decode=Answer.json)

    assert (patience(refused), patience(broken)) == (30, 120)
    assert patience(refused, patience=Patience(faults=5)) == 5
    Played(scripted({"token": [answer(201, b'{"accessToken": "a.b.c"}')], "clouds": [answer(200)]})).run(
        call("here", "s")
    )
    assert patience(refused) == 120
    assert patience(refused, "elsewhere") == 30


def _refuse() -> None:
    raise error_for("GET", "/v2/clouds", 501, {}, b"")


@given(threads=st.integers(1, 16), closed=closings)
def test_the_ceiling_holds_also_when_a_closed_gate_opens(threads: int, closed: list[tuple[float, float]]) -> None:
    clock, gate = Clock(), Gate()
    with pytest.MonkeyPatch.context() as patch:
        keep_time(patch, clock)
        times = list(leave(gate, clock, threads, 40, closed))
    assert all(later - earlier > SPACING - 1e-6 for earlier, later in pairwise(times))
    shut = [(1000 + at, 1000 + at + lasts) for at, lasts in closed]
    assert not [moment for moment in times for begin, end in shut if begin < moment < end]


@pytest.mark.parametrize("threads", [1, 4, 16])
def test_a_closing_takes_no_more_slots_than_it_lasts(threads: int) -> None:
    """Those who waited for slots take new ones; the old ones are free again."""
    clock, gate = Clock(), Gate()
    with pytest.MonkeyPatch.context() as patch:
        keep_time(patch, clock)
        times = list(leave(gate, clock, threads, 40, [(3.1, 1.0), (9.1, 0.2)]))
    assert max(later - earlier for earlier, later in pairwise(times)) < 1.0 + 2 * SPACING


THROTTLED = error_for("GET", "/v2/orders", 429, {}, b"")


def call_in_threads(
    clock: Clock,
    gate: Gate,
    threads: int,
    opens: float,
    *,
    error: DotyposApiError | DotyposResponseError = THROTTLED,
    patience: Patience = retry.PUT_OFF_SOON,
) -> list[tuple[float, bool]]:
    """Let threads make a call each, all at once, at a server that throttles until a moment, and answers in 0.1 s.

    Return when their requests left, and whether the server took them.
    """
    assert isinstance(error, DotyposApiError)
    sent: list[tuple[float, bool]] = []

    # A thread is a generator that yields how long it waits.
    def call() -> Iterator[float]:
        passage = Passage(gate)
        state = retry.policy(patience, passage, before_sleep=lambda *_: None)
        trying = RetryCallState(state, None, (), {})
        while True:
            yield from passage.waits()
            yield 0.1
            sent.append((passage.left_at, passage.left_at >= opens))
            passage.answered(throttled=passage.left_at < opens)
            if passage.left_at >= opens:
                return
            trying.set_exception((type(error), error, None))
            trying.upcoming_sleep = state.wait(trying)  # type: ignore[operator, misc]
            if state.stop(trying):  # type: ignore[operator, misc]
                return
            if error.retry_after is None:
                gate.close(trying.upcoming_sleep)
            else:
                gate.close_as_asked(error.retry_after)
            yield trying.upcoming_sleep
            trying.prepare_for_next_attempt()

    events = [(clock.now, number, call()) for number in range(threads)]
    while events:
        clock.now, number, thread = heapq.heappop(events)
        if (seconds := next(thread, None)) is not None:
            heapq.heappush(events, (clock.now + seconds, number, thread))
    return sent


@given(threads=st.sampled_from([1, 4, 16]), lasts=st.floats(1, 60), seed=st.integers())
def test_a_throttling_server_is_asked_by_one_thread_at_a_time(threads: int, lasts: float, seed: int) -> None:
    """Nor does a window of a minute, whose end isn't told, exhaust the patience of a task that could be put off."""
    clock, gate = Clock(), Gate()
    with pytest.MonkeyPatch.context() as patch:
        keep_time(patch, clock)
        draw(patch, Random(seed))
        sent = call_in_threads(clock, gate, threads, clock.now + lasts)
    refused = [at for at, taken in sent if not taken]
    assert sum(taken for _, taken in sent) == threads
    assert len(refused) <= threads + 12  # all that were under way, and then a probe each time
    probes = refused[threads:]
    assert all(later - earlier >= 0.1 for earlier, later in pairwise(probes))


@given(threads=st.sampled_from([1, 4, 16]), seed=st.integers())
def test_a_server_that_goes_on_throttling_is_given_up_within_the_patience(threads: int, seed: int) -> None:
    clock, gate = Clock(), Gate()
    began = clock.now
    with pytest.MonkeyPatch.context() as patch:
        keep_time(patch, clock)
        draw(patch, Random(seed))
        sent = call_in_threads(clock, gate, threads, float("inf"))
    # Each call gives up by itself; an extraction ends the others with the first.
    first_to_give_up = sent[-threads][0] - began
    assert 60 < first_to_give_up < 121  # counted from the first refusal
    assert len(sent) <= 2 * threads + 12


@pytest.mark.parametrize("told", [None, "0", "1", "20"])
@pytest.mark.parametrize("threads", [1, 4, 16])
def test_every_call_gives_up_when_nothing_was_let_through_for_its_patience(threads: int, told: str | None) -> None:
    """Nor is a server hammered whose Retry-After is always over too soon."""
    clock, gate = Clock(), Gate()
    error = error_for("GET", "/v2/orders", 429, {} if told is None else {"Retry-After": told}, b"")
    with pytest.MonkeyPatch.context() as patch:
        keep_time(patch, clock)
        draw(patch, Random(threads))
        sent = call_in_threads(clock, gate, threads, float("inf"), error=error, patience=Patience())
    assert 800 < clock.now - Clock.now < 1000
    assert len(sent) < 2 * threads + 60


def test_what_was_throttled_before_a_call_began_is_not_held_against_it() -> None:
    clock, gate = Clock(), Gate()
    with pytest.MonkeyPatch.context() as patch:
        keep_time(patch, clock)
        draw(patch, Random(1))
        call_in_threads(clock, gate, 4, float("inf"))
        clock.now += 3600
        sent = call_in_threads(clock, gate, 4, clock.now + 30)
    assert sum(taken for _, taken in sent) == 4
