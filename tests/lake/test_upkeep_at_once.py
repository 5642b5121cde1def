"""Compacting, pruning, erasing, extracting and reading in each other's way, at each operation on a store.

One of them begins. Before its first, second, ... operation on a store another one is done from beginning to end, or the
process dies. Unlike `test_compaction_protocol`, which draws some of all orders, this goes through all of these, and
erases as people do.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.lake import compaction
from airflow_provider_dotypos.lake.compaction import ListFolder, compact_list
from airflow_provider_dotypos.lake.current import read_entity
from airflow_provider_dotypos.lake.erasure.erasing import Erasure
from airflow_provider_dotypos.lake.erasure.report import ErasureReport
from airflow_provider_dotypos.lake.pruning import prune_list
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.errors import SetsChangedError
from airflow_provider_dotypos.transfers.files.commit import Attempt
from airflow_provider_dotypos.transfers.files.committed_set import read_manifest
from airflow_provider_dotypos.transfers.files.part import Part
from tests.examples import examples
from tests.lake.erasure.test_sets import marks_left
from tests.lake.lakes import CLOUD, Rows, commit_set, product
from tests.lake.persons import HER, OTHER, marked_row, plain_row

#: All months have ended.
ALWAYS = 10**13

_OPERATIONS = ("list", "folders", "read", "open", "put", "create", "delete", "remove_if_empty")


class Died(BaseException):
    """The process died."""


def interrupted(work: Callable[[], Any], before: int, other: Callable[[], Any] | None) -> bool:
    """Work, and do something else before one of the operations on a store; return whether it came to that.

    :param other: ``None``: the process dies.
    """
    left = itertools.count(-before)
    busy = False
    came = False

    def stopping(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal busy, came
            if not busy and (number := next(left)) >= 0:
                if other is None:
                    came = True
                    raise Died  # at each further one as well: a dead process cleans nothing up
                if number == 0:
                    busy = came = True
                    other()
                    busy = False
            return method(*arguments, **named)

        return call

    with ExitStack() as patches:
        for name in _OPERATIONS:
            patches.enter_context(mock.patch.object(Store, name, stopping(getattr(Store, name))))
        with suppress(Died):
            work()
    return came


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


def at_each_operation(
    root: Path, work: Callable[[Path], Any], other: Callable[[Path], Any] | None, step: int = 1
) -> Iterator[Path]:
    """Yield copies of a lake after work on each was interrupted: before its first operation, its second, and so on.

    :param step: to the next operation. Long runs take all.
    """
    for before in itertools.count(0, step if examples(1) == 1 else 1):
        copy = root.with_name(f"{root.name}-{before}")
        shutil.copytree(root, copy)
        try:
            came = interrupted(partial(work, copy), before, None if other is None else partial(other, copy))
            if came:
                yield copy
        finally:
            shutil.rmtree(copy)
        if not came:
            assert before > 5
            return


def folder(root: Path, entity: str = "products") -> ListFolder:
    return ListFolder(ObjectStoragePath(f"file://{root}"), CLOUD, entity)


def compact(root: Path, entity: str = "products") -> None:
    for _ in compact_list(folder(root, entity), ALWAYS):
        pass


def prune(root: Path, entity: str = "products") -> None:
    for _ in prune_list(folder(root, entity), grace=0):
        pass


def customers(root: Path) -> None:
    """Two sets with two versions of her."""
    for since in (0, 100):
        moment = f"1970-01-01T00:00:00.{since + 5:03}Z"
        rows = [make("customers", id=id, versionDate=moment) for make, id in ((marked_row, HER), (plain_row, OTHER))]
        commit_set(
            ObjectStoragePath(f"file://{root}"),
            Window(since, since + 100),
            [Rows(since, since + 100, rows)],
            entity="customers",
        )


def erase(root: Path) -> ErasureReport:
    return Erasure(int(HER), ObjectStoragePath(f"file://{root}"), dry_run=False).run()


def ids(root: Path, entity: str) -> list[str]:
    return sorted(row["id"] for row in read_entity(f"file://{root}", CLOUD, entity).rows())


def test_what_is_erased_while_sets_are_compacted_stays_erased(root: Path) -> None:
    customers(root)
    for lake in at_each_operation(root, lambda lake: compact(lake, "customers"), erase, 3):
        assert marks_left(lake) == []
        assert ids(lake, "customers") == [HER, OTHER]


def test_a_compaction_that_dies_before_it_looks_again_leaves_that_to_the_next_one(root: Path) -> None:
    """And the report of who erased meanwhile doesn't say that all is done, whatever of the compaction it could see."""
    customers(root)
    reports: list[ErasureReport] = []

    staging = Store.staging

    @contextmanager
    def elsewhere(store: Store) -> Iterator[Path]:
        """Give another folder for files that are written, as beside an object store."""
        with staging(store):
            yield root

    def dying(lake: Path) -> None:
        carry_out = compaction._carry_out

        def committing(*arguments: Any) -> None:
            carry_out(*arguments)
            raise Died

        with (
            mock.patch.object(compaction, "_carry_out", committing),
            mock.patch.object(Store, "staging", elsewhere),
        ):
            compact(lake, "customers")

    left = 0
    for lake in at_each_operation(root, dying, lambda lake: reports.append(erase(lake)), 2):
        if marks_left(lake):
            left += 1
            assert not reports[-1].whole
        prune(lake, "customers")
        compact(lake, "customers")
        assert marks_left(lake) == []
        assert ids(lake, "customers") == [HER, OTHER]
    assert left, "or the look isn't needed"


