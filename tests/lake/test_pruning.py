"""Pruning: what isn't needed any more goes, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.lake import pruning
from airflow_provider_dotypos.lake.compaction import ListFolder, compact_list
from airflow_provider_dotypos.lake.pruning import GRACE, plan_pruning, preview_pruning, prune_list, remove_set
from airflow_provider_dotypos.lake.sets import LakeSet
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.files.committed_set import read_manifest
from airflow_provider_dotypos.transfers.watermark import Note
from tests.lake.lakes import CLOUD, Rows, commit_set, product
from tests.lake.test_compaction import APRIL, DAY, FEBRUARY, JANUARY, compacted, days, planned

NOW = APRIL + 10 * DAY


@pytest.fixture
def destination(tmp_path: Path) -> ObjectStoragePath:
    return ObjectStoragePath(f"file://{tmp_path}")


@pytest.fixture
def folder(destination: ObjectStoragePath) -> ListFolder:
    return ListFolder(destination, CLOUD, "products")


def names(folder: ListFolder, sets: list[LakeSet], now: int = NOW, noted: Any = (), **how: Any) -> list[str]:
    return [removal.lake_set.folder.name for removal in plan_pruning(folder, sets, noted, now, **how)]


def test_what_a_compacted_set_covers_goes_after_a_day(folder: ListFolder):
    january = days(0, 31)
    month = compacted(january, JANUARY, FEBRUARY, "2026-04-01T00:00:00.000Z")
    all_names = [found.folder.name for found in january]
    assert names(folder, [*january, month]) == all_names
    assert names(folder, [*january, month], APRIL + GRACE) == all_names
    assert names(folder, [*january, month], APRIL + GRACE - 1) == []
    assert names(folder, [*january, month], APRIL, grace=0) == all_names
    assert names(folder, january) == []


def test_what_was_replaced_or_extracted_again_after_that_stays(folder: ListFolder):
    month = compacted(days(0, 31), JANUARY, FEBRUARY)
    [replaced], [again] = days(3, 4, generation=2), days(5, 6, sha256="other bytes")
    assert names(folder, [replaced, again, month]) == []


def test_a_compacted_set_that_went_into_another_is_covered(folder: ListFolder):
    first = compacted(days(0, 10), JANUARY, JANUARY + 10 * DAY)
    second = compacted([first, *days(10, 31)], JANUARY, FEBRUARY)
    assert names(folder, [first, second]) == [first.folder.name]


def test_what_was_not_delivered_stays(folder: ListFolder):
    january = days(0, 3)
    month = compacted(january, JANUARY, JANUARY + 3 * DAY)
    assert names(folder, [*january, month], noted={january[1].folder.name}) == [
        january[0].folder.name,
        january[2].folder.name,
    ]
    assert january[0].folder.name not in names(folder, january, noted={january[0].folder.name}, older_than=DAY)


def test_by_age_everything_goes_but_the_furthest_of_each_shape(folder: ListFolder):
    beginning = planned(None, JANUARY + DAY // 2)
    other = days(0, 2, shape="89abcdef")
    sets = [*days(0, 31), beginning, *other]
    assert names(folder, sets, older_than=NOW - JANUARY - 3 * DAY) == [
        beginning.folder.name,
        *(found.folder.name for found in [*days(0, 1), other[0], *days(1, 3)]),
    ]
    assert len(names(folder, sets, older_than=DAY)) == 30 + 1 + 1
    assert names(folder, sets) == []


def test_by_age_nothing_goes_that_a_compacted_set_which_stays_was_made_of(folder: ListFolder):
    january = days(0, 31)
    month = compacted(january, JANUARY, FEBRUARY, "2026-04-01T00:00:00.000Z")
    [erased] = days(3, 4, generation=2)
    assert names(folder, [*january, month], NOW, older_than=DAY) == [found.folder.name for found in january]
    assert names(folder, [*january, month], APRIL + 1, older_than=DAY) == [], "covered, and the day isn't over"
    assert names(folder, [erased, month, *days(31, 59)], NOW, older_than=NOW - JANUARY - 5 * DAY) == [], (
        "the next compacting is to see what was erased"
    )
    both = names(folder, [erased, month, *days(31, 59)], NOW, older_than=NOW - FEBRUARY)
    assert both == [erased.folder.name, month.folder.name], "they go together"


def hours(destination: ObjectStoragePath, count: int) -> list[LakeSet]:
    made = []
    for number in range(count):
        window = Window(JANUARY + number * 3_600_000, JANUARY + (number + 1) * 3_600_000)
        rows = [product(number, window.since, name=f"{number}")]
        made.append(commit_set(destination, window, [Rows(window.since, window.until, rows)]))
    return made


def left(folder: ListFolder) -> list[str]:
    return sorted(path.name for path in (Path(folder.destination.path) / f"{CLOUD}/products").iterdir())


def test_the_folders_are_gone_afterwards(destination: ObjectStoragePath, folder: ListFolder):
    hours(destination, 4)
    [one] = compact_list(folder, APRIL)
    assert len(preview_pruning(folder, grace=0)) == 4
    assert len(left(folder)) == 5
    assert [removal.covered_by is not None for removal in prune_list(folder, grace=0)] == [True] * 4
    assert left(folder) == [one.group.folder.name]
    assert list(prune_list(folder, grace=0)) == []


def test_a_set_that_a_note_names_stays(destination: ObjectStoragePath, folder: ListFolder):
    first, *_ = hours(destination, 3)
    list(compact_list(folder, APRIL))
    note = Note(("dag", "task", "run", -1), 1, first.folder.name, None, 1, None)
    folder.store("_pending_0123456789abcdef").put_bytes(msgspec.json.encode(note), "0123456789abcdef.json")
    assert first.folder.name not in [removal.lake_set.folder.name for removal in prune_list(folder, grace=0)]
    assert first.folder.name in left(folder)


@pytest.mark.parametrize("operations", range(9))
def test_what_a_crash_leaves_the_next_pruning_removes(
    destination: ObjectStoragePath, folder: ListFolder, monkeypatch: pytest.MonkeyPatch, operations: int
):
    hours(destination, 2)
    [one] = compact_list(folder, APRIL)
    done = iter(range(operations))

    def counted(method: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            if next(done, None) is None:
                raise KeyboardInterrupt
            return method(*arguments, **named)

        return call

    with monkeypatch.context() as patch:
        for name in ("put", "delete", "remove_if_empty"):
            patch.setattr(Store, name, counted(getattr(Store, name)))
        with pytest.raises(KeyboardInterrupt):
            list(prune_list(folder, grace=0))
    for path in (Path(destination.path) / f"{CLOUD}/products").iterdir():
        if not any(path.iterdir()):
            path.rmdir()  # an empty folder may be one that an extraction has just made: it stays for a day
    list(prune_list(folder, grace=0))
    assert left(folder) == [one.group.folder.name]


def test_an_extraction_that_uses_the_folder_again_is_not_harmed(
    destination: ObjectStoragePath, folder: ListFolder, monkeypatch: pytest.MonkeyPatch
):
    first, _ = hours(destination, 2)
    list(compact_list(folder, APRIL))

    def crash(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("airflow_provider_dotypos.lake.pruning._remove_files", crash)
        with pytest.raises(KeyboardInterrupt):
            remove_set(first)
    assert folder.look_up()[first.folder.name] is None
    assert any(name.startswith("_pruned-") for name in first.store.list())
    window = first.folder.window
    again = commit_set(destination, window, [Rows(window.since, window.until, [product(7, window.since, name="anew")])])
    list(prune_list(folder, grace=0))
    now = folder.look_up()[first.folder.name]
    assert now is not None
    assert now.manifest == again.manifest, "the first generation again, and yet another set"


def test_a_rewritten_set_is_not_removed_in_place_of_what_was_planned(
    destination: ObjectStoragePath, folder: ListFolder
):
    first, _ = hours(destination, 2)
    list(compact_list(folder, APRIL))
    window = first.folder.window
    rows = [product(7, window.since, name="anew")]
    newer = commit_set(destination, window, [Rows(window.since, window.until, rows)], overwrite=True)
    remove_set(first)
    there = folder.look_up()[first.folder.name]
    assert there is not None
    assert there.manifest == newer.manifest


def test_a_set_that_was_extracted_again_is_not_removed_in_place_of_one_that_others_have_pruned(
    destination: ObjectStoragePath, folder: ListFolder
):
    first, _ = hours(destination, 2)
    list(compact_list(folder, APRIL))
    list(prune_list(folder, grace=0))
    window = first.folder.window
    again = commit_set(destination, window, [Rows(window.since, window.until, [product(7, window.since, name="anew")])])
    remove_set(first)
    there = folder.look_up()[first.folder.name]
    assert there is not None
    assert there.manifest == again.manifest
    assert [row["name"] for row in read_manifest(again.store.folder, verify=True).rows()] == ["anew"]


def test_a_window_that_is_being_extracted_again_keeps_its_parts(destination: ObjectStoragePath, folder: ListFolder):
    first, _ = hours(destination, 2)
    list(compact_list(folder, APRIL))
    list(prune_list(folder, grace=0))
    window = first.folder.window
    names = {}

    def prune_late() -> None:
        names["before"] = set(first.store.list())
        remove_set(first)
        names["after"] = set(first.store.list())

    rows = [product(7, window.since, name="anew")]
    commit_set(destination, window, [Rows(window.since, window.until, rows)], meanwhile=prune_late)
    assert any(name.endswith(".jsonl") for name in names["before"])
    assert names["after"] == names["before"]
    assert folder.look_up()[first.folder.name] is not None


def test_a_marker_never_costs_a_set_its_files(destination: ObjectStoragePath, folder: ListFolder):
    first, _ = hours(destination, 2)
    marker = {"files": sorted(first.manifest.contents.sizes)}
    first.store.put_bytes(msgspec.json.encode(marker), "_pruned-0123456789abcdef-0001.json")
    pruning._finish(first.store)  # as a pruning does that has found no set here a moment before
    assert folder.look_up()[first.folder.name] is not None
