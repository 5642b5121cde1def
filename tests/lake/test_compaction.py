"""Compacting: which sets become one, and what the one then holds.

Tests `lake/compaction`, `lake/compaction_plan`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
from airflow.sdk import ObjectStoragePath
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_dotypos.api.window import OPEN_END, Window, iso, milliseconds
from airflow_provider_dotypos.lake.compaction import ListFolder, compact_list, preview_compaction
from airflow_provider_dotypos.lake.compaction_plan import plan_compaction
from airflow_provider_dotypos.lake.current import read_entity
from airflow_provider_dotypos.lake.newest import newest_rows
from airflow_provider_dotypos.lake.order import reference
from airflow_provider_dotypos.lake.pruning import prune_list
from airflow_provider_dotypos.lake.rewriting import rewrite_set
from airflow_provider_dotypos.lake.sets import LakeSet, SetFolder
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.errors import DamagedSetError
from airflow_provider_dotypos.transfers.files.committed_set import read_manifest
from airflow_provider_dotypos.transfers.files.manifest import Manifest, Rewriting, SetReference
from airflow_provider_dotypos.transfers.files.part import Part
from tests.examples import examples
from tests.lake.lakes import CLOUD, FORMATS, SET_LISTS, Rows, commit_set, naive, passing_destination, product
from tests.lake.test_newest import read

DAY = 86_400_000
JANUARY = milliseconds(datetime(2026, 1, 1, tzinfo=timezone.utc))
FEBRUARY, MARCH, APRIL = JANUARY + 31 * DAY, JANUARY + 59 * DAY, JANUARY + 90 * DAY

CHILD = "product-customizations"
ERASED = Rewriting("erased", "2026-11-27T15:00:00.000Z", 1, "1.0.0")


def planned(since: int | None, until: int, **facts: Any) -> LakeSet:
    """Return a set as planning sees it."""
    window, shape = Window(since, until), facts.pop("shape", "0123abcd")
    file = Part(f"g0001-{window.name}", "live", since, until, 1, 1, facts.pop("sha256", window.name))
    manifest = Manifest(
        **{
            "entity": "products",
            "cloud_id": CLOUD,
            "since": None if since is None else iso(since),
            "until": iso(until),
            "filter": "",
            "include": "",
            "file_format": "jsonl",
            "compression": None,
            "generation": 1,
            "rows": 1,
            "distinct_ids": 1,
            "requests": 1,
            "bytes": 1,
            "parts": (file,),
            "package_version": "1",
            "undated_rows": False,
            **facts,
        }
    )
    folder = SetFolder(f"{window.name}_{shape}", window, shape)
    return LakeSet(folder, Store(ObjectStoragePath("file:///nowhere")), manifest)


def days(begin: int, end: int, **facts: Any) -> list[LakeSet]:
    return [planned(JANUARY + day * DAY, JANUARY + (day + 1) * DAY, **facts) for day in range(begin, end)]


def windows(sets: list[LakeSet], until: int = APRIL) -> list[tuple[float, float, int]]:
    """Return the windows that sets become, in days from the beginning of January, and how many sets each is made of."""
    return [
        (
            (group.folder.window.since or 0) / DAY - JANUARY / DAY,
            group.folder.window.until / DAY - JANUARY / DAY,
            len(group.sets),
        )
        for group in plan_compaction(sets, until)
    ]


def test_each_month_becomes_one_set_once_it_has_ended():
    assert windows(days(0, 90)) == [(0, 31, 31), (31, 59, 28), (59, 90, 31)]
    assert windows(days(0, 90), until=MARCH) == [(0, 31, 31), (31, 59, 28)]
    assert windows(days(0, 90), until=MARCH - 1) == [(0, 31, 31)]


def test_the_last_month_that_there_is_ends_as_others_do():
    end = OPEN_END + DAY
    sets = [planned(end - (day + 1) * DAY, end - day * DAY - 1 + (day > 0)) for day in range(3)]
    assert [len(group.sets) for group in plan_compaction(sets, end)] == [3]
    assert plan_compaction(sets, end - 1) == []


def test_a_window_belongs_to_the_month_that_it_begins_in():
    weeks = [planned(JANUARY + day * DAY, JANUARY + (day + 7) * DAY) for day in (14, 21, 28, 35, 42)]
    assert windows(weeks) == [(14, 35, 3), (35, 49, 2)]


def test_windows_that_overlap_become_one():
    lookback = [planned(JANUARY + (day - 2) * DAY, JANUARY + (day + 1) * DAY) for day in range(2, 10)]
    assert windows(lookback) == [(0, 10, 8)]
    assert windows([*days(0, 3), planned(JANUARY, JANUARY + 20 * DAY)]) == [(0, 20, 4)]


def test_a_gap_parts_what_lies_before_and_behind_it_until_it_is_filled():
    assert windows(days(0, 5) + days(6, 10)) == [(0, 5, 5), (6, 10, 4)]
    assert windows(days(0, 5) + days(6, 10) + days(5, 6)) == [(0, 10, 10)]


def test_shapes_and_layouts_stay_apart():
    assert windows(days(0, 3) + days(0, 4, shape="89abcdef")) == [(0, 3, 3), (0, 4, 4)]
    older = days(0, 3, columns={"products": ["id"]})
    assert windows(older + days(3, 6, columns={"products": ["id", "name"]})) == [(0, 3, 3), (3, 6, 3)]
    assert windows(older + days(3, 6, columns={"products": ["id"]}, schema_version=2)) == [(0, 3, 3), (3, 6, 3)]


def test_sets_from_the_beginning_are_left_alone():
    beginning = planned(None, JANUARY + 2 * DAY)
    assert windows([beginning, *days(0, 4)]) == [(0, 4, 4)]
    undated = planned(None, JANUARY + 2 * DAY + 1, undated_rows=True)
    always = days(0, 4, undated_rows=True)
    assert windows([undated, *always]) == [(0, 2, 2), (2, 4, 2)], "no set stands between those that become one"
    assert windows([*days(0, 4), undated]) == [(0, 4, 4)], "rows without a change date are in that set alone"


def test_one_set_is_left_as_it_is():
    assert windows(days(3, 4)) == []
    assert windows([]) == []


def compacted(of: list[LakeSet], since: int, until: int, at: str = "2026-04-01T00:00:00.000Z", **facts: Any) -> LakeSet:
    return planned(since, until, compacted_from=tuple(map(reference, of)), compacted_at=at, **facts)


def test_what_a_compacted_set_holds_is_not_compacted_again():
    january = days(0, 31)
    month = compacted(january, JANUARY, FEBRUARY)
    assert windows([*january, month]) == []
    assert windows([month]) == []


def test_what_came_later_or_was_replaced_is_compacted_with_the_compacted_set():
    january = days(0, 31)
    month = compacted(january, JANUARY, FEBRUARY)
    [replaced] = days(3, 4, generation=2)
    [again] = days(5, 6, sha256="extracted again after it was pruned")
    late = planned(JANUARY + 6 * DAY, JANUARY + 6 * DAY + 1)
    [group] = plan_compaction([replaced, again, *january[10:], late, month], APRIL)
    assert group.sets == (month, replaced, again, late), "of equal versions those of the compacted set count least"
    assert (group.replaced, group.folder.name) == (month, month.folder.name)


def test_of_compacted_sets_with_common_sources_the_one_that_was_begun_first_counts_least():
    january = days(0, 31)
    first = compacted(january, JANUARY, FEBRUARY, "2026-04-01T00:00:00.000Z")
    second = compacted(january[1:], JANUARY + DAY, FEBRUARY - 1, "2026-04-01T00:00:01.000Z")
    [group] = plan_compaction([first, second], APRIL)
    assert group.sets == (first, second)
    apart = compacted(january[:9], JANUARY, JANUARY + 9 * DAY, "2026-04-02T00:00:00.000Z")
    [group] = plan_compaction([compacted(january[9:], JANUARY + 9 * DAY, FEBRUARY), apart], APRIL)
    assert [found.folder.window.until for found in group.sets] == [JANUARY + 9 * DAY, FEBRUARY]


@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SET_LISTS, st.sampled_from(FORMATS), st.sampled_from([1, 10**9]))
def test_the_newest_versions_stay_those_of_a_dict(
    drawn: list[dict[str, Any]], shape: Mapping[str, Any], max_part_bytes: int
):
    # One shape: sets of different shapes are never compacted together.
    some = [*{one["window"]: {**one, "compression": None, **shape} for one in drawn}.values()]
    with passing_destination() as destination:
        for one in some:
            commit_set(destination, include="customizations", flatten=True, **one)
        folder = ListFolder(destination, CLOUD, "products")
        before = read_entity(destination, CLOUD, "products")
        times = (before.covered, before.gaps)
        rows, children = ([(row["id"], row["name"]) for row in table] for table in naive(some))
        foreseen = {one.group.folder.name: one.rows for one in preview_compaction(folder, APRIL)}
        made = {one.group.folder.name: one.rows for one in compact_list(folder, APRIL, max_part_bytes=max_part_bytes)}
        assert made == foreseen
        for _ in ("before pruning", "after it"):
            newest = newest_rows(folder.sets())
            assert (read(newest, "products"), read(newest, CHILD)) == (sorted(rows), sorted(children))
            current = read_entity(destination, CLOUD, "products", deleted=True)
            assert sorted((row["id"], row["name"]) for row in current.rows(CHILD)) == sorted(children)
            assert (current.covered, current.gaps) == times
            for found in folder.sets():
                read_manifest(found.store.folder, verify=True)
                for table in (found.manifest.entity, *found.manifest.children):
                    list(read_manifest(found.store.folder).rows(table))
            assert list(compact_list(folder, APRIL)) == [], "done twice, it does nothing"
            list(prune_list(folder, grace=0))


@pytest.fixture
def destination(tmp_path: Path) -> ObjectStoragePath:
    return ObjectStoragePath(f"file://{tmp_path}")


def hour(destination: ObjectStoragePath, number: int, ids: range, **shape: Any) -> LakeSet:
    """Commit the set of an hour in January, in which some products changed."""
    begin = JANUARY + number * 3_600_000
    rows = [
        product(id, begin + id, name=f"{id} at {number}", customizations=[{"id": str(id), "name": f"of {number}"}])
        for id in ids
    ]
    window = Window(begin, begin + 3_600_000)
    parts = [Rows(window.since, window.until, rows)]
    return commit_set(destination, window, parts, include="customizations", flatten=True, **shape)


@pytest.mark.parametrize("shape", FORMATS, ids=lambda shape: "-".join(shape.values()))
def test_the_manifest_says_what_it_was_made_of(destination: ObjectStoragePath, shape: Mapping[str, Any]):
    sources = [hour(destination, number, range(1 + number, 5 + number), **shape) for number in range(4)]
    folder = ListFolder(destination, CLOUD, "products")
    [one] = compact_list(folder, APRIL, now=lambda: APRIL / 1000)
    committed = read_manifest(folder.store(one.group.folder.name).folder, verify=True)
    manifest = committed.manifest
    assert (manifest.since, manifest.until) == (iso(JANUARY), iso(JANUARY + 4 * 3_600_000))
    assert manifest.compacted_from == tuple(map(reference, sources))
    assert manifest.compacted_at == iso(APRIL)
    assert (manifest.rows, manifest.distinct_ids, manifest.requests) == (7, 7, 0)
    assert manifest.children == {CHILD: 7}
    assert manifest.bytes == sum(manifest.contents.sizes.values()) == one.bytes
    assert manifest.columns == sources[0].manifest.columns
    assert [(row["id"], row["name"]) for row in committed.rows()] == [
        *((str(id), f"{id} at {id - 1}") for id in (1, 2, 3)),
        *((str(id), f"{id} at 3") for id in (4, 5, 6, 7)),
    ]
    assert [row["name"] for row in committed.rows(CHILD)] == ["of 0", "of 1", "of 2", *["of 3"] * 4]
    [part] = manifest.parts
    assert [(one.stream, one.low, one.high) for one in part.covers] == [("live", JANUARY, JANUARY + 4 * 3_600_000)]
    assert (one.rows_before, one.bytes_before) == (16, sum(found.manifest.bytes for found in sources))


def test_parts_reach_the_size_that_is_asked_for(destination: ObjectStoragePath):
    sources = [hour(destination, number, range(10 * number, 10 * number + 10)) for number in range(6)]
    two = sources[0].manifest.parts[0].bytes * 2 + 50
    folder = ListFolder(destination, CLOUD, "products")
    [one] = compact_list(folder, APRIL, max_part_bytes=two)
    manifest = read_manifest(folder.store(one.group.folder.name).folder, verify=True).manifest
    assert [part.rows for part in manifest.parts] == [20, 20, 20]
    assert all(part.bytes <= two for part in manifest.parts)


def test_a_late_set_makes_the_next_generation(destination: ObjectStoragePath):
    for number in (0, 1, 2):
        hour(destination, number, range(5))
    folder = ListFolder(destination, CLOUD, "products")
    list(compact_list(folder, APRIL))
    list(prune_list(folder, grace=0))
    begin = JANUARY + 3_600_000
    late = Window(begin + 1, begin + 3_600_000 - 1)
    commit_set(
        destination,
        late,
        [Rows(late.since, late.until, [product(99, begin + 9, name="late", customizations=[])])],
        include="customizations",
        flatten=True,
    )
    [one] = compact_list(folder, APRIL)
    manifest = read_manifest(folder.store(one.group.folder.name).folder).manifest
    assert (manifest.generation, manifest.rows) == (2, 6)
    assert len(manifest.compacted_from) == 5, "the first sources, what was made of them, and the late set"
    list(prune_list(folder, grace=0))
    [left] = folder.sets()
    assert left.manifest == manifest


def test_what_was_erased_while_it_was_compacted_does_not_come_back(destination: ObjectStoragePath):
    sources = [hour(destination, number, range(5)) for number in range(3)]
    folder = ListFolder(destination, CLOUD, "products")

    def erase(table: str, row: msgspec.Raw) -> msgspec.Raw:
        return msgspec.Raw(msgspec.json.encode(msgspec.json.decode(row) | {"name": "erased"}))

    reading = iter([0, 1])

    def check() -> None:
        if next(reading, None) == 1:  # when keys were read, and before the first file is copied
            rewrite_set(sources[-1], {sources[-1].manifest.parts[0].name: [2]}, erase, ERASED)

    made = list(compact_list(folder, APRIL, check=check))
    assert len(made) >= 1
    newest = newest_rows(folder.sets())
    assert ("2", "erased") in read(newest, "products")
    last = [found for found in folder.sets() if found.manifest.compacted_from]
    assert all(ERASED in found.manifest.rewritings for found in last)


def test_a_damaged_set_does_not_hold_up_others(destination: ObjectStoragePath):
    first = hour(destination, 0, range(5))
    hour(destination, 1, range(5, 10))
    hour(destination, 800, range(5))
    hour(destination, 801, range(5))
    [part] = first.manifest.parts
    path = Path(first.store.folder.path) / part.name
    path.write_bytes(path.read_bytes().replace(b"at 0", b"at 9"))
    compacting = compact_list(ListFolder(destination, CLOUD, "products"), APRIL)
    made = [next(compacting)]
    with pytest.raises(DamagedSetError, match="aren't those that were written"):
        next(compacting)
    assert [one.rows for one in made] == [5]
    names = [path.name for path in (Path(destination.path) / f"{CLOUD}/products").iterdir()]
    assert len(names) == 5, "a folder that was begun is gone again"


def test_sets_that_others_keep_replacing_end_it_with_an_error(destination: ObjectStoragePath):
    for number in range(2):
        hour(destination, number, range(3))
    count = iter(range(10**6))

    def check() -> None:
        begin = JANUARY
        rows = [product(1, begin + 1, name=f"again {next(count)}", customizations=[])]
        window = Window(begin, begin + 3_600_000)
        commit_set(
            destination,
            window,
            [Rows(begin, window.until, rows)],
            include="customizations",
            flatten=True,
            overwrite=True,
        )

    with pytest.raises(match="replaced again and again"):
        list(compact_list(ListFolder(destination, CLOUD, "products"), APRIL, check=check))


def test_a_reference_names_one_set_alone():
    [one], [other] = days(0, 1), days(0, 1, sha256="other bytes")
    assert reference(one) == SetReference(one.folder.name, 1, one.manifest.contents.digest)
    assert reference(one) != reference(other)
