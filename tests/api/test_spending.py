"""A request budget holds, however many threads and processes share it, and whenever one is killed.

What a process claims are `blocks`; what processes share is the `ledger`. What flows ask for are `steps`.
"""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dotypos.api.budget import Budget
from airflow_provider_dotypos.api.ledger import Entry, decode_entries, encode_entries
from airflow_provider_dotypos.api.spending import Spending
from airflow_provider_dotypos.api.steps import Perform
from airflow_provider_dotypos.exceptions import DotyposBudgetError
from airflow_provider_dotypos.sandbox import Limit
from tests.api.processes import TIMEOUT, Process, World, flat, performed

HALF_AN_HOUR = Budget(150, 1800.0)


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    budget=st.sampled_from([HALF_AN_HOUR, Budget(10, 60.0), Budget(40, 600.0)]),
    threads=st.lists(st.integers(1, 8), min_size=1, max_size=5),
    kills=st.lists(st.tuples(st.integers(0, 4), st.floats(0, 3000), st.floats(0, 100)), max_size=6),
    skews=st.lists(st.floats(-0.2, 0.2), min_size=5, max_size=5),
)
def test_the_server_counts_no_more_than_the_budget_in_any_window(
    seed: int, budget: Budget, threads: list[int], kills: list[tuple[int, float, float]], skews: list[float]
) -> None:
    world = World(budget, seed)
    processes = [Process(world, each, 2 * budget.requests, skew) for each, skew in zip(threads, skews, strict=False)]
    for process in processes:
        world.at(world.clock.now + world.chance.uniform(0, 5), process.start)
    for number, at, dead_for in kills:
        if number < len(processes):
            world.at(world.clock.now + 6 + at, lambda p=processes[number], d=dead_for: p.kill(d))
    world.run(6 * budget.seconds)
    assert world.counted
    assert world.most_in_a_window <= budget.requests


@pytest.mark.parametrize("window", ["sliding", "fixed"])
def test_four_tasks_of_a_hundred_requests_are_never_refused(window: str) -> None:
    world = World(HALF_AN_HOUR, seed=4)
    world.limit = Limit(window=window, refused_count=True, clock=world.clock.monotonic)
    tasks = [Process(world, 4, 101) for _ in range(4)]  # a sign-in each
    for task in tasks:
        world.at(world.clock.now, task.start)
    world.run()
    assert world.refused == 0
    assert all(task.left == 0 for task in tasks)
    assert len(world.counted) == 404
    assert world.counted[-1] - world.counted[0] < 3 * 1800


def test_small_tasks_that_begin_together_wait_for_what_others_give_back() -> None:
    random.seed(7)  # of the waits; a claim that was overwritten is repeated, not doubled
    world = World(HALF_AN_HOUR, seed=7)
    world.longest_request = 1.0
    tasks = [Process(world, 1, 4) for _ in range(16)]  # their first blocks are more than the budget
    for task in tasks:
        world.at(world.clock.now, task.start)
    began = world.clock.now
    world.run()
    assert [task.lives for task in tasks] == [1] * 16
    assert world.counted[-1] - began < 120


@pytest.fixture
def world() -> Iterator[World]:
    world = World(HALF_AN_HOUR, seed=1)
    with world.clock.kept():
        yield world


def spend(spending: Spending, world: World, requests: int = 1) -> None:
    """Send requests that take a second each."""
    for _ in range(requests):
        permit = performed(spending.permit(world.budget, TIMEOUT, 600.0), world.clock)
        assert permit.leave()
        world.clock.now += 1
        permit.end(sent=True)


def used(world: World) -> int:
    """Return what counts, as another process sees it."""
    return sum(entry.requests for entry in decode_entries(world.shelf.text, 1e5).values())


def test_a_block_counts_whole_until_its_owner_gives_the_rest_back(world: World) -> None:
    spending = Spending(world.shelf)
    spend(spending, world, 3)
    assert used(world) == 15
    performed(spending.give_back(), world.clock)
    assert used(world) == 3
    spend(spending, world)  # further calls claim again
    assert used(world) == 3 + 30


