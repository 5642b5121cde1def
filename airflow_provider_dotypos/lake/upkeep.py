"""Which lists are compacted or pruned, and what that came to: what the commands and the operators share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.names import split_names
from airflow_provider_dotypos.api.window import Window, instant, iso

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_dotypos.lake.compaction import Compaction, ListFolder
    from airflow_provider_dotypos.lake.pruning import Removal
    from airflow_provider_dotypos.lake.sets import SetFolder
    from airflow_provider_dotypos.storage.patience import StorePatience

#: What `entities` can be, in place of names.
ALL = "all"


def read_entities(entities: str | Sequence[str]) -> list[str] | None:
    """Return the names of entities; ``None`` for all.

    :raises DotyposInputError: if one is unknown, or there is none.
    """
    if entities == ALL:
        return None
    names = split_names(entities, "entities")
    if not names:
        raise DotyposInputError(f"entities is empty; give {ALL!r}, or the names of lists such as 'orders'")
    return [find_entity(name).name for name in names]


def read_until(until: str | date | None, now: float) -> int:
    """Return the time by which a month must have ended to be compacted, in epoch milliseconds. Bare dates are in UTC.

    :param now: the time, in seconds: the default.
    :raises DotyposInputError: if it can't be read.
    """
    return int(now * 1000) if until is None or until == "" else instant(until, "until", "UTC")


def read_age(age: object, name: str, least: timedelta = timedelta(0)) -> int:
    """Return an age in milliseconds.

    :param name: what the caller's argument is called.
    :param least: the shortest one.
    :raises DotyposInputError: if it isn't a ``timedelta`` of at least that.
    """
    if not isinstance(age, timedelta) or age < least:
        raise DotyposInputError(
            f"{name} must be a timedelta of at least {least.days} days, such as timedelta(days=90), not "
            f"{type(age).__name__} {age!r} (no template)"
        )
    return age // timedelta(milliseconds=1)


def refuse_retention_of_all(older_than: object, entities: Collection[str] | None) -> None:
    """Raise if sets are to go by their age, and no list is named.

    An order of last year may go. A product that was last changed last year is still sold.

    :param older_than: the age; ``None`` if none was asked for.
    :param entities: names of the lists that are meant; ``None`` for all.
    :raises DotyposInputError: if it is so.
    """
    if older_than is not None and entities is None:
        raise DotyposInputError(
            "entities: name the lists whose sets go by their age, such as orders. Rows that haven't changed since are "
            "gone then: old orders, but products and customers, too"
        )


def select_lists(
    destination: ObjectStoragePath,
    entities: Collection[str] | None,
    cloud_id: int | None,
    patience: StorePatience | None = None,
) -> list[ListFolder]:
    """Return the lists below a destination.

    :param entities: names of those that are meant. Defaults to all.
    :param cloud_id: the cloud that is meant. Defaults to all.
    :raises DotyposInputError: if there are none.
    """
    from airflow_provider_dotypos.lake.compaction import ListFolder
    from airflow_provider_dotypos.lake.sets import find_lists

    lists = find_lists(destination, cloud_id, entities, patience)
    return [ListFolder(destination, cloud, entity, patience) for cloud, entity in lists]


def compacted_totals(compactions: Iterable[Compaction]) -> dict[str, Any]:
    """Return what compacting came to, in numbers."""
    done = list(compactions)
    return {
        "compacted": len(done),
        "sets": sum(len(one.group.sets) for one in done),
        "rows_before": sum(one.rows_before for one in done),
        "rows": sum(one.rows for one in done),
        "bytes_before": sum(one.bytes_before for one in done),
        "bytes": sum(one.bytes for one in done),
    }


def pruned_totals(removals: Iterable[Removal]) -> dict[str, Any]:
    """Return what pruning came to, in numbers."""
    done = list(removals)
    return {
        "sets": len(done),
        "covered": sum(one.covered_by is not None for one in done),
        "by_age": sum(one.covered_by is None for one in done),
        "rows": sum(one.lake_set.manifest.rows for one in done),
        "bytes": sum(one.lake_set.manifest.bytes for one in done),
    }


def compacted_rows(compactions: Sequence[Compaction]) -> list[Mapping[str, Any]]:
    """Return what compacting came to, for people: a line for each set that was made."""
    return [
        {
            "cloud": str(one.list.cloud_id),
            "entity": one.list.entity,
            **_times(one.group.folder.window),
            "sets": str(len(one.group.sets)),
            "rows before": str(one.rows_before),
            "rows": str(one.rows),
            "bytes before": str(one.bytes_before),
            "bytes": str(one.bytes),
            "folder": one.group.folder.name,
        }
        for one in compactions
    ]


def pruned_rows(removals: Sequence[Removal]) -> list[Mapping[str, Any]]:
    """Return what pruning came to, for people: a line for each compacted set that covers some, and for age."""
    groups: dict[tuple[int, str, SetFolder | None], list[Removal]] = {}
    for one in removals:
        by = None if one.covered_by is None else one.covered_by.folder
        groups.setdefault((one.list.cloud_id, one.list.entity, by), []).append(one)
    return [
        {
            "cloud": str(cloud),
            "entity": entity,
            "sets": str(len(some)),
            "rows": str(sum(one.lake_set.manifest.rows for one in some)),
            "bytes": str(sum(one.lake_set.manifest.bytes for one in some)),
            "first": some[0].lake_set.folder.name,
            "last": some[-1].lake_set.folder.name,
            "because": _because(by),
            "covered by": "" if by is None else by.name,
        }
        for (cloud, entity, by), some in groups.items()
    ]


def _because(by: SetFolder | None) -> str:
    if by is None:
        return "older than asked: its rows are gone with it"
    return "covered by the set from {since} to {until}".format_map(_times(by.window))


def _times(window: Window) -> dict[str, str]:
    return {"since": "the beginning" if window.since is None else iso(window.since), "until": iso(window.until)}
