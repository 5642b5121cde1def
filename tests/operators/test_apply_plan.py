"""``DotyposApplyPlanOperator`` as Airflow's task runner runs it (`operators/apply_plan.py`, `hooks/applying.py`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_dotypos._compat import fail_exception
from airflow_provider_dotypos.exceptions import DotyposInputError, DotyposPlanError
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.operators.apply_plan import DotyposApplyPlanOperator
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from tests.task_runs import Ending, Supervisor, run_task, supervised
from tests.writes.planned import edit, product, row_of, sleep_by_the_shops_clock, update_of, versioned
from tests.writes.plans import write_plan

pytestmark = pytest.mark.usefixtures("connection")

BEFORE = {"priceWithVat": "45", "priceWithoutVat": "37.5"}
AFTER = {"priceWithVat": "48", "priceWithoutVat": "40"}

Planned = tuple[str, str, list[int]]


@pytest.fixture
def planned(sandbox: Sandbox, tmp_path: Path) -> Planned:
    """A plan of new prices: its path, its digest, and the ids of the products."""
    ids = [product(sandbox) for _ in range(5)]
    rows = (versioned(sandbox, update_of(id, BEFORE, AFTER, row)) for row, id in enumerate(ids, 1))
    path, header = write_plan(tmp_path, sandbox, rows)
    return path, header.digest, ids


@pytest.fixture
def supervisor(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    sleep_by_the_shops_clock(sandbox, monkeypatch)
    with supervised() as supervisor:
        yield supervisor


@pytest.fixture
def run(planned: Planned, supervisor: Supervisor) -> Callable[..., Ending]:
    """Run a task that applies the plan."""

    def run(**arguments: Any) -> Ending:
        path, digest, _ = planned
        with DAG("writes", schedule=None):
            task = DotyposApplyPlanOperator(task_id="apply", **{"plan": path, "digest": digest, **arguments})
        return run_task(task)

    return run


def answered(chosen: str = "Approve", *, at: datetime | None = None, by: Any = None) -> dict[str, Any]:
    return {
        "chosen_options": [chosen],
        "params_input": {},
        "responded_at": at or datetime.now(timezone.utc) + timedelta(seconds=1),
        "responded_by_user": by or {"id": "1", "name": "ada"},
    }


def test_it_writes_and_returns_what_became_of_the_rows(
    sandbox: Sandbox, run: Callable[..., Ending], supervisor: Supervisor, planned: Planned
) -> None:
    assert run().state == "success"
    path, _digest, ids = planned
    assert supervisor.result == {
        "counts": {"applied": 5},
        "report": path.replace("plan-", "report-"),
        "requests": 11,  # with the sign-in
    }
    assert [row_of(sandbox, id)["priceWithVat"] for id in ids] == [48] * 5


def test_a_conflict_fails_the_task_at_once_and_the_rest_is_written(
    sandbox: Sandbox, run: Callable[..., Ending], planned: Planned
) -> None:
    edit(sandbox, planned[2][1], priceWithVat=47.0)
    ending = run(retries=3)
    assert (ending.state, type(ending.error)) == ("failed", fail_exception())
    assert "1 of 5 rows aren't as planned: 1 conflict" in str(ending.error)
    assert len(sandbox.writes) == 4
    assert run(fail_on="none").state == "success"


def test_what_is_open_is_left_to_airflows_retries(sandbox: Sandbox, run: Callable[..., Ending]) -> None:
    sandbox.faults.append(Fault("reset", method="PATCH", times=1000))
    assert run(retries=1).state == "up_for_retry"
    sandbox.faults.clear()
    assert run(retries=1).state == "success"
    assert len(sandbox.writes) == 5


class TestApproval:
    def test_an_approved_plan_is_applied(self, run: Callable[..., Ending]) -> None:
        assert run(approval=answered()).state == "success"

    @pytest.mark.parametrize(
        ("approval", "message"),
        [
            ("{{ none }}", "somebody rejected it, or no task of that id has run"),
            (answered("Reject"), "ada chose something else than Approve"),
            (answered() | {"responded_by_user": None}, "nobody answered in time"),
            (answered(at=datetime(2026, 1, 1, tzinfo=timezone.utc)), "this plan was made after that"),
            ("yes", "approval must be an answer to a question"),
        ],
        ids=["rendered to nothing", "rejected", "silence", "of an earlier plan", "something else"],
    )
    def test_anything_else_writes_nothing(
        self, sandbox: Sandbox, run: Callable[..., Ending], approval: Any, message: str
    ) -> None:
        sandbox.requests.clear()
        ending = run(approval=approval, retries=3)
        assert (ending.state, type(ending.error)) == ("failed", fail_exception())
        assert message in str(ending.error)
        assert not sandbox.requests


class TestWrongPlans:
    def test_another_plan_than_was_approved_is_refused(self, sandbox: Sandbox, run: Callable[..., Ending]) -> None:
        ending = run(digest="0" * 64)
        assert ending.state == "failed"
        assert "isn't the plan" in str(ending.error)
        assert not sandbox.writes

    def test_a_plan_with_another_byte_is_refused(
        self, sandbox: Sandbox, run: Callable[..., Ending], planned: Planned
    ) -> None:
        file = Path(planned[0].removeprefix("file://"))
        file.write_bytes(file.read_bytes().replace(b'"48"', b'"49"', 1))
        assert run().state == "failed"
        assert not sandbox.writes

    def test_a_digest_that_is_rendered_to_nothing_is_refused(
        self, sandbox: Sandbox, run: Callable[..., Ending]
    ) -> None:
        ending = run(digest="{{ none }}")
        assert "digest must be the plan's digest" in str(ending.error)
        assert not sandbox.requests


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"plan": "plans/plan.jsonl"}, "plan must be an absolute path or an address"),
        ({"digest": "abc"}, "digest must be the plan's digest"),
        ({"method": "get"}, "method must be auto or patch or put"),
        ({"create": None}, "create must be put or post"),
        ({"fail_on": "all"}, "fail_on must be any, none or a share"),
        ({"settle": -1}, "settle must be a number of seconds"),
        ({"max_age": 24}, "max_age must be a timedelta"),
        ({"cloud_id": "abc"}, "cloud_id must be the cloud's number"),
        ({"dotypos_conn_id": ""}, "dotypos_conn_id must be the id"),
    ],
    ids=str,
)
def test_bad_literals_are_refused_when_the_dag_is_parsed(arguments: Any, message: str) -> None:
    with pytest.raises(DotyposInputError, match=message):
        DotyposApplyPlanOperator(task_id="apply", **{"plan": "/plans/p.jsonl", "digest": "0" * 64, **arguments})


def test_a_budget_that_is_used_up_gives_the_slot_back_and_takes_no_retry(
    sandbox: Sandbox, run: Callable[..., Ending], planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = sandbox.connection(sandbox.cloud_ids[0])
    connection["extra"]["request_budget"] = "10/30min each"
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(connection))
    ending = run(method="patch")
    assert ending.state == "up_for_reschedule"
    report = Path(planned[0].removeprefix("file://").replace("plan-", "report-"))
    assert json.loads(report.read_text().splitlines()[0])["counts"]["applied"] == 4


def test_the_hook_applies_a_plan_of_any_digest(sandbox: Sandbox, planned: Planned) -> None:
    path, digest, _ = planned
    with pytest.raises(DotyposPlanError, match="isn't the plan"):
        DotyposHook().apply_plan(path, "0" * 64)
    assert DotyposHook().apply_plan(path)["counts"] == {"applied": 5}
    assert DotyposHook().apply_plan(path, digest)["counts"] == {"applied": 5}


def test_a_kill_ends_the_waits(sandbox: Sandbox) -> None:
    operator = DotyposApplyPlanOperator(task_id="apply", plan="/plans/p.jsonl", digest="0" * 64)
    operator.on_kill()
    operator._hook = DotyposHook()
    operator.on_kill()
    assert operator._hook._cancelled
