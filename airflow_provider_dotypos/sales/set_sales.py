"""Sales in committed sets of files, and the newest ones: of each row, its newest version counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from airflow_provider_dotypos.api.errors import DotyposInputError, DotyposResponseError
from airflow_provider_dotypos.api.names import split_names
from airflow_provider_dotypos.api.page import timestamp
from airflow_provider_dotypos.lake.sets import LakeSet, find_committed, no_sets, set_folders
from airflow_provider_dotypos.lake.shapes import refuse_different_shapes
from airflow_provider_dotypos.sales.daily_sales import DailySales
from airflow_provider_dotypos.sales.figures import RowChoice
from airflow_provider_dotypos.sales.newest_sales import NewestSales
from airflow_provider_dotypos.storage.store import object_path
from airflow_provider_dotypos.transfers.files.committed_set import CommittedSet, read_manifest

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

ReadT = TypeVar("ReadT")
OtherT = TypeVar("OtherT")

#: How far a register's clock may be ahead of the cloud's, in milliseconds [A]. An order that was completed on a day has
#: changed by then, or that much before; so sets and versions from further back aren't read.
AHEAD = 86_400_000

#: The field that orders a row's versions.
_VERSION = "versionDate"


class _Version(NamedTuple):
    """The newest version of a row that was read so far.

    :param day: the number of the day that it was completed on, if that is among those compared.
    """

    changed: int
    day: int | None
    branch: int | None = None
    deciding: Sequence[Any] = ()
    values: Sequence[Decimal] = ()


def sets_below(
    destination: str | ObjectStoragePath,
    conn_id: str | None,
    cloud_id: int,
    entity: str,
    shape: str | Sequence[str] | None,
) -> Iterator[LakeSet]:
    """Yield the newest whole set of each window of a list, the latest window's first. Each is opened in its turn.

    Snapshots are passed over, as `read_sets` does.

    :param destination: that of an extraction.
    :param conn_id: the Airflow connection of its store, if the path names none.
    :param shape: as `read_entity` takes it.
    :raises DotyposInputError: if there is no set.
    """
    below = object_path(destination, conn_id)
    shapes = split_names(shape, "shape")
    any_set = False
    folders = [folder for folder in set_folders(below, cloud_id, entity) if not shapes or folder.shape in shapes]
    for folder in sorted(folders, key=lambda folder: folder.window.until, reverse=True):
        lake_set = find_committed(below, cloud_id, entity, folder)
        if lake_set is not None and not lake_set.manifest.snapshot:
            any_set = True
            yield lake_set
    if not any_set:
        raise DotyposInputError(no_sets(below, cloud_id, entity, shapes))


def opened(lake_set: LakeSet) -> CommittedSet:
    """Return a set for `read_sets`."""
    return CommittedSet.of(lake_set.store, lake_set.manifest)


def sets_of(manifests: str | Sequence[str], conn_id: str | None) -> Iterator[CommittedSet]:
    """Yield the sets of manifests.

    :param manifests: a manifest's path, or several.
    :param conn_id: the Airflow connection of their store, if a path names none.
    """
    for path in [manifests] if isinstance(manifests, str) else manifests:
        yield read_manifest(path, conn_id)


def read_newest_in_sets(
    sets: Iterable[LakeSet], choice: RowChoice, cloud_id: int, now: int, begin_before: Callable[[int], int]
) -> tuple[NewestSales, int]:
    """Return the newest sales of sets, and up to when these reach (epoch milliseconds).

    :param sets: the latest one first. Only those that can hold a sale that is new enough are opened.
    :param choice: which rows count.
    :param begin_before: returns from when on a sale is new enough at a moment.
    :raises DotyposInputError: if those hold rows of different shapes, of which one may reach further than another; or
        if one lacks a field.
    """
    reached = begins = now
    read: list[LakeSet] = []
    for lake_set in sets:
        ends = lake_set.folder.window.until
        if not read:
            reached, begins = ends, begin_before(min(now, ends))
        elif ends <= begins - AHEAD:
            break
        read.append(lake_set)
    refuse_different_shapes(read)
    newest = NewestSales(choice, begins, now + 1)
    read_sets(map(opened, read), newest, cloud_id)
    return newest, reached


def read_sets(sets: Iterable[CommittedSet], sales: DailySales, cloud_id: int) -> None:
    """Add the sales of sets of an entity.

    They may overlap. Rows that were completed on the compared days take some 700 bytes of memory each, and those that
    changed later 220.

    :raises DotyposInputError: if a set is of another cloud or entity, or lacks a field.
    """
    earliest = sales.begins - AHEAD
    newest: dict[object, _Version] = {}
    # Where two sets hold the same version, the later set's was read later.
    for committed in sorted(sets, key=lambda committed: committed.manifest.until):
        if _is_read(committed, sales, cloud_id, earliest):
            for row in committed.rows(sales.figures.entity):
                # A row without a change date is as old as can be, and counts.
                changed = _readable(timestamp, row.get(_VERSION), earliest)
                known = newest.get(row["id"])
                if changed >= earliest and (known is None or known.changed <= changed):
                    newest[row["id"]] = _version(row, changed, sales)
    for version in newest.values():
        if version.day is not None:
            sales.add(version.branch, version.day, version.deciding, version.values)


def _is_read(committed: CommittedSet, sales: DailySales, cloud_id: int, earliest: int) -> bool:
    """Return whether a set can hold versions that matter.

    :raises DotyposInputError: if it is of another cloud or entity, or lacks a field.
    """
    manifest, entity = committed.manifest, sales.figures.entity
    if manifest.cloud_id != cloud_id or entity not in committed.tables:
        raise DotyposInputError(
            f"{committed.path} holds {', '.join(committed.tables)} of cloud {manifest.cloud_id}, and "
            f"{entity} of cloud {cloud_id} are compared"
        )
    if manifest.snapshot or timestamp(manifest.until) <= earliest:
        return False
    needed = {_VERSION, "completed", "_branchId", *sales.choice.fields, *sales.figures.fields}
    if missing := needed.difference(manifest.columns.get(entity, needed)):
        raise DotyposInputError(
            f"{committed.path} holds no {', '.join(sorted(missing))} of {entity}, which the comparison needs: extract "
            "these fields, too"
        )
    return True


def _version(row: Mapping[str, Any], changed: int, sales: DailySales) -> _Version:
    """Return what counts of a row. Nulls may be omitted, and a value that can't be read counts as one."""
    completed = _readable(timestamp, row.get("completed"), None)
    day = None if completed is None else sales.day_of(completed)
    if day is None:
        return _Version(changed, None)
    return _Version(
        changed,
        day,
        _readable(int, row.get("_branchId"), None),
        [row.get(name) for name in sales.choice.fields],
        [_readable(_decimal, row.get(name), Decimal(0)) for name in sales.figures.fields],
    )


def _readable(read: Callable[[Any], ReadT], value: object, otherwise: OtherT) -> ReadT | OtherT:
    """Return what is read of a value, or something else if there is none, or it can't be read."""
    try:
        return otherwise if value is None else read(value)
    except (ValueError, ArithmeticError, DotyposResponseError):
        return otherwise


def _decimal(value: object) -> Decimal:
    return Decimal(str(value))
