"""Parquet parts: typed columns, one schema, bounded memory."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_dotypos.api.entities import entities
from airflow_provider_dotypos.transfers.encoding_thread import HELD_BYTES, EncodingThread
from airflow_provider_dotypos.transfers.files.formats import parquet
from airflow_provider_dotypos.transfers.files.formats.parquet import ParquetWriter
from airflow_provider_dotypos.transfers.rows.columns import Columns
from demo import children
from tests.transfers.sample_rows import ITEM, PAYMENT, columns_of, order, raw

ORDERS = columns_of("orders", include="orderItems,moneyLogs")


def written(
    path: Path, some: list[msgspec.Raw], columns: Columns = ORDERS, held_bytes: int = HELD_BYTES
) -> tuple[pa.Table, ParquetWriter]:
    with EncodingThread(held_bytes) as encoder:
        writer = ParquetWriter(path / "part.parquet", columns, encoder)
        writer.write(some)
        writer.close()
    return pq.read_table(writer.path), writer


def one(path: Path, row: msgspec.Raw, columns: Columns = ORDERS) -> dict[str, Any]:
    found: dict[str, Any] = written(path, [row], columns)[0].to_pylist()[0]
    return found


# --- what it looks like --------------------------------------------------------------------------------------------


def test_columns_are_typed(tmp_path: Path) -> None:
    table, writer = written(tmp_path, [order(orderItems=[ITEM], moneyLogs=[PAYMENT])])
    types = {field.name: str(field.type) for field in table.schema}
    assert types["id"] == types["_branchId"] == types["flags"] == "int64"
    assert types["itemCount"] == "int32"
    assert types["totalValueRounded"] == "decimal128(38, 18)"
    assert types["created"] == types["versionDate"] == "timestamp[ms, tz=UTC]"
    assert types["paid"] == "bool"
    assert types["status"] == types["note"] == types["_unknown"] == "string"
    assert pa.types.is_list(table.schema.field("tags").type)
    item = table.schema.field("orderItems").type.value_type
    assert [field.name for field in item] == [*columns_of("order-items").names_in_order, "_unknown"]
    assert item.field("quantity").type == pa.decimal128(38, 18)
    row = table.to_pylist()[0]
    assert row["totalValueRounded"] == Decimal("41.3223140495868")
    assert row["versionDate"] == datetime(2026, 1, 15, 12, 0, 3, 7000, tzinfo=timezone.utc)
    assert row["orderItems"][0]["_productId"] == -401
    assert json.loads(row["orderItems"][0]["orderItemCustomizations"]) == ITEM["orderItemCustomizations"]
    assert row["_unknown"] is None
    assert not +writer.misfits
    assert {k.decode(): v.decode() for k, v in table.schema.metadata.items() if k.startswith(b"dotypos.")} == {
        "dotypos.entity": "orders",
        "dotypos.schema_version": "1",
        "dotypos.package_version": parquet.__version__,
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("41.3223140495868", "41.3223140495868"),
        ("1E-7", "0.0000001"),
        ("-0", "0"),
        ("99999999999999999999.999999999999999999", "99999999999999999999.999999999999999999"),
        ("-0.000000000000000001", "-0.000000000000000001"),
        ("100", "100"),
    ],
)
def test_decimals_are_exact_as_text_and_as_bare_numbers(tmp_path: Path, value: str, expected: str) -> None:
    for json_value in (f'"{value}"', value):
        row = one(tmp_path, msgspec.Raw(f'{{"id":"1","totalValueRounded":{json_value}}}'.encode()))
        assert (row["totalValueRounded"], row["_unknown"]) == (Decimal(expected), None)


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-15T11:58:00.000Z",
        "2026-01-15T11:58:00Z",
        "2026-01-15T11:58:00+0000",
        "2026-01-15T12:58:00.000+01:00",
        "2026-01-15T12:58:00+0100",
        "2026-01-15T11:58:00.000000Z",
        "1768478280000",
        1768478280000,
    ],
)
def test_times_come_in_many_forms(tmp_path: Path, value: object) -> None:
    row = one(tmp_path, order(created=value))
    assert (row["created"], row["_unknown"]) == (datetime(2026, 1, 15, 11, 58, tzinfo=timezone.utc), None)


def test_what_is_finer_than_its_column_is_cut_there_and_kept_in_full(tmp_path: Path) -> None:
    table, writer = written(tmp_path, [order(created="2026-01-15T11:58:00.9999Z", points="7.105427357601002E-15")])
    row = table.to_pylist()[0]
    assert row["created"] == datetime(2026, 1, 15, 11, 58, 0, 999_000, tzinfo=timezone.utc)
    assert row["points"] == Decimal("0.000000000000007105")
    assert json.loads(row["_unknown"]) == {"created": "2026-01-15T11:58:00.9999Z", "points": "7.105427357601002E-15"}
    assert +writer.misfits == {"created": 1, "points": 1}


def test_ids_of_19_digits_and_the_edges_of_64_bits(tmp_path: Path) -> None:
    assert one(tmp_path, order(id="9223372036854775807", _tableId=-(2**63)))["_tableId"] == -(2**63)
    row = one(tmp_path, order(_tableId="9223372036854775808"))
    assert (row["_tableId"], row["_unknown"]) == (None, '{"_tableId":"9223372036854775808"}')


@pytest.mark.parametrize("value", ["100000000000000000000", "400000000000000000000", "-4e20", "4E60", "1e999999999999"])
def test_no_number_wraps_around(tmp_path: Path, value: str) -> None:
    row = one(tmp_path, order(points=value))  # 4e20 does, if Arrow is left to it
    assert (row["points"], row["_unknown"]) == (None, f'{{"points":"{value}"}}')


@pytest.mark.parametrize("value", ["0.0001E-53", "0." + 60 * "0" + "1", "1e-999999"])
def test_no_number_vanishes(tmp_path: Path, value: str) -> None:
    row = one(tmp_path, order(points=value))  # the first does, if Arrow is left to it
    assert (row["points"], row["_unknown"]) == (0, f'{{"points":"{value}"}}')


def test_misfits_and_unknown_fields_stand_beside_each_other_and_are_counted(tmp_path: Path) -> None:
    item = {**ITEM, "quantity": "viele", "colour": "red"}
    table, writer = written(tmp_path, [order(orderItems=[item], moneyLogs="?", itemCount="3000000000", new={"a": [1]})])
    row = table.to_pylist()[0]
    assert json.loads(row["_unknown"]) == {"new": {"a": [1]}, "moneyLogs": "?", "itemCount": "3000000000"}
    assert json.loads(row["orderItems"][0]["_unknown"]) == {"colour": "red", "quantity": "viele"}
    assert +writer.misfits == Counter({"moneyLogs": 1, "itemCount": 1, "orderItems.quantity": 1})
    assert writer.misfits.total() == 3


def test_one_text_in_place_of_a_list_is_a_list_of_one(tmp_path: Path) -> None:
    row = one(tmp_path, order(tags="terrace"))
    assert (row["tags"], row["_unknown"]) == (["terrace"], None)


def test_bytes_that_are_no_text_are_not_fatal(tmp_path: Path) -> None:
    row = one(
        tmp_path, msgspec.Raw(b'{"id":"1","note":"\xff","orderItems":[{"id":"2","orderItemCustomizations":["\xff"]}]}')
    )
    assert (row["id"], row["note"], row["_unknown"]) == (1, "�", None)
    assert row["orderItems"][0]["orderItemCustomizations"] == '["�"]'
    assert one(tmp_path, msgspec.Raw(b'{"id":"1","\xff":2}'))["_unknown"] == '{"�":2}'


@pytest.mark.parametrize("selection", [{}, {"exclude": "orderItems.note"}])
def test_a_name_that_is_no_text_takes_nothing_else_with_it(tmp_path: Path, selection: dict[str, Any]) -> None:
    some = [
        msgspec.Raw(b'{"id":"1","orderItems":[{"id":"2","\xff":1},{"id":"3","name":"\xff"}]}'),
        msgspec.Raw(b'{"id":"4","\xff":1}'),
        msgspec.Raw(b'{"id":"5","status":"\xff"}'),
    ]
    table, writer = written(tmp_path, some, columns_of("orders", include="orderItems", **selection))
    first, second, third = table.to_pylist()
    assert [(item["id"], item["_unknown"]) for item in first["orderItems"]] == [(2, '{"�":1}'), (3, None)]
    assert (first["_unknown"], second["_unknown"], third["_unknown"]) == (None, '{"�":1}', None)
    assert (first["orderItems"][1]["name"], third["status"]) == ("�", "�")
    assert +writer.misfits == {"orderItems.name": 1, "orderItems._unknown": 1, "status": 1, "_unknown": 1}


# --- selections ----------------------------------------------------------------------------------------------------


def test_a_selection_leaves_nothing_of_the_rest(tmp_path: Path) -> None:
    columns = columns_of("orders", include="orderItems", personal_data=False)
    item = {**ITEM, "quantity": "viele", "colour": "red"}
    row = one(tmp_path, order(orderItems=[item], itemCount="?", new="Jana"), columns)
    assert {"note", "printData"}.isdisjoint(row)
    assert "note" not in row["orderItems"][0]
    assert row["_unknown"] == '{"itemCount":"?"}'
    assert row["orderItems"][0]["_unknown"] == '{"quantity":"viele"}'
    for value in ({"note": "Jana"}, [ITEM, None]):
        table, writer = written(tmp_path, [order(orderItems=value)], columns)
        odd = table.to_pylist()[0]
        assert (odd["orderItems"], odd["_unknown"]) == (None, None)
        assert +writer.misfits == {"orderItems": 1}


def test_what_is_excluded_is_not_unknown(tmp_path: Path) -> None:
    row = one(tmp_path, order(new="x"), columns_of("orders", exclude="printData,note"))
    assert json.loads(row["_unknown"]) == {"new": "x"}
    assert {"note", "printData"}.isdisjoint(row)


# --- the file ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, entity in entities().items() if entity.listed])
def test_every_part_of_an_entity_has_one_schema(tmp_path: Path, name: str) -> None:
    columns = columns_of(name, include=list(entities()[name].includes))
    parts = [[], [raw({"id": "1"})], [raw({"id": 1, "new": True}), raw({"id": "x", "versionDate": []})]]
    schemas = [written(tmp_path, part, columns)[0].schema for part in parts]
    assert schemas[0].names == [*columns.names_in_order, "_unknown"]
    assert schemas[0].equals(schemas[1], check_metadata=True)
    assert schemas[0].equals(schemas[2], check_metadata=True)


def test_duckdb_and_pandas_read_it(tmp_path: Path) -> None:
    import duckdb
    import pandas

    _, writer = written(tmp_path, [order(orderItems=[ITEM, ITEM], moneyLogs=[PAYMENT]), order(id="2", tags=None)])
    types = dict(duckdb.sql(f"select column_name, column_type from (describe from '{writer.path}')").fetchall())
    assert types["id"] == "BIGINT"
    assert types["itemCount"] == "INTEGER"
    assert types["totalValueRounded"] == "DECIMAL(38,18)"
    assert types["created"] == "TIMESTAMP WITH TIME ZONE"
    assert types["tags"] == "VARCHAR[]"
    assert types["orderItems"].startswith("STRUCT(id BIGINT")
    query = f"select sum(item.quantity) from (select unnest(orderItems) as item from '{writer.path}')"
    assert duckdb.sql(query).fetchall() == [(Decimal(4),)]
    frame = pandas.read_parquet(writer.path)
    assert frame["id"].tolist() == [5000000000000001, 2]
    assert str(frame["created"].dtype) == "datetime64[ms, UTC]"
    assert frame["totalValueRounded"][0] == Decimal("41.3223140495868")


def test_row_groups_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 1000)
    _, writer = written(tmp_path, [order(id=str(i)) for i in range(2200)], held_bytes=10**9)
    found = pq.ParquetFile(writer.path).metadata
    assert [found.row_group(i).num_rows for i in range(found.num_row_groups)] == [1000, 1000, 200]
    assert found.row_group(0).column(0).compression == "ZSTD"
    _, writer = written(tmp_path, [order(id=str(i)) for i in range(2200)], held_bytes=100_000)
    assert pq.ParquetFile(writer.path).metadata.num_row_groups > 3


def test_bytes_and_digest_are_those_of_the_file_and_the_same_each_time(tmp_path: Path) -> None:
    digests = set()
    for _ in range(2):
        with EncodingThread() as encoder:
            writer = ParquetWriter(tmp_path / "part.parquet", ORDERS, encoder)
            writer.write([order()])
            digests.add(writer.close())
        data = writer.path.read_bytes()
        assert (writer.rows, writer.bytes) == (1, len(data))
        digests.add(hashlib.sha256(data).hexdigest())
    assert len(digests) == 1


def test_discarding_leaves_nothing_behind(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    with EncodingThread() as encoder:
        writer = ParquetWriter(tmp_path / "part.parquet", ORDERS, encoder)
        writer.write([order(id=str(i)) for i in range(700)])
        writer.discard()
    del writer
    assert list(tmp_path.iterdir()) == []
    assert not recwarn.list


def test_memory_stays_flat() -> None:
    code = """
