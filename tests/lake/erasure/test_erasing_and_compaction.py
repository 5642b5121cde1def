"""Erasing and compacting at once: whatever the order, nothing of hers is left in the sets that count.

Tests `lake/erasure/sets` beside `lake/compaction` and `lake/pruning`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.lake.compaction import ListFolder, compact_list
from airflow_provider_dotypos.lake.current import read_entity
from airflow_provider_dotypos.lake.erasure import sets as erasure_sets
from airflow_provider_dotypos.lake.pruning import prune_list
from airflow_provider_dotypos.lake.rewriting import SetCopy
from tests.lake.erasure.test_sets import erase, marks_left
from tests.lake.lakes import CLOUD, Rows, commit_set
from tests.lake.persons import HER, MARK, OTHER, marked_row
from tests.lake.test_compaction import APRIL, DAY, JANUARY


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a lake with three days of customers."""
    destination = ObjectStoragePath(f"file://{tmp_path}/lake")
    for day in range(3):
        since = JANUARY + day * DAY
        moment = f"2026-01-0{day + 1}T10:00:00.000Z"
        rows = [marked_row("customers", id=id, versionDate=moment, points=str(day)) for id in (HER, OTHER)]
        for row in rows[1:]:
            row.update(dict.fromkeys((name for name, value in row.items() if MARK in str(value)), "theirs"), tags=[])
            row["birthday"] = None
        commit_set(destination, Window(since, since + DAY), [Rows(since, since + DAY, rows)], entity="customers")
    return tmp_path / "lake"


def customers(root: Path) -> ListFolder:
    return ListFolder(ObjectStoragePath(f"file://{root}"), CLOUD, "customers")


def once(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, work: Callable[[], object], *, after: bool) -> None:
    """Do some work once, just before or after something is called the next time."""
    original = getattr(owner, name)

    def doing(*arguments: Any, **more: Any) -> Any:
        monkeypatch.setattr(owner, name, original)
        if not after:
            work()
        result = original(*arguments, **more)
        if after:
            work()
        return result

    monkeypatch.setattr(owner, name, doing)


def check(root: Path) -> None:
    assert marks_left(root) == []
    list(compact_list(customers(root), APRIL))
    list(prune_list(customers(root), grace=0))
    assert marks_left(root) == []
    rows = list(read_entity(f"file://{root}", CLOUD, "customers").rows())
    assert sorted((row["id"], row["points"], row["firstName"]) for row in rows) == [
        (HER, "2", ""),
        (OTHER, "2", "theirs"),
    ]


@pytest.mark.parametrize("after", [False, True], ids=["before the commit", "after the commit"])
def test_erased_while_sets_are_compacted(root: Path, monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    once(monkeypatch, SetCopy, "commit", lambda: erase(root), after=after)
    list(compact_list(customers(root), APRIL))
    check(root)


@pytest.mark.parametrize("after", [False, True], ids=["before it is rewritten", "after it is rewritten"])
def test_compacted_while_a_set_is_erased(root: Path, monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    once(monkeypatch, erasure_sets, "rewrite_set", lambda: list(compact_list(customers(root), APRIL)), after=after)
    assert erase(root).whole
    check(root)


def test_a_set_that_comes_after_the_last_search_is_searched_as_well(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late() -> None:
        rows = [marked_row("customers", id=HER, versionDate="2026-01-04T10:00:00.000Z")]
        window = Window(JANUARY + 3 * DAY, JANUARY + 4 * DAY)
        part = Rows(window.since, window.until, rows)
        commit_set(ObjectStoragePath(f"file://{root}"), window, [part], entity="customers")

    once(monkeypatch, erasure_sets.SetErasure, "tidy", late, after=False)
    assert erase(root).whole
    assert marks_left(root) == []


def test_pruned_while_a_set_is_erased(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sets that a compacted one covers go before they are rewritten: they are passed over."""
    list(compact_list(customers(root), APRIL))
    once(monkeypatch, erasure_sets, "rewrite_set", lambda: list(prune_list(customers(root), grace=0)), after=False)
    assert erase(root).whole
    assert len(list(root.rglob("_manifest-*.json"))) == 1
    check(root)


def test_what_is_erased_after_it_was_compacted_brings_no_older_undated_row_back(tmp_path: Path) -> None:
    """A row without a change date has no version but its set's place, and a rewritten source keeps its place."""
    destination = ObjectStoragePath(f"file://{tmp_path}")
    for day, hers in ((0, [marked_row("customers", id=HER, versionDate="2026-01-01T10:00:00.000Z")]), (1, [])):
        since = JANUARY + day * DAY
        undated = {"id": OTHER, "versionDate": None, "points": str(day), "deleted": False}
        parts = [Rows(since, since + DAY, hers), Rows(None, None, [undated])]
        commit_set(destination, Window(since, since + DAY), parts, entity="customers")
    list(compact_list(customers(tmp_path), APRIL))
    assert erase(tmp_path).whole
    [again] = compact_list(customers(tmp_path), APRIL)
    assert not list(compact_list(customers(tmp_path), APRIL))
    assert len(list(prune_list(customers(tmp_path), grace=0))) == 2
    rows = read_entity(str(destination), CLOUD, "customers").rows()
    assert {row["id"]: row["points"] for row in rows if row["id"] == OTHER} == {OTHER: "1"}
    assert (again.rows, marks_left(tmp_path)) == (2, [])
