"""What a set looks like by the operator's arguments: formats, columns, flattened children, snapshots.

This tests `file_format` and `files.sink` through the operator.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pandas
import pyarrow.parquet as pq
import pytest
from airflow.sdk import DAG, Asset

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox
from airflow_provider_dotypos.sandbox.api import lists
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator
from airflow_provider_dotypos.transfers.files.committed_set import read_manifest
from airflow_provider_dotypos.transfers.files.snapshots import removed_ids
from tests.transfers.conftest import SINCE, SINCE_MS, UNTIL

Extract = Callable[..., dict[str, Any]]


def texts(result: dict[str, Any]) -> list[str]:
    return [file.read_text() for file in read_manifest(result["manifest"]).files]


@pytest.fixture
def sales(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Some orders with items and money logs; return the orders."""
    cloud = sandbox.cloud_ids[0]
    orders = []
    for i in range(240):
        moment = {"versionDate": SINCE_MS + 300_000 * i}
        order = sandbox.shop.insert(cloud, "orders", {**moment, "totalValueRounded": 100.5, "note": "bez cibule"})
        for _ in range(2):
            sandbox.shop.insert(
                cloud, "order-items", {**moment, "_orderId": order["id"], "name": "Svíčková", "quantity": 2}
            )
        sandbox.shop.insert(cloud, "money-logs", {**moment, "_orderId": order["id"]})
        orders.append(order)
    return orders


class TestParquet:
    def test_is_read_by_duckdb_with_its_types(self, extract: Extract, sales: list[dict[str, Any]]) -> None:
        result = extract(file_format="parquet", include="orderItems")
        found = read_manifest(result["manifest"])
        (types,) = duckdb.sql(
            f"select typeof(id), typeof(versionDate), typeof(totalValueRounded), typeof(tags) "
            f"from read_parquet({found.uris}) limit 1"
        ).fetchall()
        assert types == ("BIGINT", "TIMESTAMP WITH TIME ZONE", "DECIMAL(38,18)", "VARCHAR[]")
        total = duckdb.sql(
            f"select count(*), sum(totalValueRounded), sum(len(orderItems)) from read_parquet({found.uris})"
        ).fetchall()
        assert [tuple(map(float, row)) for row in total] == [(240, 240 * 100.5, 480)]
        assert len(pandas.concat(map(pandas.read_parquet, found.uris))) == 240
        assert found.manifest.file_format == "parquet"
        assert found.manifest.schema_version == 1
        assert "orderItems" in found.manifest.columns["orders"]

    def test_misfits_are_kept_counted_and_told(
        self, extract: Extract, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        cloud = sandbox.cloud_ids[0]
        for i in range(3):
            sandbox.shop.insert(cloud, "orders", {"versionDate": SINCE_MS + i, "itemCount": "a dozen"})
        found = read_manifest(extract(file_format="parquet")["manifest"])
        assert found.manifest.misfits == {"itemCount": 3}
        assert "itemCount (3)" in caplog.text
        (row, *_) = pq.read_table(str(found.files[0].path)).to_pylist()
        assert row["itemCount"] is None
        assert json.loads(row["_unknown"])["itemCount"] == "a dozen"

    def test_of_many_threads_has_one_schema_and_each_row_once(
        self, extract: Extract, sandbox: Sandbox, orders: list[str]
    ) -> None:
        sandbox.latency = 0.02
        found = read_manifest(extract(file_format="parquet", concurrency=4, max_part_bytes=1)["manifest"])
        assert len(found.files) > 1
        tables = [pq.read_table(str(file.path)) for file in found.files]
        assert len({str(table.schema) for table in tables}) == 1
        assert sorted(str(id) for table in tables for id in table["id"].to_pylist()) == sorted(orders)


def test_csv_is_read_by_anything(extract: Extract, sales: list[dict[str, Any]]) -> None:
    (text,) = texts(extract(file_format="csv", columns="note", concurrency=1))
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["id"] for row in rows] == [str(order["id"]) for order in sales]
    assert {row["note"] for row in rows} == {"bez cibule"}


