"""Lists without sockets.

Tests `sandbox/api/lists`, `sandbox/api/query`, `sandbox/api/wire`.
"""

from __future__ import annotations

import itertools
import json
import time
from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_provider_dotypos.sandbox import Behaviour, Shop
from airflow_provider_dotypos.sandbox.behaviour import BEST_KNOWN


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


NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


T = 1_772_366_400_000  # NOW in ms


@pytest.fixture
def shop() -> Shop:
    return Shop.empty(now=NOW, ticking=False)


def ask(shop: Shop, entity: str, behaviour: Behaviour = BEST_KNOWN, **params: Any) -> Any:
    status, body = shop.list(shop.cloud_ids[0], entity, {name: str(value) for name, value in params.items()}, behaviour)
    if status == 404 and not body:
        return []
    assert status == 200, body
    return json.loads(body)["data"]


def refusal(shop: Shop, entity: str, **params: Any) -> str:
    status, body = shop.list(shop.cloud_ids[0], entity, {name: str(value) for name, value in params.items()})
    assert status == 400
    return ", ".join(f"{v['fieldName']}: {v['message']}" for v in json.loads(body)["violations"])


def products(shop: Shop, *rows: dict[str, Any]) -> list[str]:
    return [str(shop.insert(shop.cloud_ids[0], "products", row)["id"]) for row in rows]


def test_numbers_are_text_and_times_are_iso(shop: Shop) -> None:
    products(shop, {"priceWithoutVat": 41.3223140495868, "vat": 1.21, "versionDate": T + 5, "flags": -3})
    (row,) = ask(shop, "products")
    assert (row["priceWithoutVat"], row["vat"], row["flags"]) == ("41.3223140495868", "1.21", "-3")
    assert row["versionDate"] == "2026-03-01T12:00:00.005Z"
    assert row["recipe"] is None
    assert row["deleted"] is False


def test_envelope_with_totals(shop: Shop) -> None:
    products(shop, *({} for _ in range(45)))
    body = json.loads(shop.list(shop.cloud_ids[0], "products", {"page": "2"})[1])
    body.pop("data")
    assert body == {
        "currentPage": "2",
        "perPage": "20",
        "totalItemsOnPage": "20",
        "totalItemsCount": "45",
        "firstPage": "1",
        "lastPage": "3",
        "nextPage": "3",
        "prevPage": "1",
    }


@pytest.mark.parametrize(("next_page", "expected"), [("filled", "2"), ("null", None)])
def test_orders_carry_no_totals(shop: Shop, next_page: str, expected: str | None) -> None:
    for _ in range(20):
        shop.insert(shop.cloud_ids[0], "orders", {})
    body = json.loads(shop.list(shop.cloud_ids[0], "orders", {}, Behaviour(next_page=next_page))[1])
    assert (body["totalItemsCount"], body["lastPage"], body["nextPage"]) == (None, None, expected)


def test_an_empty_list_is_404_without_a_body_unless_the_client_opts_out(shop: Shop) -> None:
    cloud = shop.cloud_ids[0]
    assert shop.list(cloud, "orders") == (404, b"")
    status, body = shop.list(cloud, "products", {}, headers={"Allow-Version": "BC1"})
    assert (status, json.loads(body)["data"], json.loads(body)["totalItemsCount"]) == (200, [], "0")
    ignoring = Behaviour(allow_version="ignored")
    assert shop.list(cloud, "orders", {}, ignoring, {"allow-version": "BC1"}) == (404, b"")
    products(shop, {})
    assert shop.list(cloud, "products", {"page": "2"}) == (404, b"")


def test_an_unknown_cloud_or_warehouse_is_404_with_a_body(shop: Shop) -> None:
    for answer in (
        shop.list(1, "orders"),
        shop.list(shop.cloud_ids[0], "warehouse-products", warehouse_id=1),
    ):
        assert answer[0] == 404
        assert json.loads(answer[1])["reason"] == "NOT_FOUND"


