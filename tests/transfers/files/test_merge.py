"""Few files in place of many small ones: the same rows in the same order, whatever ends the merging."""

from __future__ import annotations

import gzip
import json
import shutil
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos.api.errors import DotyposCancelledError
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator
from airflow_provider_dotypos.transfers.files import commit, merge
from airflow_provider_dotypos.transfers.files.commit import Attempt, sidecar_name
from airflow_provider_dotypos.transfers.files.committed_set import CommittedSet, read_manifest
from airflow_provider_dotypos.transfers.files.formats.writer import RowWriter
from airflow_provider_dotypos.transfers.files.manifest import Manifest
from airflow_provider_dotypos.transfers.files.merge import Merger, plan
from airflow_provider_dotypos.transfers.files.part import StreamRange
from airflow_provider_dotypos.transfers.piece_writer import PartAge
from tests.transfers.conftest import SINCE_MS, UNTIL

Extract = Callable[..., dict[str, Any]]

UNTIL_MS = int(UNTIL.timestamp() * 1000)


@pytest.fixture
def many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page becomes a part, as if it had taken very long."""
    monkeypatch.setattr(PartAge, "is_over", lambda self, since: True)


def folder_of(result: dict[str, Any]) -> Path:
    return Path(result["manifest"].removeprefix("file://")).parent


def check_folder(result: dict[str, Any]) -> CommittedSet:
    """Return a set that is whole, and alone in its folder."""
    committed = read_manifest(result["manifest"], verify=True)
    names = {path.name for path in folder_of(result).iterdir()}
    files = {
        file.name for file in [*committed.files, *(file for files in committed.children.values() for file in files)]
    }
    parts = {part.name for part in committed.manifest.parts}
    sidecars = {name for name in names if name.endswith(".meta")}
    assert {sidecar_name(name) for name in parts} <= sidecars <= {sidecar_name(name) for name in files}
    assert names == files | sidecars | {committed.path.name}
    assert result["files"] == len(files)
    assert result["bytes"] == sum((folder_of(result) / name).stat().st_size for name in files)
    return committed


def text_of(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def list_calls(sandbox: Sandbox) -> int:
    return sum(request.path.endswith("/orders") for request in sandbox.requests)


FORMATS: list[dict[str, Any]] = [
    {},
    {"compression": "gzip"},
    {"file_format": "csv"},
    {"file_format": "csv", "compression": "gzip"},
    {"file_format": "parquet"},
]


@pytest.mark.parametrize("shape", FORMATS, ids=lambda shape: "-".join(shape.values()) or "jsonl")
def test_one_file_holds_what_a_run_without_small_parts_holds(
    extract: Extract, sandbox: Sandbox, orders: list[str], tmp_path: Path, shape: dict[str, Any]
) -> None:
    sandbox.shop.insert(sandbox.cloud_ids[0], "orders", {"versionDate": SINCE_MS, "note": 'a "b",\r\nc'})
    expected = read_manifest(extract(concurrency=1, destination=f"file://{tmp_path}/whole", **shape)["manifest"])
    [whole] = [Path(file.path) for file in expected.files]
    sandbox.requests.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PartAge, "is_over", lambda self, since: True)
        result = extract(concurrency=1, **shape)
    calls = list_calls(sandbox)
    committed = check_folder(result)

    [file] = [Path(file.path) for file in committed.files]
    if shape.get("file_format") == "parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(file)
        assert table.equals(pq.read_table(whole), check_metadata=True)
        assert (table.num_rows, pq.ParquetFile(file).num_row_groups) == (751, 1)
    else:
        assert text_of(file) == text_of(whole)
    if shape.get("compression"):
        stream = zlib.decompressobj(wbits=31)
        stream.decompress(file.read_bytes())
        assert stream.unused_data == b"", "tools that read only the first member would lose rows"
    [part] = committed.manifest.parts
    assert (part.stream, part.low, part.high, part.rows) == ("merged", None, None, 751)
    assert part.covers == (StreamRange("rows", SINCE_MS, UNTIL_MS),)
    assert committed.manifest.format_version == 1  # earlier versions of the package read it
    assert json.loads((folder_of(result) / sidecar_name(part.name)).read_bytes())["covers"] == [
        {"stream": "rows", "low": SINCE_MS, "high": UNTIL_MS}
    ]
    sandbox.requests.clear()
    assert extract(concurrency=1, **shape) == result
    assert not sandbox.requests
    assert calls == committed.manifest.requests


def test_few_files_are_left_alone(extract: Extract, orders: list[str], many_parts: None) -> None:
    committed = check_folder(extract(concurrency=64))
    assert 1 < len(committed.files) <= 64
    assert not any(part.covers for part in committed.manifest.parts)


def test_files_of_children_are_merged_with_their_parts(
    extract: Extract, sandbox: Sandbox, orders: list[str], many_parts: None
) -> None:
    for order in orders[::2]:
        sandbox.shop.insert(sandbox.cloud_ids[0], "order-items", {"_orderId": int(order)})
    committed = check_folder(extract(concurrency=2, include="orderItems,moneyLogs", flatten=True))

    [part], [file] = committed.manifest.parts, committed.children["order-items"]
    assert (part.rows, part.children["order-items"].rows) == (750, 375)
    assert part.children["order-items"].name == file.name
    items = [json.loads(line)["_orderId"] for line in file.read_bytes().splitlines()]
    rows = [json.loads(line)["id"] for line in committed.files[0].read_bytes().splitlines()]
    assert items == [id for id in rows if id in set(orders[::2])]
    assert (committed.children["money-logs"], committed.manifest.child_files) == ([], {})
    assert committed.manifest.format_version == 1


@pytest.mark.parametrize("small", ["children", "parts"])
def test_large_files_of_one_table_are_left_while_small_ones_of_the_other_are_merged(
    extract: Extract, sandbox: Sandbox, orders: list[str], many_parts: None, monkeypatch: pytest.MonkeyPatch, small: str
) -> None:
    shape: dict[str, Any] = {"columns": "orderItems.id"} if small == "parts" else {}
    parents = orders * 3 if small == "parts" else orders[::4]
    for order in parents:
        sandbox.shop.insert(sandbox.cloud_ids[0], "order-items", {"_orderId": int(order)})
    monkeypatch.setattr(merge, "SMALL_BYTES", 9_000 if small == "parts" else 60_000)
    result = extract(concurrency=2, include="orderItems", flatten=True, **shape)
    committed = check_folder(result)
    manifest = committed.manifest

    tables = {"parts": committed.files, "children": committed.children["order-items"]}
    large = tables.pop("parts" if small == "children" else "children")
    assert len([file for file in large if "-merged-" not in file.name]) > 2
    assert [file for file in tables[small] if "-merged-" in file.name]
    assert (manifest.rows, manifest.children) == (750, {"order-items": len(parents)})
    for files in (committed.files, committed.children["order-items"]):
        assert len(files) <= 2 or min(file.stat().st_size for file in files) >= merge.SMALL_BYTES
    items = Counter(
        json.loads(line)["_orderId"] for f in committed.children["order-items"] for line in f.read_bytes().splitlines()
    )
    assert items == Counter(parents)
    assert manifest.format_version == 2  # earlier versions would miss files
    for part in manifest.parts:
        if "order-items" in part.children:
            with_part = folder_of(result) / part.children["order-items"].name
            rows = {json.loads(line)["id"] for line in (folder_of(result) / part.name).read_bytes().splitlines()}
            assert {json.loads(line)["_orderId"] for line in with_part.read_bytes().splitlines()} == rows & set(parents)
    for file in manifest.child_files["order-items"]:
        times = {row["id"]: row["versionDate"] for row in sandbox.shop.rows(sandbox.cloud_ids[0], "orders")}
        for line in (folder_of(result) / file.name).read_bytes().splitlines():
            moment = times[int(json.loads(line)["_orderId"])]
            assert any((range.low or 0) <= moment < (range.high or 0) for range in file.covers)


def test_a_part_covers_several_parents(extract: Extract, sandbox: Sandbox, many_parts: None) -> None:
    cloud = sandbox.cloud_ids[0]
    warehouses = [sandbox.shop.insert(cloud, "warehouses", {})["id"] for _ in range(3)]
    for warehouse in warehouses:
        for i in range(2):
            row = {"_warehouseId": warehouse, "stockStatusVersiondate": SINCE_MS + i, "deleted": bool(i)}
            sandbox.shop.insert(cloud, "warehouse-products", row)
    committed = check_folder(extract(entity="warehouse-products"))
    [part] = committed.manifest.parts
    assert {f"{warehouse}-{stream}" for warehouse in warehouses for stream in ("live", "deleted")} <= {
        range.stream for range in part.covers
    }
    assert committed.manifest.rows == part.rows == committed.manifest.distinct_ids == 6


def test_no_file_holds_two_versions_of_a_row_with_children(
    extract: Extract, sandbox: Sandbox, orders: list[str], many_parts: None, tmp_path: Path
) -> None:
    """The children of either version are those in the files of its part."""
    moments = [UNTIL_MS + 1000 * i for i in range(250)]  # what the tail reads
    for moment in moments:
        sandbox.shop.insert(sandbox.cloud_ids[0], "orders", {"versionDate": moment})
    arguments: dict[str, Any] = {"since": None, "concurrency": 1}
    nested = check_folder(extract(**arguments, destination=f"file://{tmp_path}/nested")).manifest
    assert len(nested.parts) == 1
    flat = check_folder(extract(**arguments, include="orderItems", flatten=True)).manifest
    assert [part.rows for part in flat.parts] == [750, 250]
    assert [[range.low for range in part.covers] for part in flat.parts] == [[None], [UNTIL_MS]]


def test_rows_without_a_change_date_stay_apart_where_children_need_it(
    extract: Extract, sandbox: Sandbox, many_parts: None, tmp_path: Path
) -> None:
    """A row may lose its date, or get one, while it is read: then it is in the set twice."""
    for moment in [*(SINCE_MS + 1000 * i for i in range(250)), None, None]:
        sandbox.shop.insert(sandbox.cloud_ids[0], "products", {"versionDate": moment, "deleted": False})
    arguments: dict[str, Any] = {"entity": "products", "since": None, "concurrency": 1, "include": "customizations"}
    nested = check_folder(extract(**arguments, destination=f"file://{tmp_path}/nested")).manifest
    assert len(nested.parts) == 1
    dated, undated = check_folder(extract(**arguments, flatten=True)).manifest.parts
    assert dated.rows + 2 == nested.rows
    assert [(range.low, range.high) for range in undated.ranges] == [(None, None)]


@pytest.mark.parametrize("moment", ["as it begins", "in its midst", "once it is stored", "as the task is killed"])
def test_merging_that_fails_costs_no_request(
    extract: Extract, sandbox: Sandbox, orders: list[str], many_parts: None, tmp_path: Path, moment: str
) -> None:
    calls = 0

    def fail(*_: Any) -> None:
        raise OSError("the disk is full")

    def fail_third(writer: RowWriter, part: Any, rows: int, append: Any = RowWriter.append) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            fail()
        append(writer, part, rows)

    def put_and_fail(*arguments: Any, put: Any = Attempt.put_merged) -> None:
        put(*arguments)
        fail()

    def append_and_kill(merger: Merger, *arguments: Any, append: Any = Merger._append) -> None:
        append(merger, *arguments)
        killed[-1].on_kill()

    killed: list[DotyposToObjectStorageOperator] = []
    with pytest.MonkeyPatch.context() as patch:
        execute = DotyposToObjectStorageOperator.execute
        patch.setattr(
            DotyposToObjectStorageOperator,
            "execute",
            lambda self, context: (killed.append(self), execute(self, context))[1],
        )
        if moment == "as it begins":
            patch.setattr(Merger, "_append", fail)
        elif moment == "in its midst":
            patch.setattr(RowWriter, "append", fail_third)
        elif moment == "once it is stored":
            patch.setattr(Attempt, "put_merged", put_and_fail)
        else:
            patch.setattr(Merger, "_append", append_and_kill)
        with pytest.raises(DotyposCancelledError if "killed" in moment else OSError):
            extract(concurrency=2)
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert not [name for name in left if "staging" in name or "manifest" in name]
    assert bool([name for name in left if "-merged-" in name]) == (moment == "once it is stored")
    sandbox.requests.clear()

    committed = check_folder(extract(concurrency=2))
    assert list_calls(sandbox) == 0
    rows = [json.loads(line)["id"] for file in committed.files for line in file.read_bytes().splitlines()]
    assert sorted(rows) == sorted(orders)


def test_a_part_that_was_damaged_meanwhile_is_read_again(
    extract: Extract, sandbox: Sandbox, orders: list[str], many_parts: None, tmp_path: Path
) -> None:
    def damage(merger: Merger, *arguments: Any, merged: Any = Merger._merged) -> Any:
        path = max(tmp_path.rglob("g0001-*"))
        path.write_bytes(path.read_bytes().replace(b"versionDate", b"versionDote"))
        return merged(merger, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Merger, "_merged", damage)
        with pytest.raises(OSError, match="its bytes aren't those that were written"):
            extract(concurrency=2)
    sandbox.requests.clear()
    assert check_folder(extract(concurrency=2)).manifest.distinct_ids == 750
    assert 0 < list_calls(sandbox) < 4


SIZES = st.lists(st.one_of(st.integers(1, 100), st.integers(1, 20_000)), max_size=40)


@given(SIZES, st.integers(1, 5), st.sampled_from([50, 1000, 8000, 64_000]), st.booleans())
def test_no_table_keeps_small_files_if_it_has_more_than_a_few(
    sizes: list[int], few: int, max_bytes: int, apart: bool
) -> None:
    small = min(1000, max_bytes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge, "SMALL_BYTES", 1000)
        keys = [i % 2 if apart else 0 for i in range(len(sizes))]
        groups = plan(sizes, keys, few=few, max_bytes=max_bytes)
        grouped = [i for group in groups for i in group]
        rest = [i for i in range(len(sizes)) if i not in grouped]
        after = [sum(sizes[i] for i in group) for group in groups] + [sizes[i] for i in rest]
        keys_after = [keys[group[0]] for group in groups] + [keys[i] for i in rest]

        assert len(grouped) == len(set(grouped))
        assert all(len(group) > 1 and group == sorted(group) for group in groups)
        assert all(len({keys[i] for i in group}) == 1 for group in groups)
        assert sum(sizes[i] >= small for i in grouped) <= 1 + apart, "large files are left alone, but one"
        assert all(
            size <= max(max_bytes, 2 * small) + small or max(sizes[i] for i in group) > max_bytes
            for group, size in zip(groups, after, strict=False)
        )
        if len(sizes) <= few:
            assert groups == []
        # Small files may be left if that leaves a few files, or each is alone among those of its key.
        lonely = [size for size, key in zip(after, keys_after, strict=True) if keys_after.count(key) == 1]
        assert len(after) <= few or min(after) >= small or min(after) in lonely
        assert plan(after, keys_after, few=few, max_bytes=max_bytes) == []


EARLIER = Path(__file__).parent / "earlier_set"
OF_EARLIER: dict[str, Any] = {"include": "orderItems", "flatten": True, "columns": "note,orderItems.name"}


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A set that version 0.1.0 wrote, before parts were merged."""
    shutil.copytree(EARLIER, tmp_path / "lake")
    [manifest] = tmp_path.rglob("_manifest-0001.json")
    return manifest


