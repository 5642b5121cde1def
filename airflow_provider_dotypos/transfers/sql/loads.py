"""Loads: a window of an entity into its tables. The row of a load says whether it is done, and what it did."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_dotypos import __version__
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.transfers.rows.new_fields import NewFieldsByTable
from airflow_provider_dotypos.transfers.sink import SupersededError
from airflow_provider_dotypos.transfers.sql.names import LOADS, READ_AT, REMOVED, STATE
from airflow_provider_dotypos.transfers.sql.oddities import Oddities

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.selection import Selection
    from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect
    from airflow_provider_dotypos.transfers.sql.merge import Merged, Mode
    from airflow_provider_dotypos.transfers.sql.tables import SqlTable
    from airflow_provider_dotypos.transfers.sql.transaction import Transaction


class OtherFieldsError(Exception):
    """A load of other fields has filled the same table while rows were read."""


@dataclass(frozen=True)
class Load:
    """A window of an entity that is loaded into tables.

    :param load_id: what tells it from others. Tries of one load share it.
    :param tables: the names of the tables, its target first.
    :param shape: what keeps loads of other rows or columns apart.
    :param fields: a digest of the columns that it fills.
    :param run_id: the DAG run.
    :param try_number: the task's try.
    """

    load_id: str
    tables: tuple[str, ...]
    entity: str
    cloud_id: int
    shape: str
    fields: str
    window: Window
    mode: Mode
    run_id: str = ""
    try_number: int = 1

    @classmethod
    def of(
        cls,
        selection: Selection,
        window: Window,
        tables: Sequence[SqlTable],
        mode: Mode,
        *,
        again: str = "",
        run_id: str = "",
        try_number: int = 1,
    ) -> Load:
        """Return the load of a window.

        :param again: what tells it from other loads of the window, if it is loaded again: the run.
        """
        names = tuple(table.full_name for table in tables)
        shape = load_shape(selection)
        identity = [names, selection.cloud_id, selection.entity.name, shape, window.since, window.until, mode, again]
        load_id = _digest(identity)
        fields = _digest([[*table.names] for table in tables])
        return cls(
            load_id, names, selection.entity.name, selection.cloud_id, shape, fields, window, mode, run_id, try_number
        )

    @property
    def target(self) -> str:
        """The name of the entity's own table."""
        return self.tables[0]


@dataclass(frozen=True)
class Loaded:
    """What a load has brought.

    :param rows: rows that were read.
    :param unchanged: rows that the table had already.
    :param misfits: how many values of each field didn't fit their column.
    :param new_fields: fields that the entity table doesn't know, by the entity of their table.
    """

    load: Load
    rows: int
    inserted: int
    updated: int
    unchanged: int
    removed: int
    misfits: Mapping[str, int] = field(default_factory=dict)
    new_fields: NewFieldsByTable = field(default_factory=dict)


