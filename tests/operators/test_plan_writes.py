"""``DotyposPlanWritesOperator``: a plan made by a task.

Tested: `operators/plan_writes.py`, `hooks/writing.py`, `writes/planning/arguments.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator

from airflow_provider_dotypos._compat import fail_exception
from airflow_provider_dotypos.exceptions import DotyposInputError
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.operators.plan_writes import NARROWING, DotyposPlanWritesOperator
from airflow_provider_dotypos.operators.write import DotyposWriteOperator
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.writes.sources import Sql
from tests import task_runs
from tests.transfers.conftest import SINCE_MS
from tests.writes.made_plans import read

pytestmark = pytest.mark.usefixtures("connection")


def operator(tmp_path: Path, **arguments: Any) -> DotyposPlanWritesOperator:
    given = {"entity": "products", "source": [], "match": "externalId", "plan": f"{tmp_path}/plans"} | arguments
    return DotyposPlanWritesOperator(task_id="plan", **given)


def insert(sandbox: Sandbox, key: str, **row: Any) -> str:
    return str(sandbox.shop.insert(sandbox.cloud_ids[0], "products", {"externalId": key, **row})["id"])


def test_a_task_plans_and_returns_where_the_plan_is(sandbox: Sandbox, tmp_path: Path) -> None:
    id = insert(sandbox, "a", name="Old")
    with DAG("prices", schedule=None):
        task = operator(
            tmp_path, source=[{"externalId": "a", "name": "{{ run_id }}"}], plan=f"file://{tmp_path}/{{{{ run_id }}}}/"
        )
    with task_runs.supervised() as supervisor:
        ending = task_runs.run_task(task)
    assert ending.state == "success", ending
    result = supervisor.result
    header, rows = read(result["plan"])
    assert result["plan"].startswith(f"file://{tmp_path}/run/plan-")
    assert (result["digest"], result["counts"], result["requests"]) == (header.digest, header.counts, header.requests)
    assert [(row.id, dict(row.after)) for row in rows] == [(id, {"name": "run"})]
    assert result["summary"].startswith(
        "Bistro Pod Lípou (310101001): 1 update of products. Applying takes 2 requests."
    )


def test_a_csv_file_and_a_committed_set_are_sources(
    sandbox: Sandbox, tmp_path: Path, extract: Callable[..., dict[str, Any]]
) -> None:
    insert(sandbox, "a", name="Old", versionDate=SINCE_MS)
    (tmp_path / "rows.csv").write_text("externalId;name\na;New\n")
    assert operator(tmp_path, source=f"{tmp_path}/rows.csv").execute({})["counts"]["update"] == 1
    result = extract(entity="products", since=None)
    for source in (result, result["manifest"]):
        made = operator(tmp_path, source=source, match="id", fields="name").execute({})
        assert made["counts"] == {"rows": 1, "unchanged": 1}


def test_the_hook_plans_for_a_task_of_ones_own(sandbox: Sandbox, tmp_path: Path) -> None:
    insert(sandbox, "a", name="Old")
    rows = iter([{"externalId": "a", "name": "New"}])
    made = DotyposHook().plan_writes("products", rows, "externalId", f"{tmp_path}/plans")
    assert made.keys() == {"plan", "digest", "counts", "requests", "summary"}


def test_wrong_rows_and_exceeded_limits_end_the_task_for_good(sandbox: Sandbox, tmp_path: Path) -> None:
    insert(sandbox, "a", priceWithVat=100.0, vat=1.21)
    for row, what in (({"nmae": 1}, "did you mean 'name'"), ({"priceWithVat": 1000}, "limits={'price_move'")):
        with pytest.raises(fail_exception(), match=what):
            operator(tmp_path, source=[{"externalId": "a", **row}]).execute({})
    assert not (tmp_path / "plans").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"entity": "product"}, "did you mean 'products'"),
        ({"entity": "orders"}, "the API documents no write"),
        ({"entity": "warehouse-products"}, "the API documents no write"),
        ({"entity": "manifest"}, "is one object"),
        ({"match": "externalID"}, "did you mean 'externalId'"),
        ({"match": ""}, "match is empty"),
        ({"source": 5}, "source can't be a value of type int"),
        ({"source": "rows.csv"}, "source must be an absolute path"),
        ({"source": "/rows.xls"}, "must end in"),
        ({"plan": "plans"}, "plan must be an absolute path"),
        ({"actions": "upsert"}, "there is no action 'upsert'. Actions: update, create, delete"),
        ({"actions": "updat"}, "did you mean 'update'"),
        ({"actions": ()}, "must name at least one"),
        ({"actions": "update,delete"}, "delete goes alone"),
        ({"actions": "create", "match": "id"}, "a row that is matched by id can't be created"),
        ({"entity": "tags", "match": "name"}, "the API has no call to update a row of tags"),
        ({"fields": "nmae"}, "did you mean 'name'"),
        ({"fields": "versionDate"}, "can't be written"),
        ({"fields": ""}, "names no field"),
        ({"nulls": "clean"}, "nulls must be keep or clear"),
        ({"limits": {"changs": 1}}, "did you mean 'changes'"),
        ({"limits": {"changes": "all"}}, "changes must be a share such as 0.3"),
        ({"currency": "Kč"}, "currency must be a code such as CZK"),
        ({"entity": "portions", "match": "portion,price", "actions": "create", "currency": "CZK"}, "have no currency"),
        ({"dotypos_conn_id": ""}, "dotypos_conn_id must be the id"),
        ({"cloud_id": "cloud"}, "cloud_id must be the cloud's number"),
    ],
)
def test_what_a_dag_gets_wrong_is_said_when_it_is_parsed(
    arguments: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DotyposInputError, match=message.replace("(", r"\(").replace(".", r"\.")):
        operator(tmp_path, **arguments)


def test_templates_are_checked_when_the_task_runs(tmp_path: Path) -> None:
    task = operator(
        tmp_path,
        entity="{{ params.entity }}",
        match="{{ x }}",
        actions="{{ x }}",
        limits={"changes": "{{ x }}"},
        source=Sql("{{ x }}", "SELECT 1"),
        plan="{{ x }}",
    )
    task.entity = "product"
    with pytest.raises(fail_exception(), match="did you mean 'products'"):
        task.execute({})


@pytest.mark.parametrize("argument", NARROWING)
@pytest.mark.parametrize("kind", [DotyposPlanWritesOperator, DotyposWriteOperator])
def test_a_result_of_none_does_not_widen_a_plan(tmp_path: Path, kind: type[BaseOperator], argument: str) -> None:
    given = {"entity": "products", "source": [], "match": "externalId", "plan": f"{tmp_path}/plans"}
    task: Any = kind(task_id="plan", **given, **{argument: "{{ nothing }}"})
    setattr(task, argument, None)
    with pytest.raises(fail_exception(), match=f"{argument} is empty: its template rendered to nothing"):
        task.execute({})


def test_a_killed_task_ends_its_waits(tmp_path: Path) -> None:
    task = operator(tmp_path)
    task.on_kill()  # before it has begun
    task._hook = DotyposHook()
    task.on_kill()
    assert task._hook._cancelled
