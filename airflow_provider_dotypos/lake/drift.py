"""What has drifted: fields that the entity table doesn't know, and values that didn't fit, since when, and where.

Manifests and the tables of our own say it already; this reads them, and no row. Names came from outside: they were made
short and printable when they were noted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from airflow_provider_dotypos.api.entities import Entity, entities
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.lake.sets import (
    find_committed,
    lists_below,
    require_cloud,
    require_destination,
    set_folders,
)
from airflow_provider_dotypos.storage.patience import StorePatience
from airflow_provider_dotypos.transfers.rows.columns import kind_of
from airflow_provider_dotypos.transfers.rows.new_fields import NewField, NewFieldsByTable
from airflow_provider_dotypos.transfers.sql.database import Database
from airflow_provider_dotypos.transfers.sql.names import LOADS
from airflow_provider_dotypos.transfers.sql.odd_loads import OddLoad, count_loads, odd_loads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import ObjectStoragePath

    from airflow_provider_dotypos.transfers.files.manifest import Manifest
    from airflow_provider_dotypos.transfers.sql.transaction import Transaction

#: Where the values are: in the rows as they came, or in the column ``_unknown`` of files or of tables.
Place: TypeAlias = Literal["rows", "files", "table"]


class Subject(NamedTuple):
    """What has drifted.

    :param table: the entity of the table of files, or the name of the table in a database.
    :param entity: the entity whose field it is.
    :param name: the field, of a nested child list as ``orderItems.name``.
    :param news: whether the entity table doesn't know the field; otherwise values didn't fit it.
    """

    cloud_id: int
    table: str
    entity: str
    name: str
    news: bool
    place: Place


@dataclass
class Drift:
    """A field that has drifted, over all sets or loads.

    :ivar kinds: what its values are. Of a misfit, what they aren't.
    :ivar since: the first window in which it came.
    :ivar last: the last one.
    :ivar sets: in how many sets, or loads.
    :ivar rows: in how many rows; of a misfit, how many values.
    :ivar exact: whether all rows were looked at. Otherwise there may be more.
    """

    subject: Subject
    since: Window
    last: Window
    kinds: frozenset[str] = frozenset()
    sets: int = 0
    rows: int = 0
    exact: bool = True

    @property
    def known(self) -> bool:
        """Whether the entity table of this version knows the field."""
        return find_field(self.subject.entity, self.subject.name)

    def add(self, window: Window, seen: NewField) -> None:
        """Add what a set or a load says."""
        self.since = min(self.since, window, key=_begins)
        self.last = max(self.last, window, key=_ends)
        self.kinds |= frozenset(seen.kinds)
        self.sets += 1
        self.rows += seen.rows
        self.exact = self.exact and seen.exact


@dataclass
class Drifts:
    """What has drifted, by what it is.

    :ivar looked: how many sets or loads were looked at.
    :ivar unlooked: how many of them an earlier version wrote, which didn't look for new fields.
    """

    by_subject: dict[Subject, Drift] = field(default_factory=dict)
    looked: int = 0
    unlooked: int = 0

    def __iter__(self) -> Iterator[Drift]:
        """Yield them in order."""
        return iter(sorted(self.by_subject.values(), key=lambda drift: drift.subject))

    def add(self, found: Found) -> None:
        """Add what a set or a load has met."""
        self.looked += 1
        self.unlooked += found.new_fields is None
        for table, fields in (found.new_fields or {}).items():
            for name, seen in fields.items():
                self._drift(found, table, name, news=True).add(found.window, seen)
        for counted, number in found.misfits.items():
            table, name = _misfit(found.entity, counted)
            kind = kind_of(table, name)
            seen = NewField((f"not {kind}",) if kind else (), number, found.place != "rows")
            self._drift(found, table, name, news=False).add(found.window, seen)

    def _drift(self, found: Found, entity: str, name: str, *, news: bool) -> Drift:
        table = found.table if found.table and entity == found.entity else entity
        subject = Subject(found.cloud_id, table, entity, name, news, found.place)
        return self.by_subject.setdefault(subject, Drift(subject, found.window, found.window))


class Found(NamedTuple):
    """What a set or a load has met.

    :param table: the name of the entity's own table in a database.
    :param new_fields: ``None`` if nobody looked.
    """

    cloud_id: int
    entity: str
    table: str | None
    window: Window
    place: Place
    new_fields: NewFieldsByTable | None
    misfits: Mapping[str, int]


def drift_of_files(
    destination: ObjectStoragePath,
    *,
    cloud_id: int | None = None,
    entity: str | None = None,
    since: int | None = None,
    patience: StorePatience | None = None,
) -> Drifts:
    """Return what has drifted in the committed sets below a destination.

    :param cloud_id: of this cloud alone. Defaults to all.
    :param entity: of this list alone. Defaults to all.
    :param since: in windows that end after this moment, in epoch milliseconds. Defaults to all.
    :raises DotyposInputError: if there is no such list below it.
    """
    require_destination(destination, patience)
    below = list(lists_below(destination, patience))
    require_cloud({cloud for cloud, _ in below}, cloud_id, destination)
    wanted = [(cloud, name) for cloud, name in below if cloud_id in (None, cloud) and entity in (None, name)]
    if not wanted:
        there = ", ".join(sorted({name for _, name in below}))
        raise DotyposInputError(f"entity: no {entity} lie below {destination}. Lists there: {there}")
    drifts = Drifts()
    for cloud, name in wanted:
        for found in _sets(destination, cloud, name, since, patience):
            drifts.add(found)
    return drifts


def drift_of_tables(
    conn_id: str,
    schema: str | None,
    *,
    cloud_id: int | None = None,
    entity: str | None = None,
    since: int | None = None,
) -> Drifts:
    """Return what has drifted in the loads into the tables of a database.

    :param conn_id: the database's connection.
    :param schema: where the tables of our own lie: the operator's `staging_schema`, or its `schema`.
    :param cloud_id: see `drift_of_files`, as for the others.
    :raises DotyposInputError: if no load has gone into the database.
    """
    database = Database.of(conn_id, 1)

    def read(transaction: Transaction) -> tuple[int, list[OddLoad]] | None:
        if database.dialect.existing(transaction, schema, LOADS) is None:
            return None
        loads = list(odd_loads(transaction, database.dialect, schema))
        return count_loads(transaction, database.dialect, schema), loads

    with closing(database):
        answer = database.run(read)
    if answer is None:
        raise DotyposInputError(
            f"{database.dialect.title} has no table {LOADS}{f' in the schema {schema!r}' if schema else ''}: no load "
            "has gone there, or it lies in another schema (staging_schema or schema of the operator)"
        )
    drifts = Drifts()
    for load in answer[1]:
        wanted = cloud_id in (None, load.cloud_id) and entity in (None, load.entity)
        if wanted and (since is None or load.window.until > since):
            odd = load.oddities
            drifts.add(
                Found(load.cloud_id, load.entity, load.target, load.window, "table", odd.new_fields, odd.misfits)
            )
    drifts.looked = answer[0]
    return drifts


def find_field(entity: str, name: str) -> bool:
    """Return whether the entity table knows a field, of a child list as ``orderItems.name``."""
    found = entities().get(entity)
    if found is None:
        return False
    child, dot, below = name.partition(".")
    if not dot:
        return name in found.fields or name in found.includes
    return child in found.includes and find_field(found.includes[child].entity, below)


def _sets(
    destination: ObjectStoragePath, cloud_id: int, entity: str, since: int | None, patience: StorePatience | None
) -> list[Found]:
    """Return what a list's sets have met. Sets that a compacted one was made of count once."""
    found: dict[str, Found] = {}
    compacted: set[str] = set()
    for folder in set_folders(destination, cloud_id, entity, patience):
        if since is not None and folder.window.until <= since:
            continue
        committed = find_committed(destination, cloud_id, entity, folder, patience)
        if committed is not None:
            manifest = committed.manifest
            compacted.update(reference.folder for reference in manifest.compacted_from)
            found[folder.name] = Found(
                cloud_id, entity, None, folder.window, _place(manifest), manifest.new_fields, manifest.misfits
            )
    return [met for name, met in found.items() if name not in compacted]


def _place(manifest: Manifest) -> Place:
    return "rows" if manifest.file_format == "jsonl" else "files"


def _misfit(entity: str, counted: str) -> tuple[str, str]:
    """Return the table and the field of a misfit: those of flattened children are counted as ``order-items.name``."""
    child, dot, below = counted.partition(".")
    own: Entity | None = entities().get(entity)
    if dot and own is not None and child in {each.entity for each in own.includes.values()}:
        return child, below
    return entity, counted


def _begins(window: Window) -> float:
    return float("-inf") if window.since is None else window.since


def _ends(window: Window) -> int:
    return window.until
