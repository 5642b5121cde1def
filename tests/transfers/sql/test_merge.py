"""Merging staged rows: newer wins, a repetition touches nothing, and removed rows stay removed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeAlias

import pytest

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.transfers.sql.merge import Merged
from airflow_provider_dotypos.transfers.sql.tables import Deletes
from tests.transfers.sql.databases import Warehouse
from tests.transfers.sql.merging import Place, Row, items, orders

Places: TypeAlias = Callable[..., Place]


@pytest.fixture
def place(warehouse: Warehouse) -> Iterator[Places]:
    """Makes tables in each kind of database in turn."""
    made: list[Place] = []

    def make(*, deletes: Deletes = "keep", cursors: int = 1, children: bool = False, versions: bool = False) -> Place:
        own = orders(deletes=deletes, cursors=cursors, versions=versions)
        made.append(Place(warehouse, [own, items(own)] if children else [own], deletes))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_newer_wins_by_cursor_then_by_the_time_of_reading_and_nulls_are_lowest(place: Places) -> None:
    merges = place()
    assert merges.load([Row(1, "old", at=1), Row(2, "dated", at=1), Row(3, at=1, read=5), Row(4, None)]) == Merged(4)
    newer = [
        Row(1, "new", at=2, read=-9),
        Row(2, "undated", at=None, read=9),
        Row(3, "read before", at=1, read=4),
        Row(4, "b"),
    ]
    assert merges.load(newer) == Merged(updated=2, unchanged=2)
    assert merges.contents() == {1: "new", 2: "dated", 3: "a", 4: "b"}


def test_of_several_staged_versions_the_newest_counts(place: Places) -> None:
    merges = place()
    versions = [Row(1, "b", at=2, read=1), Row(1, "c", at=2, read=2), Row(1, "a", at=1, read=9), Row(1, "d", at=None)]
    assert merges.load([*versions, versions[1]]) == Merged(1)
    assert merges.contents() == {1: "c"}


def test_the_one_limit_a_row_that_says_again_what_it_said_before_under_the_same_cursor(place: Places) -> None:
    merges = place()
    for row in (Row(1, "a", read=1), Row(1, "a", read=3), Row(1, "b", read=2)):
        merges.load([row])
    assert merges.contents() == {1: "b"}


def test_what_says_the_same_touches_no_row(place: Places) -> None:
    merges = place()
    merges.load([Row(1, "a"), Row(2, None, at=None, deleted=None)])
    touched = "SELECT id, _load_id, _read_at FROM orders ORDER BY id"
    before = merges.rows(touched)
    assert merges.load([Row(1, "a", read=5), Row(2, None, at=None, read=5, deleted=None)]) == Merged(unchanged=2)
    assert merges.rows(touched) == before


def test_every_difference_counts(place: Places) -> None:
    merges = place()
    changes = [("a", "A"), ("a", "a "), ("é", "e"), ("a", None), (None, ""), ("1", "1.0")]
    merges.load(Row(id, before) for id, (before, _) in enumerate(changes))
    assert merges.load(Row(id, after, read=1) for id, (_, after) in enumerate(changes)) == Merged(updated=len(changes))
    assert merges.contents() == {id: after for id, (_, after) in enumerate(changes)}


def test_the_first_of_two_cursors_decides_first(place: Places) -> None:
    merges = place(cursors=2)
    merges.load([Row(1, stock=2, at=1), Row(2, stock=2, at=1), Row(3, stock=None, at=1), Row(4, stock=1, at=2)])
    later = [Row(1, "b", stock=1, at=9), Row(2, "b", stock=2, at=2), Row(3, "b", stock=None, at=0, read=9)]
    assert merges.load([*later, Row(4, "b", stock=1, at=None, read=9)]) == Merged(updated=1, unchanged=3)
    assert merges.contents() == {1: "a", 2: "b", 3: "a", 4: "a"}


def test_without_a_cursor_the_later_reading_wins(place: Places) -> None:
    merges = place(cursors=0)
    merges.load([Row(1, "a", read=2), Row(2, "a", read=2)])
    assert merges.load([Row(1, "b", at=9, read=1), Row(2, "b", read=3)]) == Merged(updated=1, unchanged=1)
    assert merges.contents() == {1: "a", 2: "b"}


# Rows that the API shows as deleted


def test_deleted_rows_stay_as_rows(place: Places) -> None:
    merges = place()
    assert merges.load([Row(1, deleted=True)]) == Merged(1)
    assert merges.load([Row(1, deleted=True, read=1)]) == Merged(unchanged=1)


def test_no_older_version_brings_a_removed_row_back(place: Places) -> None:
    """Each order of the versions has rows of its own."""
    merges = place(deletes="remove")
    every = list(itertools.permutations([Row(0, at=1), Row(0, "b", at=2), Row(0, "c", at=3, deleted=True)]))
    loads = [[replace(version, id=id) for id, version in enumerate(step)] for step in zip(*every, strict=True)]
    assert sum(merges.load(load).removed for load in loads) == len([order for order in every if not order[0].deleted])
    assert merges.contents() == {}
    assert merges.load(row for load in loads for row in load) == Merged(unchanged=len(every))
    assert merges.contents() == {}


def test_a_restored_row_comes_back_in_any_order(place: Places) -> None:
    merges = place(deletes="remove")
    every = list(itertools.permutations([Row(0, at=1), Row(0, "b", at=2, deleted=True), Row(0, "c", at=3)]))
    for step in zip(*every, strict=True):
        merges.load(replace(version, id=id) for id, version in enumerate(step))
    assert merges.contents() == dict.fromkeys(range(len(every)), "c")
    assert merges.marks() == set()


def test_a_removal_counts_for_its_table_and_cloud_alone(place: Places) -> None:
    merges = place(deletes="remove")
    merges.load([Row(1, at=5, deleted=True)])
    assert merges.load([Row(1, at=1, cloud=8)], cloud=8) == Merged(1)


def test_marked_rows_stay_until_they_are_restored(place: Places) -> None:
    merges = place(deletes="mark")
    merges.load([Row(1, "a", at=1, read=1), Row(2, "a", at=1, read=1, deleted=True)])
    assert merges.contents() == {1: ("a", None), 2: ("a", 1)}
    merges.load([Row(1, "b", at=2, read=2, deleted=True), Row(2, "b", at=2, read=2, deleted=True)])
    assert merges.contents() == {1: ("b", 2), 2: ("b", 1)}
    merges.load([Row(1, "c", at=3, read=3)])
    assert merges.contents() == {1: ("c", None), 2: ("b", 1)}


# Snapshots


@pytest.mark.parametrize("deletes", ["keep", "remove"])
def test_a_snapshot_removes_what_it_lacks(place: Places, deletes: Deletes) -> None:
    merges = place(deletes=deletes)
    merges.load([Row(1, read=1), Row(2, read=1), Row(3, read=1), Row(4, read=1), Row(5, read=12)])
    merges.load([Row(2, read=1, cloud=8)], cloud=8)
    snapshot = [Row(1, read=11), Row(3, "b", at=1, read=11), Row(6, read=11)]
    assert merges.load(snapshot, mode="replace", begun=10) == Merged(1, 1, 1, removed=2)
    assert merges.rows("SELECT cloud_id, id, says FROM orders ORDER BY cloud_id, id") == [
        (7, 1, "a"),
        (7, 3, "b"),
        (7, 5, "a"),
        (7, 6, "a"),
        (8, 2, "a"),
    ]


def test_a_row_that_a_snapshot_shows_in_an_older_version_stays(place: Places) -> None:
    merges = place()
    merges.load([Row(1, "new", at=5, read=1)])
    assert merges.load([Row(1, "old", at=4, read=11)], mode="replace", begun=10) == Merged(unchanged=1)
    assert merges.contents() == {1: "new"}


def test_a_snapshot_removes_rows_that_no_load_has_brought(place: Places) -> None:
    """A table may have been filled otherwise before: the column that it was given then is null in those rows."""
    merges = place()
    merges.load([Row(1), Row(2)])
    _change(merges, "ALTER TABLE orders RENAME TO earlier")
    _change(merges, "CREATE TABLE orders AS SELECT * FROM earlier")
    _change(merges, "ALTER TABLE orders DROP COLUMN _read_at")
    _change(merges, f"ALTER TABLE orders ADD COLUMN _read_at {merges.dialect.type_of('timestamp')}")
    assert merges.load([Row(1, read=11)], mode="replace", begun=10) == Merged(unchanged=1, removed=1)


def _change(merges: Place, statement: str) -> None:
    with merges.database.transaction() as transaction:
        transaction.execute(statement)


def test_a_snapshot_with_a_scope_leaves_other_rows(place: Places) -> None:
    merges = place()
    merges.load([Row(1, "a", read=1), Row(2, "b", read=1), Row(3, "b", read=1)])
    assert merges.load([Row(3, "b", read=11)], mode="replace", begun=10, scope={"says": "b"}).removed == 1
    assert merges.contents() == {1: "a", 3: "b"}
    assert merges.load([Row(2, "b", read=2)]) == Merged(1)  # nobody has seen all rows


def test_a_snapshot_marks_what_it_lacks_once(place: Places) -> None:
    merges = place(deletes="mark")
    merges.load([Row(1, read=1), Row(2, read=1)])
    assert merges.load([Row(1, read=11)], mode="replace", begun=10) == Merged(unchanged=1, removed=1)
    assert merges.load([Row(1, read=21)], mode="replace", begun=20) == Merged(unchanged=1)
    assert merges.contents() == {1: ("a", None), 2: ("a", 10)}
    assert merges.load([Row(2, "b", at=3, read=9)]) == Merged(unchanged=1)  # it was read before it was gone
    assert merges.load([Row(2, "a", read=25)]) == Merged(updated=1)
    assert merges.contents() == {1: ("a", None), 2: ("a", None)}


@pytest.mark.parametrize("deletes", ["keep", "remove"])
def test_what_was_gone_before_a_snapshot_stays_gone(place: Places, deletes: Deletes) -> None:
    merges = place(deletes=deletes)
    merges.load([Row(1, at=1, read=1)])
    merges.load([Row(3, read=11)], mode="replace", begun=10)
    merges.load([Row(3, read=6)], mode="replace", begun=5)  # an older one comes late
    late = [Row(1, at=2, read=2), Row(2, read=9), Row(3, "b", read=9), Row(4, read=10)]
    assert merges.load(late) == Merged(1, unchanged=3)
    assert merges.contents() == {3: "a", 4: "a"}


@pytest.mark.parametrize("deletes", ["keep", "mark"])
def test_an_empty_snapshot_is_refused(place: Places, deletes: Deletes) -> None:
    merges = place(deletes=deletes)
    assert merges.load([], mode="replace", begun=10) == Merged()
    merges.load([Row(1, read=11)])
    with pytest.raises(DotyposInputError, match=r"no orders, but the table orders has some.*allow_empty"):
        merges.load([], mode="replace", begun=20)
    assert len(merges.contents()) == 1
    assert merges.load([], mode="replace", begun=20, allow_empty=True).removed == 1
    assert merges.load([], mode="replace", begun=30) == Merged()


# Every version


def test_every_version_is_appended_once(place: Places) -> None:
    merges = place(versions=True)
    first = [Row(1, "a", at=1, read=1), Row(1, "b", at=2, read=1), Row(1, "a", at=1, read=3), Row(2, None, at=None)]
    assert merges.load(first, mode="append") == Merged(3, unchanged=1)
    later = [Row(1, "b", at=2, read=5), Row(1, "c", at=2, read=6), Row(1, "0", at=0, read=7), Row(2, None, at=None)]
    assert merges.load(later, mode="append") == Merged(2, unchanged=2)
    assert sorted(merges.rows("SELECT id, says FROM orders"), key=str) == [
        (1, "0"),
        (1, "a"),
        (1, "b"),
        (1, "c"),
        (2, None),
    ]


def test_what_has_no_cursor_may_say_again_what_it_said_before(place: Places) -> None:
    """If another version comes late, one that was passed over stays so."""
    merges = place(cursors=0, versions=True)
    orders_of_merges = {"012": "aba", "021": "ab", "201": "ba", "210": "aba", "120": "aba"}
    loads = [Row(0, "a", read=0), Row(0, "b", read=1), Row(0, "a", read=2)]
    for step in range(3):
        rows = (replace(loads[int(order[step])], id=id) for id, order in enumerate(orders_of_merges))
        merges.load(rows, mode="append")
    held = merges.rows("SELECT id, says FROM orders ORDER BY id, _read_at")
    versions = ["".join(says for id, says in held if id == number) for number in range(len(orders_of_merges))]
    assert versions == [*orders_of_merges.values()]


# Children


def test_parents_decide_about_their_children(place: Places) -> None:
    merges = place(children=True)
    below = merges.tables[1]
    assert merges.load([Row(1), Row(2)], [Row(11, below=1), Row(12, below=1), Row(21, below=2)]) == Merged(2)
    newer = [Row(11, "b", read=1, below=1), Row(13, read=1, below=1)]
    assert merges.load([Row(1, read=1)], newer) == Merged(updated=1)
    assert merges.contents(below) == {11: "b", 13: "a", 21: "a"}
    again = [replace(row, read=2) for row in newer]
    assert merges.load([Row(1, read=2)], again) == Merged(unchanged=1)
    assert merges.load([Row(1, read=0)], [Row(14, below=1)]) == Merged(unchanged=1)
    assert merges.contents(below) == {11: "b", 13: "a", 21: "a"}


def test_no_older_window_brings_an_item_back_though_its_parent_is_the_same(place: Places) -> None:
    merges = place(children=True)
    merges.load([Row(1)], [Row(11, below=1), Row(12, below=1)])
    merges.load([Row(1, read=2)], [Row(11, read=2, below=1)])
    assert merges.load([Row(1, read=1)], [Row(11, read=1, below=1), Row(12, read=1, below=1)]) == Merged(unchanged=1)
    assert merges.contents(merges.tables[1]) == {11: "a"}


def test_no_older_window_takes_a_new_item_away_though_its_parent_is_the_same(place: Places) -> None:
    merges = place(children=True)
    merges.load([Row(1)], [Row(11, below=1)])
    merges.load([Row(1, read=2)], [Row(11, read=2, below=1), Row(12, read=2, below=1)])
    assert merges.load([Row(1, read=1)], [Row(11, read=1, below=1)]) == Merged(unchanged=1)
    assert merges.contents(merges.tables[1]) == {11: "a", 12: "a"}


def test_children_of_a_version_that_lost_in_staging_are_dropped(place: Places) -> None:
    merges = place(children=True)
    merges.load([Row(1, at=1), Row(1, at=2, read=5)], [Row(11, below=1), Row(12, read=5, below=1)])
    assert merges.contents(merges.tables[1]) == {12: "a"}


def test_an_item_that_moves_has_one_parent(place: Places) -> None:
    merges = place(children=True)
    merges.load([Row(1), Row(2)], [Row(11, below=1)])
    merges.load([Row(1, read=1), Row(2, read=1)], [Row(11, at=1, read=1, below=2)])
    assert merges.rows("SELECT id, order_id FROM order_items") == [(11, 2)]
    assert merges.load([Row(1, read=1)], []) == Merged(unchanged=1)
    assert merges.rows("SELECT id, order_id FROM order_items") == [(11, 2)]


def test_removed_parents_take_their_children_with_them(place: Places) -> None:
    merges = place(children=True, deletes="remove")
    below = merges.tables[1]
    children = [Row(11, below=1), Row(12, below=1, deleted=True), Row(21, below=2), Row(31, below=3)]
    merges.load([Row(1), Row(2), Row(3)], children)
    assert merges.contents(below) == {11: "a", 21: "a", 31: "a"}
    assert merges.load([Row(2, at=1, read=1, deleted=True)], [Row(21, read=1, below=2)]).removed == 1
    assert merges.contents(below) == {11: "a", 31: "a"}
    assert merges.load([Row(3, read=11)], [Row(31, read=11, below=3)], mode="replace", begun=10).removed == 1
    assert merges.contents(below) == {31: "a"}
