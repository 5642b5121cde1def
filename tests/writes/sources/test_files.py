from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from airflow_provider_dotypos.api.errors import DotyposEnvironmentError, DotyposInputError
from airflow_provider_dotypos.exceptions import DotyposPlanError
from airflow_provider_dotypos.writes.sources.files import FileSource
from airflow_provider_dotypos.writes.sources.problems import Problems

ROWS = [
    {"externalId": "A-1", "name": 'Tea, "green"\nleaf', "priceWithVat": Decimal("41.32231404958677685950")},
    {"externalId": "B", "name": None, "priceWithVat": None},
]


def as_jsonl(rows: list[dict[str, Any]]) -> bytes:
    lines = [json.dumps(row | {"priceWithVat": 0.5}) for row in rows]
    prices = ["null" if row["priceWithVat"] is None else str(row["priceWithVat"]) for row in rows]
    return "\n".join(line.replace("0.5", price) for line, price in zip(lines, prices, strict=True)).encode()


def as_csv(rows: list[dict[str, Any]], divider: str = ",") -> bytes:
    def cell(value: Any) -> str:
        return "" if value is None else '"' + str(value).replace('"', '""') + '"'

    return "\r\n".join([divider.join(rows[0]), *(divider.join(map(cell, row.values())) for row in rows)]).encode()


def rows_of(path: Path, data: bytes) -> tuple[list[dict[str, Any]], Problems]:
    path.write_bytes(data)
    problems = Problems()
    return [dict(row) for _, row in FileSource.of(str(path)).numbered(problems)], problems


def said(problems: Problems) -> str:
    with pytest.raises(DotyposPlanError) as raised:
        problems.raise_any("it")
    return str(raised.value)


def test_json_lines_keep_every_digit(tmp_path: Path) -> None:
    rows, problems = rows_of(tmp_path / "prices.jsonl", as_jsonl(ROWS) + b"\n\n")
    assert rows == ROWS
    assert len(problems) == 0


@pytest.mark.parametrize("divider", [",", ";", "\t", "|"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_csv_is_read_whatever_divides_its_cells(tmp_path: Path, divider: str, mark: bytes) -> None:
    rows, problems = rows_of(tmp_path / "prices.csv", mark + as_csv(ROWS, divider))
    assert rows == [{name: None if value is None else str(value) for name, value in row.items()} for row in ROWS]
    assert len(problems) == 0


@pytest.mark.parametrize(("name", "encode"), [("a.jsonl", as_jsonl), ("A.CSV", as_csv), ("a.ndjson", as_jsonl)])
def test_text_may_be_compressed(tmp_path: Path, name: str, encode: Callable[[list[dict[str, Any]]], bytes]) -> None:
    rows, _ = rows_of(tmp_path / f"{name}.gz", gzip.compress(encode(ROWS)))
    assert [row["externalId"] for row in rows] == ["A-1", "B"]


def test_parquet_keeps_decimals_times_and_nulls(tmp_path: Path) -> None:
    moment = datetime(2026, 1, 15, 12, tzinfo=timezone.utc)
    schema = pyarrow.schema(
        {
            "externalId": pyarrow.string(),
            "priceWithVat": pyarrow.decimal128(38, 20),
            "expireDate": pyarrow.timestamp("ms", "UTC"),
            "tags": pyarrow.list_(pyarrow.string()),
        }
    )
    given = [
        {"externalId": "A", "priceWithVat": Decimal("41.32231404958677685950"), "expireDate": moment, "tags": ["x"]},
        {"externalId": "B", "priceWithVat": None, "expireDate": None, "tags": None},
    ]
    parquet.write_table(pyarrow.Table.from_pylist(given, schema), tmp_path / "prices.parquet")
    assert list(FileSource.of(str(tmp_path / "prices.parquet")).rows()) == given


def test_a_number_of_four_bytes_has_the_digits_that_it_was_given(tmp_path: Path) -> None:
    numbers = [125.1, 0.1, 1e-20, 16777216.0, 1 / 3, None]
    path = tmp_path / "rows.parquet"
    parquet.write_table(pyarrow.table({"price": pyarrow.array(numbers, pyarrow.float32())}), path)
    read = [row["price"] for row in FileSource.of(str(path)).rows()]
    assert read == [125.1, 0.1, 1e-20, 16777216.0, 0.33333334, None]


def test_lines_that_are_no_objects_are_problems_and_the_others_are_read(tmp_path: Path) -> None:
    lines = [
        b'{"externalId": "A"}',
        b'{"externalId": ',
        b"[1]",
        b'{"a": NaN}',
        b'{"a": "\xff"}',
        b'{"externalId": "B"}',
    ]
    (tmp_path / "x.jsonl").write_bytes(b"\n".join(lines))
    problems = Problems()
    read = list(FileSource.of(str(tmp_path / "x.jsonl")).numbered(problems))
    assert read == [(1, {"externalId": "A"}), (6, {"externalId": "B"})]
    assert "rows 2, 3, 4, 5: isn't a line with one JSON object" in said(problems)


def test_a_line_of_csv_with_other_cells_is_a_problem(tmp_path: Path) -> None:
    rows, problems = rows_of(tmp_path / "x.csv", b"externalId,name\nA,x\n\nB\nC,x,y\nD,x\n")
    assert [row["externalId"] for row in rows] == ["A", "D"]
    assert "rows 2, 3: doesn't have the 2 cells of the first line" in said(problems)


def test_csv_of_another_encoding_leaves_no_wrong_letters(tmp_path: Path) -> None:
    rows, _ = rows_of(tmp_path / "x.csv", "externalId,name\nA,Čaj\n".encode("cp1250"))
    with pytest.raises(UnicodeEncodeError):  # the rules refuse such a text, row by row
        rows[0]["name"].encode()


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.tsv", "x.jsonl.gz"])
def test_an_empty_file_has_no_rows(tmp_path: Path, name: str) -> None:
    assert rows_of(tmp_path / name, b"")[0] == []


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("x.csv", b"externalId,externalId\nA,B\n", "columns 1, 2 of the source have names that aren't"),
        ("x.csv", b'externalId,name\nA,"x\n', "can't be read to its end"),
        ("x.csv", gzip.compress(as_csv(ROWS)), "isn't text in UTF-8: it is compressed"),
        ("x.csv", as_csv(ROWS).decode().encode("utf-16"), "isn't text in UTF-8"),
        ("x.csv.gz", gzip.compress(as_csv(ROWS))[:-9], "cut off"),
        ("x.csv.gz", as_csv(ROWS), "can't be read to its end"),
        ("x.parquet", b"PAR1", "can't be read to its end"),
        ("x.parquet", b"", "can't be read to its end"),
    ],
    ids=range(8),
)
def test_a_file_that_is_not_what_its_name_says_is_an_error(tmp_path: Path, name: str, data: bytes, why: str) -> None:
    with pytest.raises(DotyposPlanError, match=why) as raised:
        rows_of(tmp_path / name, data)
    assert raised.value.__cause__ is None


def test_a_file_that_does_not_exist_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").touch()
    for name in ("folder.csv", "file/none.csv"):
        with pytest.raises(DotyposInputError, match=rf"{name} is a folder, or below a file"):
            list(FileSource.of(str(tmp_path / name)).rows())
    with pytest.raises(DotyposInputError, match=r"there is no file .*/none\.csv"):
        list(FileSource.of(f"file://{tmp_path}/none.csv").rows())


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(DotyposEnvironmentError, match=r"pip install 'airflow-provider-dotypos\[parquet\]'"):
        list(FileSource.of(str(tmp_path / "x.parquet")).rows())
