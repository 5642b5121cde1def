"""The generated shop and its life.

Tests `sandbox/furnished`, `bistro/bistro`, `bistro/furnish`, `bistro/life`, `bistro/menu`.
"""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest

from airflow_provider_dotypos.api.entities import entities
from airflow_provider_dotypos.sandbox import Behaviour, Sandbox, Shop
from tests.sandbox.conftest import Api

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


def test_a_lively_shop_copes_with_whatever_rows_it_holds() -> None:
    shop = Shop.empty(now=NOW, ticking=False)
    for cloud in shop.cloud_ids:
        shop.insert(cloud, "products", {"priceWithoutVat": 100.0})  # no price with VAT, no stock, no employees
    shop.lively = True
    shop.advance(86400)
    assert shop.rows(shop.cloud_ids[0], "orders")


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
