"""CSV parts, and reading the ids of a part of any format again (`part_ids`)."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_dotypos.api.entities import entities
from airflow_provider_dotypos.transfers.encoding_thread import EncodingThread
from airflow_provider_dotypos.transfers.files.formats.delimited import CsvWriter
from airflow_provider_dotypos.transfers.files.formats.jsonl import JsonLinesWriter
from airflow_provider_dotypos.transfers.files.formats.parquet import ParquetWriter
from airflow_provider_dotypos.transfers.files.formats.part_ids import part_ids
from airflow_provider_dotypos.transfers.files.formats.writer import RowWriter
from airflow_provider_dotypos.transfers.rows.columns import Columns
from tests.transfers.sample_rows import ITEM, columns_of, encoded, members, order, raw

ORDERS = columns_of("orders", include="orderItems")


def written(path: Path, rows: list[msgspec.Raw], columns: Columns = ORDERS) -> list[dict[str, str]]:
    writer = CsvWriter(path / "part.csv", columns)
    writer.write(rows)
    writer.close()
    data = writer.path.read_bytes()
    assert writer.bytes == len(data)
    # Python 3.10 reads no NUL.
    rows_read = csv.DictReader(io.StringIO(data.decode().replace("\0", "\ud800"), newline=""))
    return [{name: cell.replace("\ud800", "\0") for name, cell in row.items()} for row in rows_read]


def test_cells_are_what_people_expect(tmp_path: Path) -> None:
    row = written(tmp_path, [order(orderItems=[ITEM], created="2026-01-15T12:58:00+0100", new={"a": [1.50]})])[0]
    assert list(row) == [*ORDERS.names_in_order, "_unknown"]
    assert row["totalValueRounded"] == "41.3223140495868"
    assert row["paid"] == "true"
    assert row["created"] == "2026-01-15T11:58:00.000Z"
    assert row["_tableId"] == row["_courseId"] == ""
    assert row["note"] == 'stůl u okna, "tichý"\r\nprosím'
    assert row["tags"] == '["terrace"]'
    assert json.loads(row["orderItems"]) == [ITEM]
    assert json.loads(row["_unknown"]) == {"new": {"a": [1.50]}}


def test_it_is_rfc_4180_without_a_byte_order_mark(tmp_path: Path) -> None:
    written(tmp_path, [order(note='a "b", c')], columns_of("orders", columns="note"))
    assert (tmp_path / "part.csv").read_bytes() == (
        b'id,note,versionDate,_unknown\r\n5000000000000001,"a ""b"", c",2026-01-15T12:00:03.007Z,\r\n'
    )


@pytest.mark.parametrize("text", ["=1+1", "+420 111 222 333", "-5", "@x", "\t=1"])
def test_what_a_spreadsheet_may_run_is_left_as_it_is(tmp_path: Path, text: str) -> None:
    assert written(tmp_path, [order(note=text)])[0]["note"] == text


def test_a_nul_is_no_reason_to_fail_on_any_python(tmp_path: Path) -> None:
    texts = ["a\0b", "Eva, \0", "plain"]
    rows = [raw({"id": str(i), "note": text}) for i, text in enumerate(texts)]
    assert [row["note"] for row in written(tmp_path, rows)] == texts
    assert b'"Eva, \0"' in (tmp_path / "part.csv").read_bytes()


@given(row=members(ORDERS))
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_no_value_is_lost(tmp_path: Path, row: dict[str, str]) -> None:
    found = written(tmp_path, [encoded(row)])[0]
    unknown = msgspec.json.decode(found["_unknown"] or "{}", type=dict[str, msgspec.Raw])
    assert {name: bytes(value).decode() for name, value in unknown.items()} == {
        name: value for name, value in row.items() if name not in ORDERS.names
    }
    for column in ORDERS.columns:
        value = row.get(column.name, "null")
        if column.kind != "timestamp":
            text = "" if value == "null" else json.loads(value) if value.startswith('"') else value
            assert found[column.name] == text
        else:
            assert bool(found[column.name]) == (value not in ("null", '""'))


def test_a_time_that_would_lose_something_stays_as_it_came(tmp_path: Path) -> None:
    for text in ("2026-01-15T12:58:00.1234+01:00", "yesterday", "2026-01-15T12:58:00"):
        assert written(tmp_path, [order(created=text)])[0]["created"] == text
    assert written(tmp_path, [order(created=1768478280000)])[0]["created"] == "2026-01-15T11:58:00.000Z"


@pytest.mark.parametrize("columns", [ORDERS, columns_of("orders", exclude="printData")])
def test_a_name_that_is_no_text_is_not_fatal(tmp_path: Path, columns: Columns) -> None:
    row = written(tmp_path, [msgspec.Raw(b'{"id":"1","\xff":1,"note":"a"}')], columns)[0]
    assert (row["id"], row["note"], row["_unknown"]) == ("1", "a", '{"�":1}')


def test_it_can_be_compressed_and_is_the_same_each_time(tmp_path: Path) -> None:
    digests = set()
    for name in ("a", "b"):
        writer = CsvWriter(tmp_path / name, ORDERS, 1)
        writer.write([order()] * 3)
        digests.add(writer.close())
    assert len(digests) == 1
    assert gzip.decompress((tmp_path / "a").read_bytes()).startswith(b"id,_branchId,")


@pytest.mark.parametrize("name", [name for name, entity in entities().items() if entity.listed])
def test_a_part_without_rows_has_the_header(tmp_path: Path, name: str) -> None:
    columns = columns_of(name)
    writer = CsvWriter(tmp_path / "part.csv", columns)
    writer.close()
    assert writer.path.read_text().split(",") == [*columns.names_in_order, "_unknown\n"]


# --- ids again -----------------------------------------------------------------------------------------------------

Make = Callable[[Path], RowWriter]
FORMATS: dict[str, tuple[Make, str, str | None]] = {
    "jsonl": (lambda path: JsonLinesWriter(path, None), "jsonl", None),
    "jsonl.gz": (lambda path: JsonLinesWriter(path, 1), "jsonl", "gzip"),
    "csv": (lambda path: CsvWriter(path, ORDERS), "csv", None),
    "csv.gz": (lambda path: CsvWriter(path, ORDERS, 1), "csv", "gzip"),
    "parquet": (lambda path: ParquetWriter(path, ORDERS, EncodingThread()), "parquet", None),
}


@pytest.mark.parametrize("name", FORMATS)
@given(ids=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20), note=st.text())
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
def test_ids_are_read_from_a_part_of_any_format(tmp_path: Path, name: str, ids: list[int], note: str) -> None:
    make, file_format, compression = FORMATS[name]
    writer = make(tmp_path / "part")
    writer.write([raw({"note": f'{note}\n7,"\r\n8,', "id": str(id)}) for id in ids])
    writer.close()
    assert [id for some in part_ids(writer.path, file_format, compression) for id in some] == ids
    with writer.path.open("rb") as file:
        assert [id for some in part_ids(file, file_format, compression) for id in some] == ids


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "parquet"])
def test_reading_ids_takes_little_memory(tmp_path: Path, name: str) -> None:
    make, file_format, compression = FORMATS[name]
    writer = make(tmp_path / "part")
    for start in range(0, 20_000, 1000):
        writer.write([raw({"id": str(id), "note": "x" * 900}) for id in range(start, start + 1000)])
    writer.close()
    tracemalloc.start()
    count = sum(len(some) for some in part_ids(writer.path, file_format, compression))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 8 * 2**20


def test_a_part_without_ids_is_an_error(tmp_path: Path) -> None:
    for name, (make, file_format, compression) in FORMATS.items():
        writer = make(tmp_path / name)
        writer.write([raw({"id": None})])
        writer.close()
        with pytest.raises(ValueError):  # noqa: PT011
            list(part_ids(writer.path, file_format, compression))
