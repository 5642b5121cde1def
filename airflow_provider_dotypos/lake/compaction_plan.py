"""Which sets become one: those of a month whose windows touch or overlap. Pure.

The months are those of the windows' begins, in UTC. What stays apart:

- sets of another layout: a later version of this package may have more columns;
- what lies behind a gap: a compacted set's window holds no time that nobody has read;
- if rows without a change date are about: what lies before and behind another set, such as one from the beginning, in
  the order in which versions count (`lake/order.py`). These rows have no version but their set's place in that order,
  and a compacted set takes the place of its last source.

What a compacted set holds already isn't read again. A set that came later, or was replaced or rewritten after that, is
compacted together with the compacted set. It was read later, so of equal versions that of the compacted set counts
least. Of two compacted sets with common sources, the one that was begun first counts least.

Rows without a change date are ordered by their sets alone. So those of a source that was rewritten would count more
than those of later sources, which are in the compacted set. Therefore the other sources are compacted once more, too,
as far as they are still there.
"""

from __future__ import annotations

from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from itertools import groupby
from typing import NamedTuple

import msgspec

from airflow_provider_dotypos.api.window import DAY, Window, milliseconds
from airflow_provider_dotypos.lake.order import covered_sets, in_order, reference
from airflow_provider_dotypos.lake.sets import LakeSet, SetFolder
from airflow_provider_dotypos.transfers.files.manifest import Manifest


class SetGroup(NamedTuple):
    """Sets that become one.

    :param sets: the sets, in the order in which their versions count.
    :param folder: of the set that they become.
    :param replaced: the set that is in that folder now; one of the sets. ``None`` if the folder is new.
    """

    sets: tuple[LakeSet, ...]
    folder: SetFolder
    replaced: LakeSet | None


def plan_compaction(sets: Iterable[LakeSet], until: int) -> list[SetGroup]:
    """Return which sets of a list become one.

    :param sets: all committed sets of one list.
    :param until: only months that have ended by then are compacted, in epoch milliseconds.
    """
    known = list(sets)
    covered = covered_sets(known)
    groups: list[SetGroup] = []
    for shape in sorted({lake_set.folder.shape for lake_set in known}):
        of_shape = [
            lake_set for lake_set in known if lake_set.folder.shape == shape and reference(lake_set) not in covered
        ]
        groups += [_group(_with_sources(run, known)) for run in _runs(in_order(of_shape), until) if len(run) > 1]
    return groups


def _runs(sets: Sequence[LakeSet], until: int) -> list[list[LakeSet]]:
    """Return which sets of one shape become one each, in the order in which their versions count.

    :param sets: the sets in that order.
    """
    alike: dict[tuple[int, bytes], list[LakeSet]] = defaultdict(list)
    for lake_set in sets:
        since = lake_set.folder.window.since
        if since is not None and not lake_set.manifest.snapshot and (end := _month_end(since)) <= until:
            alike[end, _layout(lake_set.manifest)].append(lake_set)
    runs = []
    for some in alike.values():
        for run in _connected(some):
            for piece in _undivided(run, sets):
                runs += _connected(piece)
    return runs


def _connected(sets: Sequence[LakeSet]) -> list[list[LakeSet]]:
    """Divide sets at the gaps between their windows; the order of each part stays."""
    parts: list[set[str]] = []
    end = 0
    for lake_set in sorted(sets, key=lambda lake_set: lake_set.folder.window.since or 0):
        since, until = lake_set.folder.window.since or 0, lake_set.folder.window.until
        if not parts or since > end:
            parts.append(set())
        parts[-1].add(lake_set.folder.name)
        end = max(end, until)
    return [[lake_set for lake_set in sets if lake_set.folder.name in part] for part in parts]


def _undivided(run: Sequence[LakeSet], sets: Sequence[LakeSet]) -> list[list[LakeSet]]:
    """Divide sets where others stand between them, if they may hold rows without a change date."""
    if all(lake_set.manifest.undated_rows is False for lake_set in run):
        return [[*run]]
    names = {lake_set.folder.name for lake_set in run}
    pieces = groupby(sets, key=lambda lake_set: lake_set.folder.name in names)
    return [list(piece) for inside, piece in pieces if inside]


def _with_sources(run: Sequence[LakeSet], sets: Sequence[LakeSet]) -> Sequence[LakeSet]:
    """Add the sources of compacted sets that are still there, if they may hold rows without a change date."""
    if all(lake_set.manifest.undated_rows is False for lake_set in run):
        return run
    sources = {source for lake_set in run for source in lake_set.manifest.compacted_from}
    return in_order([*run, *(lake_set for lake_set in sets if reference(lake_set) in sources)])


def _group(run: Sequence[LakeSet]) -> SetGroup:
    windows = [lake_set.folder.window for lake_set in run]
    window = Window(min(window.since or 0 for window in windows), max(window.until for window in windows))
    name = f"{window.name}_{run[0].folder.shape}"
    replaced = next((lake_set for lake_set in run if lake_set.folder.name == name), None)
    compacted = [lake_set for lake_set in run if lake_set.manifest.compacted_from]
    if _are_rivals(compacted):
        compacted.sort(key=lambda lake_set: lake_set.manifest.compacted_at or "")
    others = [lake_set for lake_set in run if not lake_set.manifest.compacted_from]
    return SetGroup((*compacted, *others), SetFolder(name, window, run[0].folder.shape), replaced)


def _are_rivals(compacted: Sequence[LakeSet]) -> bool:
    """Return whether a folder's set went into two compacted sets. It may have been rewritten in between."""
    sources = [{source.folder for source in lake_set.manifest.compacted_from} for lake_set in compacted]
    return sum(map(len, sources)) > len(set().union(*sources))


def _layout(manifest: Manifest) -> bytes:
    """Return what must be the same for rows to be copied as they are."""
    return msgspec.json.encode((manifest.columns, manifest.schema_version, list(manifest.children)))


def _month_end(moment: int) -> int:
    """Return the end of the month of a moment, in UTC."""
    at = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=moment)
    first = milliseconds(datetime(at.year, at.month, 1, tzinfo=timezone.utc))
    return first + monthrange(at.year, at.month)[1] * DAY  # not by a date: after December 9999 there is none
