from __future__ import annotations

import re
from pathlib import Path

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.lake.sets import lists_below, require_destination, set_folders

HOUR = 3_600_000


@pytest.fixture
def destination(tmp_path: Path) -> ObjectStoragePath:
    return ObjectStoragePath(f"file://{tmp_path}")


def make(tmp_path: Path, *names: str) -> None:
    for name in names:
        (tmp_path / name).mkdir(parents=True)


def test_lists_are_found_by_cloud_and_entity(destination: ObjectStoragePath, tmp_path: Path):
    make(tmp_path, "1/orders", "1/_pending_0", "1/unheard-of", "2/products", "_nested/1/orders", "notes/orders")
    make(tmp_path, "007/orders", "\N{ARABIC-INDIC DIGIT THREE}/orders")
    assert list(lists_below(destination)) == [(1, "orders"), (2, "products")]


def test_folders_come_from_the_beginning_on_and_other_folders_not_at_all(
    destination: ObjectStoragePath, tmp_path: Path
):
    windows = [Window(None, 5 * HOUR), Window(0, HOUR), Window(HOUR, 2 * HOUR), Window(HOUR, 3 * HOUR)]
    names = [f"{window.name}_0123abcd" for window in windows]
    make(tmp_path, *(f"1/orders/{name}" for name in [*reversed(names), "_pending_0", "x_y_z", "start_20260132T1Z_0"]))
    folders = set_folders(destination, 1, "orders")
    assert [folder.name for folder in folders] == names
    assert [folder.window for folder in folders] == windows
    assert {folder.shape for folder in folders} == {"0123abcd"}


def test_a_list_without_a_folder_has_no_sets(destination: ObjectStoragePath):
    assert set_folders(destination, 1, "orders") == []


def test_a_folder_without_lists_is_refused(destination: ObjectStoragePath, tmp_path: Path):
    make(tmp_path, "start_19700101T050000000Z_0123abcd")
    with pytest.raises(DotyposInputError, match="destination: no sets lie below"):
        require_destination(destination)


@pytest.mark.parametrize("below", ["", "/orders", "/orders/a_window", "/orders/a_window/_manifest-0001.json"])
def test_a_path_into_a_destination_is_told_which_one_is_meant(
    destination: ObjectStoragePath, tmp_path: Path, below: str
):
    make(tmp_path, "1/orders/a_window")
    (tmp_path / "1/orders/a_window/_manifest-0001.json").touch()
    with pytest.raises(DotyposInputError, match=re.escape(f"Did you mean {destination}? It is the folder that")):
        require_destination(ObjectStoragePath(f"{destination}/1{below}"))