def test_what_is_compacted_and_pruned_while_it_is_erased_is_erased(root: Path) -> None:
    customers(root)

    def keep(lake: Path) -> None:
        compact(lake, "customers")
        prune(lake, "customers")

    for lake in at_each_operation(root, erase, keep, 7):
        assert marks_left(lake) == []
        assert ids(lake, "customers") == [HER, OTHER]


def hours(root: Path, numbers: Iterable[int], *, overwrite: bool = False, name: str = "") -> None:
    """Commit windows of ten milliseconds. Each has a row of its own, and a version of the one that all have."""
    for number in numbers:
        window = Window(10 * number, 10 * number + 10)
        moment = window.since or 0
        rows = [
            product(1, moment + 1, name=f"one at {number}{name}"),
            product(100 + number, moment + 2, name=f"of {number}{name}"),
        ]
        place = ObjectStoragePath(f"file://{root}")
        there = next((found for found in folder(root).sets() if found.folder.window == window), None)
        if overwrite or there is None:  # as an extraction does
            commit_set(place, window, [Rows(window.since, window.until, rows)], overwrite=overwrite)


def names(root: Path) -> list[str]:
    return sorted(row["name"] for row in read_entity(f"file://{root}", CLOUD, "products").rows())


def is_tidy(root: Path) -> bool:
    """Return whether each folder holds a whole set, and nothing else but sidecars."""
    for place in (root / f"{CLOUD}/products").iterdir():
        committed = read_manifest(f"file://{place}", verify=True)
        listed = {*committed.manifest.contents.sizes, committed.path.name}
        if {path.name for path in place.iterdir() if not path.name.endswith(".meta")} != listed:
            return False
    return True


def test_of_two_compactions_one_gives_way_and_nothing_is_lost(root: Path) -> None:
    hours(root, range(3))
    newest = names(root)

    def keep(lake: Path) -> None:
        compact(lake)
        prune(lake)

    for other in (compact, keep):
        for lake in at_each_operation(root, compact, other, 3):
            assert names(lake) == newest
            prune(lake)
            assert names(lake) == newest
            assert len(list((lake / f"{CLOUD}/products").iterdir())) == 1
            assert is_tidy(lake)


def test_a_late_window_while_sets_are_compacted_is_not_lost(root: Path) -> None:
    hours(root, [0, 1, 3])

    def late(lake: Path) -> None:
        hours(lake, [2])

    for lake in at_each_operation(root, compact, late):
        for _ in range(2):
            prune(lake)
            assert names(lake) == ["of 0", "of 1", "of 2", "of 3", "one at 3"]
            compact(lake)
        assert is_tidy(lake)


