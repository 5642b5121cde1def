"""Many sets become one: of each row the newest version, with its children.

**Nothing is lost.** A compacted set is committed like any other, and its sources stay. Only pruning removes them, and
only those that a whole compacted set names with their generation and the digest of their files. A compacted set is
what an extraction of its window would be: its sources cover that window without a gap. So an extraction of just that
window may find it finished, or replace it, and an attempt that loses against it loses no row.

**Two at once.** Of two compactions with the same target, one commits. The other gives way, and plans again. With
different targets both sets are whole, and the next compaction makes one of them. A source that vanishes meanwhile was
compacted and pruned by others: it is planned again.

**Erasing at the same time.** A source may be rewritten after it was read, and before the compacted set exists. An
erasing process that looks over all folders later finds the compacted set itself. One that doesn't look again has
rewritten the source before the compacted set was committed. So the sources are looked at once more after the commit. If
one isn't what was read any more, all is planned again: the rewritten source isn't covered, so it is compacted together
with the set that was just made. Of equal versions those of a compacted set count least, and of two compacted sets with
common sources those of the one that was begun first. So no row of before the rewriting is left. A compaction that dies
before it looks leaves that to the next one. Until then the rewritten source isn't covered, and pruning leaves it.

The erasure must report what such a dead compaction leaves. So once all files are put, and before the commit, the
sources are looked at as well. If one isn't what was read any more, nothing is committed. Otherwise it is rewritten
after that look, and the erasure's last look over the folders comes later still. It finds the files that were put, and
reports them as unfinished; or it finds the set.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_dotypos import __version__
from airflow_provider_dotypos.api.list_log import list_log
from airflow_provider_dotypos.api.window import iso
from airflow_provider_dotypos.lake.compaction_plan import SetGroup, plan_compaction
from airflow_provider_dotypos.lake.newest import newest_rows
from airflow_provider_dotypos.lake.order import reference
from airflow_provider_dotypos.lake.rewriting import SetCopy
from airflow_provider_dotypos.lake.sets import LakeSet, find_committed, set_folders
from airflow_provider_dotypos.storage.patience import StorePatience
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.errors import DamagedSetError, SetsChangedError
from airflow_provider_dotypos.transfers.files.formats.file_format import PART_BYTES
from airflow_provider_dotypos.transfers.files.manifest import Manifest
from airflow_provider_dotypos.transfers.files.part import Contents
from airflow_provider_dotypos.transfers.rows.new_fields import sum_new_fields
from airflow_provider_dotypos.transfers.sink import SupersededError
from airflow_provider_dotypos.transfers.wording import count, spoken

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

log = list_log(__name__)

#: How often everything is planned again because others have replaced what was being compacted.
_MOST_ROUNDS = 10


class ListFolder(NamedTuple):
    """A list below a destination.

    :param patience: how long an object store that fails is asked again.
    """

    destination: ObjectStoragePath
    cloud_id: int
    entity: str
    patience: StorePatience | None = None

    def look_up(self) -> dict[str, LakeSet | None]:
        """Return the set in each folder, by the folder's name; ``None`` where none is whole."""
        folders = set_folders(self.destination, self.cloud_id, self.entity, self.patience)
        return {
            one.name: find_committed(self.destination, self.cloud_id, self.entity, one, self.patience)
            for one in folders
        }

    def sets(self) -> list[LakeSet]:
        """Return all committed sets that are whole."""
        return [lake_set for lake_set in self.look_up().values() if lake_set is not None]

    def store(self, folder: str) -> Store:
        """Return the folder of a set."""
        return Store(self.destination / f"{self.cloud_id}/{self.entity}/{folder}", self.patience)


class Compaction(NamedTuple):
    """What was compacted, or would be.

    :param rows: rows of the compacted set.
    :param bytes: its size; before it exists, about.
    """

    list: ListFolder
    group: SetGroup
    rows: int
    bytes: int

    @property
    def rows_before(self) -> int:
        """Rows of all its sources."""
        return sum(lake_set.manifest.rows for lake_set in self.group.sets)

    @property
    def bytes_before(self) -> int:
        """Size of all its sources."""
        return sum(lake_set.manifest.bytes for lake_set in self.group.sets)


