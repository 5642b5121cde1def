"""What was removed between two snapshots of an entity: for entities that don't show removals."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from operator import itemgetter
from typing import TYPE_CHECKING

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.query import Triple
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.files.committed_set import CommittedSet, read_manifest
from airflow_provider_dotypos.transfers.files.formats.file_format import FileFormat
from airflow_provider_dotypos.transfers.files.id_counter import DistinctIds
from airflow_provider_dotypos.transfers.files.manifest import Manifest

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_dotypos.hooks.dotypos import DotyposHook

#: Ids asked for at once; they go into the address.
_ASKED_AT_ONCE = 100


def removed_ids(
    before: str | ObjectStoragePath,
    after: str | ObjectStoragePath,
    *,
    hook: DotyposHook | None = None,
    conn_id: str | None = None,
) -> Iterator[int]:
    """Yield the ids that are in one snapshot and not in a later one, in ascending order, in little memory.

    Any two sets from the beginning (without `since`) will do, in any format, if they are of the same entity, cloud and
    filter. Snapshots are better: each holds every row that existed as long as it was taken, also what changed in the
    `settle` seconds before its end. So a removal between two snapshots of a chain is yielded by one comparison, and a
    row that still exists by none.

    :param before: the earlier set: its manifest's path, or its window's folder.
    :param after: the later set, likewise.
    :param conn_id: the Airflow connection of the store, where the paths don't name one.
    :param hook: asks the API for each id that seems removed, and leaves out those that still exist (whether or not the
        sets' filter fits them). Needed for sets that aren't snapshots, where a row that changed in the last `settle`
        seconds is missing, and for filters, which a row can leave. It also finds a row that was restored just then.
    :raises DotyposInputError: if the sets can't be compared.
    :raises FileNotFoundError: if one of them doesn't exist.
    """
    earlier, later = read_manifest(before, conn_id), read_manifest(after, conn_id)
    _check(earlier.manifest, later.manifest)
    cloud_id = earlier.manifest.cloud_id
    if hook is not None and hook.get_conn().settings.cloud_id != cloud_id:
        raise DotyposInputError(
            f"the sets are of cloud {cloud_id}, which hook doesn't ask: DotyposHook(cloud_id={cloud_id})"
        )
    with DistinctIds() as old, DistinctIds() as new:
        _collect(earlier, old)
        _collect(later, new)
        missing = _without(old, new)
        yield from missing if hook is None else _confirmed(missing, earlier.manifest.entity, hook)


def _check(before: Manifest, after: Manifest) -> None:
    for field in ("entity", "cloud_id", "filter"):
        earlier, later = getattr(before, field), getattr(after, field)
        if earlier != later:
            raise DotyposInputError(f"the two sets are of different {field}: {earlier!r} and {later!r}")
    for manifest in (before, after):
        if manifest.since is not None:
            raise DotyposInputError(
                f"a set of changes since {manifest.since} doesn't show removals; extract with snapshot=True"
            )
    if before.until >= after.until:
        raise DotyposInputError(f"the first set, up to {before.until}, isn't older than the second, {after.until}")
    if find_entity(before.entity).primary_key != ("id",):
        raise DotyposInputError(f"rows of {before.entity} aren't identified by their id alone; merge by `deleted`")


def _collect(committed: CommittedSet, ids: DistinctIds) -> None:
    file_format = FileFormat.read(committed.manifest.file_format, committed.manifest.compression)
    store = Store(committed.path.parent)
    for file in committed.manifest.parts:
        with store.open(file.name) as part:
            for batch in file_format.ids(part):
                ids.add(batch)


def _without(old: Iterable[int], new: Iterable[int]) -> Iterator[int]:
    """Yield what is in `old` and not in `new`, both ascending."""
    marked = heapq.merge(((id, True) for id in old), ((id, False) for id in new), key=itemgetter(0))
    for id, where in groupby(marked, itemgetter(0)):
        if all(is_old for _, is_old in where):
            yield id


def _confirmed(ids: Iterator[int], name: str, hook: DotyposHook) -> Iterator[int]:
    """Yield the ids that the API doesn't show any more."""
    entity = find_entity(name)
    at_once = _ASKED_AT_ONCE if "in" in entity.fields["id"].operators else None  # or read the list once
    # As the walk does: what a filter for both, live and deleted, does with rows whose marker is null is unknown.
    markers: list[list[Triple]] = [[], [("deleted", "eq", "1")]] if entity.deleted_filterable else [[]]
    while batch := list(islice(ids, at_once)):
        named: list[Triple] = [("id", "in", ",".join(map(str, batch)))] if at_once else []
        there = {int(row["id"]) for marker in markers for row in hook.rows(name, filter=[*named, *marker] or None)}
        yield from (id for id in batch if id not in there)
