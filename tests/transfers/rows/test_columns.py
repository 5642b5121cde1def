"""Which columns there are, which are wanted, and what a row is like when it is cut or split (`columns`, `children`)."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos.api.entities import Child, entities, find_entity
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.transfers.files.formats.jsonl import JsonLinesWriter
from airflow_provider_dotypos.transfers.rows.children import split_children
from airflow_provider_dotypos.transfers.rows.columns import SCHEMA_VERSION, Columns
from airflow_provider_dotypos.transfers.selection import Selection
from tests.transfers.sample_rows import ITEM, ORDER, PAYMENT, columns_of, encoded, members, order, raw

ORDERS = columns_of("orders", include="orderItems,moneyLogs")


def names(name: str, **selection: Any) -> list[str]:
    return list(columns_of(name, **selection).names_in_order)


def child(name: str, **selection: Any) -> list[str]:
    columns = columns_of("orders", include="orderItems,moneyLogs", **selection).columns
    rows = next(column.rows for column in columns if column.name == name)
    assert rows is not None
    return list(rows.names_in_order)


# --- which there are -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(entities()))
def test_the_columns_of_an_entity_are_its_fields_in_the_tables_order(name: str) -> None:
    assert names(name) == list(entities()[name].fields)
    assert columns_of(name).whole


def test_kinds_follow_the_documented_types() -> None:
    kinds = {column.name: column.kind for column in columns_of("products").columns}
    assert kinds["id"] == kinds["_cloudId"] == kinds["flags"] == kinds["sortOrder"] == "long"  # an id is never short
    assert {c.name: c.kind for c in columns_of("clouds").columns}["1ClickId"] == "long"  # whatever it is called
    assert kinds["minCustomerAge"] == "int"
    assert kinds["priceWithVat"] == "decimal"
    assert kinds["versionDate"] == "timestamp"
    assert kinds["unit"] == kinds["name"] == "text"
    assert (kinds["tags"], kinds["allergens"], kinds["translatedName"]) == ("texts", "ints", "json")


def test_child_lists_have_the_columns_of_their_entity() -> None:
    assert names("orders", include="orderItems,moneyLogs")[-2:] == ["orderItems", "moneyLogs"]
    assert child("orderItems") == names("order-items")
    assert child("moneyLogs") == names("money-logs")


# --- which are wanted ----------------------------------------------------------------------------------------------


def test_what_a_table_needs_comes_along_unasked() -> None:
    assert names("orders", columns="totalValueRounded, status") == ["id", "status", "totalValueRounded", "versionDate"]
    assert set(names("warehouse-products", columns=["name"])) == {
        *("id", "_warehouseId", "name", "versionDate", "stockStatusVersiondate")
    }
    assert names("customer-accounts", columns=["balance"]) == ["id", "balance", "modified"]


def test_fields_of_child_lists_are_chosen_below_them() -> None:
    only = columns_of("orders", include="orderItems,moneyLogs", columns="paid,orderItems.name")
    assert only.names_in_order == ("id", "paid", "versionDate", "orderItems")
    assert child("orderItems", columns="orderItems.name") == ["id", "_orderId", "name"]
    assert child("orderItems", columns="orderItems") == names("order-items")
    assert "note" not in child("orderItems", exclude="orderItems.note")
    assert "note" in child("moneyLogs", exclude="orderItems.note")


@pytest.mark.parametrize("selection", ["columns", "exclude"])
def test_an_unknown_name_lists_what_there_is(selection: str) -> None:
    with pytest.raises(DotyposInputError, match=r"no field 'orderItems.nam' \(did you mean.*There are: id, .*flags"):
        columns_of("orders", include="orderItems", **{selection: "orderItems.nam"})


@pytest.mark.parametrize("name", ["id", "versionDate", "orderItems.id"])
def test_what_a_table_needs_cant_be_excluded(name: str) -> None:
    with pytest.raises(DotyposInputError, match=f"exclude can't name {name}"):
        columns_of("orders", include="orderItems", exclude=["note", name])


def test_columns_and_exclude_are_alternatives() -> None:
    with pytest.raises(DotyposInputError, match="not both"):
        Selection.of("orders", cloud_id=1, columns="note", exclude="paid")


# --- the schema ----------------------------------------------------------------------------------------------------


def test_the_schema_has_the_version_that_it_was_given() -> None:
    def shape(columns: Columns) -> list[Any]:
        return [[c.name, c.kind, c.rows and shape(c.rows)] for c in columns.columns]

    tables = sorted(entities().items())
    fields_of = [[name, shape(columns_of(name, include=list(found.includes)))] for name, found in tables]
    digest = hashlib.sha256(json.dumps(fields_of).encode()).hexdigest()[:16]
    assert (SCHEMA_VERSION, digest) == (1, "a59d1ddfaefce418"), (
        "The columns have changed. If a reader of earlier files would notice (another name, kind or order), raise "
        "SCHEMA_VERSION; then note both here."
    )


# --- personal data -------------------------------------------------------------------------------------------------


def test_without_personal_data_nobody_is_named_or_reached() -> None:
    left = set(names("customers", personal_data=False))
    assert left == {
        *("id", "_cloudId", "_discountGroupId", "_sellerId", "country", "expireDate", "created", "versionDate"),
        *("points", "flags", "display", "deleted", "hexColor"),
    }
    assert {"name", "email", "phone", "barcode"}.isdisjoint(names("employees", personal_data=False))
    assert {"note", "printData", "locationLatitude"}.isdisjoint(names("orders", personal_data=False))
    assert "note" not in child("orderItems", personal_data=False)
    assert "note" not in child("moneyLogs", personal_data=False)


PERSONAL = {
    "categories": "modifiedBy",
    "customer-account-logs": "note",
    "customers": (
        "firstName lastName companyName addressLine1 addressLine2 city zip barcode companyId vatId companyId2 email "
        "phone birthday internalNote note headerPrint modifiedBy externalId tags"
    ),
    "daily-menu-products": "note",
    "delivery-notes": "supplierName text url",
    "eet-subjects": "name vatId",
    "employees": "barcode email modifiedBy name phone tags",
    "money-logs": "note",
    "order-items": "note",
    "orders": "locationLatitude locationLongitude merchantPrintData note printData",
    "products": "modifiedBy",
    "reservations": "note",
    "sales-report": "discounts cashInOutTransactions employeeSales customerSales employeePayments employeeTips",
    "suppliers": "addressLine1 addressLine2 city companyId email name phone vatId zip websiteUrl",
    "warehouse-products": "modifiedBy",
}


@pytest.mark.parametrize("name", list(entities()))
def test_what_is_personal_is_marked_and_nothing_else(name: str) -> None:
    marked = {field.name for field in entities()[name].fields.values() if field.personal}
    assert marked == set(PERSONAL.get(name, "").split())


def test_no_key_and_no_cursor_is_personal_data() -> None:
    for entity in entities().values():
        assert not any(entity.fields[name].personal for name in {*entity.cursors, "id"} & set(entity.fields))


# --- cutting rows --------------------------------------------------------------------------------------------------


@given(row=members(ORDERS))
def test_without_a_selection_a_rows_bytes_are_untouched(row: dict[str, str]) -> None:
    given_row = encoded(row)
    assert ORDERS.cut([given_row], Counter())[0] is given_row


@given(row=members(ORDERS), data=st.data())
def test_what_is_wanted_keeps_its_bytes_and_the_rest_is_gone(row: dict[str, str], data: st.DataObject) -> None:
    out = data.draw(st.sets(st.sampled_from(["paid", "note", "tags", "created", "moneyLogs"]), min_size=1))
    without = columns_of("orders", include="orderItems,moneyLogs", exclude=list(out))
    assert fields_of(without.cut([encoded(row)], Counter())[0]) == [
        (name, value) for name, value in row.items() if name not in out
    ]
    only = columns_of("orders", columns=list(out - {"moneyLogs"} or {"paid"}))
    assert fields_of(only.cut([encoded(row)], Counter())[0]) == [
        (name, value) for name, value in row.items() if name in only.names
    ]


def fields_of(row: msgspec.Raw) -> list[tuple[str, str]]:
    """Return a row's members, their values' bytes as they stand there."""
    return [(k, bytes(v).decode()) for k, v in msgspec.json.decode(row, type=dict[str, msgspec.Raw]).items()]


def test_child_rows_are_cut_too_and_strange_ones_give_nothing_away() -> None:
    columns = columns_of("orders", include="orderItems", personal_data=False)
    misfits: Counter[str] = Counter()
    sent = [[ITEM], "Jana", None, [ITEM, "Jana", None], {"note": "Jana"}]
    rows = columns.cut([order(orderItems=items, new="Jana") for items in sent], misfits)
    cut, *others = map(msgspec.json.decode, rows)
    assert set(cut) == set(ORDER) - {"note", "printData", "locationLatitude"} | {"orderItems"}
    assert cut["orderItems"] == [{name: value for name, value in ITEM.items() if name != "note"}]
    assert [row["orderItems"] for row in others] == [None, None, cut["orderItems"], None]
    assert misfits == {"orderItems": 4}
    assert b"Jana" not in b"".join(map(bytes, rows))


def test_jsonl_holds_rows_as_they_came_or_cut(tmp_path: Path) -> None:
    given_row = msgspec.Raw(b'{"id": "1",  "note":"x", "totalValueRounded": 1.50}')
    whole = JsonLinesWriter(tmp_path / "whole", None, columns_of("orders"))
    cut = JsonLinesWriter(tmp_path / "cut", None, columns_of("orders", exclude="note"))
    for writer in (whole, cut):
        writer.write([given_row])
        writer.close()
    assert whole.path.read_bytes() == bytes(given_row) + b"\n"
    assert cut.path.read_bytes() == b'{"id":"1","totalValueRounded":1.50}\n'


# --- splitting rows ------------------------------------------------------------------------------------------------


def lists(name: str, *keys: str) -> dict[str, Child]:
    return {key: find_entity(name).includes[key] for key in keys}


def test_one_pass_over_orders_feeds_three_tables() -> None:
    orphan = {name: value for name, value in PAYMENT.items() if name != "_orderId"}
    nobodys = {**PAYMENT, "_orderId": None}
    parents, children, misfits = split_children(
        [order(orderItems=[ITEM, ITEM], moneyLogs=[orphan, nobodys]), order(orderItems=None, moneyLogs=[]), order()],
        lists("orders", "orderItems", "moneyLogs"),
    )
    assert not +misfits
    assert [bytes(row) for row in parents] == [bytes(order())] * 3
    assert [bytes(row) for row in children["order-items"]] == [bytes(raw(ITEM))] * 2
    assert [msgspec.json.decode(row) for row in children["money-logs"]] == [{**orphan, "_orderId": ORDER["id"]}] * 2


def test_a_name_that_is_no_text_is_not_fatal() -> None:
    given_row = msgspec.Raw(b'{"id":"1","\xff":1,"orderItems":[{"id":"2","\xff":1}]}')
    (parent,), children, _ = split_children([given_row], lists("orders", "orderItems"))
    assert bytes(parent).decode() == '{"id":"1","�":1}'
    assert bytes(children["order-items"][0]).decode() == '{"id":"2","�":1,"_orderId":"1"}'
    cut = columns_of("orders", include="orderItems", exclude="orderItems.note").cut([given_row], Counter())
    assert bytes(cut[0]).decode() == '{"id":"1","�":1,"orderItems":[{"id":"2","�":1}]}'


def test_a_parents_id_that_is_no_text_is_not_fatal() -> None:
    item = b'{"id":"2","_orderId":"\xff"}'
    row = msgspec.Raw(b'{"id":"1","orderItems":[%s]}' % item)
    _, children, _ = split_children([row], lists("orders", "orderItems"))
    assert bytes(children["order-items"][0]) == item


def test_ingredients_belong_to_the_dish() -> None:
    _, children, _ = split_children(
        [raw({"id": "1", "ingredients": [{"id": "2", "_productId": "3"}]})], lists("products", "ingredients")
    )
    assert msgspec.json.decode(children["product-ingredients"][0]) == {
        "id": "2",
        "_productId": "3",
        "_parentProductId": "1",
    }


@pytest.mark.parametrize(
    ("value", "others", "rows"),
    [("x", "x", 0), ({"id": "1"}, {"id": "1"}, 0), ([1], [1], 0), ([ITEM, None, ITEM, 5], [None, 5], 2)],
    ids=str,
)
def test_what_is_no_row_stays_where_it_is_and_is_counted(value: object, others: object, rows: int) -> None:
    items = lists("orders", "orderItems")
    parents, children, misfits = split_children([order(orderItems=value)], items)
    assert bytes(parents[0]) == bytes(order(orderItems=others))
    assert [bytes(row) for row in children["order-items"]] == [bytes(raw(ITEM))] * rows
    assert misfits == {"orderItems": len(others) if isinstance(others, list) else 1}

    parents, children, again = split_children([order(orderItems=value)], items, {"order-items"})
    assert bytes(parents[0]) == bytes(order())  # where only some fields are wanted, nothing tells what is in it
    assert (len(children["order-items"]), again) == (rows, misfits)


@given(row=members(ORDERS))
def test_nothing_is_lost_by_splitting(row: dict[str, str]) -> None:
    row = {**row, "id": '"7"'}
    parents, children, misfits = split_children([encoded(row)], lists("orders", "orderItems", "moneyLogs"))
    left = dict(fields_of(parents[0]))
    read = partial(json.loads, parse_float=Decimal)
    for key, entity in (("orderItems", "order-items"), ("moneyLogs", "money-logs")):
        sent = read(row.get(key, "null"))
        items = sent if isinstance(sent, list) else []
        objects = [one for one in items if isinstance(one, dict)]
        others = [one for one in items if not isinstance(one, dict)]
        found = [read(bytes(one)) for one in children[entity]]
        assert found == [
            {**one, "_orderId": "7" if one.get("_orderId") is None else one["_orderId"]} for one in objects
        ]
        odd = sent is not None and not isinstance(sent, list)
        assert misfits[key] == len(others) + odd
        assert (read(left[key]) if key in left else []) == (sent if odd else others)
    assert {k: v for k, v in left.items() if k not in misfits} == {k: v for k, v in row.items() if k not in misfits}
