"""Which committed sets hold the current table of a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.lake.newest import Bounds
from airflow_provider_dotypos.lake.order import by_windows
from airflow_provider_dotypos.lake.sets import (
    LakeSet,
    committed_sets,
    no_sets,
    set_folders,
)
from airflow_provider_dotypos.lake.shapes import refuse_different_shapes
from airflow_provider_dotypos.storage.patience import StorePatience

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath


class CurrentQuery(NamedTuple):
    """Which current table is asked for.

    :param bounds: which versions count.
    :param deleted: whether rows are shown that are marked as deleted, too.
    :param shapes: the digests of the sets to read. Defaults to all.
    """

    destination: ObjectStoragePath
    cloud_id: int
    entity: Entity
    bounds: Bounds
    deleted: bool
    shapes: tuple[str, ...]


def find_sets(query: CurrentQuery, patience: StorePatience) -> Sequence[LakeSet]:
    """Return the committed sets that may hold the versions of a current table.

    :raises DotyposInputError: if they hold rows of different shapes, or don't show which rows are deleted.
    :raises FileNotFoundError: if there is none.
    """
    place, cloud, entity = query.destination, query.cloud_id, query.entity
    folders = set_folders(place, cloud, entity.name, patience)
    if query.shapes:
        folders = [folder for folder in folders if folder.shape in query.shapes]
    if not folders:
        raise FileNotFoundError(no_sets(place, cloud, entity.name, query.shapes, patience))
    wanted = [folder for folder in folders if _may_hold(folder.window, query)]
    committed = committed_sets(place, cloud, entity.name, wanted, patience)
    sets = [lake_set for lake_set in committed if not lake_set.manifest.snapshot]
    if not sets and len(wanted) == len(folders):
        raise FileNotFoundError(no_sets(place, cloud, entity.name, query.shapes, patience))
    if not entity.cursors:
        sets = by_windows(sets)[-1:]
    refuse_different_shapes(sets)
    if entity.has_deleted and not query.deleted:
        _refuse_unmarked(sets, entity)
    return sets


def _may_hold(window: Window, query: CurrentQuery) -> bool:
    """Return whether the set of a window may hold versions that were asked for."""
    since, until = query.bounds
    if not query.entity.cursors:
        return until is None or window.until <= until
    if window.since is None:  # it may hold what changed while it was read
        return True
    # A row with two cursors is in a window if one of them is: the other one may be later.
    is_past = since is not None and window.until <= since and len(query.entity.cursors) == 1
    return not is_past and (until is None or window.since < until)


def _refuse_unmarked(sets: Sequence[LakeSet], entity: Entity) -> None:
    """Raise if nothing in a set shows which rows are deleted.

    :raises DotyposInputError: if so.
    """
    for lake_set in sets:
        columns = lake_set.manifest.columns.get(entity.name)
        if columns is not None and "deleted" not in columns:
            raise DotyposInputError(
                f"deleted: the sets of {entity.name} were extracted without the field deleted, so nothing shows which "
                "rows are: pass deleted=True to read all"
            )
