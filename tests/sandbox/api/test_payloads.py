"""The records that webhooks get: api/payloads, beside the bodies that the reference gives."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from airflow_provider_dotypos.sandbox import Behaviour, Shop
from airflow_provider_dotypos.sandbox.api import payloads
from airflow_provider_dotypos.sandbox.behaviour import BEST_KNOWN
from airflow_provider_dotypos.sandbox.bistro import life

#: Keys and kinds of values as the reference has them (page /others/webhook, and what clients have seen).
PRODUCT = {
    **dict.fromkeys(("productid", "cloudid", "categoryid", "deleted", "display", "bitflags", "versiondate"), int),
    **dict.fromkeys(("name", "ean", "plu"), str),
    **dict.fromkeys(("pricewithvat", "pricewithoutvat", "vat"), float),
}
ORDER = {
    **dict.fromkeys(("orderid", "cloudid", "branchid", "employeeid", "itemcount", "paid", "parked", "flags"), int),
    **dict.fromkeys(("created", "completed", "updated", "versiondate"), int),
    **dict.fromkeys(("documenttype", "currency", "note"), str),
    "totalvaluerounded": float,
}
MOVEMENT = {
    **dict.fromkeys(("stocklogid", "stocktransactionid", "warehouseid", "branchid", "product_id"), int),
    **dict.fromkeys(("created", "versiondate", "synced"), int),
    **dict.fromkeys(("transactiontype", "quantity", "quantitystatus", "unit", "currency"), str),
}


@pytest.fixture
def shop() -> Shop:
    return Shop.generate(days=1, orders_per_day=5)


def hook(shop: Shop, payload_entity: str, **fields: Any) -> int:
    row = {"payloadEntity": payload_entity, "url": "http://127.0.0.1:1/", **fields}
    id: int = shop.insert(shop.cloud_ids[0], "webhooks", row)["id"]
    return id


def delivered(shop: Shop, behaviour: Behaviour = BEST_KNOWN) -> list[tuple[int, Any]]:
    """Let deliveries be noted from now on, as the JSON that receivers decode."""
    noted: list[tuple[int, Any]] = []

    def note(change: Any) -> None:
        for webhook, record in payloads.due(shop, change, behaviour):
            noted.append((webhook["id"], msgspec.json.decode(msgspec.json.encode(record))))

    shop.on_change = note
    return noted


def kinds(record: dict[str, Any]) -> dict[str, type]:
    return {name: type(value) for name, value in record.items() if value is not None}


def test_a_price_is_delivered_as_the_reference_shows_products(shop: Shop) -> None:
    webhook, noted = hook(shop, "PRODUCT"), delivered(shop)
    product = life.change_price(shop, shop.cloud_ids[0], price=49.5)
    assert product is not None
    ((to, record),) = noted
    assert to == webhook
    assert kinds(record).items() <= PRODUCT.items()
    assert record.keys() == PRODUCT.keys()
    assert (record["productid"], record["pricewithvat"], record["deleted"]) == (product["id"], 49.5, 0)
    assert record["versiondate"] == product["versionDate"]


def test_a_sale_is_delivered_as_orders_and_as_movements_of_stock(shop: Shop) -> None:
    orders, stock, noted = hook(shop, "ORDERBEAN"), hook(shop, "STOCKLOG"), delivered(shop)
    order = life.sell(shop, shop.cloud_ids[0])
    assert order is not None
    records = [record for to, record in noted if to == orders]
    assert [(r["orderid"], r["parked"], r["paid"]) for r in records] == [(order["id"], 1, 0), (order["id"], 0, 1)]
    assert ORDER.items() <= kinds(records[-1]).items() | {"customerlongid": int}.items()
    movements = [record for to, record in noted if to == stock]
    items = shop.table(shop.cloud_ids[0], "order-items").children(order["id"])
    assert sum(float(m["quantity"]) for m in movements if m["transactiontype"] == "SALE") == pytest.approx(
        -sum(i["quantity"] for i in items if shop.get(shop.cloud_ids[0], "warehouse-products", i["_productId"]))
    )
    for movement in movements:
        assert kinds(movement).items() >= MOVEMENT.items()


def test_a_warehouse_gets_its_own_movements_only_and_a_new_price_is_none(shop: Shop) -> None:
    cloud = shop.cloud_ids[0]
    stock = shop.rows(cloud, "warehouse-products")[0]
    own, other = hook(shop, "STOCKLOG", _warehouseId=stock["_warehouseId"]), hook(shop, "STOCKLOG", _warehouseId=1)
    noted = delivered(shop)
    shop.update(cloud, "warehouse-products", stock["id"], {"stockQuantityStatus": 7.25})
    shop.update(cloud, "products", stock["id"], {"priceWithVat": 1.0})
    ((to, movement),) = noted
    assert to == own != other
    assert movement["quantitystatus"] == "7.25"


def test_a_reservation_has_its_cloud_as_text_and_a_removed_one_is_deleted(shop: Shop) -> None:
    cloud = shop.cloud_ids[0]
    hook(shop, "RESERVATION")
    noted = delivered(shop)
    row = shop.insert(cloud, "reservations", {"status": "CONFIRMED"})
    shop.delete(cloud, "reservations", row["id"])
    assert [(r["cloudid"], r["status"], r["deleted"]) for _, r in noted] == [(str(cloud), 1, 0), (str(cloud), 1, 1)]


def test_a_customer_has_the_names_of_v2_in_lower_case(shop: Shop) -> None:
    hook(shop, "CUSTOMER")
    noted = delivered(shop)
    row = shop.insert(shop.cloud_ids[0], "customers", {"firstName": "Eva", "display": True})
    ((_, record),) = noted
    assert (record["customerid"], record["firstname"], record["display"]) == (row["id"], "Eva", 1)


@pytest.mark.parametrize(("ids", "kind"), [("number", int), ("text", str), ("exponent", float)])
def test_ids_are_written_by_a_switch(shop: Shop, ids: str, kind: type) -> None:
    hook(shop, "PRODUCT")
    noted = delivered(shop, Behaviour(delivered_ids=ids))
    product = life.change_price(shop, shop.cloud_ids[0])
    assert product is not None
    ((_, record),) = noted
    assert type(record["productid"]) is kind
    assert (int(record["productid"]) == product["id"]) == (ids != "exponent")


def test_other_clouds_and_other_entities_get_nothing(shop: Shop) -> None:
    hook(shop, "PRODUCT"), hook(shop, "POINTSLOG")
    noted = delivered(shop)
    life.change_price(shop, shop.cloud_ids[1])
    shop.insert(shop.cloud_ids[0], "tags", {"name": "vegan"})
    assert noted == []
