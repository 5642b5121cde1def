from __future__ import annotations

import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.exceptions import DotyposPlanError
from airflow_provider_dotypos.writes.sources import source_of
from airflow_provider_dotypos.writes.sources.index import SourceIndex, SourceRow, index_source
from airflow_provider_dotypos.writes.sources.problems import Problems

PRODUCTS = find_entity("products")


@contextmanager
def indexed(rows: Any, match: tuple[str, ...] = ("externalId",), **how: Any) -> Iterator[tuple[SourceIndex, Problems]]:
    problems = Problems()
    with index_source(source_of(rows), PRODUCTS, match=match, cloud_id=5, problems=problems, **how) as index:
        yield index, problems


def said(problems: Problems) -> list[str]:
    with pytest.raises(DotyposPlanError) as raised:
        problems.raise_any("it")
    return str(raised.value).splitlines()[1:]


def prices(count: int) -> list[dict[str, Any]]:
    return [{"externalId": f"S-{number}", "priceWithVat": number} for number in range(count)]


def test_rows_come_in_their_order_with_their_keys() -> None:
    with indexed(prices(5000)) as (index, problems):
        assert len(index) == 5000
        assert [row.number for row in index.rows()] == list(range(1, 5001))
        values = {"externalId": "S-77", "priceWithVat": "77"}
        assert [*index.rows()][77] == SourceRow(78, ("S-77",), values)
        assert len(problems) == 0


def test_a_source_without_rows_has_an_index() -> None:
    with indexed([]) as (index, problems):
        assert (len(index), list(index.rows()), len(problems)) == (0, [], 0)


def test_rows_with_problems_are_not_among_those_to_be_written() -> None:
    rows = [{"externalId": "A", "vat": 21}, {"externalId": "B", "vat": 1.21}, 7]
    with indexed(rows) as (index, problems):
        assert [row.number for row in index.rows()] == [2]
        assert [line.split(":")[0] for line in said(problems)] == ["- row 1", "- row 3"]


def test_a_field_that_no_row_has_is_a_problem() -> None:
    rows = [{"externalId": "A", "price": 1}, {"externalId": "B", "price": 1, "points": None}]
    with indexed(rows, fields=("priceWithVat", "points", "externalId")) as (_, problems):
        assert said(problems) == ["- priceWithVat: no row has it, and fields= names it"]
    with indexed([], fields=("priceWithVat",)) as (_, problems):
        assert len(problems) == 0


def test_a_doubled_key_is_a_problem_of_the_later_rows() -> None:
    rows = [{"externalId": key} for key in ("A", "B", 42, "A", "42", "A")]
    with indexed(rows) as (_, problems):
        assert said(problems) == [
            "- rows 4, 6: externalId: has the same key as row 1; each may be there once",
            "- row 5: externalId: has the same key as row 3; each may be there once",
        ]


def test_a_key_of_two_fields_is_doubled_as_a_whole_only() -> None:
    rows = [{"name": "a", "unit": "b"}, {"name": "a", "unit": "c"}, {"name": "b", "unit": "c"}]
    with indexed(rows, ("name", "unit")) as (index, problems):
        assert len(problems) == 0
        assert [row.key for row in index.rows()] == [("a", "b"), ("a", "c"), ("b", "c")]


def test_a_list_with_two_values_is_no_key() -> None:
    with indexed([{"ean": ["1", "2"], "points": 1}, {"ean": "", "points": 1}], ("ean",)) as (index, problems):
        assert len(index) == 0
        assert "- row 1: ean has 2 values, and rows are matched by it: name one" in said(problems)
        assert len(problems) == 2


def test_the_digest_is_of_the_values_in_their_order_whatever_their_source_is() -> None:
    rows = [{"externalId": "A", "priceWithVat": 1.5}, {"externalId": "B", "priceWithVat": 2}]
    spelled = [{"priceWithVat": "1.50", "externalId": "A"}, {"externalId": "B", "priceWithVat": "2.0", "name": None}]
    digests = []
    for given in (rows, spelled, rows[::-1], rows[:1], []):
        with indexed(given) as (index, _):
            digests.append(index.digest)
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4
    assert all(len(digest) == 64 for digest in digests)


def test_the_file_is_its_owners_and_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with indexed(prices(3)):
        (folder,) = tmp_path.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {file.suffix for file in folder.iterdir()} == {"", ".db"}
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_fails_leaves_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def rows() -> Iterator[dict[str, Any]]:
        yield from prices(3)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="gone"), indexed(rows()):
        raise AssertionError
    assert list(tmp_path.iterdir()) == []
