"""The current table, beside a dict.

Tests `lake/current`, `lake/current_sets`, `lake/newest_table` and `lake/shapes`.
From an object store it is read in `tests/transfers/files/test_s3.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from airflow.sdk import ObjectStoragePath
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_dotypos import read_entity
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.window import Window, iso
from airflow_provider_dotypos.lake.current import CurrentTable
from airflow_provider_dotypos.lake.newest import Bounds
from airflow_provider_dotypos.transfers.errors import DamagedSetError, SetsChangedError
from airflow_provider_dotypos.transfers.files.formats.file_format import FileFormat
from airflow_provider_dotypos.transfers.rows.columns import Columns
from tests.lake.lakes import CLOUD, SET_LISTS, Rows, begun, commit_set, naive, passing_destination, product

CHILD = "product-customizations"
HOUR = 3_600_000


@pytest.fixture
def place(tmp_path: Path) -> ObjectStoragePath:
    return ObjectStoragePath(f"file://{tmp_path}")


def hour(number: int, *ids: int, since: int | None = -1, **fields: Any) -> dict[str, Any]:
    """Return a set of an hour: products that changed in its middle."""
    begins = number * HOUR if since == -1 else since
    rows = [product(id, number * HOUR + HOUR // 2, name=f"{number}:{id}", deleted=False, **fields) for id in ids]
    return {"window": Window(begins, (number + 1) * HOUR), "parts": [Rows(begins, (number + 1) * HOUR, rows)]}


def current(place: ObjectStoragePath, entity: str = "products", **arguments: Any) -> CurrentTable:
    return read_entity(place, CLOUD, entity, **arguments)


def names(table: CurrentTable, **arguments: Any) -> list[str]:
    return sorted(row["name"] for row in table.rows(**arguments))


def pairs(rows: Any) -> list[tuple[str, str]]:
    return sorted((str(row["id"]), row["name"]) for row in rows)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SET_LISTS, st.sampled_from([Bounds(), Bounds(3), Bounds(None, 7), Bounds(2, 9)]), st.booleans())
def test_the_table_is_that_of_a_dict(some: list[dict[str, Any]], bounds: Bounds, deleted: bool):
    with passing_destination() as place:
        for one in some:
            commit_set(place, include="customizations", flatten=True, **one)
        since, until = (None if moment is None else iso(moment) for moment in bounds)
        table = current(place, since=since, until=until, deleted=deleted)
        rows, children = naive(begun(some, bounds.until), bounds, hide_deleted=not deleted)
        for _ in range(2):
            assert pairs(table.rows()) == pairs(rows)
            assert pairs(table.rows(CHILD)) == pairs(children)
        assert pairs(table.to_arrow().to_pylist()) == pairs(rows)
        assert pairs(table.to_arrow(CHILD).to_pylist()) == pairs(children)
        assert (table.count(), table.count(CHILD)) == (len(rows), len(children))


def test_a_relation_is_queried_again_and_again(place: ObjectStoragePath):
    commit_set(place, file_format="parquet", **hour(0, 1, 2, priceWithVat="12.50"))
    commit_set(place, file_format="jsonl", **hour(1, 2, 3, priceWithVat="13"))
    with duckdb.connect() as connection:
        relation = current(place).to_duckdb(connection)
        for _ in range(2):
            assert relation.aggregate("count(*)").fetchall() == [(3,)]
        assert connection.sql("SELECT name FROM products ORDER BY id").fetchall() == [("0:1",), ("1:2",), ("1:3",)]
        assert str(relation.columns) == str(current(place).to_arrow().column_names)
        commit_set(place, **hour(2, 1))
        assert current(place).to_duckdb(connection, name='odd "name"').fetchall() != relation.fetchall()
        assert relation.aggregate("count(*)").fetchall() == [(3,)]


def test_a_data_frame_has_the_types_of_a_set(place: ObjectStoragePath):
    commit_set(place, **hour(0, 1, 2, note=None))
    frame = current(place).to_pandas()
    assert (str(frame["id"].dtype), [*frame["name"]]) == ("Int64", ["0:1", "0:2"])


def test_covered_time_is_joined_and_gaps_are_named(place: ObjectStoragePath):
    for number in (1, 2, 4):
        commit_set(place, **hour(number, number))
    (place / str(CLOUD) / "products" / f"{Window(3 * HOUR, 4 * HOUR).name}_0123abcd").mkdir()  # nothing was committed
    table = current(place)
    assert table.covered == [Window(HOUR, 3 * HOUR), Window(4 * HOUR, 5 * HOUR)]
    assert table.gaps == [Window(3 * HOUR, 4 * HOUR)]

    bounded = current(place, since=iso(0), until=iso(6 * HOUR))
    assert bounded.gaps == [Window(0, HOUR), Window(3 * HOUR, 4 * HOUR), Window(5 * HOUR, 6 * HOUR)]
    narrow = current(place, since=iso(HOUR + 1), until=iso(2 * HOUR))
    assert (narrow.covered, narrow.gaps) == ([Window(HOUR + 1, 2 * HOUR)], [])
    nothing = current(place, since=iso(7 * HOUR), until=iso(8 * HOUR))
    assert (list(nothing.rows()), nothing.covered, nothing.gaps) == ([], [], [Window(7 * HOUR, 8 * HOUR)])
    assert nothing.to_arrow().num_rows == nothing.to_arrow(CHILD).num_rows == nothing.count(CHILD) == 0


def test_it_is_as_of_a_past_time(place: ObjectStoragePath):
    commit_set(place, **hour(0, 1, 2, since=None))
    commit_set(place, **hour(1, 2, 3))
    assert names(current(place)) == ["0:1", "1:2", "1:3"]
    assert names(current(place, until=iso(HOUR))) == ["0:1", "0:2"]
    assert names(current(place, since=iso(HOUR))) == ["1:2", "1:3"]
    assert names(current(place, until="1970-01-01", timezone="Asia/Tokyo", since=iso(-24 * HOUR))) == []


def test_deleted_rows_are_shown_by_choice(place: ObjectStoragePath):
    first = hour(0, 1, 2)
    first["parts"][0].rows[1]["deleted"] = True
    commit_set(place, **first)
    assert names(current(place)) == ["0:1"]
    assert names(current(place, deleted=True)) == ["0:1", "0:2"]


def test_without_the_field_deleted_rows_cant_be_hidden(place: ObjectStoragePath):
    commit_set(place, columns="name", **hour(0, 1))
    with pytest.raises(DotyposInputError, match=r"without the field deleted.*deleted=True"):
        current(place)
    assert names(current(place, deleted=True)) == ["0:1"]


def test_formats_are_mixed_and_shapes_are_not(place: ObjectStoragePath):
    first = commit_set(place, **hour(0, 1))
    commit_set(place, file_format="parquet", **hour(1, 2))
    assert names(current(place)) == ["0:1", "1:2"]
    other = commit_set(place, filter="name|like|Jana", **hour(2, 1))
    with pytest.raises(DotyposInputError, match="shape: the sets of products hold rows of different shapes") as raised:
        current(place)
    assert f"{first.folder.shape} (1 set, jsonl)" in str(raised.value)
    assert f"{other.folder.shape} (1 set, jsonl, filtered)" in str(raised.value)
    assert "Jana" not in str(raised.value)
    assert names(current(place, shape=first.folder.shape)) == ["0:1"]
    assert names(current(place, shape=[other.folder.shape])) == ["2:1"]
    with pytest.raises(DotyposInputError, match="of different shapes"):
        current(place, shape=f"{first.folder.shape},{other.folder.shape}")


def test_columns_of_an_earlier_version_are_null(place: ObjectStoragePath, monkeypatch: pytest.MonkeyPatch):
    writer = FileFormat.writer

    def without_note(self: FileFormat, path: Any, columns: Columns, encoder: Any) -> Any:
        fewer = tuple(column for column in columns.columns if column.name != "ean")
        return writer(self, path, Columns(columns.entity, fewer), encoder)

    with monkeypatch.context() as patched:
        patched.setattr(FileFormat, "writer", without_note)
        commit_set(place, file_format="parquet", **hour(0, 1))
    commit_set(place, file_format="parquet", **hour(1, 2, ean=["8590000000017"]))
    table = current(place).to_arrow().sort_by("id")
    assert table["ean"].to_pylist() == [None, ["8590000000017"]]
    assert table.schema.field("ean").type == pa.list_(pa.string())


def test_snapshots_are_no_rows(place: ObjectStoragePath):
    commit_set(place, snapshot=True, **hour(1, 1, since=None))
    with pytest.raises(FileNotFoundError, match="no committed set of products"):
        current(place)
    commit_set(place, **hour(0, 1))
    assert names(current(place)) == ["0:1"]


def test_a_list_without_a_change_date_is_its_newest_set(place: ObjectStoragePath):
    for number, ids in enumerate([(1, 2), (2, 3)]):
        rows = [{"id": str(id), "name": f"{number}:{id}", "deleted": False} for id in ids]
        window = Window(None, (number + 1) * HOUR)
        commit_set(place, window, [Rows(None, None, rows)], entity="portions")
    assert names(current(place, "portions")) == ["1:2", "1:3"]
    assert names(current(place, "portions", until=iso(2 * HOUR - 1))) == ["0:1", "0:2"]
    with pytest.raises(DotyposInputError, match="since: portions has no change date"):
        current(place, "portions", since=iso(0))


def test_rows_below_two_warehouses_are_two(place: ObjectStoragePath):
    def stock(warehouse: int, moment: int, changed: int | None, quantity: str) -> dict[str, Any]:
        moments = {"stockStatusVersiondate": iso(moment), "versionDate": None if changed is None else iso(changed)}
        return {"id": "1", "_warehouseId": str(warehouse), "stockQuantityStatus": quantity, "deleted": False, **moments}

    first = [stock(1, 10, 5, "1"), stock(2, 10, 30, "2")]
    second = [stock(1, 10, 40, "3"), stock(2, 10, None, "4")]
    for number, rows in enumerate((first, second)):
        window = Window(number * 50, number * 50 + 50)
        commit_set(place, window, [Rows(window.since, window.until, rows)], entity="warehouse-products")
    for limits, quantities in (({}, ["2", "3"]), ({"until": iso(20)}, ["1"]), ({"since": iso(20)}, ["2", "3"])):
        table = current(place, "warehouse-products", **limits)
        assert sorted(row["stockQuantityStatus"] for row in table.rows()) == quantities


def test_a_set_that_is_replaced_meanwhile_is_looked_for_again(place: ObjectStoragePath):
    commit_set(place, **hour(0, 1, 2))
    commit_set(place, **hour(1, 3))
    table = current(place)
    commit_set(place, overwrite=True, **hour(0, 1))
    assert names(table) == ["0:1", "1:3"]
    assert table.count() == 2
    commit_set(place, overwrite=True, **hour(0, 5))
    assert sorted(table.to_arrow()["name"].to_pylist()) == ["0:5", "1:3"]


def test_a_set_that_is_gone_after_the_first_row_is_an_error(place: ObjectStoragePath):
    for number in range(2):
        commit_set(place, **hour(number, number))
    rows = current(place).rows()
    next(rows)
    commit_set(place, overwrite=True, **hour(1, 1))
    with pytest.raises(SetsChangedError, match=r"were replaced or removed while they were read.*: read again"):
        list(rows)


def test_a_table_that_is_made_whole_begins_again(place: ObjectStoragePath, monkeypatch: pytest.MonkeyPatch):
    for number in range(2):
        commit_set(place, **hour(number, number))
    table = current(place)
    table.count()
    second = commit_set(place, overwrite=True, **hour(1, 8, 9))
    assert second.manifest.generation == 2
    with duckdb.connect() as connection:
        assert sorted(table.to_duckdb(connection).project("name").fetchall()) == [("0:0",), ("1:8",), ("1:9",)]


def test_sets_that_are_gone_each_time_are_an_error(place: ObjectStoragePath, monkeypatch: pytest.MonkeyPatch):
    commit_set(place, **hour(0, 1))
    table = current(place)

    def gone(*_: object, **__: object) -> Iterator[Any]:
        raise FileNotFoundError

    monkeypatch.setattr("airflow_provider_dotypos.lake.current.newest_rows", gone)
    with pytest.raises(SetsChangedError):
        table.count()
    with pytest.raises(SetsChangedError):
        list(table.rows())


def test_damage_is_named(place: ObjectStoragePath):
    found = commit_set(place, file_format="parquet", **hour(0, 1))
    part = Path(found.store.folder.path, found.manifest.parts[0].name)
    part.write_bytes(b"\0" * part.stat().st_size)
    table = current(place)
    for _ in range(2):
        with pytest.raises(DamagedSetError, match=part.name):
            list(table.rows())
    with duckdb.connect() as connection, pytest.raises(DamagedSetError, match=part.name):
        table.to_duckdb(connection)


def test_a_row_without_a_key_is_damage(place: ObjectStoragePath):
    found = commit_set(place, **hour(0, 1))
    part = Path(found.store.folder.path, found.manifest.parts[0].name)
    part.write_bytes(part.read_bytes().replace(b'"id": "1"', b'"ib": "1"'))
    with pytest.raises(DamagedSetError, match="no key"):
        list(current(place).rows())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"entity": "product"}, "no entity 'product'"),
        ({"cloud_id": "x"}, "cloud_id is a whole number"),
        ({"since": "2026-01-01"}, "since='2026-01-01' is a bare date"),
        ({"since": iso(5), "until": iso(5)}, "the window is empty"),
        ({"destination": "file:///nowhere"}, "destination: no sets lie below"),
    ],
)
def test_arguments_are_checked(place: ObjectStoragePath, arguments: dict[str, Any], says: str):
    commit_set(place, **hour(0, 1))
    asked = {"destination": place, "cloud_id": CLOUD, "entity": "products"} | arguments
    with pytest.raises(DotyposInputError, match=says):
        read_entity(**asked)


def test_a_list_without_sets_names_those_that_have_some(place: ObjectStoragePath):
    found = commit_set(place, **hour(0, 1))
    with pytest.raises(FileNotFoundError, match=f"no committed set of orders .*: products of cloud {CLOUD}$"):
        current(place, "orders")
    with pytest.raises(FileNotFoundError, match="of shape 0123abcd lies below"):
        current(place, shape="0123abcd")
    with pytest.raises(DotyposInputError, match=r"no table 'customers'"):
        current(place, shape=found.folder.shape).to_arrow("customers")


def test_a_time_without_sets_has_empty_tables(place: ObjectStoragePath):
    commit_set(place, include="customizations", flatten=True, **hour(5, 1))
    table = current(place, until=iso(1))
    assert ([*table.rows()], [*table.rows(CHILD)], table.count(CHILD)) == ([], [], 0)
    with pytest.raises(DotyposInputError, match="no table 'customers'"):
        table.count("customers")


@pytest.mark.parametrize("file_format", ["jsonl", "csv", "parquet"])
def test_a_child_whose_parent_is_no_id_is_nobodys(place: ObjectStoragePath, file_format: str):
    items = [{"id": str(2**63), "_productId": "1", "name": "its"}, {"id": "7", "_productId": str(2**63), "name": "odd"}]
    for number in (0, 1):
        made = hour(number, 1, 2**63 - 1, customizations=items)
        commit_set(place, include="customizations", flatten=True, file_format=file_format, **made)
    assert pairs(current(place).rows()) == [("1", "1:1"), (str(2**63 - 1), f"1:{2**63 - 1}")]
    assert [row["name"] for row in current(place).rows(CHILD)] == ["its", "its"]
