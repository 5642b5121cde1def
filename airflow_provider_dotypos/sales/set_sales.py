"""Sales in committed sets of files: of each row, its newest version counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from airflow_provider_dotypos.api.errors import DotyposInputError, DotyposResponseError
from airflow_provider_dotypos.api.page import timestamp
from airflow_provider_dotypos.sales.daily_sales import DailySales
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.files.committed_set import CommittedSet, read_manifest
from airflow_provider_dotypos.transfers.files.manifest import newest_manifest

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


def sets_below(folder: ObjectStoragePath) -> Iterator[CommittedSet]:
    """Yield the newest whole set of each window's folder.

    :param folder: ``{destination}/{cloud}/{entity}``.
    :raises DotyposInputError: if there is no set.
    """
    any_set = False
    for window in sorted(folder.iterdir(), key=lambda path: str(path.name)) if folder.exists() else ():
        if window.is_dir() and newest_manifest(Store(window)) is not None:
            any_set = True
            yield read_manifest(window)
    if not any_set:
        raise DotyposInputError(f"no committed set lies in {folder}: extract the entity first, or correct destination")


def read_sets(sets: Iterable[CommittedSet], sales: DailySales, cloud_id: int) -> None:
    """Add the sales of sets of an entity.

    They may overlap. Rows that were completed on the compared days take some 700 bytes of memory each, and those that
    changed later 220.

    :raises DotyposInputError: if a set is of another cloud or entity, or lacks a field.
    """
    earliest = sales.begins - AHEAD
    newest: dict[object, _Version] = {}
    # Where two sets hold the same version, the later set's was read later.
    for committed in sorted(sets, key=lambda one: one.manifest.until):
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
