"""Sets made of committed sets' rows: nothing but what is asked for changes.

Tests `lake/rewriting`, `transfers/files/checked_copy`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.lake.rewriting import SetCopy, rewrite_set
from airflow_provider_dotypos.lake.sets import LakeSet, find_committed
from airflow_provider_dotypos.transfers.errors import DamagedSetError
from airflow_provider_dotypos.transfers.files.committed_set import CommittedSet, read_manifest
from airflow_provider_dotypos.transfers.files.manifest import Rewriting
from airflow_provider_dotypos.transfers.sink import SupersededError
from tests.lake.lakes import CLOUD, FORMATS, Rows, commit_set, product

ERASED = Rewriting("erased", "2026-11-27T15:00:00.000Z", 1, "1.0.0")

ODD = 'a "b",\r\nc; č\u2028 \\ ='


@pytest.fixture
def destination(tmp_path: Path) -> ObjectStoragePath:
    return ObjectStoragePath(f"file://{tmp_path}")


def make(destination: ObjectStoragePath, **shape: Any) -> LakeSet:
    """Commit a set of two parts, one of them without cursors, whose products have customizations of their own."""
    rows = [
        product(id, id * 10, name=ODD, priceWithVat="12.50", unheardOf=[1, {"a": "b"}], customizations=items(id))
        for id in range(1, 9)
    ]
    undated = [product(9, None, name="x\0y", priceWithVat=None, customizations=[])]
    parts = [Rows(0, 100, rows), Rows(None, None, undated)]
    return commit_set(destination, Window(0, 100), parts, include="customizations", flatten=True, **shape)


def items(id: int) -> list[dict[str, Any]]:
    return [{"id": str(100 * id + n), "_productId": str(id), "name": f"item {n}"} for n in range(id % 3)]


def tables(committed: CommittedSet) -> dict[str, list[dict[str, Any]]]:
    return {table: list(committed.rows(table)) for table in committed.tables}


def blank(table: str, row: msgspec.Raw) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(msgspec.json.decode(row) | {"name": f"gone from {table}"}))


def again(destination: ObjectStoragePath, found: LakeSet) -> LakeSet:
    newest = find_committed(destination, CLOUD, "products", found.folder)
    assert newest is not None
    return newest


@pytest.mark.parametrize("shape", FORMATS, ids=lambda shape: "-".join(shape.values()))
def test_edited_rows_change_and_no_other_ones(destination: ObjectStoragePath, shape: Mapping[str, Any]):
    found = make(destination, **shape)
    before = tables(read_manifest(found.store.folder))
    [first, second] = found.manifest.parts
    [file] = found.manifest.contents.children("product-customizations")
    edits = {first.name: [0, 3, 7], second.name: [0], file.name: [2]}

    manifest = rewrite_set(found, edits, blank, ERASED)

    assert (manifest.generation, manifest.rewritings) == (2, (ERASED,))
    committed = read_manifest(found.store.folder, verify=True)
    assert committed.manifest == manifest
    expected = {table: [dict(row) for row in rows] for table, rows in before.items()}
    for position in (0, 3, 7, 8):
        expected["products"][position]["name"] = "gone from products"
    expected["product-customizations"][2]["name"] = "gone from product-customizations"
    assert tables(committed) == expected
    assert [part.ranges for part in manifest.parts] == [part.ranges for part in found.manifest.parts]
    same = {"generation", "bytes", "parts", "child_files", "rewritings"}
    facts, earlier = msgspec.structs.asdict(manifest), msgspec.structs.asdict(found.manifest)
    assert {name: facts[name] for name in facts.keys() - same} == {name: earlier[name] for name in facts.keys() - same}
    names = {path.name for path in Path(found.store.folder.path).iterdir()}
    assert not [name for name in names if "0001" in name.split("-")[0]], "nothing of what was replaced is left"


@pytest.mark.parametrize("shape", FORMATS, ids=lambda shape: "-".join(shape.values()))
def test_what_is_not_edited_keeps_its_bytes(destination: ObjectStoragePath, shape: Mapping[str, Any]):
    found = make(destination, **shape)
    before = arrow_tables(found) if shape["file_format"] == "parquet" else None
    manifest = rewrite_set(found, {}, blank, ERASED)
    if before is None:
        digests = [[file.sha256 for file in each.contents.files] for each in (found.manifest, manifest)]
        assert digests[0] == digests[1]
    else:
        assert arrow_tables(again(destination, found)) == before


def arrow_tables(found: LakeSet) -> list[Any]:
    """Return a set's files as Arrow has them, with exact types."""
    import pyarrow.parquet as pq

    return [pq.read_table(Path(found.store.folder.path) / file.name) for file in found.manifest.contents.files]


def test_of_two_that_began_with_the_same_set_one_wins(destination: ObjectStoragePath):
    found = make(destination)
    [first, _] = found.manifest.parts
    winner = rewrite_set(found, {first.name: [0]}, blank, ERASED)
    with pytest.raises(SupersededError):
        rewrite_set(found, {first.name: [1]}, blank, ERASED)
    assert again(destination, found).manifest == winner
    read_manifest(found.store.folder, verify=True)


def test_one_that_is_overtaken_in_the_end_gives_way(destination: ObjectStoragePath):
    found = make(destination)
    [first, _] = found.manifest.parts
    manifest = found.manifest
    with SetCopy(found.store, manifest, manifest) as copy:
        copy.edited(found, "products", first, [first], [1], blank)
        contents = copy.contents()
        winner = rewrite_set(found, {first.name: [0]}, blank, ERASED)
        assert copy.commit(manifest, contents) == winner
    names = {path.name for path in Path(found.store.folder.path).iterdir()}
    assert {name for name in names if name.endswith(".jsonl")} == set(winner.contents.sizes)


def test_bytes_that_changed_end_it_and_leave_nothing(destination: ObjectStoragePath):
    found = make(destination)
    [_, second] = found.manifest.parts
    folder = Path(found.store.folder.path)
    (folder / second.name).write_bytes((folder / second.name).read_bytes().replace(b"9", b"8"))
    names = {path.name for path in folder.iterdir()}
    with pytest.raises(DamagedSetError, match="aren't those that were written"):
        rewrite_set(found, {}, blank, ERASED)
    assert {path.name for path in folder.iterdir()} == names


def test_what_the_check_raises_ends_it_and_leaves_nothing(destination: ObjectStoragePath):
    found = make(destination)
    folder = Path(found.store.folder.path)
    names = {path.name for path in folder.iterdir()}
    calls = iter([None, None, KeyboardInterrupt()])

    def check() -> None:
        if (error := next(calls)) is not None:
            raise error

    with pytest.raises(KeyboardInterrupt):
        rewrite_set(found, {}, blank, ERASED, check=check)
    assert {path.name for path in folder.iterdir()} == names