def test_a_killed_process_counts_until_its_last_answer_can_have_come_and_a_window(world: World) -> None:
    spend(Spending(world.shelf), world)
    world.clock.now += 120 + TIMEOUT + 1800 - 10
    assert used(world) == 15
    world.clock.now += 20
    assert used(world) == 0


def test_a_request_that_has_waited_too_long_at_the_gate_may_not_leave(world: World) -> None:
    permit = performed(Spending(world.shelf).permit(world.budget, TIMEOUT, 600.0), world.clock)
    world.clock.now += 121
    assert not permit.leave()


def test_a_machine_that_was_suspended_uses_nothing_that_others_hold_for_expired(world: World) -> None:
    spending = Spending(world.shelf)
    permit = performed(spending.permit(world.budget, TIMEOUT, 600.0), world.clock)
    world.clock.ahead = 3600.0  # the monotonic clock stood still
    assert not permit.leave()
    world.clock.ahead = 0.0
    assert not permit.leave()


def test_what_was_read_before_a_machine_was_suspended_is_read_again(world: World) -> None:
    flow = flat(Spending(world.shelf).permit(world.budget, TIMEOUT, 600.0))
    step = next(flow)
    assert isinstance(step, Perform)
    read = step.function()
    world.clock.ahead = 3600.0
    step = flow.send(read)
    assert isinstance(step, Perform)
    step.function()
    assert world.shelf.text is None


def test_a_request_that_others_overtake_again_and_again_is_put_off(world: World) -> None:
    def read() -> str:
        return encode_entries({"a-0": Entry(150, world.clock.now + 100)})  # soon free each time, and others have it

    world.shelf.read = read  # type: ignore[method-assign]
    began = world.clock.now
    with pytest.raises(DotyposBudgetError):
        spend(Spending(world.shelf), world)
    assert 500 < world.clock.now - began <= 600


def test_blocks_of_a_budget_with_a_longer_window_are_not_waited_for_in_the_slot(world: World) -> None:
    spend(Spending(world.shelf), world)
    world.shelf.text = encode_entries({"a-0": Entry(150, world.clock.now + 3600)})
    began = world.clock.now
    with pytest.raises(DotyposBudgetError):
        spend(Spending(world.shelf), world)
    assert world.clock.now - began < 660


def test_clocks_may_differ_by_seconds(world: World) -> None:
    spending = Spending(world.shelf)
    spend(spending, world, 2)
    performed(spending.give_back(), world.clock)
    world.clock.now += 1800 - 1
    world.clock.ahead = 4.0
    assert used(world) == 2


def test_a_request_that_did_not_leave_is_not_counted(world: World) -> None:
    spending = Spending(world.shelf)
    permit = performed(spending.permit(world.budget, TIMEOUT, 600.0), world.clock)
    permit.leave()
    permit.end(sent=False)
    performed(spending.give_back(), world.clock)
    assert used(world) == 0


def test_a_used_up_budget_says_when_enough_is_free(world: World) -> None:
    spending = Spending()
    spend(spending, world, 150)
    with pytest.raises(DotyposBudgetError, match=r"150/30min, is used up\. 113 requests are free again at 20") as error:
        spend(spending, world)
    assert error.value.retry_at is not None
    wait = error.value.retry_at.timestamp() - world.clock.time()
    assert 1800 - 37 <= wait <= 1800 - 37 + 25  # since the 113th; what ends nearly together counts as one
    world.clock.now += wait
    spend(spending, world, 113)


def test_a_wait_that_a_slot_is_worth_is_waited(world: World, caplog: pytest.LogCaptureFixture) -> None:
    spending = Spending()
    spend(spending, world, 150)
    world.clock.now += 1300
    with caplog.at_level(logging.INFO):
        spend(spending, world)
    assert "Waiting 3" in caplog.text


