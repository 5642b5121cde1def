from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_dotypos._compat import fail_exception
from airflow_provider_dotypos.exceptions import DotyposConnectionError, DotyposInputError, DotyposWritesFailedError
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.operators.write import DotyposWriteOperator
from airflow_provider_dotypos.sandbox import Sandbox
from tests import task_runs
from tests.task_runs import Supervisor, run_task

pytestmark = pytest.mark.usefixtures("connection")

ROWS = [{"externalId": "a", "name": "New"}]


@pytest.fixture(autouse=True)
def product(sandbox: Sandbox) -> int:
    """Return the id of the product that is written."""
    id: int = sandbox.shop.insert(sandbox.cloud_ids[0], "products", {"externalId": "a", "name": "Old"})["id"]
    return id


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with task_runs.supervised() as supervisor:
        yield supervisor


def operator(folder: Path, **arguments: Any) -> DotyposWriteOperator:
    given = {"entity": "products", "source": ROWS, "match": "externalId", "plan": f"{folder}/plans", "settle": 0}
    with DAG("writes", schedule=None):
        return DotyposWriteOperator(task_id="write", **given | arguments)


def plans(folder: Path) -> list[Path]:
    return [*(folder / "plans").glob("plan-*.jsonl")]


def names(sandbox: Sandbox) -> list[str]:
    return [row["name"] for row in sandbox.shop.rows(sandbox.cloud_ids[0], "products")]


def test_a_task_plans_and_applies(sandbox: Sandbox, tmp_path: Path, supervisor: Supervisor) -> None:
    assert run_task(operator(tmp_path)).state == "success"
    assert names(sandbox) == ["New"]
    result = supervisor.result
    assert result["planned"]["counts"] == {"rows": 1, "update": 1}
    assert result["applied"]["counts"] == {"applied": 1}
    assert not [*(tmp_path / "plans").glob("unfinished*")]


def test_a_second_run_writes_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    operator(tmp_path).execute({})
    written = len(sandbox.writes)
    assert operator(tmp_path).execute({})["planned"]["counts"] == {"rows": 1, "unchanged": 1}
    assert len(sandbox.writes) == written == 1


def test_a_dry_run_stops_after_the_plan(sandbox: Sandbox, tmp_path: Path) -> None:
    result = operator(tmp_path, dry_run=True).execute({})
    assert result["applied"] is None
    assert len(plans(tmp_path)) == 1
    assert names(sandbox) == ["Old"]


def broken_off(monkeypatch: pytest.MonkeyPatch, folder: Path, error: Exception) -> None:
    """Run a try that ends after its plan is made."""

    def apply_plan(*_: Any, **__: Any) -> Any:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(DotyposHook, "apply_plan", apply_plan)
        assert run_task(operator(folder)).error is not None


def test_a_try_after_one_that_was_broken_off_applies_its_plan(
    sandbox: Sandbox, tmp_path: Path, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_off(monkeypatch, tmp_path, DotyposConnectionError("cut"))
    (plan,) = plans(tmp_path)
    assert run_task(operator(tmp_path), try_number=2).state == "success"
    assert plans(tmp_path) == [plan]
    assert supervisor.result["planned"]["plan"].endswith(plan.name)
    assert names(sandbox) == ["New"]


def test_a_try_whose_source_was_corrected_plans_anew(
    sandbox: Sandbox, tmp_path: Path, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_off(monkeypatch, tmp_path, DotyposConnectionError("cut"))
    corrected = [{"externalId": "a", "name": "Corrected"}]
    assert run_task(operator(tmp_path, source=corrected), try_number=2).state == "success"
    assert len(plans(tmp_path)) == 2
    assert names(sandbox) == ["Corrected"]


@pytest.mark.parametrize("status", ["rejected", "uncertain"])
def test_a_plan_is_kept_as_long_as_a_row_is_open(
    tmp_path: Path, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    error = DotyposWritesFailedError("some rows", counts={"applied": 1, status: 1}, report="r")
    broken_off(monkeypatch, tmp_path, error)
    assert len([*(tmp_path / "plans").glob("unfinished*")]) == (status == "uncertain")


def test_a_limit_holds_here_as_well(sandbox: Sandbox, tmp_path: Path, supervisor: Supervisor) -> None:
    ending = run_task(operator(tmp_path, source=[]))
    assert isinstance(ending.error, fail_exception())
    assert "empty_source" in str(ending.error)


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ({"entity": "product"}, "did you mean 'products'"),
        ({"match": "sku"}, "has no field 'sku'"),
        ({"dry_run": "False"}, "dry_run must be True or False"),
        ({"method": "post"}, "method must be"),
        ({"create": "patch"}, "create must be"),
        ({"fail_on": 2}, "fail_on must be"),
        ({"settle": -1}, "settle"),
        ({"plan": "plans"}, "plan must be an absolute path"),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_a_mistake_shows_when_the_dag_is_parsed(tmp_path: Path, argument: dict[str, Any], reason: str) -> None:
    with pytest.raises(DotyposInputError, match=reason):
        operator(tmp_path, **argument)