def test_deleted_rows_are_hidden_unless_the_filter_names_deleted(shop: Shop) -> None:
    live, gone, null = products(shop, {}, {}, {"deleted": None})
    shop.delete(shop.cloud_ids[0], "products", int(gone))

    def ids(filter: str = "", **behaviour: Any) -> list[str]:
        return [row["id"] for row in ask(shop, "products", Behaviour(**behaviour), filter=filter)]

    assert ids() == [live, null]
    assert ids("deleted|eq|1") == [gone]
    assert ids("deleted|eq|false") == [live, null]
    assert ids("deleted|in|0,1") == [live, gone, null]
    assert ids("deleted|in|0,1", deleted_null="excluded") == [live, gone]


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ("name|like|CAPP", ["Cappuccino"]),
        ("priceWithVat|eq|50", ["Espresso"]),
        ("priceWithVat|in|50,74.5", ["Espresso", "Cappuccino"]),
        ("externalId|eq|null", ["Cappuccino"]),
        ("externalId|eq|notnull", ["Espresso", "Tea"]),
        ("externalId|notin|A,null", ["Tea"]),
        ("externalId|ne|A", ["Cappuccino", "Tea"]),
        ("tags|in|hot,cold", ["Espresso", "Tea"]),
        ("flags|bin|5", ["Tea"]),
        ("flags|bex|4", ["Espresso", "Cappuccino"]),
        (f"versionDate|gteq|{T + 1}", ["Cappuccino"]),
        ("versionDate|gteq|2026-03-01T12:00:00.001Z", ["Cappuccino"]),
        ("versionDate|gteq|2026-03-01T13:00:00.001+01:00", ["Cappuccino"]),
        ("versionDate|lt|2026-03-01T12:00:00.000000999Z;versionDate|gteq|2026-03-01T12:00:00Z", []),
        ("versionDate|lteq|2026-03-01T12:00:00Z;priceWithVat|eq|50", ["Espresso"]),
        ("versionDate|eq|null", ["Tea"]),
    ],
)
def test_filters(shop: Shop, filter: str, expected: list[str]) -> None:
    products(
        shop,
        {
            "name": "Espresso",
            "priceWithVat": 50.0,
            "externalId": "A",
            "tags": ["hot"],
            "flags": 1,
            "versionDate": T,
        },
        {"name": "Cappuccino", "priceWithVat": 74.5, "externalId": None, "flags": 2, "versionDate": T + 1},
        {"name": "Tea", "externalId": "B", "tags": ["cold", "new"], "flags": 7, "versionDate": None},
    )
    assert [row["name"] for row in ask(shop, "products", filter=filter)] == expected


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"perPage": "100"}, "the page size parameter is limit"),
        ({"colour": "red"}, "unknown query parameter"),
        ({"limit": "101"}, "at most 100"),
        ({"limit": "0"}, "from 1 to 100"),
        ({"page": "0"}, "at least 1"),
        ({"sort": "id"}, "can't sort by 'id'"),
        ({"filter": "versionDate|gte|1"}, "unknown operation 'gte'"),
        ({"filter": "nothing|eq|1"}, "unknown attribute"),
        ({"filter": "name|eq|x"}, "is not allowed on 'name'"),
        ({"filter": "id|eq|x"}, "must be a whole number"),
        ({"filter": "deleted|eq|null"}, "must be 0, 1, false or true"),
        ({"filter": "versionDate|gteq|2026-03-01T12:00:00 01:00"}, "epoch milliseconds or ISO 8601"),
        ({"filter": "name|like"}, "not attribute|operation|value"),
        ({"include": "orderItems"}, "unknown name"),
    ],
)
def test_what_would_quietly_go_wrong_is_refused(shop: Shop, params: dict[str, str], complaint: str) -> None:
    assert complaint in refusal(shop, "products", **params)


def test_all_violations_are_told_at_once(shop: Shop) -> None:
    reported = refusal(shop, "products", limit=999, sort="id", filter="a|eq|1")
    assert reported.count(": ") >= 3


def test_a_limit_above_100_may_be_cut_instead(shop: Shop) -> None:
    products(shop, *({} for _ in range(101)))
    assert len(ask(shop, "products", Behaviour(over_limit="cut"), limit=500)) == 100


