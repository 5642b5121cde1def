"""Files and tables erased together: what lies in one shows whose rows in the other are."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.lake.erasure.erasing import Erasure
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.transfers.sql.database import Database
from tests.lake.lakes import CLOUD, Rows, commit_set
from tests.lake.persons import HER, MARK, marked_row, plain_row
from tests.transfers.sql.databases import Warehouse
from tests.transfers.sql.test_dotypos_to_sql import load

SINCE = datetime(2026, 3, 1, tzinfo=timezone.utc)
MOMENT = int(SINCE.timestamp() * 1000) + 3_600_000


@pytest.mark.parametrize("warehouse", ["sqlite"], indirect=True)
def test_an_order_in_a_table_shows_whose_payments_in_files_are(
    warehouse: Warehouse, connection: None, sandbox: Sandbox, tmp_path: Path
) -> None:
    """And an account in files shows whose entries in a table are."""
    cloud = sandbox.cloud_ids[0]
    assert cloud == CLOUD
    order = {"id": 501, "_customerId": int(HER), "note": MARK, "versionDate": MOMENT}
    sandbox.shop.insert(cloud, "orders", order)
    for id, account in ((541, 531), (542, 532)):
        note = MARK if account == 531 else "stays"
        entry: dict[str, Any] = {"id": id, "_customerAccountId": account, "note": note, "created": MOMENT}
        sandbox.shop.insert(cloud, "customer-account-logs", entry)
    for entity in ("orders", "order-items", "customer-account-logs"):
        load(entity=entity, since=SINCE, until=SINCE + timedelta(days=1))
    destination = ObjectStoragePath(f"file://{tmp_path}/lake")
    payments = [marked_row("money-logs", id="521", _orderId="501"), plain_row("money-logs", id="522", _orderId="502")]
    account = plain_row("customer-accounts", id="531", _customerId=HER)
    commit_set(destination, Window(0, 1), [Rows(0, 1, payments)], entity="money-logs")
    commit_set(destination, Window(0, 1), [Rows(0, 1, [account])], entity="customer-accounts")
    # No column of a table holds this item's id.
    order = plain_row("orders", id="503", orderItems=[plain_row("order-items", id=str(2**63), _customerId=HER)])
    commit_set(destination, Window(0, 1), [Rows(0, 1, [order])], entity="orders", include="orderItems")

    with closing(Database.of("warehouse", 1)) as database:
        report = Erasure(int(HER), destination, database, dry_run=False).run()
    [part] = (tmp_path / "lake" / str(CLOUD) / "money-logs").rglob("g*.jsonl")
    assert [json.loads(line)["note"] for line in part.read_text().splitlines()] == [None, "kept note"]
    assert warehouse.rows("SELECT note FROM orders") == [(None,)]
    assert sorted(warehouse.rows("SELECT note FROM customer_account_logs")) == [("",), ("stays",)]
    totals = report.totals()
    assert (totals["sets"], totals["tables"], totals["searched_sets"], totals["searched_tables"]) == (2, 2, 3, 3)