@pytest.mark.parametrize("overwrite", [False, True], ids=["extracted", "overwritten"])
def test_an_extraction_while_sets_are_pruned_keeps_its_set(root: Path, overwrite: bool) -> None:
    hours(root, range(2))
    compact(root)

    def again(lake: Path) -> None:
        hours(lake, [0], overwrite=overwrite, name=" anew")

    for lake in at_each_operation(root, prune, again):
        # Without overwrite a set that is still there is kept, as it is.
        ways = [["of 0 anew", "of 1", "one at 1"], *([] if overwrite else [["of 0", "of 1", "one at 1"]])]
        for _ in range(2):
            compact(lake)
            assert names(lake) in ways
            prune(lake)
            assert names(lake) in ways
        assert is_tidy(lake)


@pytest.mark.parametrize("overwrite", [False, True], ids=["extracted", "overwritten"])
def test_pruning_while_a_window_is_extracted_again_keeps_its_set(root: Path, overwrite: bool) -> None:
    hours(root, range(2))
    compact(root)
    if not overwrite:
        prune(root)
        hours(root, [3, 4])
        compact(root)

    def again(lake: Path) -> None:
        hours(lake, [0], overwrite=overwrite, name=" anew")

    for lake in at_each_operation(root, again, prune):
        for _ in range(2):
            compact(lake)
            assert "of 0 anew" in names(lake)
            prune(lake)
            assert "of 0 anew" in names(lake)
        assert is_tidy(lake)


def test_of_two_prunings_none_removes_what_was_extracted_again(root: Path) -> None:
    hours(root, range(2))
    compact(root)

    def again(lake: Path) -> None:
        prune(lake)
        hours(lake, [0], name=" anew")

    lost = 0
    for lake in at_each_operation(root, prune, again):
        compact(lake)
        lost += "of 0 anew" not in names(lake)
    assert lost <= 1, "but between the look at a manifest and its removal, which is an instant"


def test_no_attempt_keeps_parts_that_a_pruning_is_about_to_remove(root: Path) -> None:
    hours(root, range(2))
    compact(root)
    kept: list[Part] = []

    def begin(lake: Path) -> None:
        """Begin to extract the first window, which finds its set, or what was left of it."""
        name = next(found.folder.name for found in folder(root).sets() if found.folder.window == Window(0, 10))
        attempt = Attempt.begin(folder(lake).store(name), overwrite=False)
        if attempt.finished is None:
            kept.extend(attempt.keep("live", 0, 10, lambda part: part.rows))

    for lake in at_each_operation(root, prune, begin):
        files = {path.name for path in lake.rglob("g*")}
        assert files.issuperset(name for part in kept for name in part.sizes)
        kept.clear()


def test_a_backfill_of_a_pruned_window_is_compacted_again(root: Path) -> None:
    """Its folder begins with the first generation again, as that of the set that was pruned."""
    hours(root, range(3))
    compact(root)
    prune(root)
    hours(root, [1], name=" anew")
    prune(root)
    assert "of 1 anew" in names(root) or len(list((root / f"{CLOUD}/products").iterdir())) == 2
    compact(root)
    prune(root)
    assert names(root) == ["of 0", "of 1 anew", "of 2", "one at 2"]
    assert len(list((root / f"{CLOUD}/products").iterdir())) == 1
    assert is_tidy(root)


def test_a_reader_meets_the_whole_table_or_an_error_while_sets_go(root: Path) -> None:
    hours(root, range(3))
    newest = names(root)
    compact(root)
    read: list[list[str]] = []

    def reading(lake: Path) -> None:
        with suppress(SetsChangedError):
            read.append(names(lake))

    for _ in at_each_operation(root, reading, prune):
        pass
    assert len(read) > 10
    assert all(table == newest for table in read)


@pytest.mark.parametrize("work", [compact, prune])
def test_whatever_dies_the_next_run_makes_whole(root: Path, work: Callable[[Path], None]) -> None:
    hours(root, range(3))
    newest = names(root)
    if work is prune:
        compact(root)
    for lake in at_each_operation(root, work, None):
        assert names(lake) == newest
        for path in (lake / f"{CLOUD}/products").iterdir():
            if not any(path.iterdir()):
                path.rmdir()  # an empty folder may be one that an extraction has just made: it stays for a day
        compact(lake)
        prune(lake)
        assert names(lake) == newest
        assert is_tidy(lake)
        assert len(list((lake / f"{CLOUD}/products").iterdir())) == 1
