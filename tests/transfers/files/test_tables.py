"""Reading committed sets: the same rows whatever the format, in little memory.

Tests `files/tables`, `formats/part_rows`, `rows/api_form`.
"""

from __future__ import annotations

import builtins
import errno
import io
import json
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pandas
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, given, settings

from airflow_provider_dotypos.api.errors import DotyposInputError, DotyposResponseError
from airflow_provider_dotypos.api.page import decode_row
from airflow_provider_dotypos.exceptions import DamagedSetError, PandasMissingError, PyarrowMissingError
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.encoding_thread import EncodingThread
from airflow_provider_dotypos.transfers.files.formats.file_format import FileFormat
from airflow_provider_dotypos.transfers.manifest import read_manifest
from airflow_provider_dotypos.transfers.rows.columns import Columns
from tests.transfers.conftest import SINCE_MS
from tests.transfers.sample_rows import ITEM, ORDER, columns_of, encoded, order
from tests.transfers.sample_rows import rows as some_rows

Extract = Callable[..., dict[str, Any]]

FORMATS = [
    {"file_format": "jsonl"},
    {"file_format": "jsonl", "compression": "gzip"},
    {"file_format": "csv"},
    {"file_format": "csv", "compression": "gzip"},
    {"file_format": "parquet"},
]
ORDERS = columns_of("orders", include="orderItems")


def written(path: Path, rows: list[msgspec.Raw], name: str, columns: Columns = ORDERS) -> tuple[FileFormat, Path]:
    """Write a part."""
    file_format = FileFormat.of(name)
    path = path / f"part.{name}"
    path.unlink(missing_ok=True)
    with EncodingThread() as encoder:
        writer = file_format.writer(path, columns, encoder)
        writer.write(rows)
        writer.close()
    return file_format, path


def read_rows(path: Path, rows: list[msgspec.Raw], name: str, columns: Columns = ORDERS) -> list[dict[str, Any]]:
    file_format, part = written(path, rows, name, columns)
    with part.open("rb") as file:
        return list(file_format.rows(file, columns))


def read_batches(path: Path, rows: list[msgspec.Raw], name: str, columns: Columns = ORDERS) -> list[pa.RecordBatch]:
    file_format, part = written(path, rows, name, columns)
    with part.open("rb") as file:
        return list(file_format.batches(file, columns))


