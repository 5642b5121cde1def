"""The generated shop, its life, the reports on it, and the ways to start a sandbox."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest
import requests

from airflow_provider_dotypos.api.entities import entities
from airflow_provider_dotypos.commands import sandbox as command
from airflow_provider_dotypos.sandbox import Behaviour, Sandbox, Shop
from tests.sandbox.conftest import Api

pytest_plugins = ["pytester"]

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop.generate(seed=3, days=14, now=NOW, orders_per_day=60)


def test_the_same_seed_makes_the_same_shop(shop: Shop) -> None:
    again = Shop.generate(seed=3, days=14, now=NOW, orders_per_day=60)
    other = Shop.generate(seed=4, days=14, now=NOW, orders_per_day=60)
    for cloud in shop.cloud_ids:
        for name in ("orders", "order-items", "money-logs", "products", "customers", "warehouse-products"):
            assert shop.rows(cloud, name) == again.rows(cloud, name)
        assert shop.rows(cloud, "orders") != other.rows(cloud, "orders")


def test_every_entity_has_rows_but_webhooks(shop: Shop) -> None:
    for name, entity in entities().items():
        if entity.listed and name not in ("clouds", "webhooks"):
            assert shop.rows(shop.cloud_ids[0], name), name


def test_guests_keep_the_hours_of_a_bistro(shop: Shop) -> None:
    zone = ZoneInfo("Europe/Prague")
    orders = shop.rows(shop.cloud_ids[0], "orders")
    hours = Counter(datetime.fromtimestamp(order["created"] / 1000, zone).hour for order in orders)
    assert hours[12] > 2 * hours[15]
    assert hours[3] == 0
    assert len(orders) == pytest.approx(14 * 60, rel=0.2)


def test_orders_add_up(shop: Shop) -> None:
    cloud = shop.cloud_ids[1]
    items, logs = shop.table(cloud, "order-items"), shop.table(cloud, "money-logs")
    for order in shop.rows(cloud, "orders"):
        children = items.children(order["id"])
        assert len(children) == order["itemCount"]
        total = sum(item["totalPriceWithVat"] for item in children)
        assert order["totalValueRounded"] == pytest.approx(total, abs=0.011)
        paid = sum(log["amount"] for log in logs.children(order["id"]))
        assert paid == pytest.approx(order["totalValueRounded"] if order["paid"] else 0)


def test_history_has_the_odd_things_that_real_data_has(shop: Shop) -> None:
    orders = shop.rows(shop.cloud_ids[0], "orders")
    assert any(order["flags"] & 4 and order["_sourceOrderId"] for order in orders)
    assert any(order["flags"] & 2 and order["canceledDate"] for order in orders)
    late = [o for o in orders if o["completed"] and o["versionDate"] - o["completed"] > 3_600_000]
    assert late
    assert any(order["tipAmount"] for order in orders)
    now = NOW.timestamp() * 1000
    assert all(order["versionDate"] <= now for order in orders)
    assert shop.open_orders(shop.cloud_ids[0])
    products = shop.rows(shop.cloud_ids[0], "products")
    assert {product["deleted"] for product in products} == {True, False, None}


def test_the_default_shop_is_made_quickly() -> None:
    started = time.process_time()
    Shop.generate()
    assert time.process_time() - started < 4  # about 1.5 s alone


def test_life_goes_on_behind_nobodys_back() -> None:
    shop = Shop.generate(days=2, now=NOW, orders_per_day=100, ticking=False)
    shop.lively = True
    cloud = shop.cloud_ids[0]
    before = shop.now()
    known = {name: {r["id"]: r for r in shop.rows(cloud, name)} for name in ("orders", "order-items", "money-logs")}
    shop.advance(4 * 3600)
    for name, rows in known.items():
        changed = [row for row in shop.rows(cloud, name) if rows.get(row["id"]) != row]
        assert changed
        assert all(before < row["versionDate"] <= shop.now() for row in changed)
    assert any(r["stockStatusVersiondate"] > before for r in shop.rows(cloud, "warehouse-products"))
    assert any(r["versionDate"] > before for r in shop.rows(cloud, "products"))


def test_a_quiet_shop_only_grows_older() -> None:
    shop = Shop.generate(days=1, now=NOW, ticking=False)
    before = shop.rows(shop.cloud_ids[0], "orders")
    shop.advance(86400)
    assert shop.rows(shop.cloud_ids[0], "orders") == before
    assert shop.now() == round(NOW.timestamp() * 1000) + 86_400_000


def test_lists_of_ten_thousand_rows_are_quick() -> None:
    shop = Shop.empty()
    cloud, now = shop.cloud_ids[0], shop.now()
    for number in range(10_000):
        shop.insert(cloud, "orders", {"versionDate": now - number // 3})
    params = {
        "filter": f"versionDate|gteq|{now - 3000};versionDate|lt|{now}",
        "sort": "versionDate,created",
        "limit": "100",
    }
    shop.list(cloud, "orders", params)
    started = time.process_time()
    for _ in range(20):
        shop.list(cloud, "orders", params)
    assert (time.process_time() - started) / 20 < 0.005


def test_the_sales_report_agrees_with_the_orders(api: Api, sandbox: Sandbox, cloud: int, shop: Shop) -> None:
    sandbox.shop = shop
    start, end = (round(datetime(2026, 2, day, tzinfo=timezone.utc).timestamp() * 1000) for day in (20, 21))
    path = f"branches/{cloud + 100_000_000}/sales-report"
    report = api("GET", path, params={"dateFrom": "2026-02-20T00:00:00Z", "dateTo": end}).json()
    orders = [o for o in shop.rows(cloud, "orders") if o["completed"] and start <= o["completed"] < end]
    assert set(report) == set(entities()["sales-report"].fields)
    assert report["receiptInfo"][0]["count"] == len(orders) > 20
    assert report["receiptInfo"][0]["value"] == pytest.approx(sum(o["totalValueRounded"] for o in orders))
    by_product = sum(line["value"] for line in report["productSales"])
    assert report["revenue"]["totalWithVat"] == pytest.approx(by_product, abs=0.5)
    refused = api("GET", path, params={"dateFrom": "yesterday", "since": 1})
    assert {v["fieldName"] for v in refused.json()["violations"]} == {"since", "dateFrom", "dateTo"}


def test_the_manifest_names_the_branches(api: Api, cloud: int) -> None:
    manifest = api("GET", "manifest").json()
    assert (manifest["cloud"]["currency"], manifest["branches"][0]["branchId"]) == (
        "CZK",
        str(cloud + 100_000_000),
    )


def test_walking_a_live_cloud_by_cursor_reaches_every_order(api: Api, sandbox: Sandbox, shop: Shop) -> None:
    sandbox.shop, sandbox.behaviour = shop, Behaviour(ties="shuffled")
    seen: set[str] = set()
    since = "0"
    while True:
        params = {"filter": f"versionDate|gteq|{since}", "sort": "versionDate", "limit": "100"}
        data = api("GET", "orders", params=params).json()["data"]
        seen |= {row["id"] for row in data}
        if len(data) < 100:
            break
        since = data[-1]["versionDate"]
    assert seen == {str(row["id"]) for row in shop.rows(shop.cloud_ids[0], "orders")}


class TestCommand:
    def test_every_switch_is_an_option(self) -> None:
        args = command.parser().parse_args(
            [
                "--ties",
                "shuffled",
                "--commit-lag",
                "2",
                "--order-version-moves-with-items",
                "--timestamp-zone=+01:00",
            ]
        )
        assert (args.ties, args.commit_lag, args.order_version_moves_with_items) == ("shuffled", 2.0, True)
        assert (args.timestamp_zone, args.port, args.days) == ("+01:00", 8765, 60)

    def test_it_says_how_airflow_gets_there_and_runs_until_interrupted(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        answered = []

        def interrupt(seconds: float) -> None:
            if seconds >= 1:
                line = next(part for part in said().splitlines() if "--conn-json" in part)
                connection = json.loads(shlex.split(line)[-1])
                answered.append(requests.get(f"{connection['host']}:{connection['port']}/_sandbox", timeout=5).json())
                raise KeyboardInterrupt

        def said() -> str:
            return str(capsys.readouterr().out)

        monkeypatch.setattr("airflow_provider_dotypos.commands.sandbox.time.sleep", interrupt)
        assert command.run(["--port", "0", "--days", "1", "--orders-per-day", "5", "--numbers", "number"]) == 0
        assert answered[0]["behaviour"]["numbers"] == "number"

    def test_a_taken_port_is_told(self, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
        port = sandbox.url.rpartition(":")[2]
        assert command.run(["--port", port, "--days", "1", "--orders-per-day", "1"]) == 1
        assert "--port" in capsys.readouterr().out


def test_the_pytest_fixtures(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import json, os, requests
        pytest_plugins = ["airflow_provider_dotypos.sandbox.pytest_plugin"]

        def test_connection(dotypos_connection, dotypos_sandbox):
            assert dotypos_connection == "dotypos_default"
            told = json.loads(os.environ["AIRFLOW_CONN_DOTYPOS_DEFAULT"])
            url = f"{told['host']}:{told['port']}"
            assert url == dotypos_sandbox.url
            assert requests.get(url + "/_sandbox", timeout=5).json()["rows"]
        """
    )
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_the_sandbox_needs_no_airflow_and_its_data_no_server() -> None:
    code = (
        "import sys; from airflow_provider_dotypos.sandbox import Shop; Shop.empty();"
        "assert not {'fastapi', 'uvicorn'} & set(sys.modules);"
        "from airflow_provider_dotypos.sandbox import Sandbox; assert 'airflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_a_lively_shop_copes_with_whatever_rows_it_holds() -> None:
    shop = Shop.empty(now=NOW, ticking=False)
    for cloud in shop.cloud_ids:
        shop.insert(cloud, "products", {"priceWithoutVat": 100.0})  # no price with VAT, no stock, no employees
    shop.lively = True
    shop.advance(86400)
    assert shop.rows(shop.cloud_ids[0], "orders")