class Loads:
    """The rows of loads. Each method takes the transaction that it is a part of.

    :param schema: where our own tables lie.
    """

    def __init__(self, dialect: Dialect, schema: str | None) -> None:
        self._dialect = dialect
        self._relation = dialect.relation(schema, LOADS)
        self._schema = schema

    def begin(self, transaction: Transaction, load: Load, now: datetime) -> tuple[Loaded | None, datetime]:
        """Note that a try of a load begins; return what an earlier one has brought, and when the first one began.

        :param now: by the database's clock.
        """
        moment = self._dialect.moment(now)
        new: dict[str, object] = {
            "load_id": load.load_id,
            "target": load.target,
            "tables": msgspec.json.encode(load.tables).decode(),
            "entity": load.entity,
            "cloud_id": load.cloud_id,
            "shape": load.shape,
            "fields": load.fields,
            "since": self._time(load.window.since),
            "until": self._time(load.window.until),
            "mode": load.mode,
            "begun_at": moment,
        }
        transaction.execute(self._dialect.insert_new(self._relation, tuple(new)), list(new.values()))
        done = self.lock(transaction, load)
        if done is None:
            tried = {
                "tried_at": moment,
                "run_id": load.run_id,
                "try_number": load.try_number,
                "package_version": __version__,
            }
            self._update(transaction, load, tried)
        ((begun_at,),) = transaction.rows(f"SELECT begun_at FROM {self._relation} WHERE load_id = ?", [load.load_id])
        return done, utc(begun_at)

    def check_open(self, transaction: Transaction, load: Load) -> None:
        """Raise unless a load still waits for rows, and keep others from finishing it until the transaction ends.

        :raises SupersededError: if another try has finished it.
        """
        query = f"SELECT loaded_at FROM {self._relation} WHERE load_id = ?{self._dialect.for_share}"
        if transaction.rows(query, [load.load_id]) != [(None,)]:
            raise SupersededError

    def lock(self, transaction: Transaction, load: Load) -> Loaded | None:
        """Keep others from finishing a load until the transaction ends; return what one has brought already."""
        return self.find(transaction, load, self._dialect.for_update)

    def find(self, transaction: Transaction, load: Load, lock: str = "") -> Loaded | None:
        """Return what a load has brought, if it is finished.

        :param lock: what the query ends with.
        """
        loads = transaction.rows(
            f"SELECT loaded_at, {self._dialect.quote('rows')}, inserted, updated, unchanged, removed, misfits "
            f"FROM {self._relation} WHERE load_id = ?{lock}",
            [load.load_id],
        )
        if not loads or loads[0][0] is None:
            return None
        _, rows, inserted, updated, unchanged, removed, misfits = loads[0]
        odd = Oddities.read(misfits)
        return Loaded(load, rows, inserted, updated, unchanged, removed, odd.misfits, odd.new_fields)

    def reached(self, transaction: Transaction, target: str, cloud_id: int) -> datetime | None:
        """Return where the last finished load of a table and cloud ends, if there is one."""
        if self._dialect.existing(transaction, self._schema, LOADS) is None:
            return None
        end = f"max({self._dialect.quote('until')})"
        query = f"SELECT {end} FROM {self._relation} WHERE target = ? AND cloud_id = ? AND loaded_at IS NOT NULL"
        ((until,),) = transaction.rows(query, [target, cloud_id])
        return None if until is None else utc(until)

    def finish(
        self,
        transaction: Transaction,
        load: Load,
        rows: int,
        merged: Merged,
        oddities: Oddities,
        requests: int,
        now: datetime,
    ) -> Loaded:
        """Note what a load has brought.

        :param now: by the database's clock.
        """
        loaded = Loaded(
            load,
            rows,
            merged.inserted,
            merged.updated,
            merged.unchanged,
            merged.removed,
            oddities.misfits,
            oddities.new_fields,
        )
        done = {
            "rows": rows,
            "inserted": loaded.inserted,
            "updated": loaded.updated,
            "unchanged": loaded.unchanged,
            "removed": loaded.removed,
            "misfits": oddities.written(),
            "requests": requests,
            "loaded_at": self._dialect.moment(now),
        }
        self._update(transaction, load, done)
        return loaded

    def check_tables(self, transaction: Transaction, tables: Sequence[SqlTable], entity: str) -> None:
        """Raise if a table is filled by another entity, or known by another name.

        :param tables: those of a load of the entity, its target first.
        :raises DotyposInputError: if one is.
        """
        loads = [
            (msgspec.json.decode(text), other)
            for text, other in transaction.rows(f"SELECT DISTINCT tables, entity FROM {self._relation}")
        ]
        self._check_names(transaction, tables, {name for names, _ in loads for name in names})
        _check_feeds([table.full_name for table in tables], entity, loads)

    def check_feeds_alone(self, transaction: Transaction, load: Load) -> None:
        """Raise unless a load's shape is the only one that has filled its table with rows of the cloud.

        :raises DotyposInputError: if it isn't.
        """
        others = transaction.rows(
            f"SELECT 1 FROM {self._relation} WHERE target = ? AND cloud_id = ? AND shape <> ?",
            [load.target, load.cloud_id, load.shape],
        )
        if others:
            raise DotyposInputError(
                f"mode='replace' with a filter would remove rows of the table {load.target} that loads with another "
                "filter, other columns or lists, or without a filter may have brought: load into a table of its own"
            )

    def check_fields(self, transaction: Transaction, load: Load, staging: str) -> None:
        """Raise if rows are staged that are older than a load of other fields that was merged meanwhile.

        Of a row that both have read, the later reading counts, and it lacks some of the other's fields.

        :param staging: the staging table of the load's target.
        :raises OtherFieldsError: if there are.
        """
        first = f"SELECT MIN({self._dialect.quote(READ_AT)}) FROM {staging}"
        if transaction.rows(
            f"SELECT 1 FROM {self._relation} WHERE target = ? AND cloud_id = ? AND fields <> ? "
            f"AND loaded_at >= ({first})",
            [load.target, load.cloud_id, load.fields],
        ):
            raise OtherFieldsError

    def open_loads(self, transaction: Transaction, since: datetime) -> set[str]:
        """Return the ids of loads that aren't finished, and that were tried at a time or later."""
        query = f"SELECT load_id FROM {self._relation} WHERE loaded_at IS NULL AND tried_at >= ?"
        return {load_id for (load_id,) in transaction.rows(query, [self._dialect.moment(since)])}

    def forget(self, transaction: Transaction, target: str, gone: Set[str]) -> None:
        """Forget what has gone into tables that don't exist any more, so that it is loaded anew.

        :param target: an entity's own table. If it is gone, all that is remembered of it is forgotten. If one for a
            child list of its loads is, they count as not done, and the watermark is forgotten.
        :param gone: the names of tables that don't exist, or not yet.
        """
        if not gone:
            return
        if target in gone:
            for name in (LOADS, STATE, REMOVED):
                self._delete(transaction, name, target)
            return
        loads = transaction.rows(f"SELECT DISTINCT tables FROM {self._relation} WHERE target = ?", [target])
        if not gone.isdisjoint(name for (tables,) in loads for name in msgspec.json.decode(tables)):
            transaction.execute(f"UPDATE {self._relation} SET loaded_at = NULL WHERE target = ?", [target])
            self._delete(transaction, STATE, target)

    def _check_names(self, transaction: Transaction, tables: Sequence[SqlTable], known: Set[str]) -> None:
        """Raise if a table is known by another name, such as with its schema: what is remembered of it has that name.

        :param known: the names of all tables that loads have filled.
        """
        for table in tables:
            for name in sorted(known - {table.full_name}):
                schema, _, last = name.rpartition(".")
                if last.casefold() != table.name.casefold():
                    continue
                names = [(schema or None, last), (table.schema, table.name)]
                named, own = (self._dialect.identify(transaction, *place) for place in names)
                if named == own:
                    raise DotyposInputError(
                        f"other loads name the table {table.full_name} as {name}: give table and schema as they do"
                    )

    def _delete(self, transaction: Transaction, name: str, target: str) -> None:
        if self._dialect.existing(transaction, self._schema, name) is None:
            return  # where what creates a table is committed at once, a task may have died before it created them all
        relation = self._dialect.relation(self._schema, name)
        transaction.execute(f"DELETE FROM {relation} WHERE target IN (?, ?)", [target, f"{target}/*"])

    def _update(self, transaction: Transaction, load: Load, values: Mapping[str, object]) -> None:
        columns = ", ".join(f"{self._dialect.quote(name)} = ?" for name in values)
        update = f"UPDATE {self._relation} SET {columns} WHERE load_id = ?"
        transaction.execute(update, [*values.values(), load.load_id])

    def _time(self, milliseconds: int | None) -> object:
        if milliseconds is None:
            return None
        return self._dialect.moment(datetime.fromtimestamp(milliseconds / 1000, timezone.utc))


