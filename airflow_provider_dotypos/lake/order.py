"""In which order sets count: of equal versions of a row, the version of the last set counts. Pure.

Sets count by their windows' ends, then by their begins, as they are read one after the other. A compacted set takes the
place of its last source. But a set in its window that it doesn't cover was written after it: the set was overwritten,
backfilled, or erased from. So such a set counts later than the compacted one, for readers as for the next compaction.

One exception: rows without a change date have no version but their set's place. A set that may hold such rows keeps
the place of its window.
"""

from __future__ import annotations

from collections.abc import Iterable

from airflow_provider_dotypos.lake.sets import LakeSet
from airflow_provider_dotypos.transfers.files.manifest import SetReference


def reference(lake_set: LakeSet) -> SetReference:
    """Return how a compacted set names a set that it was made of."""
    return SetReference(lake_set.folder.name, lake_set.manifest.generation, lake_set.manifest.contents.digest)


def covered_sets(sets: Iterable[LakeSet]) -> dict[SetReference, LakeSet]:
    """Return which sets the compacted ones among some were made of, each with the first that was made of it."""
    compacted = sorted(sets, key=lambda lake_set: lake_set.manifest.compacted_at or "", reverse=True)
    return {source: lake_set for lake_set in compacted for source in lake_set.manifest.compacted_from}


def by_windows(sets: Iterable[LakeSet]) -> list[LakeSet]:
    """Return sets by their windows' ends, then by their begins."""
    return sorted(sets, key=lambda one: (one.folder.window.until, one.folder.window.begin, one.folder.shape))


def in_order(sets: Iterable[LakeSet]) -> list[LakeSet]:
    """Return sets in the order in which they count: of equal versions that of the last one counts."""
    ordered = by_windows(sets)
    compacted = [lake_set for lake_set in ordered if lake_set.manifest.compacted_from]
    covered = covered_sets(compacted)
    for one in sorted(compacted, key=lambda lake_set: lake_set.manifest.compacted_at or ""):
        inside = [lake_set for lake_set in ordered if _is_inside(lake_set, one)]
        later = [each for each in inside if _is_later(each, one) and reference(each) not in covered]
        if later:
            moved = {lake_set.folder.name for lake_set in later}
            ordered = [lake_set for lake_set in ordered if lake_set.folder.name not in moved]
            place = 1 + max(ordered.index(each) for each in inside if each.folder.name not in moved)
            ordered[place:place] = later
    return ordered


def _is_inside(lake_set: LakeSet, compacted: LakeSet) -> bool:
    """Return whether a set of the same shape lies in the window of a compacted one, or is that one."""
    window, around = lake_set.folder.window, compacted.folder.window
    is_inside = around.begin <= window.begin and window.until <= around.until
    return is_inside and lake_set.folder.shape == compacted.folder.shape


def _is_later(lake_set: LakeSet, compacted: LakeSet) -> bool:
    """Return whether a set in the window of a compacted one was written after it, unless it is covered."""
    manifest = lake_set.manifest
    is_younger = not manifest.compacted_from or (manifest.compacted_at or "") > (compacted.manifest.compacted_at or "")
    return is_younger and manifest.undated_rows is False
