"""Manifests, `part` and `committed_set`, read back: only what belongs where it lies counts, and keeps its files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.transfers.errors import DamagedSetError
from airflow_provider_dotypos.transfers.files.committed_set import read_manifest
from airflow_provider_dotypos.transfers.files.manifest import Manifest
from tests.transfers.conftest import SINCE, UNTIL

Extract = Callable[..., dict[str, Any]]


def path_of(result: dict[str, Any]) -> Path:
    return Path(result["manifest"].removeprefix("file://"))


def rewrite(path: Path, **changes: Any) -> None:
    """Change fields of a manifest in its file."""
    path.write_bytes(msgspec.json.encode(msgspec.json.decode(path.read_bytes()) | changes))


@pytest.fixture
def manifest(extract: Extract, orders: list[str]) -> Path:
    return path_of(extract())


@pytest.mark.parametrize(
    "changes",
    [
        {"entity": "order-items"},
        {"cloud_id": 5},
        {"since": None},
        {"until": "2026-03-02T00:00:00.001Z"},
        {"until": "later"},
        {"shape": "00000000"},
        {"generation": 2},
        {"complete": False},
    ],
)
def test_one_of_another_set_is_none(extract: Extract, manifest: Path, changes: dict[str, Any]) -> None:
    rewrite(manifest, **changes)
    with pytest.raises(DotyposInputError, match=r"doesn't belong to this folder: i.*its last three folders"):
        read_manifest(str(manifest))
    with pytest.raises(DotyposInputError, match="doesn't belong to this folder"):
        read_manifest(str(manifest.parent))
    again = extract()
    assert again["rows"] == 750
    assert path_of(again).name == "_manifest-0002.json"
    assert read_manifest(again["manifest"], verify=True).manifest.rows == 750


def test_one_that_was_copied_there_has_no_file_removed(extract: Extract, manifest: Path) -> None:
    """Neither the parts of an attempt under way, nor a set that is whole."""
    later = path_of(extract(since=UNTIL, until=UNTIL.replace(day=3)))
    shutil.copy(manifest, later.with_name("_manifest-0002.json"))
    (later.parent / "g0002-live-x-t1abcdef.jsonl").write_text("a part under way")
    before = set(os.listdir(later.parent))
    again = extract(since=UNTIL, until=UNTIL.replace(day=3))
    assert path_of(again) == later
    assert set(os.listdir(later.parent)) == before

    replaced = extract(since=UNTIL, until=UNTIL.replace(day=3), overwrite=True)
    assert path_of(replaced).name == "_manifest-0003.json"


def test_a_foreign_one_that_takes_the_next_name_meanwhile_is_nobodys_success(
    extract: Extract, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old set isn't returned in place of the one that was to replace it, and stays whole."""
    from airflow_provider_dotypos.transfers import engine as module

    walk = module.Engine.walk

    def copied_meanwhile(engine: Any, window: Any) -> Any:
        walked = walk(engine, window)
        shutil.copy(manifest, manifest.with_name("_manifest-0002.json"))
        return walked

    with monkeypatch.context() as patch:
        patch.setattr(module.Engine, "walk", copied_meanwhile)
        with pytest.raises(FileNotFoundError, match="its files are gone again"):
            extract(overwrite=True)
    assert read_manifest(str(manifest), verify=True).manifest.rows == 750
    assert path_of(extract(overwrite=True)).name == "_manifest-0003.json"


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "..\\x", "g0001-../../x", "g0002-live-x-t1abcdef.jsonl", ""])
@pytest.mark.parametrize("of_a_child", [False, True])
def test_files_elsewhere_are_never_trusted(manifest: Path, name: str, of_a_child: bool) -> None:
    parts = msgspec.json.decode(manifest.read_bytes())["parts"]
    if of_a_child:
        parts[0]["children"] = {"order-items": {"name": name, "rows": 0, "bytes": 0, "sha256": ""}}
    else:
        parts[0]["name"] = name
    rewrite(manifest, parts=parts)
    with pytest.raises(DotyposInputError, match="files of another folder or generation"):
        read_manifest(str(manifest))