class TestSelecting:
    def test_columns_and_those_that_must_be(self, extract: Extract, sales: list[dict[str, Any]]) -> None:
        result = extract(columns="note,paid")
        rows = [json.loads(line) for text in texts(result) for line in text.splitlines()]
        assert {tuple(sorted(row)) for row in rows} == {("id", "note", "paid", "versionDate")}
        assert read_manifest(result["manifest"]).manifest.columns["orders"] == ["id", "note", "paid", "versionDate"]

    def test_exclude(self, extract: Extract, sales: list[dict[str, Any]]) -> None:
        rows = [
            json.loads(line) for text in texts(extract(exclude=["printData", "note"])) for line in text.splitlines()
        ]
        assert not any({"printData", "note"} & set(row) for row in rows)
        assert all("totalValueRounded" in row for row in rows)

    def test_personal_data_is_left_out_by_one_switch(self, extract: Extract, sandbox: Sandbox) -> None:
        sandbox.shop.insert(
            sandbox.cloud_ids[0],
            "customers",
            {"versionDate": SINCE_MS, "email": "jana@example.com", "firstName": "Jana"},
        )
        assert "jana@example.com" in texts(extract(entity="customers"))[0]
        (without,) = texts(extract(entity="customers", personal_data=False))
        assert "jana@example.com" not in without
        assert "Jana" not in without
        assert "id" in json.loads(without)

    @pytest.mark.parametrize(
        ("selection", "message"),
        [
            ({"include": "orderItems", "columns": "note"}, "include asks for orderItems"),
            ({"include": "orderItems", "exclude": "orderItems"}, "include asks for orderItems"),
            ({"columns": "note", "personal_data": False}, "which personal_data=False leaves out"),
            ({"columns": ""}, "columns is empty"),
        ],
    )
    def test_what_contradicts_itself_is_refused(
        self, extract: Extract, selection: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(Exception, match=message):
            extract(**selection)

    def test_sets_of_different_shape_lie_apart(self, extract: Extract, sales: list[dict[str, Any]]) -> None:
        shapes: list[dict[str, Any]] = [
            {}, {"columns": "note"}, {"exclude": "note"}, {"personal_data": False}, {"file_format": "csv"},
            {"file_format": "parquet"}, {"include": "orderItems"}, {"include": "orderItems", "flatten": True},
            {"compression": "gzip"}, {"filter": "paid|eq|1"},
        ]  # fmt: skip
        assert len({Path(extract(**shape)["manifest"]).parent for shape in shapes}) == len(shapes)


class TestFlattening:
    @pytest.mark.parametrize("file_format", ["jsonl", "parquet", "csv"])
    def test_one_pass_yields_three_tables(
        self, extract: Extract, sandbox: Sandbox, sales: list[dict[str, Any]], file_format: str
    ) -> None:
        result = extract(
            include="orderItems,moneyLogs", flatten=True, file_format=file_format, max_part_bytes=30_000, concurrency=1
        )
        found = read_manifest(result["manifest"])
        reader = {"jsonl": "read_json", "parquet": "read_parquet", "csv": "read_csv"}[file_format]

        def count(files: list[Any], what: str) -> Any:
            return duckdb.sql(f"select {what} from {reader}({[str(file.path) for file in files]})").fetchall()

        assert count(found.files, "count(*), count(distinct id)") == [(240, 240)]
        assert count(found.children["order-items"], "count(*), count(distinct _orderId)") == [(480, 240)]
        assert count(found.children["money-logs"], "count(*), count(distinct _orderId)") == [(240, 240)]
        assert found.manifest.children == {"order-items": 480, "money-logs": 240}
        files = [file.name for files in (found.files, *found.children.values()) for file in files]
        assert result["files"] == len(files)
        assert {path.name for path in Path(found.path.path).parent.glob("[!_]*")} == set(files)

    def test_children_keep_to_their_own_columns(self, extract: Extract, sales: list[dict[str, Any]]) -> None:
        result = extract(include="orderItems", flatten=True, columns="note,orderItems.name")
        found = read_manifest(result["manifest"])
        (item, *_) = [json.loads(line) for line in found.children["order-items"][0].read_text().splitlines()]
        assert set(item) == {"id", "_orderId", "name"}
        assert set(found.manifest.columns["order-items"]) == set(item)

    def test_after_an_abort_a_part_counts_only_with_all_its_files(
        self, extract: Extract, sandbox: Sandbox, sales: list[dict[str, Any]], tmp_path: Path
    ) -> None:
        shape: dict[str, Any] = {"include": "orderItems", "flatten": True, "max_part_bytes": 30_000, "concurrency": 1}
        sandbox.faults.append(Fault("redirect", path="/orders", skip=2))
        with pytest.raises(Exception, match="redirect"):
            extract(**shape)
        victim, *_ = tmp_path.rglob("g0001-order-items-*.jsonl")
        victim.write_text(victim.read_text().replace("Sv", "sv", 1))
        found = read_manifest(extract(**shape)["manifest"])
        assert found.manifest.rows == 240
        assert found.manifest.children == {"order-items": 480}
        assert victim.name not in [file.name for file in found.children["order-items"]]

    @pytest.mark.parametrize("file_format", ["jsonl", "parquet", "csv"])
    @pytest.mark.parametrize("selection", [{}, {"exclude": "orderItems.note"}, {"personal_data": False}])
    def test_what_is_no_item_takes_no_other_with_it_and_is_told(
        self,
        extract: Extract,
        sandbox: Sandbox,
        sales: list[dict[str, Any]],
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        file_format: str,
        selection: dict[str, Any],
    ) -> None:
        whole = lists.with_children

        def odd(*arguments: Any) -> dict[str, Any]:
            row = whole(*arguments)
            one, *others = row["orderItems"]
            return {**row, "orderItems": ["Jana", {**one, "quantity": "a dozen"}, *others]}

        monkeypatch.setattr(lists, "with_children", odd)
        result = extract(include="orderItems", flatten=True, file_format=file_format, concurrency=1, **selection)
        found = read_manifest(result["manifest"])
        assert found.manifest.children == {"order-items": 480}
        typed = {"order-items.quantity": 240} if file_format == "parquet" else {}
        misfits = dict(found.manifest.misfits)
        if file_format == "jsonl":
            assert misfits.pop("order-items.quantity") >= 1  # of the rows that are looked at
        assert misfits == {"orderItems": 240, **typed}
        assert "orderItems (240)" in caplog.text
        for file in found.files:
            if file_format == "parquet":
                unknown = pq.read_table(str(file.path))["_unknown"].to_pylist()
            elif file_format == "csv":
                unknown = [row["_unknown"] for row in csv.DictReader(file.read_text().splitlines())]
            else:
                unknown = file.read_text().splitlines()
            left = {str(json.loads(text or "{}").get("orderItems")) for text in unknown}
            assert left == {"None" if selection else "['Jana']"}

    def test_without_children_there_is_nothing_to_flatten(self, extract: Extract) -> None:
        with pytest.raises(Exception, match="flatten needs child lists"):
            extract(flatten=True)


class TestSnapshots:
    @pytest.fixture
    def tables(self, sandbox: Sandbox) -> list[int]:
        cloud = sandbox.cloud_ids[0]
        return [sandbox.shop.insert(cloud, "tables", {"versionDate": SINCE_MS + i})["id"] for i in range(150)]

    @pytest.mark.parametrize("file_format", ["jsonl", "parquet", "csv"])
    def test_tell_what_was_removed(
        self, extract: Extract, sandbox: Sandbox, tables: list[int], file_format: str
    ) -> None:
        cloud = sandbox.cloud_ids[0]
        mode: dict[str, Any] = {"entity": "tables", "since": None, "snapshot": True, "file_format": file_format}
        before = extract(**mode)
        for id in tables[10:13]:
            sandbox.shop.delete(cloud, "tables", id)
        sandbox.shop.insert(cloud, "tables", {"versionDate": SINCE_MS + 999})
        after = extract(**mode, until=UNTIL + timedelta(hours=1))
        assert list(removed_ids(before["manifest"], after["manifest"])) == sorted(tables[10:13])
        assert list(removed_ids(before["manifest"], after["manifest"], hook=DotyposHook())) == sorted(tables[10:13])

    def test_hold_ids_and_what_orders_rows_and_nothing_else(
        self, extract: Extract, sandbox: Sandbox, tables: list[int]
    ) -> None:
        result = extract(entity="tables", since=None, snapshot=True)
        rows = [json.loads(line) for text in texts(result) for line in text.splitlines()]
        assert {tuple(sorted(row)) for row in rows} == {("id", "versionDate")}
        assert {row["id"] for row in rows} >= set(map(str, tables))
        assert read_manifest(result["manifest"]).manifest.snapshot

    @pytest.mark.parametrize("snapshot", [True, False])
    def test_what_is_still_there_is_not_gone(
        self, extract: Extract, sandbox: Sandbox, tables: list[int], snapshot: bool
    ) -> None:
        """A row that changes at the very end is in a snapshot, and missing in another set; the API still shows it."""
        cloud = sandbox.cloud_ids[0]
        mode: dict[str, Any] = {"entity": "tables", "since": None, "snapshot": snapshot}
        before = extract(**mode)
        sandbox.shop.update(cloud, "tables", tables[3], {})  # now: not settled yet
        after = extract(**mode, until=UNTIL + timedelta(hours=1))
        assert list(removed_ids(before["manifest"], after["manifest"])) == ([] if snapshot else [tables[3]])
        assert list(removed_ids(before["manifest"], after["manifest"], hook=DotyposHook())) == []

    @pytest.mark.parametrize("deleted_null", ["live", "excluded"])
    def test_what_is_there_as_deleted_or_without_a_marker_is_not_gone(
        self, extract: Extract, sandbox: Sandbox, deleted_null: str
    ) -> None:
        sandbox.behaviour = Behaviour(deleted_null=deleted_null)
        cloud = sandbox.cloud_ids[0]
        rows = [{"versionDate": SINCE_MS, "deleted": marker} for marker in (None, False, True, False)]
        unmarked, live, deleted, removed = (sandbox.shop.insert(cloud, "tags", row)["id"] for row in rows)
        mode: dict[str, Any] = {"entity": "tags", "since": None}
        before = extract(**mode)
        for id in (unmarked, live, deleted):
            sandbox.shop.update(cloud, "tags", id, {})  # now: not settled yet
        sandbox.shop.remove(cloud, "tags", removed)
        after = extract(**mode, until=UNTIL + timedelta(hours=1))
        assert set(removed_ids(before["manifest"], after["manifest"])) >= {unmarked, live, deleted, removed}
        assert list(removed_ids(before["manifest"], after["manifest"], hook=DotyposHook())) == [removed]

    def test_sets_that_cannot_be_compared_are_refused(self, extract: Extract, tables: list[int]) -> None:
        day = extract(entity="tables")
        before = extract(entity="tables", since=None, snapshot=True)
        with pytest.raises(DotyposInputError, match="snapshot=True"):
            list(removed_ids(day["manifest"], before["manifest"]))
        with pytest.raises(DotyposInputError, match="isn't older"):
            list(removed_ids(before["manifest"], before["manifest"]))
        other = extract(since=None)
        with pytest.raises(DotyposInputError, match="different entity: 'tables' and 'orders'"):
            list(removed_ids(before["manifest"], other["manifest"]))
        some = extract(entity="tables", since=None, snapshot=True, filter="enabled|eq|true")
        with pytest.raises(DotyposInputError, match="different filter"):
            list(removed_ids(before["manifest"], some["manifest"]))
        stock = [
            extract(entity="warehouse-products", since=None, until=UNTIL + timedelta(hours=hours)) for hours in (0, 1)
        ]
        with pytest.raises(DotyposInputError, match="merge by `deleted`"):
            list(removed_ids(stock[0]["manifest"], stock[1]["manifest"]))

    def test_a_hook_for_another_cloud_is_refused(self, extract: Extract, sandbox: Sandbox) -> None:
        other = sandbox.cloud_ids[-1]
        mode: dict[str, Any] = {"entity": "tables", "since": None, "snapshot": True, "cloud_id": other}
        before, after = extract(**mode), extract(**mode, until=UNTIL + timedelta(hours=1))
        with pytest.raises(DotyposInputError, match=rf"DotyposHook\(cloud_id={other}\)"):
            list(removed_ids(before["manifest"], after["manifest"], hook=DotyposHook()))


class TestFromTheBeginning:
    """Without `since`: the whole entity, and what changed while it was read."""

    def test_many_threads_share_it_once_its_beginning_is_known(self, extract: Extract, sandbox: Sandbox) -> None:
        cloud = sandbox.cloud_ids[0]
        rows = [sandbox.shop.insert(cloud, "orders", {"versionDate": SINCE_MS + 60_000 * i})["id"] for i in range(1400)]
        sandbox.latency = 0.02
        found = read_manifest(extract(since=None, concurrency=8)["manifest"])
        assert found.manifest.rows >= 1400
        assert len(found.files) > 3
        assert found.manifest.parts[0].low is None
        ids = {json.loads(line)["id"] for file in found.files for line in file.read_text().splitlines()}
        assert ids >= set(map(str, rows))

    def test_what_changed_after_the_window_is_in_it_as_well(self, extract: Extract, sandbox: Sandbox) -> None:
        cloud = sandbox.cloud_ids[0]
        inside = sandbox.shop.insert(cloud, "tags", {"versionDate": SINCE_MS})["id"]
        later = sandbox.shop.insert(cloud, "tags", {"versionDate": int(UNTIL.timestamp() * 1000) + 5000})["id"]
        result = extract(entity="tags", since=None)
        found = read_manifest(result["manifest"])
        ids = [json.loads(line)["id"] for file in found.files for line in file.read_text().splitlines()]
        assert {str(inside), str(later)} <= set(ids)
        assert found.manifest.tail_until is not None
        assert found.manifest.tail_until > found.manifest.until

    def test_a_window_with_a_beginning_has_no_tail(self, extract: Extract, orders: list[str]) -> None:
        assert read_manifest(extract()["manifest"]).manifest.tail_until is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"file_format": "xml"}, "file_format must be one of jsonl, parquet, csv"),
        ({"file_format": "parquet", "compression": "gzip"}, "compresses its columns by itself"),
        ({"until": UNTIL, "lookback": timedelta(days=1)}, "start and lookback are for tasks without"),
        ({"lookback": 3600}, "lookback must be a timedelta"),
        ({"lookback": timedelta(days=-1)}, "lookback must be a timedelta"),
    ],
)
def test_what_contradicts_itself_fails_when_the_dag_is_read(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DotyposToObjectStorageOperator(task_id="x", entity="orders", destination="/lake", **arguments)


def test_without_a_window_the_outlet_is_the_authors_or_else_ones_own() -> None:
    given: dict[str, Any] = {"entity": "orders", "destination": "s3://aws@bucket/lake"}
    with DAG("own", schedule=None):
        assert DotyposToObjectStorageOperator(task_id="x", **given).outlets == [Asset(uri="s3://bucket/lake/orders")]
        assert DotyposToObjectStorageOperator(task_id="y", outlets=[Asset("mine")], **given).outlets == [Asset("mine")]
    with DAG("defaults", schedule=None, default_args={"outlets": [Asset("mine")]}):
        assert DotyposToObjectStorageOperator(task_id="x", **given).outlets == [Asset("mine")]


@pytest.mark.parametrize("lost", ["since", "until"])
def test_a_template_that_renders_to_nothing_is_no_window_from_the_beginning(extract: Extract, lost: str) -> None:
    operator = DotyposToObjectStorageOperator(
        task_id="x", entity="orders", destination="/lake", since=SINCE, until=UNTIL
    )
    setattr(operator, lost, None)
    with pytest.raises(Exception, match="empty after rendering"):
        operator.execute({})  # type: ignore[arg-type]


def test_outside_of_a_dag_run_nobodys_parts_are_ones_own() -> None:
    given: list[Any] = [{}, {"ti": SimpleNamespace(try_number=1)}, {"ti": SimpleNamespace(run_id="a", task_id="b")}]
    assert [bool(_airflow.origin(context)) for context in given] == [False, False, True]
