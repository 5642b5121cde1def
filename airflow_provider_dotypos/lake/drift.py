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
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.lake.order import covered_sets, reference
from airflow_provider_dotypos.lake.sets import committed_sets, find_lists, set_folders
from airflow_provider_dotypos.storage.patience import StorePatience
from airflow_provider_dotypos.transfers.rows.columns import kind_of
from airflow_provider_dotypos.transfers.rows.new_fields import NewField, NewFieldsByTable
from airflow_provider_dotypos.transfers.sql.database import Database
from airflow_provider_dotypos.transfers.sql.odd_loads import OddLoad, count_loads, odd_loads
from airflow_provider_dotypos.transfers.sql.own_tables import require_own_tables

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
        return knows_field(self.subject.entity, self.subject.name)

    def add(self, window: Window, seen: NewField) -> None:
        """Add what a set or a load says."""
        self.since = min(self.since, window, key=lambda each: each.begin)
        self.last = max(self.last, window, key=lambda each: each.until)
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

    def add(self, met: Observation) -> None:
        """Add what a set or a load has met."""
        self.looked += 1
        self.unlooked += met.new_fields is None
        for table, fields in (met.new_fields or {}).items():
            for name, seen in fields.items():
                self._drift(met, table, name, news=True).add(met.window, seen)
        for counted, number in met.misfits.items():
            table, name = _misfit(met.entity, counted)
            kind = kind_of(table, name)
            seen = NewField((f"not {kind}",) if kind else (), number, met.place != "rows")
            self._drift(met, table, name, news=False).add(met.window, seen)

    def _drift(self, met: Observation, entity: str, name: str, *, news: bool) -> Drift:
        table = met.table if met.table and entity == met.entity else entity
        subject = Subject(met.cloud_id, table, entity, name, news, met.place)
        return self.by_subject.setdefault(subject, Drift(subject, met.window, met.window))


class Observation(NamedTuple):
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
    drifts = Drifts()
    for cloud, name in find_lists(destination, cloud_id, None if entity is None else [entity], patience):
        for observation in _sets(destination, cloud, name, since, patience):
            drifts.add(observation)
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

    def read(transaction: Transaction) -> tuple[int, list[OddLoad]]:
        require_own_tables(transaction, database.dialect, schema)
        loads = list(odd_loads(transaction, database.dialect, schema))
        return count_loads(transaction, database.dialect, schema), loads

    with closing(database):
        number, loads = database.run(read)
    drifts = Drifts()
    for load in loads:
        wanted = cloud_id in (None, load.cloud_id) and entity in (None, load.entity)
        if wanted and (since is None or load.window.until > since):
            odd = load.oddities
            drifts.add(
                Observation(load.cloud_id, load.entity, load.target, load.window, "table", odd.new_fields, odd.misfits)
            )
    drifts.looked = number
    return drifts


def knows_field(entity: str, name: str) -> bool:
    """Return whether the entity table knows a field, of a child list as ``orderItems.name``."""
    known = entities().get(entity)
    if known is None:
        return False
    child, dot, below = name.partition(".")
    if not dot:
        return name in known.fields or name in known.includes
    return child in known.includes and knows_field(known.includes[child].entity, below)


def _sets(
    destination: ObjectStoragePath, cloud_id: int, entity: str, since: int | None, patience: StorePatience | None
) -> list[Observation]:
    """Return what a list's sets have met. Sets that a compacted one was made of count once."""
    folders = set_folders(destination, cloud_id, entity, patience)
    wanted = [folder for folder in folders if since is None or folder.window.until > since]
    sets = committed_sets(destination, cloud_id, entity, wanted, patience)
    covered = covered_sets(sets)
    return [
        Observation(
            cloud_id,
            entity,
            None,
            lake_set.folder.window,
            _place(lake_set.manifest),
            lake_set.manifest.new_fields,
            lake_set.manifest.misfits,
        )
        for lake_set in sets
        if reference(lake_set) not in covered
    ]


def _place(manifest: Manifest) -> Place:
    return "rows" if manifest.file_format == "jsonl" else "files"


def _misfit(entity: str, counted: str) -> tuple[str, str]:
    """Return the table and the field of a misfit: those of flattened children are counted as ``order-items.name``."""
    child, dot, below = counted.partition(".")
    own: Entity | None = entities().get(entity)
    if dot and own is not None and child in {each.entity for each in own.includes.values()}:
        return child, below
    return entity, counted
