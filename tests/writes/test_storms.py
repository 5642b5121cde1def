"""Storms over plans: each update is written once, each row created once, no edit lost, and the report is true."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.sandbox import Behaviour, Sandbox
from airflow_provider_dotypos.writes.applying.options import Create, Method
from airflow_provider_dotypos.writes.plan_file import open_plan
from tests.api.walking import empty_shop
from tests.writes.forks import Appliers
from tests.writes.storms import KilledError, Weather, death, kill, storm_over, weather_through


@pytest.fixture(scope="module")
def api() -> Iterator[Sandbox]:
    with Sandbox(empty_shop()) as running:
        yield running
    channel.forget_tokens()


@pytest.mark.parametrize("method", ["patch", "put"])
@pytest.mark.parametrize(
    "weather",
    [
        Weather(1),
        Weather(2, failing=0.2),
        Weather(3, failing=0.2, late=True),
        Weather(4, edits=10.0),
        Weather(5, edits=10.0, rough=True),
        Weather(6, failing=0.1, late=True, behaviour=Behaviour(commit_lag=10.0)),
        Weather(7, failing=0.1, late=True, edits=10.0, rough=True, behaviour=Behaviour(commit_lag=10.0)),
        Weather(8, failing=0.1, late=True, edits=10.0, threads=4),
    ],
    ids=lambda weather: str(weather.seed),
)
def test_a_storm(api: Sandbox, tmp_path: Path, weather: Weather, method: Method) -> None:
    weather_through(api, replace(weather, method=method), tmp_path)


@pytest.mark.parametrize("weather", [Weather(11, failing=0.2), Weather(12, failing=0.1, edits=10.0, rough=True)])
@pytest.mark.parametrize("method", ["patch", "put"])
def test_a_storm_over_creates_by_post(api: Sandbox, tmp_path: Path, weather: Weather, method: Method) -> None:
    weather_through(api, replace(weather, method=method, create="post"), tmp_path)


@pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("method", "create"), [("patch", "put"), ("put", "put"), ("put", "post")])
def test_an_apply_that_is_killed_at_any_request_is_resumed(
    api: Sandbox, tmp_path: Path, method: Method, create: Create, answered: bool
) -> None:
    weather, requests, killed = Weather(20, method=method, create=create, updates=4, creates=3), 0, True
    while killed:
        with storm_over(api, weather, tmp_path / str(requests)) as storm:
            with death(requests, answered=answered):
                killed = isinstance(storm.attempt(), KilledError)
            assert storm.attempt() is None
            storm.check_report(resumed=True)
            storm.check_end()
        requests += 1
    assert requests > 6


@pytest.mark.parametrize(("method", "others"), [("patch", "patch"), ("put", "put"), ("patch", "put")])
@pytest.mark.parametrize("failing", [0.0, 0.1])
def test_two_that_apply_a_plan_at_once_do_no_harm(
    api: Sandbox, tmp_path: Path, method: Method, others: Method, failing: float
) -> None:
    with storm_over(api, Weather(30, method=method, failing=failing), tmp_path) as storm:
        with open_plan(storm.plan.path) as plan, ThreadPoolExecutor(2) as pool:
            both = [pool.submit(storm.attempt, plan, method=others), pool.submit(storm.attempt)]
            for attempt in both:
                attempt.result()
        storm.check_report(alone=False)
        storm.calm()
        assert storm.attempt() is None
        storm.check_report(alone=False)
        storm.check_end()


def test_processes_that_are_killed_write_nothing_twice(api: Sandbox, tmp_path: Path) -> None:
    with Appliers() as appliers:
        killed = sum(
            kill(api, Weather(seed, method, settle=0.2), tmp_path / method, appliers, kills=3).killed
            for seed, method in ((41, "patch"), (42, "put"))
        )
    assert killed >= 3
