"""Whatever happens in whatever order: a state machine of edits, faults, kills and attempts to apply one plan."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox
from airflow_provider_dotypos.writes.applying.options import Create, Method
from tests.api.walking import empty_shop
from tests.examples import examples
from tests.writes.storms import KINDS, Storm, Weather, death, storm_over

METHODS: st.SearchStrategy[Method] = st.sampled_from(["patch", "put"])
CREATES: st.SearchStrategy[Create] = st.sampled_from(["put", "post"])


class Courses(RuleBasedStateMachine):
    """One plan of five updates and three creates. After each attempt the log of writes judges its report."""

    api: Sandbox

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.killed = False

    @initialize(
        create=CREATES,
        lag=st.sampled_from([0.0, 10.0]),
        lists=st.sampled_from(["whole", "partly"]),
        seed=st.integers(0),
    )
    def begin(self, create: Create, lag: float, lists: str, seed: int) -> None:
        behaviour = Behaviour(commit_lag=lag, refused_lists=lists)
        weather = Weather(seed, create=create, updates=5, creates=3, behaviour=behaviour, rough=True)
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.storm: Storm = self.stack.enter_context(storm_over(self.api, weather, folder))

    @rule(edits=st.integers(1, 5))
    def the_till_edits(self, edits: int) -> None:
        for _ in range(edits):
            self.storm.till.edit()

    @rule(kind=st.sampled_from(KINDS), when=st.sampled_from(["before", "after"]), skip=st.integers(0, 6))
    def a_request_is_to_fail(self, kind: str, when: str, skip: int) -> None:
        self.api.faults.append(Fault(kind, when=when, skip=skip))

    @precondition(lambda self: self.storm.weather.create == "put")
    @rule(kind=st.sampled_from(KINDS), method=st.sampled_from(["PUT", "PATCH"]), calls=st.integers(0, 8))
    def a_write_is_to_come_late(self, kind: str, method: str, calls: int) -> None:
        self.api.faults.append(Fault(kind, when="late", method=method, calls=calls))

    @rule(seconds=st.sampled_from([1.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        self.api.shop.advance(seconds)

    @rule(method=METHODS)
    def somebody_applies_the_plan(self, method: Method) -> None:
        self.storm.attempt(method=method)
        self.storm.check_report(resumed=self.killed)

    @rule(method=METHODS, requests=st.integers(0, 15), answered=st.booleans())
    def somebody_is_killed_meanwhile(self, method: Method, requests: int, answered: bool) -> None:
        with death(requests, answered=answered):
            self.storm.attempt(method=method)
        self.killed = True

    def teardown(self) -> None:
        with self.stack:
            if hasattr(self, "storm"):
                self.storm.calm()
                self.storm.attempt()
                self.storm.check_report(resumed=self.killed)
                self.storm.check_end()


@pytest.fixture(scope="module", autouse=True)
def _api() -> object:
    with Sandbox(empty_shop()) as running:
        Courses.api = running
        yield running
    channel.forget_tokens()


TestCourses = pytest.mark.usefixtures("_api")(Courses.TestCase)
TestCourses.settings = settings(
    max_examples=examples(10), stateful_step_count=8, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
