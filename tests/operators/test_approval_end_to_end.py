"""Plan, approve, apply: Airflow's `ApprovalOperator` in between, run by its task runner (`applying/approval.py`).

``tests/example_dags`` runs the same through Airflow itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, TriggerRule

from airflow_provider_dotypos._compat import fail_exception
from airflow_provider_dotypos.operators.apply_plan import DotyposApplyPlanOperator
from airflow_provider_dotypos.operators.plan_writes import DotyposPlanWritesOperator
from airflow_provider_dotypos.sandbox import Sandbox
from tests import task_runs
from tests.task_runs import Ending, Supervisor, run_task

pytestmark = pytest.mark.usefixtures("connection")

PERSON = {"id": "7", "name": "jana"}


class Flow:
    """The three tasks of a run, and the products that they are about.

    :ivar ids: the products' ids.
    """

    def __init__(self, sandbox: Sandbox, folder: Path, supervisor: Supervisor, **arguments: Any) -> None:
        self.sandbox = sandbox
        self.supervisor = supervisor
        prices = {"priceWithVat": 100.0, "priceWithoutVat": 100 / 1.21, "vat": 1.21}
        self.ids = [sandbox.shop.insert(self.cloud, "products", {"externalId": key} | prices)["id"] for key in "ab"]
        self.source = [{"externalId": key, "priceWithVat": "110"} for key in "ab"]
        pulled = "{{{{ ti.xcom_pull('plan')['{}'] }}}}".format
        with DAG("prices", schedule=None):
            self.plan = DotyposPlanWritesOperator(
                task_id="plan", entity="products", source=self.source, match="externalId", plan=f"{folder}/plans"
            )
            self.approve = ApprovalOperator(task_id="approve", subject="Prices", body=pulled("summary"))
            given = {"approval": "{{ ti.xcom_pull('approve') }}"} | arguments
            self.apply = DotyposApplyPlanOperator(
                task_id="apply", plan=pulled("plan"), digest=pulled("digest"), settle=0, **given
            )
            self.plan >> self.approve >> self.apply
        assert run_task(self.plan).state == "success"

    @property
    def cloud(self) -> int:
        return self.sandbox.cloud_ids[0]

    @property
    def prices(self) -> list[float]:
        rows = {row["id"]: row["priceWithVat"] for row in self.sandbox.shop.rows(self.cloud, "products")}
        return [rows[id] for id in self.ids]

    @property
    def writes(self) -> int:
        return len(self.sandbox.writes)

    def answer(self, option: str, *, user: Any = PERSON, at: datetime | None = None) -> Ending:
        """Have the approving task ask, and go on with an answer."""
        assert run_task(self.approve).state in ("awaiting_input", "deferred")
        event = {
            "chosen_options": [option],
            "params_input": {},
            "responded_at": at or datetime.now(timezone.utc),
            "responded_by_user": user,
            "timedout": user is None,
        }
        return run_task(self.approve, next_method="execute_complete", next_kwargs={"event": event})


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with task_runs.supervised() as supervisor:
        yield supervisor


@pytest.fixture
def flow(sandbox: Sandbox, tmp_path: Path, supervisor: Supervisor) -> Flow:
    return Flow(sandbox, tmp_path, supervisor)


def test_what_a_person_approves_is_applied(flow: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    flow.answer("Approve")
    assert run_task(flow.apply).state == "success"
    assert flow.prices == [110, 110]
    assert flow.supervisor.result["counts"] == {"applied": 2}
    assert "The plan was approved by jana at " in capsys.readouterr().out


def test_an_answer_by_xcom_arg_does_as_well(sandbox: Sandbox, tmp_path: Path, supervisor: Supervisor) -> None:
    flow = Flow(sandbox, tmp_path, supervisor)
    flow.apply.approval = flow.approve.output
    flow.answer("Approve")
    assert run_task(flow.apply).state == "success"
    assert flow.prices == [110, 110]


def test_a_rejected_plan_isnt_applied(flow: Flow) -> None:
    flow.answer("Reject")
    skipped = [msg.tasks for msg in flow.supervisor.reported if type(msg).__name__ == "SkipDownstreamTasks"]
    assert skipped == [["apply"]]
    assert flow.writes == 0


@pytest.mark.parametrize("asked", ["rejected", "nobody", "not asked", "other option"])
def test_a_task_that_runs_all_the_same_refuses(
    sandbox: Sandbox, tmp_path: Path, supervisor: Supervisor, asked: str
) -> None:
    """As with ``trigger_rule="all_done"``, which *Reject* doesn't hold back."""
    flow = Flow(sandbox, tmp_path, supervisor, trigger_rule=TriggerRule.ALL_DONE)
    requests = len(sandbox.requests)
    if asked == "rejected":
        flow.answer("Reject")
    elif asked == "nobody":
        flow.answer("Approve", user=None)  # what defaults=["Approve"] makes of a time-out
    elif asked == "other option":
        flow.approve.options.append("Later")
        flow.answer("Later")
    ending = run_task(flow.apply)
    assert isinstance(ending.error, fail_exception())
    assert "isn't approved" in str(ending.error)
    assert len(sandbox.requests) == requests
    assert flow.prices == [100, 100]


def test_an_edit_after_the_approval_stays_and_the_rest_is_applied(flow: Flow) -> None:
    flow.answer("Approve")
    flow.sandbox.shop.update(flow.cloud, "products", flow.ids[0], {"priceWithVat": 105.0})
    ending = run_task(flow.apply)
    assert isinstance(ending.error, fail_exception())
    assert "1 applied" not in str(ending.error)
    assert "1 conflict" in str(ending.error)
    assert flow.prices == [105, 110]


def test_an_approval_of_an_earlier_plan_doesnt_count_for_a_new_one(flow: Flow) -> None:
    flow.answer("Approve", at=datetime.now(timezone.utc) - timedelta(minutes=1))
    run_task(flow.plan)  # cleared alone: the approving task keeps its answer
    ending = run_task(flow.apply)
    assert isinstance(ending.error, fail_exception())
    assert "about an earlier plan" in str(ending.error)
    assert flow.writes == 0


def test_the_digest_of_an_earlier_plan_is_refused(flow: Flow) -> None:
    flow.answer("Approve")
    flow.apply.digest = "0" * 64
    ending = run_task(flow.apply)
    assert isinstance(ending.error, fail_exception())
    assert "digest" in str(ending.error)
    assert flow.writes == 0


def test_an_altered_plan_is_refused(flow: Flow, tmp_path: Path) -> None:
    flow.answer("Approve")
    (file,) = (tmp_path / "plans").glob("plan-*.jsonl")
    file.write_text(file.read_text().replace('"110"', '"111"', 1))
    ending = run_task(flow.apply)
    assert isinstance(ending.error, fail_exception())
    assert "was changed" in str(ending.error)
    assert flow.writes == 0


def test_what_the_person_is_asked_says_what_changes(flow: Flow) -> None:
    run_task(flow.approve)
    (question,) = [msg for msg in flow.supervisor.reported if type(msg).__name__ == "CreateHITLDetailPayload"]
    assert "2 updates of products" in question.body
    assert "100" in question.body
    assert "110" in question.body


def test_without_the_argument_no_approval_is_needed(sandbox: Sandbox, tmp_path: Path, supervisor: Supervisor) -> None:
    flow = Flow(sandbox, tmp_path, supervisor, approval=None)
    assert run_task(flow.apply).state == "success"
    assert flow.prices == [110, 110]
