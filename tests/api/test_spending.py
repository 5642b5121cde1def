"""A request budget holds, however many threads and processes share it, and whenever one is killed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dotypos.api.budget import Budget
from airflow_provider_dotypos.sandbox import Limit
from tests.api.processes import Process, World

HALF_AN_HOUR = Budget(150, 1800.0)


@settings(max_examples=40, deadline=None)
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