def test_what_was_spent_long_ago_and_never_given_back_is_few_entries(world: World) -> None:
    world.budget = Budget(100_000, 86_400.0)
    spending = Spending(world.shelf)
    for _ in range(200):
        spend(spending, world, 3)
        world.clock.now += 121  # the block's time is over
    assert used(world) >= 600
    assert len(world.shelf.text or "") < 2_000


def test_a_ledger_that_fails_loses_no_extraction_and_uses_a_quarter(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.shelf.fails = True
    spending = Spending(world.shelf)
    for _ in range(2):
        with pytest.raises(DotyposBudgetError):
            spend(spending, world, 40)
    assert "The ledger of the request budget (the shelf) can't be reached: OSError" in caplog.text
    assert "away" not in caplog.text
    world.shelf.fails = False
    world.clock.now += 61
    spend(spending, world)
    assert used(world) == 37 + 30
    world.shelf.fails = True
    performed(spending.give_back(), world.clock)
    assert "can't be given back" in caplog.text


@pytest.mark.parametrize("text", ["", "[1]", "nonsense", '{"a": "b"}', '{"a": [1, NaN]}', '{"a": [-5, 1]}'])
def test_a_ledger_that_somebody_has_edited_begins_anew(text: str, world: World) -> None:
    world.shelf.text = text
    spend(Spending(world.shelf), world)
    assert used(world) == 15


def test_a_clock_that_was_far_ahead_blocks_nobody(world: World) -> None:
    world.clock.ahead = 86_400.0
    spend(Spending(world.shelf), world, 150)
    world.clock.ahead = 0.0
    spend(Spending(world.shelf), world)
    assert used(world) == 15


def test_a_write_that_is_held_back_can_overwrite_a_claim_and_its_owner_mends_that(world: World) -> None:
    """The assumption under which tasks can't exceed the budget together, from its other side."""
    world.shelf.text = late = encode_entries({})
    spending = Spending(world.shelf)
    spend(spending, world, 15)
    world.shelf.write(late)
    assert used(world) == 0
    spend(spending, world)
    assert used(world) == 15 + 30


def test_a_process_that_was_suspended_while_it_read_overwrites_nobody(world: World) -> None:
    flow = flat(Spending(world.shelf).permit(world.budget, TIMEOUT, 600.0))
    step = next(flow)
    assert isinstance(step, Perform)
    read = step.function()
    spend(Spending(world.shelf), world)
    world.clock.now += 60
    for _ in range(2):  # it reads again, and writes
        step = flow.send(read)
        assert isinstance(step, Perform)
        read = step.function()
    assert used(world) == 15 + 15


def test_a_ledger_that_is_always_slow_is_out_of_reach(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def read() -> None:
        world.clock.now += 1.5

    world.shelf.read = read  # type: ignore[method-assign]
    spend(Spending(world.shelf), world)
    assert "can't be reached: it takes too long to read" in caplog.text


def test_a_forked_child_leaves_its_parents_claim_to_its_parent(world: World) -> None:
    spending = Spending(world.shelf)
    spend(spending, world)
    spending.forget()
    spend(spending, world)
    assert used(world) == 30


def test_the_log_says_how_much_is_used_and_left(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        spend(Spending(world.shelf), world, 15)
        spending = Spending(world.shelf)
        spend(spending, world, 12)
        performed(spending.give_back(), world.clock)
    assert "Request budget 150/30min, counted by all tasks (the shelf): 15 used by now, 135 left." in caplog.text
    assert "Request budget 150/30min, counted by all tasks (the shelf): 27 used at the end, 123 left." in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO):
        spend(Spending(), world, 3)
    assert "Request budget 150/30min, counted by this process alone: 0 used by now, 150 left." in caplog.text


def test_the_ledger_holds_numbers_and_random_names_only(world: World) -> None:
    spend(Spending(world.shelf), world, 3)
    assert re.fullmatch(r'\{"[0-9a-f]{8}-0":\[15,\d+\]\}', world.shelf.text or "")
