"""What a selection checks, and the digests that name the folders and watermarks of existing data."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.transfers.files.formats.file_format import FileFormat
from airflow_provider_dotypos.transfers.files.sink import set_folder, set_shape
from airflow_provider_dotypos.transfers.selection import Selection
from airflow_provider_dotypos.transfers.watermark import watermark_key


@pytest.mark.parametrize(
    ("name", "arguments", "file_format", "shape", "key"),
    [
        ("orders", {}, FileFormat(), "c3dc8e21", "edbeceae"),
        ("orders", {"filter": "paid|eq|true"}, FileFormat(), "c26a9b17", "6871c7d2"),
        (
            "orders",
            {"filter": [("paid", "eq", True), ("_branchId", "in", [1, 2])], "include": "orderItems, moneyLogs"},
            FileFormat(),
            "7d68d937",
            "07f7131d",
        ),
        ("orders", {"include": "orderItems", "flatten": True}, FileFormat("parquet"), "e959d77d", "ef2284a1"),
        ("orders", {"columns": ["note", "created"]}, FileFormat("jsonl", 2), "25a62085", "907a11c3"),
        ("orders", {"exclude": "printData", "personal_data": False}, FileFormat("csv", 1), "eeec85e8", "b0e7809e"),
        ("warehouse-products", {"warehouse_id": 12}, FileFormat("csv"), "a9deee59", "ebaef8d7"),
        ("warehouse-products", {"warehouse_id": ""}, FileFormat(), "c3dc8e21", "edbeceae"),
        ("tables", {"snapshot": True}, FileFormat(), "730a76a3", "60f18f92"),
        (
            "orders",
            {"include": "orderItems", "columns": "note,orderItems,orderItems.name"},
            FileFormat(),
            "cb9538a6",
            "809935d8",
        ),
    ],
)
def test_sets_and_watermarks_of_earlier_versions_are_found_again(
    name: str, arguments: dict[str, Any], file_format: FileFormat, shape: str, key: str
) -> None:
    """By other values all that users have would be read anew. These were taken before there was a `Selection`."""
    selection = Selection.of(name, cloud_id=123, **arguments)
    assert set_shape(selection, file_format) == shape
    window = "19700101T000000000Z_19700101T000000001Z"
    assert set_folder(selection, Window(0, 1), file_format) == f"123/{name}/{window}_{shape}"
    assert watermark_key(123, name, "file:///data/x", shape) == f"dotypos/123/{name}/{key}"


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("order", {}, "did you mean 'orders'"),
        ("manifest", {}, "one object, not a list"),
        ("orders", {"filter": "versionDate|gteq|1"}, "is the cursor of orders"),
        ("orders", {"include": "items"}, "can't include 'items'"),
        ("orders", {"include": "", "flatten": True}, "flatten needs child lists"),
        ("orders", {"include": "orderItems", "columns": "note"}, "include asks for orderItems: don't leave it out"),
        ("orders", {"columns": "note", "exclude": "paid"}, "not both"),
        ("orders", {"columns": ""}, "columns is empty"),
        ("tables", {"snapshot": True, "exclude": "name"}, "snapshot writes the ids of all rows"),
        ("taxes", {"undated_rows": "never"}, "undated_rows must be one of full, always, not 'never'"),
        ("taxes", {"deleted_filter": None}, "deleted_filter must be one of auto, one, two, not None"),
    ],
    ids=str,
)
def test_what_contradicts_itself_is_refused(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DotyposInputError, match=message):
        Selection.of(name, cloud_id=1, **arguments)


def test_entity_filter_and_include_are_read_once() -> None:
    selection = Selection.of("orders", cloud_id=1, filter="paid|eq|true", include=" orderItems", flatten=True)
    assert selection.entity.name == "orders"
    assert selection.conditions == (("paid", "eq", "true"),)
    assert selection.include == ("orderItems",)
    assert list(selection.tables) == ["orders", "order-items"]
    assert "orderItems" not in selection.columns.names
