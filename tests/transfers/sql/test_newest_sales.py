"""When branches have sold something last, in tables of each kind of database: the check of last sales."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_provider_dotypos._compat import fail_exception
from airflow_provider_dotypos.operators import freshness_check
from airflow_provider_dotypos.operators.freshness_check import DotyposFreshnessCheckOperator
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.transfers.dotypos_to_sql import DotyposToSqlOperator
from tests.sales.shops import ms
from tests.transfers.sql.databases import Warehouse

pytestmark = pytest.mark.usefixtures("connection")

BRANCHES = FIRST, SECOND, THIRD = 101, 102, 103
HOURS = {"mon-fri": "08:00-20:00"}


def sell(sandbox: Sandbox, branch: int, moment: str, kind: str = "RECEIPT") -> None:
    row = {"_branchId": branch, "completed": ms(moment), "versionDate": ms(moment), "documentType": kind}
    sandbox.shop.insert(sandbox.cloud_ids[0], "orders", row)


def load(until: int, **options: Any) -> None:
    """Load the orders of a month, or of an hour, that changed before a full hour of Monday (UTC)."""
    since = (
        datetime(2026, 2, 1, tzinfo=timezone.utc)
        if until == 9
        else datetime(2026, 3, 2, until - 1, tzinfo=timezone.utc)
    )
    window: Any = {"since": since, "until": datetime(2026, 3, 2, until, tzinfo=timezone.utc)}
    context: Any = {}
    DotyposToSqlOperator(task_id="load", entity="orders", conn_id="warehouse", **window, **options).execute(context)


def check(**options: Any) -> dict[str, Any]:
    context: Any = {}
    given = {"opening_hours": HOURS, "fail_on": (), "ask_tills": False, "branches": BRANCHES}
    return DotyposFreshnessCheckOperator(task_id="check", conn_id="warehouse", **given, **options).execute(context)


def verdicts(result: dict[str, Any]) -> list[str]:
    return [branch["verdict"] for branch in result["branches"]]


@pytest.mark.parametrize("options", [{}, {"naming": "api", "table": "sold"}], ids=repr)
def test_tables_that_do_not_reach_far_enough_are_late(
    sandbox: Sandbox, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    warehouse.store(monkeypatch)
    monkeypatch.setattr(freshness_check, "_now", lambda: ms("2026-03-02T11:00"))
    with pytest.raises(fail_exception(), match="there is no table"):
        check(**options)
    sell(sandbox, FIRST, "2026-03-02T09:30")
    sell(sandbox, SECOND, "2026-02-27T19:30")
    sell(sandbox, SECOND, "2026-03-02T10:30", "CASH_IN")
    sell(sandbox, THIRD, "2026-03-02T10:45")  # after what is loaded first
    load(9, **options)
    result = check(**options)
    assert verdicts(result) == ["late data", "no sale", "no sale"]
    assert result["covered_until"] == "2026-03-02T09:00:00.000Z"
    assert result["branches"][0]["last_sale"] == "2026-03-02T08:30:00.000Z"
    assert result["requests"] == 0
    load(10, **options)
    assert verdicts(check(**options)) == ["no sale", "no sale", "fresh"]


def test_a_view_counts_as_loaded_up_to_now(
    sandbox: Sandbox, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.store(monkeypatch)
    monkeypatch.setattr(freshness_check, "_now", lambda: ms("2026-03-02T11:00"))
    sell(sandbox, FIRST, "2026-03-02T09:30")
    load(9)
    connection = warehouse.connect()
    cursor = connection.cursor()
    cursor.execute("CREATE VIEW sold AS SELECT * FROM orders")
    if warehouse.kind == "sqlite":
        connection.commit()
    connection.close()
    result = check(table="sold")
    assert verdicts(result) == ["no sale"] * 3
    assert result["covered_until"] == "2026-03-02T10:00:00.000Z"