def given_fields(row: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that have a value. In CSV an empty text is none."""
    return {name: value for name, value in row.items() if value not in (None, "")}


def without_empty_texts(value: Any) -> Any:
    if isinstance(value, list):
        return [without_empty_texts(item) for item in value]
    return given_fields(value) if isinstance(value, dict) else value


@pytest.fixture
def sales(sandbox: Sandbox) -> Sandbox:
    """Three orders, two of them with items."""
    cloud = sandbox.cloud_ids[0]
    for number in range(3):
        order_id = sandbox.shop.insert(
            cloud,
            "orders",
            {"versionDate": SINCE_MS + number, "note": f'žluť, "{number}"', "totalValueRounded": 12.5, "paid": True},
        )["id"]
        for _ in range(number):
            sandbox.shop.insert(cloud, "order-items", {"_orderId": order_id, "name": "Espresso", "quantity": 2})
    return sandbox


@pytest.mark.parametrize("shape", FORMATS, ids=str)
def test_rows_are_as_the_api_gives_them_whatever_the_format(extract: Extract, sales: Sandbox, shape: Any) -> None:
    committed = read_manifest(extract(**shape)["manifest"])

    plain = [given_fields(row) for row in read_manifest(extract()["manifest"]).rows()]
    assert [given_fields(row) for row in committed.rows()] == plain
    assert [row["note"] for row in committed.rows()] == ['žluť, "0"', 'žluť, "1"', 'žluť, "2"']
    row = next(committed.rows())
    assert (row["totalValueRounded"], row["paid"]) == ("12.5", True)
    assert row["versionDate"] == "2026-03-01T00:00:00.000Z"


@pytest.mark.parametrize("shape", FORMATS, ids=str)
def test_arrow_is_the_same_whatever_the_format(extract: Extract, sales: Sandbox, shape: Any) -> None:
    table = read_manifest(extract(include="orderItems", **shape)["manifest"]).to_arrow()

    typed = read_manifest(extract(include="orderItems", file_format="parquet")["manifest"])
    written_typed = parquet.read_table(Path(typed.files[0].path)).replace_schema_metadata(None)
    assert table.schema == typed.to_arrow().schema == written_typed.schema
    if shape["file_format"] != "csv":
        assert table == typed.to_arrow() == written_typed
    assert without_empty_texts(table.to_pylist()) == without_empty_texts(written_typed.to_pylist())
    assert [len(items) for items in table["orderItems"].to_pylist()] == [0, 1, 2]


@pytest.mark.parametrize("shape", FORMATS, ids=str)
def test_flattened_children_are_tables(extract: Extract, sales: Sandbox, shape: Any) -> None:
    committed = read_manifest(extract(include="orderItems,moneyLogs", flatten=True, **shape)["manifest"])

    assert committed.tables == {"orders": 3, "order-items": 3, "money-logs": 0}
    assert [row["name"] for row in committed.rows("order-items")] == ["Espresso"] * 3
    assert "orderItems" not in next(committed.rows("orders"))
    assert committed.to_arrow("order-items")["quantity"].type == pa.decimal128(38, 18)
    assert committed.to_arrow("money-logs").num_rows == 0
    assert "amount" in committed.to_arrow("money-logs").column_names
    with pytest.raises(DotyposInputError, match=r"no table 'order-item' \(did you mean 'order-items'\?\)"):
        committed.rows("order-item")


@pytest.mark.parametrize("shape", FORMATS, ids=str)
def test_only_some_columns_are_read_as_such(extract: Extract, sales: Sandbox, shape: Any) -> None:
    committed = read_manifest(extract(columns="note", **shape)["manifest"])

    assert [list(row) for row in committed.rows()] == [["id", "note", "versionDate"]] * 3
    assert committed.to_arrow().column_names == ["id", "note", "versionDate", "_unknown"]


def test_an_empty_set_has_columns_and_no_rows(extract: Extract) -> None:
    committed = read_manifest(extract()["manifest"])

    assert list(committed.rows()) == list(committed.to_batches()) == []
    assert committed.to_arrow().schema.field("id").type == pa.int64()


def test_a_data_frame_keeps_ids_exact_beside_a_null(extract: Extract, sales: Sandbox) -> None:
    sales.shop.insert(sales.cloud_ids[0], "orders", {"versionDate": SINCE_MS + 9, "_tableId": 2**60 + 1})

    frame = read_manifest(extract()["manifest"]).to_pandas()

    assert list(frame["_tableId"].isna()) == [True, True, True, False]
    assert frame["_tableId"][3] == 2**60 + 1
    assert str(frame["versionDate"].dtype) == "datetime64[ms, UTC]"
    assert isinstance(frame["paid"].dtype, pandas.BooleanDtype)


@pytest.mark.parametrize(
    ("package", "error"), [("pandas", PandasMissingError), ("pyarrow.parquet", PyarrowMissingError)]
)
def test_a_missing_package_is_named_with_its_cure(
    extract: Extract, sales: Sandbox, monkeypatch: pytest.MonkeyPatch, package: str, error: type[Exception]
) -> None:
    committed = read_manifest(extract()["manifest"])
    import_module = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == package:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return import_module(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(error, match=r"pip install '?(pandas|airflow-provider-dotypos\[parquet\])"):
        committed.to_pandas()
    assert len(list(committed.rows())) == 3


@pytest.mark.parametrize("shape", [*FORMATS[:3], FORMATS[-1]], ids=str)
def test_a_damaged_file_is_named(extract: Extract, sales: Sandbox, shape: Any) -> None:
    committed = read_manifest(extract(**shape)["manifest"])
    file = Path(committed.files[0].path)
    file.write_bytes(b"\xff" + file.read_bytes()[1:-9])

    with pytest.raises(DamagedSetError, match=f"{file.name} can't be read .*overwrite=True") as raised:
        list(committed.rows())
    assert "žluť" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_parquet_file_is_named_wherever_it_is_damaged(extract: Extract, sales: Sandbox) -> None:
    committed = read_manifest(extract(file_format="parquet")["manifest"])
    file = Path(committed.files[0].path)
    data = file.read_bytes()
    for at in range(4, len(data), len(data) // 60):
        file.write_bytes(data[:at] + bytes(~byte & 0xFF for byte in data[at : at + 8]) + data[at + 8 :])
        for read in (committed.rows, committed.to_batches):
            with suppress(DamagedSetError):  # damage to a value is found by verify alone
                list(read())


class FailingFile(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise OSError(errno.EIO, "the network is down")


def test_a_store_that_fails_is_no_damage(extract: Extract, sales: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    committed = read_manifest(extract(file_format="parquet")["manifest"])
    monkeypatch.setattr(Store, "open", lambda self, name: FailingFile(bytes(99)))
    with pytest.raises(OSError, match="the network is down"):
        list(committed.rows())


def test_rows_that_the_manifest_does_not_count_are_noticed(extract: Extract, sales: Sandbox) -> None:
    committed = read_manifest(extract()["manifest"])
    file = Path(committed.files[0].path)
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:2]))

    with pytest.raises(DamagedSetError, match="holds 2 rows of orders, not 3"):
        list(committed.rows())
    with pytest.raises(DamagedSetError, match="holds 2 rows of orders, not 3"):
        committed.to_arrow()


def test_sets_of_an_object_store_are_read_alike(extract: Extract, sales: Sandbox, bucket: str) -> None:
    for shape in (FORMATS[1], FORMATS[4]):
        committed = read_manifest(extract(destination=bucket, **shape)["manifest"])
        assert [row["note"][-2] for row in committed.rows()] == ["0", "1", "2"]
        assert committed.to_arrow().num_rows == 3


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_odd_values_come_back_as_they_were(tmp_path: Path, name: str) -> None:
    values = {
        "totalValueRounded": "0.000000000000000001",
        "points": "-0.5",
        "itemCount": "0",
        "note": "[no JSON\r\n\0",
        "printData": "x" * 200_000,
        "tags": ["a,b", None],
        "orderItems": [{**ITEM, "quantity": "100"}],
        "new": {"a": [1.5]},
    }
    (row,) = read_rows(tmp_path, [order(**values)], name)
    got = given_fields(row) | {"orderItems": [given_fields(item) for item in row["orderItems"]]}
    assert got == {**given_fields(ORDER), **values}


def test_values_that_did_not_fit_their_column_are_back_in_it(tmp_path: Path) -> None:
    odd = {"itemCount": "many", "versionDate": "2026-01-15T12:00:03.007123Z"}
    (row,) = read_rows(tmp_path, [order(**odd)], "parquet")
    assert {name: row[name] for name in odd} == odd
    assert "_unknown" not in row


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(rows=some_rows(ORDERS))
def test_any_rows_can_be_read_of_any_format(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    raws = [encoded({**row, "id": f'"{number}"'}) for number, row in enumerate(rows)]
    with suppress(DotyposResponseError):  # no reader of JSON takes a bare number as large as 1e400
        plain = [decode_row(row) for row in raws]
        assert read_rows(tmp_path, raws, "jsonl") == plain
        assert [row["id"] for row in read_rows(tmp_path, raws, "csv")] == [row["id"] for row in plain]
        assert [row["id"] for row in read_rows(tmp_path, raws, "parquet")] == [row["id"] for row in plain]
    assert read_batches(tmp_path, raws, "jsonl") == read_batches(tmp_path, raws, "parquet")
    assert sum(batch.num_rows for batch in read_batches(tmp_path, raws, "csv")) == len(rows)


@pytest.mark.parametrize("name", ["jsonl", "csv"])
def test_memory_does_not_grow_with_the_rows(name: str) -> None:
    line = {"jsonl": json.dumps(ORDER), "csv": "7," + "x" * 600}[name].encode() + b"\n"
    head = b"id,note\n" if name == "csv" else b""
    part = io.BytesIO(head + line * 6_000)
    tracemalloc.start()
    assert sum(1 for _ in FileFormat.of(name).rows(part, ORDERS)) == 6_000
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**21  # of 4 MB and more