def preview_compaction(folder: ListFolder, until: int) -> Iterator[Compaction]:
    """Yield what compacting would do. Keys and change dates of all rows are read for it.

    :param until: only months that have ended by then are compacted, in epoch milliseconds.
    :raises DamagedSetError: if a file can't be read.
    """
    for group in plan_compaction(folder.sets(), until):
        newest = newest_rows(group.sets, sorted_sets=True)
        chosen = [
            (file, newest.chosen(lake_set, file.name))
            for lake_set in group.sets
            for file in lake_set.manifest.contents.files
        ]
        own = {part.name for lake_set in group.sets for part in lake_set.manifest.parts}
        rows = sum(rows.count for file, rows in chosen if file.name in own)
        expected = sum(file.bytes * rows.count // max(file.rows, 1) for file, rows in chosen)
        yield Compaction(folder, group, rows, expected)


def compact_list(
    folder: ListFolder,
    until: int,
    *,
    check: Callable[[], None] = lambda: None,
    max_part_bytes: int = PART_BYTES,
    now: Callable[[], float] = time.time,
) -> Iterator[Compaction]:
    """Compact the sets of a list, and yield each set that was made.

    :param until: only months that have ended by then are compacted, in epoch milliseconds.
    :param check: called between files; what it raises ends the compaction.
    :param max_part_bytes: size that a file reaches at most.
    :param now: returns the time, in seconds.
    :raises DamagedSetError: if a set can't be read. Everything else is compacted before.
    :raises SetsChangedError: if other tasks keep replacing the sets.
    """
    damage: DamagedSetError | None = None
    for _ in range(_MOST_ROUNDS):
        again = False
        for group in plan_compaction(folder.sets(), until):
            try:
                manifest = _carry_out(folder, group, check, max_part_bytes, now)
            except (SupersededError, FileNotFoundError):
                log.detail("The sets of %s were replaced meanwhile. They are looked up again.", group.folder.name)
                again = True
                continue
            except DamagedSetError as error:
                damage = damage or error
                continue
            yield Compaction(folder, group, manifest.rows, manifest.bytes)
            again = again or _have_changed(folder, group)
        if not again:
            break
    else:
        raise SetsChangedError(
            f"the sets of {folder.entity} of cloud {folder.cloud_id} were replaced again and again while they were "
            "being compacted. What was committed is whole; compact again when no task replaces them"
        )
    if damage is not None:
        raise damage


def _carry_out(
    folder: ListFolder, group: SetGroup, check: Callable[[], None], max_part_bytes: int, now: Callable[[], float]
) -> Manifest:
    """Make one set of a group and return its manifest.

    :raises SupersededError: if a set was replaced meanwhile.
    :raises FileNotFoundError: if one is gone.
    """
    check()
    begun = now()
    newest = newest_rows(group.sets, sorted_sets=True)
    seen = None if group.replaced is None else group.replaced.manifest
    layout = group.sets[-1].manifest
    store = folder.store(group.folder.name)
    with SetCopy(store, seen, layout, check=check, max_part_bytes=max_part_bytes) as copy:
        for lake_set in group.sets:
            for table in (layout.entity, *layout.children):
                of = lake_set.manifest.contents
                for file in of.parts if table == layout.entity else of.children(table):
                    copy.add(lake_set, table, file, newest.chosen(lake_set, file.name))
        contents = copy.contents()
        if _have_changed(folder, group):
            raise SupersededError
        mine = _manifest(group, contents, begun)
        committed = copy.commit(mine, contents)
    if committed.compacted_at != mine.compacted_at or committed.compacted_from != mine.compacted_from:
        raise SupersededError
    log.info(
        "%s of %s are one set now, with %s: %s",
        count(len(group.sets), "sets"),
        spoken(folder.entity),
        count(committed.rows, "rows"),
        store.folder,
    )
    return committed


def _have_changed(folder: ListFolder, group: SetGroup) -> bool:
    """Return whether a set that was read isn't there any more as it was: replaced, rewritten or removed."""
    for lake_set in group.sets:
        if lake_set.folder.name == group.folder.name:
            continue  # the one that was just replaced by what was made of it
        there = find_committed(folder.destination, folder.cloud_id, folder.entity, lake_set.folder, folder.patience)
        if there is None or reference(there) != reference(lake_set):
            return True
    return False


def _manifest(group: SetGroup, contents: Contents, begun: float) -> Manifest:
    """Return what a compacted set's manifest says beyond its files."""
    manifests = [lake_set.manifest for lake_set in group.sets]
    like = manifests[-1]
    rows = sum(part.rows for part in contents.parts)
    sources = dict.fromkeys(
        one for lake_set in group.sets for one in (*lake_set.manifest.compacted_from, reference(lake_set))
    )
    rewritings = dict.fromkeys(one for manifest in manifests for one in manifest.rewritings)
    looked = [manifest.new_fields for manifest in manifests if manifest.new_fields is not None]
    filters = {manifest.deleted_filter for manifest in manifests}
    return Manifest(
        entity=like.entity,
        cloud_id=like.cloud_id,
        since=None if group.folder.window.since is None else iso(group.folder.window.since),
        until=iso(group.folder.window.until),
        tail_until=max((manifest.tail_until for manifest in manifests if manifest.tail_until), default=None),
        filter=like.filter,
        include=like.include,
        file_format=like.file_format,
        compression=like.compression,
        generation=0,  # as for the files, `SetCopy` says it
        rows=rows,
        distinct_ids=rows,
        requests=0,
        bytes=0,
        parts=contents.parts,
        columns=like.columns,
        children=like.children,
        misfits=dict(sum((Counter(part.misfits) for part in contents.parts), Counter())),
        new_fields=sum_new_fields(looked) if looked else None,
        schema_version=like.schema_version,
        compacted_from=tuple(sources),
        compacted_at=iso(int(begun * 1000)),
        rewritings=tuple(sorted(rewritings, key=lambda rewriting: rewriting.at)),
        deleted_filter=None if None in filters else "one" if "one" in filters else like.deleted_filter,
        undated_rows=_any([manifest.undated_rows for manifest in manifests]),
        shape=group.folder.shape,
        package_version=__version__,
    )


def _any(values: Sequence[bool | None]) -> bool | None:
    """Return whether any is true; ``None`` if that isn't known."""
    return True if True in values else None if None in values else False
