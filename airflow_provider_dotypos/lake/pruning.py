"""Removing sets that aren't needed any more: those that a compacted set covers, or those that are old enough.

**What is covered.** A set is covered if a whole compacted set names it in ``compacted_from``, with its generation and
the digest of its files. One that was replaced or rewritten after that isn't covered, nor is one that was extracted
again after it was pruned. A compacted set that went into a later one is covered like any other. Both are looked up
once. Whatever happens to the compacted set afterwards (it is compacted again, erased from, replaced) would have
happened to it as well if the covered set had been removed before.

**What stays.** A set that a note names was not delivered yet, and is never removed. Nor is one, by default, within a
day after the set that covers it was committed: until then, readers and tasks that were given its path may need it.

**By age** everything goes whose window has ended long enough ago, the oldest first, but for the set that reaches
furthest of each shape. That is a retention: rows that haven't changed since then are gone. A set from the beginning
goes as well. If it stayed without the changes after it, its versions would seem to be the newest. A set that a
compacted one was made of doesn't go before that one, unless it is covered: it may have been erased from since, and the
next compacting is to see that.

**How a set is removed.** In this order, so that every crash leaves either a whole set or files that nobody takes for
one:

====  =================================================================================================================
step  what happens
====  =================================================================================================================
1     Leftovers of other attempts are removed, as by an extraction that finds its window finished.
2     A marker ``_pruned-{hex}-{generation}.json`` is stored. It names the set's files.
3     The sidecars are removed. From now on no attempt can resume a part of the set.
4     The manifest is removed, if it is still the same. From now on it isn't a set.
5     The files are removed, then the marker, then the folder if it is empty.
====  =================================================================================================================

After a crash the next pruning goes by the marker: it removes the files that it names, unless a whole set lists them.
Their names are those of one attempt, so files of an extraction that uses the folder again are never among them. Two
prunings at once do each step twice. A pruning that stood still between looking at the manifest and removing it, while
another one removed the set and an extraction committed the window anew, would remove the new manifest. The look narrows
that to an instant. Pruning also removes what a compaction or an erasure has left that died after its commit.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from airflow_provider_dotypos.api.list_log import list_log
from airflow_provider_dotypos.api.window import instant
from airflow_provider_dotypos.lake.compaction import ListFolder
from airflow_provider_dotypos.lake.order import covered_sets, reference
from airflow_provider_dotypos.lake.sets import LakeSet
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.files.folder_files import clean_folder, set_files, sidecar_name
from airflow_provider_dotypos.transfers.files.manifest import manifest_name, newest_manifest, whole_manifest
from airflow_provider_dotypos.transfers.files.pending import NOTES, read_notes

log = list_log(__name__)

#: How long a covered set stays by default, in milliseconds: a day.
GRACE = 86_400_000

#: Seconds after which an empty folder isn't about to be written to.
_UNUSED = 86_400

_MARKER = "_pruned-"


class Removal(NamedTuple):
    """A set that isn't needed any more.

    :param covered_by: the compacted set that holds its rows; ``None`` if it is old enough.
    """

    list: ListFolder
    lake_set: LakeSet
    covered_by: LakeSet | None


class _Marker(msgspec.Struct):
    """What a pruning is about to remove."""

    files: list[str]


def plan_pruning(
    folder: ListFolder,
    sets: Iterable[LakeSet],
    noted: Collection[str],
    now: int,
    *,
    grace: int = GRACE,
    older_than: int | None = None,
) -> list[Removal]:
    """Return which sets of a list aren't needed any more.

    :param sets: all committed sets of the list.
    :param noted: names of folders whose sets were not delivered yet.
    :param now: the time, in epoch milliseconds.
    :param grace: how long a covered set stays after the one that covers it was committed, in milliseconds.
    :param older_than: also remove sets that nothing covers, if their windows have ended so long ago, in milliseconds.
    """
    known = [lake_set for lake_set in sets if lake_set.folder.name not in noted]
    covered = covered_sets(known)
    by_age = _old(known, now - older_than) if older_than is not None else set()
    # What stays was made of these: as they were, so they wait for the grace; or before they were rewritten, so what was
    # erased from them since must get into what stays first.
    awaited = {
        source.folder
        for lake_set in known
        if lake_set.folder.name not in by_age
        for source in lake_set.manifest.compacted_from
    }
    removals = []
    for lake_set in sorted(known, key=lambda lake_set: lake_set.folder.window.until):
        covering = covered.get(reference(lake_set))
        if covering is not None and instant(covering.manifest.compacted_at or "", "compacted_at") + grace <= now:
            removals.append(Removal(folder, lake_set, covering))
        elif lake_set.folder.name in by_age - awaited:
            removals.append(Removal(folder, lake_set, None))
    return removals


def _old(sets: Sequence[LakeSet], until: int) -> set[str]:
    """Return the names of the folders of sets that have ended by then, but for the furthest of each shape."""
    furthest: dict[str, LakeSet] = {}
    for lake_set in sorted(sets, key=_reach):
        furthest[lake_set.folder.shape] = lake_set
    stay = {lake_set.folder.name for lake_set in furthest.values()}
    return {lake_set.folder.name for lake_set in sets if lake_set.folder.window.until <= until} - stay


def _reach(lake_set: LakeSet) -> tuple[int, float]:
    """Sort sets by how far they reach; of those that end together, the longest is last."""
    window = lake_set.folder.window
    return window.until, float("inf") if window.since is None else -window.since


def noted_folders(folder: ListFolder) -> set[str]:
    """Return the names of folders whose sets some note names: they may not be delivered yet."""
    sets = folder.store("")
    return {
        note.folder
        for name in sets.folders()
        if name.startswith(NOTES)
        for note in read_notes(sets.below(name)).values()
    }


def preview_pruning(
    folder: ListFolder, *, grace: int = GRACE, older_than: int | None = None, now: Callable[[], float] = time.time
) -> list[Removal]:
    """Return what pruning would remove, see `plan_pruning`.

    :param now: returns the time, in seconds.
    """
    return _plan(folder, folder.sets(), grace, older_than, now)


def prune_list(
    folder: ListFolder,
    *,
    grace: int = GRACE,
    older_than: int | None = None,
    check: Callable[[], None] = lambda: None,
    now: Callable[[], float] = time.time,
) -> Iterator[Removal]:
    """Remove the sets of a list that aren't needed any more, and yield each; and what a pruning that crashed has left.

    :param check: called between sets; what it raises ends the pruning.
    :param now: returns the time, in seconds.
    """
    there = folder.look_up()
    for name in [name for name, lake_set in there.items() if lake_set is None]:
        check()
        _finish(folder.store(name))
    sets = [lake_set for lake_set in there.values() if lake_set is not None]
    for lake_set in sets:
        if lake_set.manifest.compacted_from or lake_set.manifest.rewritings:
            check()
            _clean(lake_set)  # what made it may have died before it did so
    for removal in _plan(folder, sets, grace, older_than, now):
        check()
        remove_set(removal.lake_set)
        yield removal


def _plan(
    folder: ListFolder, sets: Sequence[LakeSet], grace: int, older_than: int | None, now: Callable[[], float]
) -> list[Removal]:
    # The notes only now: a set may have been noted since it was committed.
    noted = noted_folders(folder)
    return plan_pruning(folder, sets, noted, int(now() * 1000), grace=grace, older_than=older_than)


def remove_set(lake_set: LakeSet) -> None:
    """Remove a set, unless another one has taken its place meanwhile."""
    store, manifest = lake_set.store, lake_set.manifest
    if not _clean(lake_set):
        return
    markers = _markers(store.list())
    files = sorted(manifest.contents.sizes)
    marker = f"{_MARKER}{secrets.token_hex(8)}-{manifest.generation:04d}.json"
    store.put_bytes(msgspec.json.encode(_Marker(files)), marker)
    for name in files:
        store.delete(sidecar_name(name))
    if _is_there(lake_set):
        store.delete(manifest_name(manifest.generation))
    if _remove_files(store, files):
        for name in (*markers, marker):
            store.delete(name)
        store.remove_if_empty()


def _clean(lake_set: LakeSet) -> bool:
    """Remove the leftovers of other attempts beside a set, if it is still there; return whether it is.

    The files are listed first: if the set is there after that, none of them is of an extraction that uses the folder
    again after others have removed the set.
    """
    names = lake_set.store.list()
    if not _is_there(lake_set):
        return False
    clean_folder(lake_set.store, lake_set.manifest, names)
    return True


def _is_there(lake_set: LakeSet) -> bool:
    """Return whether a set is there as it was."""
    there = whole_manifest(lake_set.store, lake_set.manifest.generation)
    return there is not None and there.contents.digest == lake_set.manifest.contents.digest


def _finish(store: Store) -> None:
    """Remove what a pruning that crashed has left in a folder that holds no set."""
    names = store.list()
    if not names:
        store.remove_if_empty(_UNUSED)
    for marker in _markers(names):
        try:
            files = msgspec.json.decode(store.read(marker), type=_Marker).files
        except FileNotFoundError:
            continue  # another pruning was faster
        if _remove_files(store, files):
            store.delete(marker)
            store.remove_if_empty()


def _markers(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(_MARKER)]


def _remove_files(store: Store, files: Collection[str]) -> bool:
    """Remove files of a set that was removed, and return whether it was: a set may list them after all."""
    committed = newest_manifest(store)
    if committed is not None and not set_files(committed).isdisjoint(files):
        return False
    for name in files:
        store.delete(name)
    return True
