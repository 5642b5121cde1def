"""Which committed sets lie below a destination. Folders are found by their names, and opened one by one."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_dotypos.api.entities import entities
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.storage.patience import StorePatience
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.files.manifest import Manifest, newest_manifest

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath


#: How many folders are looked into at once: an object store takes its time for each.
_AT_ONCE = 8

#: How far below a destination a manifest lies: in a window's folder, of a list's, of a cloud's.
_DEEPEST = 4


class SetFolder(NamedTuple):
    """The folder of a window's set, by its name alone: nothing may be committed in it.

    :param shape: digest of what shapes the rows.
    """

    name: str
    window: Window
    shape: str


class LakeSet(NamedTuple):
    """A committed set that is whole.

    :param folder: its folder.
    :param store: the same, to read its files.
    """

    folder: SetFolder
    store: Store
    manifest: Manifest


def lists_below(destination: ObjectStoragePath, patience: StorePatience | None = None) -> Iterator[tuple[int, str]]:
    """Yield the cloud and the entity of each list that has a folder below a destination, in order."""
    for cloud in Store(destination, patience).folders():
        if _is_cloud(cloud):
            for entity in Store(destination / cloud, patience).folders():
                if entity in entities():
                    yield int(cloud), entity


def _is_cloud(name: str) -> bool:
    """Return whether a folder is a cloud's: extractions write its number without zeros before it, in ASCII."""
    return name.isdecimal() and str(int(name)) == name


def find_lists(
    destination: ObjectStoragePath,
    cloud_id: int | None,
    entities: Collection[str] | None,
    patience: StorePatience | None = None,
) -> list[tuple[int, str]]:
    """Return the cloud and the entity of the lists below a destination that are meant, in order.

    :param cloud_id: their cloud. Defaults to all clouds.
    :param entities: their names. Defaults to all lists.
    :raises DotyposInputError: if there are none.
    """
    require_destination(destination, patience)
    below = list(lists_below(destination, patience))
    require_cloud({cloud for cloud, _ in below}, cloud_id, destination)
    lists = [
        (cloud, entity)
        for cloud, entity in below
        if cloud_id in (None, cloud) and (entities is None or entity in entities)
    ]
    if not lists:
        raise DotyposInputError(
            f"entity: no {' or '.join(entities or ())} lie below {destination}. {_spoken_lists(below)}"
        )
    return lists


def only_cloud(destination: ObjectStoragePath, entity: str, patience: StorePatience | None = None) -> int:
    """Return the cloud of an entity's list below a destination, if there is only one.

    :raises DotyposInputError: if there are several, or none.
    """
    require_destination(destination, patience)
    lists = list(lists_below(destination, patience))
    clouds = [cloud for cloud, name in lists if name == entity]
    if len(clouds) == 1:
        return clouds[0]
    if clouds:
        raise DotyposInputError(
            f"cloud_id: {entity} of several clouds lie below {destination}: {', '.join(map(str, clouds))}. Name one"
        )
    raise DotyposInputError(f"entity: no {entity} lie below {destination}. {_spoken_lists(lists)}")


def set_folders(
    destination: ObjectStoragePath, cloud_id: int, entity: str, patience: StorePatience | None = None
) -> list[SetFolder]:
    """Return the folders of a list's sets, by one request: from the beginning first, then by their windows."""
    folders = []
    for name in Store(destination / f"{cloud_id}/{entity}", patience).folders():
        window_name, _, shape = name.rpartition("_")
        if (window := Window.named(window_name)) is not None:
            folders.append(SetFolder(name, window, shape))
    return sorted(folders, key=_in_order)


def find_committed(
    destination: ObjectStoragePath,
    cloud_id: int,
    entity: str,
    folder: SetFolder,
    patience: StorePatience | None = None,
) -> LakeSet | None:
    """Return the newest set in a folder, if it is whole.

    :raises DotyposInputError: if its manifest is of a newer format.
    """
    store = Store(destination / f"{cloud_id}/{entity}/{folder.name}", patience)
    manifest = newest_manifest(store)
    return None if manifest is None else LakeSet(folder, store, manifest)


def committed_sets(
    destination: ObjectStoragePath,
    cloud_id: int,
    entity: str,
    folders: Iterable[SetFolder],
    patience: StorePatience | None = None,
) -> list[LakeSet]:
    """Return the newest set of each folder that has a whole one.

    :raises DotyposInputError: if a manifest is of a newer format.
    """
    with ThreadPoolExecutor(_AT_ONCE, "dotypos-sets") as pool:
        looked_up = pool.map(lambda folder: find_committed(destination, cloud_id, entity, folder, patience), folders)
        return [lake_set for lake_set in looked_up if lake_set is not None]


def require_destination(destination: ObjectStoragePath, patience: StorePatience | None = None) -> None:
    """Raise unless a destination holds the folder of a list.

    :raises DotyposInputError: if it doesn't.
    """
    if next(lists_below(destination, patience), None) is None:
        meant = find_destination(destination, patience)
        raise DotyposInputError(
            f"destination: no sets lie below {destination}. "
            + (f"Did you mean {meant}? " if meant is not None else "")
            + "It is the folder that an extraction was given, and the clouds' folders lie in it: "
            "DESTINATION/CLOUD/ENTITY/WINDOW"
        )


def no_sets(
    destination: ObjectStoragePath,
    cloud_id: int,
    entity: str,
    shapes: Collection[str],
    patience: StorePatience | None = None,
) -> str:
    """Return that no set of a list can be read, for an error.

    :param shapes: the shapes that were asked for; none if any was.
    :raises DotyposInputError: if the destination isn't one.
    """
    require_destination(destination, patience)
    shape = f" of shape {' or '.join(shapes)}" if shapes else ""
    return (
        f"no committed set of {entity} of cloud {cloud_id}{shape} lies below {destination}, apart from snapshots. "
        f"{_spoken_lists(lists_below(destination, patience))}"
    )


def _spoken_lists(lists: Iterable[tuple[int, str]]) -> str:
    """Return which lists there are, for an error."""
    return f"Lists there: {', '.join(f'{entity} of cloud {cloud}' for cloud, entity in lists)}"


def find_destination(path: ObjectStoragePath, patience: StorePatience | None = None) -> ObjectStoragePath | None:
    """Return the destination that a path is or leads into: to a cloud's folder, a list's, a window's, a manifest."""
    if next(lists_below(path, patience), None) is not None:
        return path
    for folder in itertools.islice((path, *path.parents), _DEEPEST):
        if _is_cloud(folder.name) and next(lists_below(folder.parent, patience), None) is not None:
            return folder.parent
    return None


def require_cloud(clouds: Collection[int], cloud_id: int | None, where: object) -> None:
    """Raise if a cloud was named that there are no data of.

    :param clouds: those that there are data of.
    :param where: where that is, for people.
    :raises DotyposInputError: if it isn't one of them.
    """
    if cloud_id is not None and cloud_id not in clouds:
        there = ", ".join(map(str, sorted(clouds))) or "none"
        raise DotyposInputError(f"cloud_id: there are no data of cloud {cloud_id} in {where}. Clouds there: {there}")


def _in_order(folder: SetFolder) -> tuple[float, int, str]:
    """Return the key by which folders are sorted."""
    return folder.window.begin, folder.window.until, folder.shape