def _digest(identity: object) -> str:
    return hashlib.sha256(msgspec.json.encode(identity)).hexdigest()[:16]


def _check_feeds(load_tables: Sequence[str], entity: str, loads: Iterable[tuple[Sequence[str], str]]) -> None:
    """Raise if a table is filled by another entity, by its own list or as what other rows include.

    Rows of two entities may have the same ids. Of one entity's list and included rows it is unknown which shows a
    change first, so an older version could win.

    :param load_tables: the names of the tables of a load of the entity, its target first.
    :param loads: the same of all loads, and their entities.
    """
    for (target, *children), other in loads:
        if other == entity:
            continue
        if target == load_tables[0]:
            raise DotyposInputError(
                f"the table {target} holds {other}, and {entity} may have the same ids: give {entity} another table"
            )
        if both := ({target} & set(load_tables[1:])) | (set(children) & {load_tables[0]}):
            raise DotyposInputError(
                f"the table {both.pop()} is filled by {other} and would be by {entity}, too: one with include, the "
                "other by its own list. Choose one of both, or give one of them another table"
            )


def load_shape(selection: Selection) -> str:
    """Return what keeps loads of other rows or columns apart."""
    return selection.shape("sql")


def utc(value: Any) -> datetime:
    """Return a time as a driver gives it: as text, without a zone, or with one."""
    moment = datetime.fromisoformat(value.replace("Z", "+00:00")) if isinstance(value, str) else value
    assert isinstance(moment, datetime)
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)