@pytest.mark.parametrize("ties", ["stable", "shuffled"])
@pytest.mark.parametrize("sort", ["versionDate", "-versionDate", "name,-versionDate", "-vat,versionDate"])
def test_sorting_agrees_with_a_plain_sort(shop: Shop, ties: str, sort: str) -> None:
    products(
        shop,
        *({"versionDate": T + n % 7, "name": "abc"[n % 3], "vat": 1 + n % 2 / 10} for n in range(60)),
    )
    rows = list(
        itertools.chain.from_iterable(
            ask(shop, "products", Behaviour(ties=ties), sort=sort, limit=7, page=page) for page in range(1, 10)
        )
    )
    expected = [dict(row) for row in shop.rows(shop.cloud_ids[0], "products")]
    for key in reversed(sort.split(",")):
        name = key.lstrip("-")
        expected.sort(key=lambda row: row[name], reverse=key.startswith("-"))
    for key in sort.split(","):
        name = key.lstrip("-")
        reported = [str(row[name]) for row in rows]
        assert reported == [
            {"versionDate": f"2026-03-01T12:00:00.00{row[name] % 1000 if name == 'versionDate' else 0}Z"}.get(
                name, str(row[name]).removesuffix(".0")
            )
            for row in expected
        ]


def test_tied_rows_may_come_in_another_order_each_time(shop: Shop) -> None:
    ids = products(shop, *({"versionDate": T} for _ in range(30)))
    stable = [row["id"] for row in ask(shop, "products", sort="versionDate", limit=100)]
    assert stable == ids
    behaviour = Behaviour(ties="shuffled")
    orders = {tuple(r["id"] for r in ask(shop, "products", behaviour, sort="versionDate", limit=100)) for _ in range(9)}
    assert len(orders) > 1
    assert {tuple(sorted(order)) for order in orders} == {tuple(sorted(ids))}


def test_a_change_becomes_visible_only_after_the_commit_lag(shop: Shop) -> None:
    cloud, lagging = shop.cloud_ids[0], Behaviour(commit_lag=5)
    shop.insert(cloud, "products", {"name": "old", "versionDate": T - 60_000})
    id = shop.rows(cloud, "products")[0]["id"]
    shop.update(cloud, "products", id, {"name": "new"})
    shop.insert(cloud, "products", {"name": "another"})
    assert [row["name"] for row in ask(shop, "products", lagging)] == ["old"]
    shop.advance(5)
    assert [row["name"] for row in ask(shop, "products", lagging)] == ["new", "another"]


def test_answers_can_be_cut_to_seconds_while_filters_stay_exact(shop: Shop) -> None:
    products(shop, {"versionDate": T + 999})
    behaviour = Behaviour(timestamp_precision="s", timestamp_zone="+01:00", numbers="number", nulls="omitted")
    (row,) = ask(shop, "products", behaviour, filter=f"versionDate|gteq|{T + 999}")
    assert row["versionDate"] == "2026-03-01T13:00:00+01:00"
    assert row["packaging"] == 1
    assert "recipe" not in row
    assert ask(shop, "products", behaviour, filter=f"versionDate|gteq|{T + 1000}") == []


def test_include_nests_items_and_payments(shop: Shop) -> None:
    cloud = shop.cloud_ids[0]
    order = shop.insert(cloud, "orders", {"completed": None})
    other = shop.insert(cloud, "orders", {"completed": T})
    for completed in (T, None):
        shop.insert(cloud, "order-items", {"_orderId": order["id"], "completed": completed})
    shop.insert(cloud, "money-logs", {"_orderId": other["id"], "amount": 12.5})
    first, second = ask(shop, "orders", include="orderItems,moneyLogs")
    assert (len(first["orderItems"]), len(first["moneyLogs"]), len(second["orderItems"])) == (2, 0, 0)
    assert second["moneyLogs"][0]["amount"] == "12.5"
    (open_one,) = ask(shop, "orders", include="orderItems", namedFilter="openOrders;orderItems.openOrderItems")
    assert (open_one["id"], len(open_one["orderItems"])) == (str(order["id"]), 1)


def test_nested_lists_may_be_cut(shop: Shop) -> None:
    cloud = shop.cloud_ids[0]
    order = shop.insert(cloud, "orders")["id"]
    for _ in range(3):
        shop.insert(cloud, "order-items", {"_orderId": order})
    include = "orderItems,moneyLogs"
    assert len(ask(shop, "orders", include=include)[0]["orderItems"]) == 3
    assert len(ask(shop, "orders", Behaviour(nested_lists=2), include=include)[0]["orderItems"]) == 2
    assert len(ask(shop, "order-items", Behaviour(nested_lists=2))) == 3