import resource, sys, tempfile, msgspec
from pathlib import Path
from airflow_provider_dotypos.transfers.encoding_thread import EncodingThread
from airflow_provider_dotypos.transfers.files.formats.parquet import ParquetWriter
from tests.transfers.sample_rows import columns_of, order
text = bytes(order(note="x" * 300))
folder = tempfile.TemporaryDirectory()
writer = ParquetWriter(Path(folder.name) / "part.parquet", columns_of("orders"), EncodingThread())
peaks = []
for count in (80_000, 200_000):
    while writer.rows < count:
        ids = range(writer.rows, writer.rows + 100)
        writer.write([msgspec.Raw(text.replace(b"5000000000000001", str(10**15 + id).encode())) for id in ids])
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
writer.close()
print(*peaks)
"""
    done = children.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    first, last = map(int, done.stdout.split())
    assert last - first < 24 * 1024  # KiB


def test_without_pyarrow_the_error_says_what_to_install(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
sys.modules["pyarrow"] = None
from airflow_provider_dotypos.transfers import encoding_thread
from airflow_provider_dotypos.transfers.files.formats import delimited, file_format, parquet
from airflow_provider_dotypos.transfers.rows.columns import Columns
try:
    parquet.ParquetWriter(Path(sys.argv[1]), Columns("orders", ()), encoding_thread.EncodingThread())
except parquet.PyarrowMissingError as error:
    print(error)
"""
    path = tmp_path / "part.parquet"
    done = children.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True)
    assert "pip install 'airflow-provider-dotypos[parquet]'" in done.stdout
    assert not path.exists()
