"""Merges of small tables on real databases: what is staged is given as rows, and what tables hold comes as rows."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_provider_dotypos.transfers.sql.database import Database
from airflow_provider_dotypos.transfers.sql.merge import Merge, Merged, Mode, Staged, lock_tables, merge
from airflow_provider_dotypos.transfers.sql.names import LOAD_ID, READ_AT, REMOVED, REMOVED_AT
from airflow_provider_dotypos.transfers.sql.own_tables import own_tables
from airflow_provider_dotypos.transfers.sql.tables import Deletes, SqlColumn, SqlTable
from airflow_provider_dotypos.transfers.sql.transaction import Transaction
from tests.transfers.sql.databases import Warehouse

#: The moments of tests are seconds from here.
EPOCH = datetime(2026, 1, 1, tzinfo=timezone.utc)

CLOUD = 7


@dataclass(frozen=True)
class Row:
    """A row as the API showed it.

    :param at: its cursor, in seconds; ``None``: it has none.
    :param stock: its first cursor, if its table has two.
    :param read: when it was read, in seconds.
    :param below: its parent's id, of a child.
    """

    id: int
    says: str | None = "a"
    at: int | None = 0
    read: int = 0
    stock: int | None = None
    deleted: bool | None = False
    below: int | None = None
    cloud: int = CLOUD


def orders(*, deletes: Deletes = "keep", cursors: int = 1, name: str = "orders", versions: bool = False) -> SqlTable:
    """Return a table with a column of each kind that is compared in a way of its own.

    :param cursors: how many cursors it has: none, one or two.
    """
    removed = (SqlColumn(REMOVED_AT, "timestamp"),) if deletes == "mark" else ()
    columns = (
        SqlColumn("cloud_id", "long", required=True),
        SqlColumn("id", "long", "id", required=True),
        SqlColumn("says", "text", "says"),
        SqlColumn("deleted", "boolean", "deleted"),
        SqlColumn("stock_date", "timestamp", "stockDate"),
        SqlColumn("version_date", "timestamp", "versionDate"),
        SqlColumn(READ_AT, "timestamp", required=True),
        SqlColumn(LOAD_ID, "name", required=True),
        SqlColumn("_unknown", "json"),
        *removed,
    )
    names = ("stock_date", "version_date")[2 - cursors :] if cursors else ()
    return SqlTable(None, name, "orders", columns, ("cloud_id", "id"), names, "deleted", versions=versions)


def items(parents: SqlTable) -> SqlTable:
    """Return the table of a child list."""
    columns = [*parents.columns]
    columns.insert(2, SqlColumn("order_id", "long", "_orderId"))
    return replace(
        parents,
        name="order_items",
        entity="order-items",
        columns=tuple(columns),
        parent="order_id",
        indexes=(("cloud_id", "order_id"),),
    )


@dataclass
class Place:
    """A database with tables to merge into.

    :param tables: the entity's own, then that of a child list.
    """

    warehouse: Warehouse
    tables: Sequence[SqlTable]
    deletes: Deletes = "keep"
    loads: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.database = Database.of("warehouse", 8)
        self.dialect = self.database.dialect
        with self.database.transaction() as transaction:
            for table in (*self.tables, *own_tables(None)):
                relation = self.dialect.relation(None, table.name)
                transaction.execute(self.dialect.create_table(relation, table.columns, table.primary_key))

    def load(
        self,
        rows: Iterable[Row],
        children: Iterable[Row] = (),
        *,
        mode: Mode = "upsert",
        begun: int = 0,
        scope: Mapping[str, object] | None = None,
        allow_empty: bool = False,
        cloud: int = CLOUD,
    ) -> Merged:
        """Stage rows and merge them."""
        load = next(self.loads)
        what = self.what(load, mode, begun=begun, scope=scope, allow_empty=allow_empty, cloud=cloud)
        if not self.dialect.transactional_ddl:
            self.database.run(lambda transaction: self.stage(transaction, what, rows, children))
            merged = self.database.run(lambda transaction: self.merge(transaction, what))
            self.database.run(lambda transaction: self.drop(transaction, what))
            return merged
        with self.database.transaction() as transaction:
            self.stage(transaction, what, rows, children)
            merged = self.merge(transaction, what)
            self.drop(transaction, what)
        return merged

    def what(
        self,
        load: int,
        mode: Mode = "upsert",
        *,
        begun: int = 0,
        scope: Mapping[str, object] | None = None,
        allow_empty: bool = False,
        cloud: int = CLOUD,
    ) -> Merge:
        """Return what to merge, with the names of staging tables."""
        tables = [
            Staged(table, self.dialect.relation(None, f"_dotypos_staging_{table.name}_{load}")) for table in self.tables
        ]
        return Merge(cloud, f"load {load}", mode, self.deletes, tables, at(begun), None, scope or {}, allow_empty)

    def stage(self, transaction: Transaction, what: Merge, rows: Iterable[Row], children: Iterable[Row] = ()) -> None:
        """Fill staging tables with rows."""
        for staged, staging_rows in zip(what.tables, (rows, children), strict=False):
            for statement in self.dialect.create_staging(staged.table, staged.staging):
                transaction.execute(statement)
            values = [self.values(staged.table, row) for row in staging_rows]
            if values:
                marks = ", ".join(f"({', '.join('?' for _ in row)})" for row in values)
                names = self.dialect.listed(values[0])
                parameters = [value for row in values for value in row.values()]
                transaction.execute(f"INSERT INTO {staged.staging} ({names}) VALUES {marks}", parameters)

    def merge(self, transaction: Transaction, what: Merge) -> Merged:
        """Merge what is staged."""
        lock_tables(transaction, self.dialect, self.tables, None)
        return merge(transaction, self.dialect, what)

    def drop(self, transaction: Transaction, what: Merge) -> None:
        """Drop the staging tables."""
        for staged in what.tables:
            transaction.execute(f"DROP TABLE {staged.staging}")

    def values(self, table: SqlTable, row: Row) -> dict[str, Any]:
        """Return what a staging table holds of a row."""
        stock, dated = (None if time is None else self.dialect.moment(at(time)) for time in (row.stock, row.at))
        values = {
            "cloud_id": row.cloud,
            "id": row.id,
            "says": row.says,
            "deleted": row.deleted,
            READ_AT: self.dialect.moment(at(row.read)),
            LOAD_ID: "a part",
            "_unknown": json.dumps({"says": row.says}),
            "stock_date": stock,
            "version_date": dated,
        }
        return values if table.parent is None else values | {table.parent: row.below}

    def living(self, cloud: int, table: SqlTable | None = None) -> dict[int, Any]:
        """Return what the rows of a cloud say that weren't marked as removed, by their ids."""
        table = table or self.tables[0]
        living = f" AND {table.removed} IS NULL" if table.removed else ""
        return dict(self.rows(f"SELECT id, says FROM {table.name} WHERE cloud_id = {cloud}{living}"))

    def contents(self, table: SqlTable | None = None) -> dict[int, Any]:
        """Return what rows say, by their ids: with ``deletes="mark"`` also when they were found removed."""
        table = table or self.tables[0]
        columns = ["id", "says", *([REMOVED_AT] if table.removed else [])]
        return {
            row[0]: row[1] if len(row) == 2 else (row[1], moment(row[2]))
            for row in self.rows(f"SELECT {self.dialect.listed(columns)} FROM {table.name}")
        }

    def marks(self) -> set[int]:
        """Return the ids of rows that are remembered as removed."""
        return {row[0] for row in self.rows(f"SELECT id FROM {REMOVED}")}

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self.database.transaction() as transaction:
            return transaction.rows(query)

    def close(self) -> None:
        """Close the connections."""
        self.database.close()


def at(seconds: int) -> datetime:
    """Return a moment."""
    return EPOCH + timedelta(seconds=seconds)


def moment(value: Any) -> int | None:
    """Return a moment that a database holds, as seconds."""
    if value is None:
        return None
    time = datetime.fromisoformat(value.replace("Z", "+00:00")) if isinstance(value, str) else value
    return round((time.replace(tzinfo=time.tzinfo or timezone.utc) - EPOCH).total_seconds())
