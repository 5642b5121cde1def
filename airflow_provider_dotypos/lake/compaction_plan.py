"""Which sets become one: those of a month that stand next to each other. Pure.

The months are those of the windows' begins, in UTC. Sets are looked at in the order in which their versions count: by
their windows' ends, then by their begins. A new group begins

- with another month, or another layout (a later version of this package may have more columns);
- at a gap: a compacted set's window holds no time that nobody has read;
- at a set from the beginning, if rows without a change date are about. These have no version but their set's place in
  the order, and a compacted set takes the place of its last source. So no other set may stand between its sources.

What a compacted set holds already isn't read again. A set that came later, or was replaced or rewritten after that, is
compacted together with the compacted set. It was read later, so of equal versions that of the compacted set counts
least. Of two compacted sets with common sources, the one that was begun first counts least.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from airflow_provider_dotypos.api.window import Window, milliseconds
from airflow_provider_dotypos.lake.sets import FoundSet, SetFolder
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
        for run in _runs(sorted(of_shape, key=_in_order), until):
            if len(run) > 1:
                groups.append(_group(run))
    return groups


def reference(found: FoundSet) -> SetReference:
    """Return how a compacted set names a set that it was made of."""
    return SetReference(found.folder.name, found.manifest.generation, found.manifest.contents.digest)


def covered_sets(sets: Iterable[FoundSet]) -> dict[SetReference, FoundSet]:
    """Return which sets the compacted ones among some were made of, each with the first that was made of it."""
    compacted = sorted(sets, key=lambda found: found.manifest.compacted_at or "", reverse=True)
    return {source: found for found in compacted for source in found.manifest.compacted_from}


def _runs(sets: Sequence[FoundSet], until: int) -> list[list[FoundSet]]:
    """Divide sets of one shape, in their order, into those that become one each."""
    runs: list[list[FoundSet]] = []
    begun_before = False  # whether a set from the beginning stands behind the last run's last set
    for found in sets:
        since = found.folder.window.since
        if since is None or found.manifest.snapshot:
            begun_before = True
        elif _month_end(since) > until:
            runs.append([])
        elif runs and runs[-1] and _continues(runs[-1], found, begun_before):
            runs[-1].append(found)
            begun_before = False
        else:
            runs.append([found])
            begun_before = False
    return runs


def _continues(run: Sequence[FoundSet], found: FoundSet, begun_before: bool) -> bool:
    """Return whether a set belongs to those before it."""
    last = run[-1]
    since, begins = found.folder.window.since or 0, run[0].folder.window.since or 0
    if _month_end(since) != _month_end(begins) or _layout(found.manifest) != _layout(last.manifest):
        return False
    if since > last.folder.window.until:
        return False
    return not (begun_before and any(one.manifest.undated_rows is not False for one in (*run, found)))


def _group(run: Sequence[FoundSet]) -> SetGroup:
    begins = min(found.folder.window.since or 0 for found in run)
    window = Window(begins, run[-1].folder.window.until)
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


def _layout(manifest: Manifest) -> tuple[object, ...]:
    """Return what must be the same for rows to be copied as they are."""
    return manifest.columns, manifest.schema_version, list(manifest.children)


def _in_order(found: FoundSet) -> tuple[int, float]:
    window = found.folder.window
    return window.until, float("-inf") if window.since is None else window.since


def _month_end(moment: int) -> int:
    """Return the end of the month of a moment, in UTC."""
    first = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=moment)
    return milliseconds(
        (first.replace(day=1, hour=0, minute=0, second=0, microsecond=0) + timedelta(32)).replace(day=1)
    )
