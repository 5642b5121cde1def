"""Bytes that aren't UTF-8: every format holds U+FFFD in their place, counts them, and can be read.

This tests `readable` with all writers (`writer`, `jsonl`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.sandbox.api import wire
from airflow_provider_dotypos.transfers.encoding_thread import EncodingThread
from airflow_provider_dotypos.transfers.files.committed_set import read_manifest
from airflow_provider_dotypos.transfers.files.formats.file_format import FileFormat
from airflow_provider_dotypos.transfers.rows.columns import members
from airflow_provider_dotypos.transfers.rows.readable import readable
from tests.transfers.conftest import SINCE_MS
from tests.transfers.sample_rows import columns_of

FORMATS = ["jsonl", "csv", "parquet"]
READERS = {"jsonl": "read_json", "csv": "read_csv", "parquet": "read_parquet"}
ORDERS = columns_of("orders", include="orderItems")

#: Stands for the byte E9, an é of Latin-1, in what a test gives.
ODD = "\ue000"


@pytest.fixture
def old_till(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the sandbox answer as a till would that writes Latin-1."""
    encode = wire.encode_row
    monkeypatch.setattr(wire, "encode_row", lambda *given: encode(*given).replace(ODD.encode(), b"\xe9"))


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("shape", [{}, {"exclude": "printData"}, {"columns": "note,tags"}])
def test_a_set_is_read_by_duckdb(
    extract: Callable[..., dict[str, Any]],
    sandbox: Sandbox,
    old_till: None,
    caplog: pytest.LogCaptureFixture,
    file_format: str,
    shape: dict[str, Any],
) -> None:
    notes = [f"caf{ODD}", "café", "plain", f"{ODD}{ODD}"]
    for i, note in enumerate(notes):
        row = {"versionDate": SINCE_MS + i, "note": note, "tags": [ODD] if i == 1 else []}
        sandbox.shop.insert(sandbox.cloud_ids[0], "orders", row)
    found = read_manifest(extract(file_format=file_format, **shape)["manifest"])
    files = [str(file.path) for file in found.files]
    read = duckdb.sql(f"select note from {READERS[file_format]}({files}) order by versionDate").fetchall()
    assert [note for (note,) in read] == ["caf�", "café", "plain", "��"]
    assert found.manifest.misfits == {"note": 2, "tags": 1}
    assert "note (2), tags (1)" in caplog.text
    assert "caf" not in caplog.text


@pytest.mark.parametrize("flatten", [False, True])
@pytest.mark.parametrize("file_format", FORMATS)
def test_children_count_for_themselves(
    extract: Callable[..., dict[str, Any]], sandbox: Sandbox, old_till: None, file_format: str, flatten: bool
) -> None:
    cloud = sandbox.cloud_ids[0]
    order = sandbox.shop.insert(cloud, "orders", {"versionDate": SINCE_MS, "note": ODD})["id"]
    for name in (ODD, "Espresso"):
        sandbox.shop.insert(cloud, "order-items", {"versionDate": SINCE_MS, "_orderId": order, "name": name})
    found = read_manifest(extract(file_format=file_format, include="orderItems", flatten=flatten)["manifest"])
    assert found.manifest.misfits == {"note": 1, ("order-items.name" if flatten else "orderItems.name"): 1}
    for file in [*found.files, *found.children.get("order-items", ())]:
        assert duckdb.sql(f"select count(*) from {READERS[file_format]}('{file.path}')").fetchall() != [(0,)]


def odd(row: dict[str, Any]) -> msgspec.Raw:
    data = json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()
    return msgspec.Raw(data.replace(ODD.encode(), b"\xe9"))


texts = st.text(st.sampled_from("ab " + ODD + 'čé😀\ufffd"\\'), max_size=6)
items = st.lists(
    st.fixed_dictionaries({"id": st.just("2")}, optional={"name": texts, "new": texts}) | texts, max_size=3
)
given_rows = st.lists(
    st.fixed_dictionaries(
        {"id": st.just("1")},
        optional={
            "note": texts,
            "tags": st.lists(texts, max_size=2) | texts,
            "printData": texts,
            "orderItems": items | texts,
            "new": texts | st.dictionaries(texts, texts, max_size=2),
        },
    ),
    max_size=4,
)


def expected(rows: list[dict[str, Any]]) -> dict[str, int]:
    """Return the misfits of rows: each field's values with an odd byte, items' fields each for itself."""
    counts: Counter[str] = Counter()
    for row in rows:
        for name, value in row.items():
            nested = value if name == "orderItems" and isinstance(value, list) else [value]
            for one in nested:
                if name == "orderItems" and isinstance(one, dict):
                    counts["orderItems.name"] += ODD in one.get("name", "")
                    counts["orderItems._unknown"] += ODD in one.get("new", "")
                else:
                    key = "_unknown" if name == "new" else name
                    counts[key] += ODD in json.dumps(one, ensure_ascii=False)
    return dict(+counts)


@given(given_rows)
def test_only_what_is_odd_changes_and_is_counted(rows: list[dict[str, Any]]) -> None:
    misfits: Counter[str] = Counter()
    came = [odd(row) for row in rows]
    mended = readable(came, ORDERS, misfits)
    assert +misfits == expected(rows)
    for before, after, row in zip(came, mended, rows, strict=True):
        if ODD.encode() not in json.dumps(row, ensure_ascii=False).encode():
            assert after is before
        assert msgspec.json.decode(after) == msgspec.json.decode(bytes(before).decode("utf-8", "replace"))


@pytest.mark.parametrize("name", FORMATS)
@settings(deadline=None)  # the first Parquet file takes its time
@given(rows=given_rows)
def test_every_format_takes_them(
    tmp_path_factory: pytest.TempPathFactory, name: Any, rows: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("odd") / "part"
    with EncodingThread() as encoder:
        writer = FileFormat(name).writer(path, ORDERS, encoder)
        writer.write([odd(row) for row in rows])
        writer.close()
    if name == "parquet":
        pq.read_table(path)
    else:
        path.read_bytes().decode()
    # Parquet counts what is no row of a child list besides.
    left_out = {"orderItems"} if name == "parquet" else set()
    counted = {field: count for field, count in (+writer.misfits).items() if field not in left_out}
    assert counted == {field: count for field, count in expected(rows).items() if field not in left_out}


def test_names_are_kept_apart_and_values_to_the_byte() -> None:
    misfits: Counter[str] = Counter()
    row = msgspec.Raw(b'{"id":"1","\xe9":"\xe9","\xe8":1,"\\u010d":"\\u010d \xff"}')
    fields = members(row, misfits, "orderItems.")
    assert {name: bytes(value) for name, value in fields.items()} == {
        "id": b'"1"',
        "�": b'"\xe9"',
        "��": b"1",
        "č": b'"\\u010d \xff"',
    }
    assert misfits == {"orderItems._unknown": 2}


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_no_number_either_counts_once(tmp_path: Path, name: Any) -> None:
    with EncodingThread() as encoder:
        writer = FileFormat(name).writer(tmp_path / "part", ORDERS, encoder)
        writer.write([msgspec.Raw(b'{"id":"1","itemCount":"\xe9","orderItems":[{"id":"2","quantity":"\xe9"}]}')])
        writer.close()
    assert +writer.misfits == {"itemCount": 1, "orderItems.quantity": 1}


def test_what_is_not_wanted_is_not_counted() -> None:
    misfits: Counter[str] = Counter()
    columns = columns_of("orders", exclude="note")
    readable([msgspec.Raw(b'{"id":"1","note":"\xe9"}')], columns, misfits)
    assert not +misfits
