"""Items of stock operations, read from sources (`stock/items.py`, with `stock/arguments.py`)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_dotypos.exceptions import DotyposInputError, DotyposPlanError
from airflow_provider_dotypos.writes.sources import source_of
from airflow_provider_dotypos.writes.stock.arguments import Operation, check_columns, check_document, counting_time
from airflow_provider_dotypos.writes.stock.items import Item, read_items, split


def read(operation: Operation, *rows: dict[str, Any], columns: dict[str, str] | None = None) -> list[Item]:
    return read_items(operation, source_of(list(rows), "items"), columns)


def test_numbers_keep_all_their_digits_whatever_the_source_writes() -> None:
    items = read(
        "stock_up",
        {"_productId": 4100000000000017, "quantity": Decimal("2.50"), "purchasePrice": "41.3223140495868"},
        {"externalId": "SKU-1", "quantity": 0.1, "sellPrice": None},
        {"externalId": 4711, "_productId": None, "quantity": "-1E+2", "purchasePrice": ""},
    )
    assert items == [
        Item(1, "_productId", "4100000000000017", {"quantity": "2.5", "purchasePrice": "41.3223140495868"}),
        Item(2, "externalId", "SKU-1", {"quantity": "0.1"}),
        Item(3, "externalId", "4711", {"quantity": "-100"}),
    ]
    assert (items[0].quantity, items[0].purchase_price, items[1].purchase_price) == (
        Decimal("2.5"),
        Decimal("41.3223140495868"),
        None,
    )


def test_all_problems_of_all_rows_come_at_once() -> None:
    with pytest.raises(DotyposPlanError) as caught:
        read(
            "stock_up",
            {"_productId": "5", "quantity": "1"},
            {"_productId": 5.5, "quantity": "one"},
            {"quantity": 1},
            {"_productId": 5, "externalId": "SKU", "quantity": 1},
            {"externalId": "A;B", "quantity": 0},
            {"externalId": "SKU", "quanity": 1},
            {"externalId": "SKU", "quantity": float("nan")},
            {"externalId": "SKU", "quantity": 1, "note": "x"},
        )
    assert [(problem.row, problem.field) for problem in caught.value.problems] == [
        (2, "_productId"),
        (2, "quantity"),
        (3, "_productId"),
        (4, "_productId"),
        (5, "externalId"),
        (5, "quantity"),
        (6, "quanity"),
        (6, "quantity"),
        (7, "quantity"),
        (8, "note"),
    ]
    message = str(caught.value)
    assert "did you mean 'quantity'" in message
    assert "SKU" not in message  # contents of rows stay out


@pytest.mark.parametrize(
    ("operation", "quantity", "message"),
    [
        ("stock_up", 0, "must not be 0"),
        ("sell", 0, "must not be 0"),
        ("transfer", -1, "exchange the warehouses"),
        ("take_stock", -1, "must be what was counted"),
    ],
)
def test_what_a_quantity_may_be_depends_on_the_operation(operation: Operation, quantity: int, message: str) -> None:
    with pytest.raises(DotyposPlanError, match=message):
        read(operation, {"_productId": 5, "quantity": quantity})
    assert read("take_stock", {"_productId": 5, "quantity": 0})
    assert read("stock_up", {"_productId": 5, "quantity": -1})


def test_without_rows_there_is_nothing_to_book() -> None:
    with pytest.raises(DotyposInputError, match="items has no rows"):
        read("stock_up")


def test_many_rows_name_their_products_alike() -> None:
    rows = [{"_productId": number, "quantity": 1} for number in range(1, 100)]
    assert len(read("stock_up", *rows, {"externalId": "A", "quantity": 1})) == 100
    with pytest.raises(DotyposInputError, match="more than 100 rows: all must name their product by the same field"):
        read("stock_up", *rows, *[{"externalId": "A", "quantity": 1}] * 2)


def test_columns_are_the_suppliers() -> None:
    columns = {"SKU": "externalId", "Qty": "quantity"}
    row = {"SKU": "A", "Qty": "3", "Name": "Tea", "quantity": "99"}
    assert read("stock_up", row, columns=columns) == [Item(1, "externalId", "A", {"quantity": "3"})]
    with pytest.raises(DotyposPlanError, match="quantity: is missing"):
        read("stock_up", {"SKU": "A", "Pieces": "3"}, columns=columns)
    with pytest.raises(DotyposInputError, match=r"columns: .* has no column 'Prise' \(did you mean 'Price'"):
        read("stock_up", row | {"Price": "5"}, columns=columns | {"Prise": "purchasePrice"})
    for wrong in ({"SKU": "externalId"}, {"Qty": "quantity"}, {"SKU": "sku", "Qty": "quantity"}, ["SKU"]):
        with pytest.raises(DotyposInputError, match="columns"):
            check_columns("stock_up", wrong)


def test_parts_are_the_same_each_time_and_keep_a_product_together() -> None:
    items = [Item(row, "_productId", str(row % 150), {"quantity": "1"}) for row in range(1, 301)]
    parts = split(items)
    assert parts == split(items)
    assert [len(part) for part in parts] == [100, 100, 100]
    assert sorted(item.row for part in parts for item in part) == [*range(1, 301)]
    for part in parts:
        others = {item.product for other in parts if other is not part for item in other}
        assert not others & {item.product for item in part}
    assert [len(part) for part in split([items[0]] * 250)] == [100, 100, 50]


def test_one_time_is_one_key_however_it_is_written() -> None:
    forms = ("2026-03-01T12:00:00+01:00", "2026-03-01T11:00:00Z", "2026-03-01T11:00:00.000Z")
    assert {counting_time(form) for form in forms} == {"2026-03-01T11:00:00.000Z"}


@pytest.mark.parametrize("document", [None, "", " ", "None", True, 4.5, ["DN-1"]])
def test_a_document_without_a_number_is_refused(document: object) -> None:
    with pytest.raises(DotyposInputError, match="document must be the number"):
        check_document(document)


def test_a_number_may_be_one() -> None:
    assert (check_document(4711), check_document(" DN-1 ")) == ("4711", "DN-1")
