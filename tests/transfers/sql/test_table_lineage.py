"""What loads into tables tell hook lineage, OpenLineage and asset events (`sql_tables`)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk import Asset, AssetAlias
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.sandbox.errors import RefusedError
from airflow_provider_dotypos.transfers.sql.database import Database
from airflow_provider_dotypos.transfers.sql.location import Location
from tests.hook_lineage import collect_lineage, inputs_and_outputs
from tests.transfers.conftest import SINCE, SINCE_MS, UNTIL
from tests.transfers.sql.databases import Warehouse
from tests.transfers.sql.test_dotypos_to_sql import context_of, operator
from tests.transfers.test_lineage import events_of

pytestmark = pytest.mark.usefixtures("connection")


def uri_of(table: str) -> str:
    """Return the URI that Airflow gives a table's asset."""
    location = Location.of(Database.of("warehouse", 1))
    path = "/".join(location.names).removeprefix("/")
    return str(Asset(uri=f"{location.scheme}://{location.server}/{path}/{table}").uri)


def test_lineage_names_the_list_and_its_tables(
    warehouse: Warehouse, orders: list[str], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = sandbox.cloud_ids[0]
    order = sandbox.shop.insert(cloud, "orders", {"versionDate": SINCE_MS})
    sandbox.shop.insert(cloud, "order-items", {"versionDate": SINCE_MS, "_orderId": order["id"]})
    collector = collect_lineage(monkeypatch)
    task = operator(since=SINCE, until=UNTIL, include="orderItems")
    result = task.execute(context_of())
    host = sandbox.url.removeprefix("http://")
    tables = [uri_of("orders"), uri_of("order_items")]
    assert inputs_and_outputs(collector) == ([f"dotypos://{host}/{cloud}/orders"], tables)

    sent = events_of(task)
    (read,), (orders_table, items_table) = sent["inputs"], sent["outputs"]
    assert (read["namespace"], read["name"]) == (f"dotypos://{host}", f"{cloud}/orders")
    assert orders_table["name"].split(".")[-1] == "orders"
    assert items_table["name"].split(".")[-1] == "order_items"
    assert orders_table["outputFacets"]["outputStatistics"]["rowCount"] == result["inserted"]
    assert "outputFacets" not in items_table or not items_table["outputFacets"]
    types = {field["name"]: field["type"] for field in orders_table["facets"]["schema"]["fields"]}
    assert {"cloud_id", "version_date", "_read_at"} <= set(types)
    sources = orders_table["facets"]["columnLineage"]["fields"]
    assert sources["version_date"]["inputFields"][0]["field"] == "versionDate"
    assert "_read_at" not in sources
    assert sandbox.refresh_token not in json.dumps(sent)


def test_an_alias_gets_an_event_of_the_table(postgres: Warehouse, orders: list[str]) -> None:
    alias = AssetAlias("orders in the warehouse")
    events = OutletEventAccessors()
    task = operator(since=SINCE, until=UNTIL, outlets=[alias])
    result = task.execute({**context_of(), "outlet_events": events})
    (event,) = events[alias].asset_alias_events
    assert (event.dest_asset_key.uri, event.extra) == (uri_of("orders"), result)


def test_a_tables_asset_as_outlet_has_the_event_of_its_list(postgres: Warehouse, orders: list[str]) -> None:
    asset: Any = Asset(uri=uri_of("orders"))
    events = OutletEventAccessors()
    result = operator(since=SINCE, until=UNTIL, outlets=[asset]).execute({**context_of(), "outlet_events": events})
    assert events[asset].extra == result


def test_a_load_that_fails_has_no_lineage(
    postgres: Warehouse, refuse: Callable[[str, RefusedError], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    collector = collect_lineage(monkeypatch)
    refuse("orders", RefusedError(400, "BAD_REQUEST", "not now"))
    task = operator(since=SINCE, until=UNTIL)
    with pytest.raises(Exception, match="not now"):
        task.execute(context_of())
    assert inputs_and_outputs(collector) == ([], [])
    assert events_of(task) == {"inputs": [], "outputs": []}
