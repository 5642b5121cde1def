"""The data without its API.

Tests `shop/rows`, `shop/table`.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest

from airflow_provider_dotypos.api.entities import entities
from airflow_provider_dotypos.sandbox import Shop

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


T = 1_772_366_400_000  # NOW in ms


@pytest.fixture
def shop() -> Shop:
    return Shop.empty(now=NOW, ticking=False)


@pytest.mark.parametrize("moves", [True, False])
def test_an_order_may_move_with_its_items(shop: Shop, moves: bool) -> None:
    cloud = shop.cloud_ids[0]
    shop.order_version_moves_with_items = moves
    order = shop.insert(cloud, "orders", {"versionDate": T - 1000})
    shop.insert(cloud, "order-items", {"_orderId": order["id"]})
    assert shop.rows(cloud, "orders")[0]["versionDate"] == (T if moves else T - 1000)


def test_stock_rows_follow_their_product_and_have_a_cursor_of_their_own(shop: Shop) -> None:
    cloud = shop.cloud_ids[0]
    warehouse = shop.rows(cloud, "warehouses")[0]["id"]
    product = shop.insert(cloud, "products", {"name": "Tea", "versionDate": T - 10})
    shop.insert(
        cloud,
        "warehouse-products",
        {"id": product["id"], "_warehouseId": warehouse, "stockStatusVersiondate": T - 5},
    )
    shop.update(cloud, "products", product["id"], {"name": "Green tea"})
    (row,) = shop.rows(cloud, "warehouse-products")
    assert (row["name"], row["versionDate"], row["stockStatusVersiondate"]) == ("Green tea", T, T - 5)
    shop.advance(1)
    row = shop.update(cloud, "warehouse-products", product["id"], {"stockQuantityStatus": 3.0}, warehouse_id=warehouse)
    assert (row["versionDate"], row["stockStatusVersiondate"]) == (T, T + 1000)
    body = shop.list(cloud, "warehouse-products", warehouse_id=warehouse)[1]
    assert json.loads(body)["data"][0]["stockQuantityStatus"] == "3"


def test_unknown_fields_and_entities_are_refused_by_the_shop(shop: Shop) -> None:
    with pytest.raises(ValueError, match="no field"):
        shop.insert(shop.cloud_ids[0], "products", {"nmae": "x"})
    with pytest.raises(ValueError, match="keeps no rows"):
        shop.insert(shop.cloud_ids[0], "sales-report", {})


def test_every_documented_field_is_there(shop: Shop) -> None:
    for name, entity in entities().items():
        if entity.listed and name != "clouds":
            row = shop.insert(shop.cloud_ids[0], name, {})
            left_out = {"purchasePriceWithoutVat"} if name == "products" else set()  # documented so
            assert set(row) == set(entity.fields) - left_out
