"""Which sets become one: those of a month whose windows touch or overlap. Pure.

The months are those of the windows' begins, in UTC. What stays apart:

- sets of another layout: a later version of this package may have more columns;
- what lies behind a gap: a compacted set's window holds no time that nobody has read;
- if rows without a change date are about: what lies before and behind another set, such as one from the beginning, in
  the order in which versions count (by the window's end, then by its begin). These rows have no version but their set's
  place in that order, and a compacted set takes the place of its last source.

What a compacted set holds already isn't read again. A set that came later, or was replaced or rewritten after that, is
compacted together with the compacted set. It was read later, so of equal versions that of the compacted set counts
least. Of two compacted sets with common sources, the one that was begun first counts least.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from itertools import groupby
from typing import NamedTuple

import msgspec

from airflow_provider_dotypos.api.window import Window, milliseconds
from airflow_provider_dotypos.lake.sets import FoundSet, SetFolder, in_order
from airflow_provider_dotypos.transfers.files.manifest import Manifest, SetReference


class SetGroup(NamedTuple):
    """Sets that become one.

    :param sets: the sets, in the order in which their versions count.
    :param folder: of the set that they become.
    :param replaced: the set that is in that folder now; one of the sets. ``None`` if the folder is new.
    """

    sets: tuple[FoundSet, ...]
    folder: SetFolder
    replaced: FoundSet | None


def plan_compaction(sets: Iterable[FoundSet], until: int) -> list[SetGroup]:
    """Return which sets of a list become one.

    :param sets: all committed sets of one list.
    :param until: only months that have ended by then are compacted, in epoch milliseconds.
    """
    known = list(sets)
    covered = covered_sets(known)
    groups: list[SetGroup] = []
    for shape in sorted({found.folder.shape for found in known}):
        of_shape = [found for found in known if found.folder.shape == shape and reference(found) not in covered]
        groups += [_group(run) for run in _runs(in_order(of_shape), until) if len(run) > 1]
    return groups


def reference(found: FoundSet) -> SetReference:
    """Return how a compacted set names a set that it was made of."""
    return SetReference(found.folder.name, found.manifest.generation, found.manifest.contents.digest)


def covered_sets(sets: Iterable[FoundSet]) -> dict[SetReference, FoundSet]:
    """Return which sets the compacted ones among some were made of, each with the first that was made of it."""
    compacted = sorted(sets, key=lambda found: found.manifest.compacted_at or "", reverse=True)
    return {source: found for found in compacted for source in found.manifest.compacted_from}


def _runs(sets: Sequence[FoundSet], until: int) -> list[list[FoundSet]]:
    """Return which sets of one shape become one each, in the order in which their versions count.

    :param sets: the sets in that order.
    """
    alike: dict[tuple[int, bytes], list[FoundSet]] = defaultdict(list)
    for found in sets:
        since = found.folder.window.since
        if since is not None and not found.manifest.snapshot and (end := _month_end(since)) <= until:
            alike[end, _layout(found.manifest)].append(found)
    runs = []
    for some in alike.values():
        for run in _connected(some):
            for piece in _undivided(run, sets):
                runs += _connected(piece)
    return runs


def _connected(sets: Sequence[FoundSet]) -> list[list[FoundSet]]:
    """Divide sets at the gaps between their windows; the order of each part stays."""
    parts: list[set[str]] = []
    end = 0
    for found in sorted(sets, key=lambda found: found.folder.window.since or 0):
        since, until = found.folder.window.since or 0, found.folder.window.until
        if not parts or since > end:
            parts.append(set())
        parts[-1].add(found.folder.name)
        end = max(end, until)
    return [[found for found in sets if found.folder.name in part] for part in parts]


def _undivided(run: Sequence[FoundSet], sets: Sequence[FoundSet]) -> list[list[FoundSet]]:
    """Divide sets where others stand between them, if they may hold rows without a change date."""
    if all(found.manifest.undated_rows is False for found in run):
        return [[*run]]
    names = {found.folder.name for found in run}
    pieces = groupby(sets, key=lambda found: found.folder.name in names)
    return [list(piece) for inside, piece in pieces if inside]


def _group(run: Sequence[FoundSet]) -> SetGroup:
    windows = [found.folder.window for found in run]
    window = Window(min(window.since or 0 for window in windows), max(window.until for window in windows))
    name = f"{window.name}_{run[0].folder.shape}"
    replaced = next((found for found in run if found.folder.name == name), None)
    compacted = [found for found in run if found.manifest.compacted_from]
    if _are_rivals(compacted):
        compacted.sort(key=lambda found: found.manifest.compacted_at or "")
    others = [found for found in run if not found.manifest.compacted_from]
    return SetGroup((*compacted, *others), SetFolder(name, window, run[0].folder.shape), replaced)


def _are_rivals(compacted: Sequence[FoundSet]) -> bool:
    """Return whether a folder's set went into two compacted sets. It may have been rewritten in between."""
    sources = [{source.folder for source in found.manifest.compacted_from} for found in compacted]
    return sum(map(len, sources)) > len(set().union(*sources))


def _layout(manifest: Manifest) -> bytes:
    """Return what must be the same for rows to be copied as they are."""
    return msgspec.json.encode((manifest.columns, manifest.schema_version, list(manifest.children)))


def _month_end(moment: int) -> int:
    """Return the end of the month of a moment, in UTC."""
    first = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=moment)
    return milliseconds(
        (first.replace(day=1, hour=0, minute=0, second=0, microsecond=0) + timedelta(32)).replace(day=1)
    )
