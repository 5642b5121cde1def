"""The retry policy, by Airflow's own task runner: how often a task is tried, and when."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from airflow.sdk import DAG, task

from airflow_provider_dotypos import exceptions as errors
from airflow_provider_dotypos._compat import has_retry_policies
from airflow_provider_dotypos.api.errors import error_for
from airflow_provider_dotypos.api.retry import Patience
from airflow_provider_dotypos.exceptions import DotyposError
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.hooks.failures import airflow_failures
from airflow_provider_dotypos.retry_policies import DotyposRetryPolicy
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from tests.task_runs import Supervisor, run_task, supervised
from tests.transfers.conftest import connection  # noqa: F401 (a fixture)

only_with_policies = pytest.mark.skipif(not has_retry_policies(), reason="retry policies came with Airflow 3.3")

#: No retries by the client: each answer ends a try of the task.
IMPATIENT = Patience(faults=0, throttling=0)

RETRY_DELAY = timedelta(minutes=5)


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with supervised() as supervisor:
        yield supervisor


def tries_of(work: Callable[[], Any], tries: int = 1, **policy: Any) -> list[tuple[str, float | None]]:
    """Run a function as a task with 3 retries; return how each try ends, and after how many seconds comes the next."""
    with DAG("policy", schedule=None) as dag:
        task(task_id="work", retries=3, retry_delay=RETRY_DELAY, retry_policy=DotyposRetryPolicy(**policy))(work)()
    endings = [run_task(dag.get_task("work"), try_number=number) for number in range(1, tries + 1)]
    return [(ending.state, getattr(ending.message, "retry_delay_seconds", None)) for ending in endings]


def branches() -> Any:
    return DotyposHook(patience=IMPATIENT).request("GET", "branches")


def failing_with(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.skipif(has_retry_policies(), reason="this Airflow has retry policies")
def test_where_airflow_has_none_the_error_says_what_to_do_instead() -> None:
    with pytest.raises(errors.DotyposInputError, match=r"needs Airflow 3\.3.*omit retry_policy.*permanent.*retry_at"):
        DotyposRetryPolicy()


@only_with_policies
@pytest.mark.usefixtures("connection", "supervisor")
class TestThroughAHook:
    def test_a_forbidden_cloud_fails_at_the_first_try(self, sandbox: Sandbox) -> None:
        def other_cloud() -> Any:
            return DotyposHook(cloud_id=4711, patience=IMPATIENT).request("GET", "branches")

        assert tries_of(other_cloud) == [("failed", None)]

    def test_a_revoked_token_fails_at_once_even_behind_another_error(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        revoked = sandbox.connection() | {"extra": {"refresh_token": "0" * 64, "cloud_id": sandbox.cloud_ids[0]}}
        monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(revoked))

        def wrapped() -> Any:
            try:
                return branches()
            except DotyposError:
                raise ValueError("no prices today") from None

        assert tries_of(wrapped) == [("failed", None)]

    def test_retry_after_is_waited_for_and_then_the_task_succeeds(self, sandbox: Sandbox) -> None:
        sandbox.faults.append(Fault("429", retry_after="30", path="branches"))
        (first, wait), second = tries_of(branches, tries=2)
        assert (first, second) == ("up_for_retry", ("success", None))
        assert wait is not None
        assert 28 < wait <= 33

    def test_a_task_that_was_throttled_and_is_then_forbidden_ends_at_its_second_try(self, sandbox: Sandbox) -> None:
        sandbox.faults.append(Fault("429", retry_after="30", path="branches"))
        cloud_ids = iter([None, 4711])

        def elsewhere() -> Any:
            return DotyposHook(cloud_id=next(cloud_ids), patience=IMPATIENT).request("GET", "branches")

        assert [state for state, _ in tries_of(elsewhere, tries=2)] == ["up_for_retry", "failed"]

    def test_a_fault_of_the_server_is_left_to_airflow(self, sandbox: Sandbox) -> None:
        sandbox.faults.append(Fault("500", path="branches"))
        assert tries_of(branches) == [("up_for_retry", None)]

    def test_a_write_of_unknown_outcome_fails_and_is_not_sent_again(self, sandbox: Sandbox) -> None:
        sandbox.faults.append(Fault("reset", path="tags", method="POST"))

        def write() -> Any:
            return DotyposHook(patience=IMPATIENT).request("POST", "tags", json=[{"name": "vegan", "display": True}])

        assert tries_of(write) == [("failed", None)]
        assert [request.method for request in sandbox.requests if "tags" in request.path] == ["POST"]

    def test_no_policy_goes_beyond_the_retries_of_the_task(self, sandbox: Sandbox) -> None:
        sandbox.faults.append(Fault("429", retry_after="1", path="branches", times=9))
        assert [state for state, _ in tries_of(branches, tries=4)] == ["up_for_retry"] * 3 + ["failed"]


def throttled(seconds: float) -> DotyposError:
    return error_for("GET", "/v2/clouds/5/orders", 429, {"Retry-After": f"{seconds:.0f}"}, b"")


def used_up(minutes: float) -> DotyposError:
    return errors.DotyposBudgetError("used up", retry_at=datetime.now(timezone.utc) + timedelta(minutes=minutes))


@only_with_policies
@pytest.mark.usefixtures("supervisor")
@pytest.mark.parametrize(
    ("fail", "policy", "least", "most"),
    [
        (lambda: throttled(1700), {}, 1698, 1870),
        (lambda: throttled(20), {}, 18, 22),
        (lambda: throttled(86_400), {}, 3600, 3960),
        (lambda: throttled(1700), {"longest_wait": timedelta(minutes=10)}, 600, 660),
        (lambda: throttled(0), {}, 0, 0.1),
        (lambda: used_up(20), {}, 1198, 1320),
        (lambda: used_up(-20), {}, 0, 0),
        (lambda: errors.DotyposListsError("2", {"a": throttled(900), "b": throttled(1200)}), {}, 1198, 1320),
    ],
)
def test_a_wait_that_is_known_is_waited_for_with_jitter_and_capped(
    fail: Callable[[], DotyposError], policy: dict[str, Any], least: float, most: float
) -> None:
    ((state, wait),) = tries_of(failing_with(fail()), **policy)
    assert state == "up_for_retry"
    assert wait is not None
    assert least <= wait <= most


@only_with_policies
def test_the_jitter_is_different_each_time() -> None:
    policy, error = DotyposRetryPolicy(), throttled(1700)
    assert len({policy.evaluate(error, 1, 3).retry_delay for _ in range(9)}) > 1


@only_with_policies
@pytest.mark.usefixtures("supervisor")
@pytest.mark.parametrize(
    ("error", "state"),
    [
        (ValueError("none of ours"), "up_for_retry"),
        (errors.DotyposConfigurationError("Cloud ID is missing"), "failed"),
        (errors.DotyposUncertainWriteError("x", method="POST", path="/v2/x"), "failed"),
        (errors.DotyposConnectionError("x"), "up_for_retry"),
        (SystemExit(1), "up_for_retry"),
    ],
    ids=repr,
)
def test_the_rest_is_as_the_one_decision_has_it(error: BaseException, state: str) -> None:
    assert tries_of(failing_with(error)) == [(state, None)]


def chain(*, cause: BaseException | None = None, context: BaseException | None = None) -> ValueError:
    error = ValueError("outermost")
    error.__cause__, error.__context__ = cause, context
    return error


@only_with_policies
def test_the_nearest_error_of_ours_counts_and_a_cause_before_what_was_being_handled() -> None:
    passing, permanent = errors.DotyposConnectionError("x"), errors.DotyposConfigurationError("x")
    decide = lambda error: DotyposRetryPolicy().evaluate(error, 1, 3).action.value  # noqa: E731
    assert decide(chain(cause=passing, context=permanent)) == "default"
    assert decide(chain(cause=permanent, context=passing)) == "fail"
    assert decide(chain(context=chain(cause=permanent))) == "fail"
    endless = chain(context=permanent)
    endless.__cause__ = endless
    assert decide(endless) == "fail"


@only_with_policies
@pytest.mark.usefixtures("supervisor")
def test_an_operators_own_ending_stands() -> None:
    """It has failed for good, or given its slot back, before a policy is asked; a short wait reaches the policy."""

    def ending_with(error: DotyposError) -> Callable[[], None]:
        def work() -> None:
            with airflow_failures("dotypos_default"):
                raise error

        return work

    assert tries_of(ending_with(errors.DotyposConfigurationError("x"))) == [("failed", None)]
    assert tries_of(ending_with(throttled(1700))) == [("up_for_reschedule", None)]
    ((state, wait),) = tries_of(ending_with(throttled(20)))
    assert (state, wait is not None and 18 < wait <= 22) == ("up_for_retry", True)


@only_with_policies
def test_it_survives_the_ways_of_a_dag_and_its_reason_names_no_secret() -> None:
    from airflow.serialization.serialized_objects import DagSerialization  # of this name since 3.2

    policy = DotyposRetryPolicy(longest_wait=timedelta(minutes=7))
    stored = json.loads(json.dumps(policy.serialize()))
    copies = copy.deepcopy(policy), pickle.loads(pickle.dumps(policy)), DotyposRetryPolicy.deserialize(stored)
    assert {each.longest_wait for each in copies} == {timedelta(minutes=7)}
    with DAG("policy", schedule=None) as dag:
        task(task_id="work", retries=3, retry_policy=policy)(branches)()
    serialized = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    assert DagSerialization.from_dict(serialized).get_task("work").has_retry_policy
    reason = policy.evaluate(errors.DotyposConfigurationError("Refresh Token: hush"), 1, 3).reason
    assert reason == "DotyposConfigurationError: trying again can't help"


@only_with_policies
@pytest.mark.parametrize("longest_wait", [timedelta(0), -timedelta(1), 3600, None, "1h"])
def test_a_longest_wait_that_is_none_is_refused_when_the_dag_is_parsed(longest_wait: Any) -> None:
    with pytest.raises(errors.DotyposInputError, match="longest_wait must be a timedelta"):
        DotyposRetryPolicy(longest_wait)