@pytest.mark.parametrize("version", [3, "2.0", None])
def test_a_newer_format_is_told_as_that_whatever_else_it_holds(
    extract: Extract, manifest: Path, version: object
) -> None:
    manifest.write_bytes(msgspec.json.encode({"format_version": version, "parts": "elsewhere", "window": [1, 2]}))
    for what in (str(manifest), str(manifest.parent)):
        with pytest.raises(ValueError, match="newer airflow-provider-dotypos"):
            read_manifest(what)
    before = set(os.listdir(manifest.parent))
    with pytest.raises(Exception, match="newer airflow-provider-dotypos"):
        extract()
    assert set(os.listdir(manifest.parent)) == before


@pytest.mark.parametrize("text", [b"", b"[]", b'{"format_version": 1', b'{"format_version": 1}', b"\xff"])
def test_what_is_cut_off_or_something_else_counts_as_not_there(extract: Extract, manifest: Path, text: bytes) -> None:
    cut_off = manifest.with_name("_manifest-0002.json")
    cut_off.write_bytes(text)
    with pytest.raises(FileNotFoundError):
        read_manifest(str(cut_off))
    assert read_manifest(str(manifest.parent)).path.name == manifest.name
    assert path_of(extract()) == manifest
    assert path_of(extract(overwrite=True)).name == "_manifest-0003.json"
    assert not cut_off.exists()


def test_a_set_is_copied_with_its_last_three_folders(manifest: Path, tmp_path: Path) -> None:
    cloud = manifest.parents[2]
    shutil.copytree(cloud, tmp_path / "elsewhere" / cloud.name)
    copied = tmp_path / "elsewhere" / manifest.relative_to(cloud.parent)
    assert read_manifest(str(copied), verify=True).manifest.rows == 750
    assert read_manifest(f"{copied.parent}/").manifest.rows == 750

    renamed = tmp_path / "renamed"
    shutil.copytree(manifest.parent, renamed)
    with pytest.raises(DotyposInputError, match=r"its last three folders: \{cloud\}/\{entity\}/\{window\}"):
        read_manifest(str(renamed))


def test_one_of_an_earlier_version_names_no_shape(manifest: Path) -> None:
    assert msgspec.json.decode(manifest.read_bytes(), type=Manifest).shape == manifest.parent.name[-8:]
    rewrite(manifest, shape="")
    assert read_manifest(str(manifest)).manifest.since == f"{SINCE:%Y-%m-%dT%H:%M:%S}.000Z"


def test_digests_are_compared_on_request(extract: Extract, manifest: Path) -> None:
    file = Path(str(read_manifest(str(manifest), verify=True).files[0].path))
    file.write_bytes(file.read_bytes()[:-2] + b" \n")
    assert read_manifest(str(manifest)).manifest.rows == 750
    with pytest.raises(DamagedSetError, match=f"{file.name}: its bytes aren't those that were written"):
        read_manifest(str(manifest), verify=True)


def test_digests_of_childrens_files_are_compared_as_well(extract: Extract, orders: list[str], sandbox: Any) -> None:
    sandbox.shop.insert(sandbox.cloud_ids[0], "order-items", {"_orderId": int(orders[0])})
    found = read_manifest(extract(include="orderItems", flatten=True)["manifest"], verify=True)
    file = Path(str(found.children["order-items"][0].path))
    file.write_bytes(file.read_bytes()[:-2] + b" \n")
    with pytest.raises(DamagedSetError, match="order-items"):
        read_manifest(found.path, verify=True)


def test_dags_import_what_earlier_versions_gave_them() -> None:
    from airflow_provider_dotypos import exceptions
    from airflow_provider_dotypos.transfers import manifest as door
    from airflow_provider_dotypos.transfers.files import committed_set, manifest

    for name in ("ChildFile", "Manifest", "Part", "FORMAT_VERSION", "find_set", "newest_manifest"):
        assert getattr(door, name) is getattr(manifest, name)
    for name in ("CommittedSet", "DamagedSetError", "read_manifest", "uri"):
        assert getattr(door, name) is getattr(committed_set, name)
    assert exceptions.DamagedSetError is door.DamagedSetError
    with pytest.warns(DeprecationWarning, match="CommittedSet"):
        assert door.Set is committed_set.CommittedSet
    with pytest.raises(AttributeError, match="Sets"):
        _ = door.Sets