def test_a_set_of_an_earlier_version_is_read_and_kept(extract: Extract, sandbox: Sandbox, earlier: Path) -> None:
    committed = read_manifest(str(earlier), verify=True)
    assert [json.loads(line)["note"] for line in committed.files[0].read_bytes().splitlines()] == ["n0", "n1", "n2"]
    assert [file.read_bytes().count(b"\n") for file in committed.children["order-items"]] == [3]
    assert isinstance(committed.manifest, Manifest)
    assert extract(**OF_EARLIER)["manifest"] == f"file://{earlier}"
    assert list_calls(sandbox) == 0


def test_a_set_of_an_earlier_version_is_replaced(extract: Extract, sandbox: Sandbox, earlier: Path) -> None:
    sandbox.shop.insert(sandbox.cloud_ids[0], "orders", {"versionDate": SINCE_MS})
    result = extract(**OF_EARLIER, overwrite=True)
    assert check_folder(result).manifest.rows == 1
    assert not earlier.exists()


@pytest.mark.parametrize("version", ["0.1.0", "0.0.9"])
def test_parts_of_the_earlier_form_are_resumed(
    extract: Extract, sandbox: Sandbox, earlier: Path, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as the same version of the package wrote them; others may have had other columns."""
    earlier.unlink()
    monkeypatch.setattr(commit, "__version__", version)
    committed = check_folder(extract(**OF_EARLIER))
    assert (committed.manifest.rows, committed.manifest.children) == (
        (3, {"order-items": 3}) if version == "0.1.0" else (0, {"order-items": 0})
    )
    assert list_calls(sandbox) == (0 if version == "0.1.0" else 1)
