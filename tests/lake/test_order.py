from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.lake.compaction import ListFolder, compact_list
from airflow_provider_dotypos.lake.current import read_entity
from airflow_provider_dotypos.lake.order import by_windows, in_order, reference
from airflow_provider_dotypos.lake.sets import LakeSet
from tests.lake.lakes import CLOUD, Rows, commit_set, product
from tests.lake.test_compaction import APRIL, DAY, JANUARY, days, planned


def compacted(begin: int, end: int, of: list[LakeSet], at: str = "2026-02-01T00:00:00.000Z") -> LakeSet:
    return planned(
        JANUARY + begin * DAY,
        JANUARY + end * DAY,
        compacted_from=tuple(map(reference, of)),
        compacted_at=at,
        sha256=f"compacted at {at}",
    )


def test_without_a_compacted_set_windows_say_the_order():
    sets = [planned(None, JANUARY + 2 * DAY), *days(0, 3)]
    assert in_order(reversed(sets)) == [sets[1], sets[0], sets[2], sets[3]]


def test_what_a_compacted_set_does_not_cover_in_its_window_counts_later():
    first, second, third = days(0, 3)
    replaced = planned(JANUARY, JANUARY + DAY, generation=2, sha256="new")
    whole = planned(None, JANUARY + 2 * DAY)
    month = compacted(0, 3, [first, second, third])
    [after] = days(3, 4)
    sets = [replaced, second, whole, third, month, after]
    assert in_order(sets) == [whole, second, month, third, replaced, after]


def test_other_shapes_and_what_may_hold_undated_rows_keep_their_places():
    month = compacted(0, 3, days(0, 3))
    others = [*days(0, 1, undated_rows=True, sha256="x"), *days(1, 2, undated_rows=None, sha256="y")]
    others += [*days(1, 3, shape="89abcdef"), planned(JANUARY - DAY, JANUARY + DAY)]
    assert in_order([month, *others]) == by_windows([month, *others])


def test_of_compacted_sets_the_one_that_was_begun_later_counts_later():
    inner, outer = [compacted(0, 2, days(0, 2), f"2026-02-0{day}T00:00:00.000Z") for day in (1, 2)], days(0, 3)
    later, earlier = (compacted(0, 3, outer, f"2026-02-0{day}T12:00:00.000Z") for day in (1, 0))
    assert in_order([later, inner[0]]) == [inner[0], later]
    assert in_order([earlier, inner[1]]) == [earlier, inner[1]]


def test_a_window_that_is_overwritten_after_it_was_compacted_shows_its_new_rows_at_once(tmp_path: Path):
    place = ObjectStoragePath(f"file://{tmp_path}")

    def commit(day: int, name: str, **more: Any) -> None:
        since = JANUARY + day * DAY
        rows = [product(day, since + 1, name=name, deleted=False)]
        commit_set(place, Window(since, since + DAY), [Rows(since, since + DAY, rows)], undated=False, **more)

    def names() -> list[str]:
        return sorted(row["name"] for row in read_entity(str(place), CLOUD, "products").rows())

    commit(0, "old")
    commit(1, "untouched")
    assert len(list(compact_list(ListFolder(place, CLOUD, "products"), APRIL))) == 1
    commit(0, "new", overwrite=True)
    assert names() == ["new", "untouched"]
    assert len(list(compact_list(ListFolder(place, CLOUD, "products"), APRIL))) == 1
    assert names() == ["new", "untouched"]
