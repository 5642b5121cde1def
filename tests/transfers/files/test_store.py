"""The few operations of a store, where stores differ; what cleaning leaves alone. Tests `storage.address`, too."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io.store import attach
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.files.committed_set import read_manifest
from airflow_provider_dotypos.transfers.files.manifest import Manifest

Extract = Callable[..., dict[str, Any]]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(ObjectStoragePath(f"file://{tmp_path}/set"))


@pytest.fixture
def memory() -> ObjectStoragePath:
    """Return an empty folder of a store that isn't a disk: of this process's memory."""
    fs = MemoryFileSystem(skip_instance_cache=True)
    fs.store, fs.pseudo_dirs = {}, [""]
    attach("memory", fs=fs)
    return ObjectStoragePath("memory://lake")


@pytest.mark.parametrize("links", [True, False])
def test_a_name_is_created_once(store: Store, links: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:

        def refuse(*_: object) -> None:
            raise PermissionError(errno.EPERM, "no hard links here")

        monkeypatch.setattr(os, "link", refuse)
    assert store.create(b"one", "_manifest-0001.json")
    assert store.create(b"one", "_manifest-0001.json")  # ours, asked for again after an answer was lost
    assert not store.create(b"two", "_manifest-0001.json")
    assert store.read("_manifest-0001.json") == b"one"
    assert set(store.list()) == {"_manifest-0001.json"}


def test_the_root_of_a_disk_is_not_the_current_folder() -> None:
    store = Store(ObjectStoragePath("file:///"))
    with store.staging() as folder:
        assert folder == Path("/")
    assert store.place == ("", "", "")


def test_a_folder_that_is_not_there_is_empty(store: Store) -> None:
    assert store.list() == {}
    store.delete("nothing")


def test_cleaning_leaves_what_is_not_ours(extract: Extract, orders: list[str], tmp_path: Path) -> None:
    folder = Path(extract()["manifest"].removeprefix("file://")).parent
    for name in ("g0001-notes.txt", "g0001.csv", "README.md", "_manifest-copy.json"):
        (folder / name).write_text("somebody's")
    (folder / "g0001-live-x-t1abcdef.jsonl").write_text("a part of a dead attempt")
    extract()
    names = set(os.listdir(folder))
    assert {"g0001-notes.txt", "g0001.csv", "README.md", "_manifest-copy.json"} <= names
    assert "g0001-live-x-t1abcdef.jsonl" not in names


def test_a_manifest_of_a_later_format_is_not_guessed_at(extract: Extract, orders: list[str]) -> None:
    path = Path(extract()["manifest"].removeprefix("file://"))
    manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(manifest, format_version=9)))
    with pytest.raises(ValueError, match="newer airflow-provider-dotypos"):
        read_manifest(str(path))


@pytest.mark.parametrize("name", ["st*r", "s[t]ar", "st?r"])
def test_a_folder_whose_name_looks_like_a_pattern_is_removed_alone(memory: ObjectStoragePath, name: str):
    for folder in (name, "star"):
        Store(memory / folder).put_bytes(b"1", "a.json")
    Store(memory / name).remove()
    assert Store(memory / name).list() == {}
    assert Store(memory / "star").list() == {"a.json": 1}


class LibraryError(Exception):
    """Stands for an error of a store's library, whose name says that another try is of no use."""


LibraryError.__name__ = "NoCredentialsError"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError("AccessDenied"), r"the store refuses access \(AccessDenied\): 'memory:///?lake'"),
        (LibraryError("no way in"), r"^memory:///?lake: the store failed: NoCredentialsError: no way in$"),
    ],
)
def test_an_error_of_a_store_says_where(
    memory: ObjectStoragePath, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
):
    def fail(*_: object, **__: object) -> None:
        raise error

    store = Store(memory)
    monkeypatch.setattr(store._fs, "rm_file", fail)
    monkeypatch.setattr(store._fs, "open", fail)
    with pytest.raises(OSError, match=message):
        store.delete("a.json")
    with pytest.raises(OSError, match=message):
        store.sha256("a.json")


def test_a_mistake_in_a_program_keeps_its_kind(memory: ObjectStoragePath, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object, **__: object) -> None:
        raise TypeError("a mistake")

    store = Store(memory)
    monkeypatch.setattr(store._fs, "rm_file", fail)
    with pytest.raises(TypeError):
        store.delete("a.json")
