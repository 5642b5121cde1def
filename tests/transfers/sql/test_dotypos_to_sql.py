"""The operator into real databases: windows, resumption, the watermark. This tests `sql_tables`, too."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.transfers.dotypos_to_sql import DotyposToSqlOperator
from tests.transfers.conftest import SINCE, UNTIL
from tests.transfers.sql.databases import Warehouse

Load = Callable[..., dict[str, Any]]


def context_of(run: str = "r1", at: datetime = UNTIL, try_number: int = 1) -> Any:
    ti = SimpleNamespace(try_number=try_number, dag_id="d", task_id="t", run_id=run, map_index=-1)
    return {"ti": ti, "dag_run": SimpleNamespace(run_after=at), "run_id": run}


def operator(**arguments: Any) -> DotyposToSqlOperator:
    arguments = {"entity": "orders", "conn_id": "warehouse", "concurrency": 4, **arguments}
    return DotyposToSqlOperator(task_id="t", **arguments)


def load(context: Any = None, **arguments: Any) -> dict[str, Any]:
    return operator(**arguments).execute(context or context_of())


def window(**arguments: Any) -> dict[str, Any]:
    return load(since=SINCE, until=UNTIL, **arguments)


def ids(warehouse: Warehouse, table: str = "orders") -> list[str]:
    return sorted(str(row[0]) for row in warehouse.rows(f"SELECT id FROM {table}"))


def leftovers(warehouse: Warehouse) -> tuple[list[str], Any]:
    """Return the staging tables that are left, and the number of parts."""
    staging = [name for name in warehouse.tables() if name.startswith("_dotypos_staging")]
    return staging, warehouse.rows("SELECT count(*) FROM _dotypos_parts")[0][0]


@pytest.fixture(autouse=True)
def ready(connection: None) -> None:
    pass


def test_a_window_is_loaded_once(warehouse: Warehouse, orders: list[str], sandbox: Sandbox) -> None:
    result = window()
    assert ids(warehouse) == sorted(orders)
    assert result == {
        "table": "orders",
        "entity": "orders",
        "cloud_id": sandbox.cloud_ids[0],
        "since": "2026-03-01T00:00:00.000Z",
        "until": "2026-03-02T00:00:00.000Z",
        "rows": len(orders),
        "inserted": len(orders),
        "updated": 0,
        "unchanged": 0,
        "removed": 0,
        "load_id": result["load_id"],
    }
    assert leftovers(warehouse) == ([], 0)
    json.dumps(result)
    asked = len(sandbox.requests)
    assert window() == result
    assert [request.path for request in sandbox.requests[asked:]] == []
    again = window(reload=True)
    assert (again["inserted"], again["updated"], again["unchanged"]) == (0, 0, len(orders))
