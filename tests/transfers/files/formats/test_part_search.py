from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.transfers.encoding_thread import EncodingThread
from airflow_provider_dotypos.transfers.files.formats.file_format import FileFormat
from airflow_provider_dotypos.transfers.files.formats.part_search import look_through, rows_at
from airflow_provider_dotypos.transfers.rows.columns import columns_of

FORMATS = [("jsonl", None), ("jsonl", "gzip"), ("csv", None), ("csv", "gzip"), ("parquet", None)]
ORDERS = columns_of(find_entity("orders"), ["orderItems"])
FIELDS = {"": ("id", "_customerId"), "orderItems": ("id", "_customerId")}
MANY = 4100


@pytest.fixture(params=FORMATS, ids=str, scope="module")
def part(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[FileFormat, Path]:
    """A part of more rows than are read at once; every thousandth is a customer's, and an item of one more."""
    rows: list[Mapping[str, Any]] = [
        {
            "id": str(number + 1),
            "_customerId": "77" if number % 1000 == 7 else "5",
            "note": f'n "{number}",\n',
            "orderItems": [{"id": "9", "_customerId": "77" if number == 4099 else None}, "odd"][: number % 3],
        }
        for number in range(MANY)
    ]
    rows[11] = {"id": "12", "_customerId": "77", "orderItems": "odd"}
    file_format = FileFormat.of(*request.param)
    path = tmp_path_factory.mktemp("part") / "part"
    with EncodingThread() as encoder:
        writer = file_format.writer(path, ORDERS, encoder)
        writer.write(msgspec.Raw(json.dumps(row).encode()) for row in rows)
        writer.close()
    return file_format, path


def is_theirs(row: Mapping[str, Any]) -> bool:
    items = row.get("orderItems")
    rows = [row, *(item for item in items if isinstance(item, Mapping))] if isinstance(items, list) else [row]
    return any(str(each.get("_customerId")) == "77" for each in rows)


@pytest.mark.parametrize("needle", [b"", b"77"])
def test_rows_are_found_by_a_few_fields_nested_ones_too(part: tuple[FileFormat, Path], needle: bytes) -> None:
    file_format, path = part
    with path.open("rb") as file:
        found = list(look_through(file, file_format, ORDERS, FIELDS, is_theirs, {"77", str(2**63)}, needle))
    assert sum(rows for rows, _ in found) == MANY
    assert [position for _, some in found for position in some] == [7, 11, 1007, 2007, 3007, 4007, 4099]


def test_rows_come_whole_by_their_positions(part: tuple[FileFormat, Path]) -> None:
    file_format, path = part
    with path.open("rb") as file:
        batches = list(rows_at(file, file_format, ORDERS, [0, 11, 1999, 2000, 4099]))
    assert sum(rows for rows, _ in batches) == MANY
    rows = [msgspec.json.decode(row) for _, some in batches for row in some]
    assert [row["id"] for row in rows] == ["1", "12", "2000", "2001", "4100"]
    assert rows[2]["note"] == 'n "1999",\n'
    assert rows[1]["orderItems"] == "odd"
    assert rows[4]["orderItems"][0]["_customerId"] == "77"


def test_no_position_brings_no_row(part: tuple[FileFormat, Path]) -> None:
    file_format, path = part
    with path.open("rb") as file:
        assert [row for _, some in rows_at(file, file_format, ORDERS, []) for row in some] == []
