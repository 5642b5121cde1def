"""The statements of a merge, as values: no database is asked.

In all of them ``t`` is a target table, and ``s`` its staging table. Others of their rows are ``o``. In those of a child
list ``p`` is the staging table of its parents.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_dotypos.transfers.sql.names import LOAD_ID, READ_AT

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect
    from airflow_provider_dotypos.transfers.sql.tables import SqlTable


class Statement(NamedTuple):
    """A statement and its parameters."""

    sql: str
    parameters: tuple[object, ...] = ()


@dataclass(frozen=True)
class TableStatements:
    """Statements that merge one staging table into its target.

    :param staging: the staging table's name, quoted and with its schema.
    """

    dialect: Dialect
    table: SqlTable
    staging: str
    load_id: str

    @functools.cached_property
    def target(self) -> str:
        """The target's name, quoted and with its schema."""
        return self.dialect.relation(self.table.schema, self.table.name)

    def count_staged(self) -> Statement:
        """Count the staged rows."""
        return Statement(f"SELECT COUNT(*) FROM {self.staging}")

    def find_duplicates(self, key: Sequence[str] | None = None) -> Statement:
        """Look for a key of which several versions are staged.

        :param key: by default the table's key.
        """
        columns = self.columns("s", key or self.table.key)
        return Statement(f"SELECT 1 FROM {self.staging} AS s GROUP BY {columns} HAVING COUNT(*) > 1 LIMIT 1")

    def delete_duplicates(self, key: Sequence[str] | None = None) -> Statement:
        """Delete all staged versions of a key but the newest.

        :param key: by default the table's key.
        """
        *cursors, read_at = self.version("s")
        newest = ", ".join((*(f"{cursor} IS NULL, {cursor} DESC" for cursor in cursors), f"{read_at} DESC"))
        ranked = (
            f"SELECT {self.row('s')}, ROW_NUMBER() OVER (PARTITION BY {self.columns('s', key or self.table.key)} "
            f"ORDER BY {newest}) AS place FROM {self.staging} AS s"
        )
        return self.unstage(f"SELECT {self.row('ranked')} FROM ({ranked}) AS ranked WHERE place > 1")

    def delete_older(self) -> Statement:
        """Delete the staged rows of which the target has a newer version."""
        return self.unstage(
            f"SELECT {self.row('s')} FROM {self.staging} AS s JOIN {self.target} AS t ON {self.same_key('t', 's')} "
            f"WHERE {newer(self.version('t'), self.version('s'))}"
        )

    def update_changed(self) -> Statement:
        """Update the rows that staged ones differ from and aren't older than."""
        return self._update(self._changed, self._updated)

    def update_read_at(self, keys: str) -> Statement:
        """Note when rows were read, of which nothing else is to be updated.

        :param keys: a query of their keys.
        """
        later = f"{self.column('t', READ_AT)} <> {self.column('s', READ_AT)}"
        among = f"({self.columns('s', self.table.key)}) IN ({keys})"
        return self._update(f"{later} AND {among}", {READ_AT: self.column("s", READ_AT)})

    def insert_missing(self, *, deleted: bool) -> Statement:
        """Insert the staged rows whose keys the target lacks.

        :param deleted: whether those that the API shows as deleted are rows, too.
        """
        missing = f"NOT EXISTS (SELECT 1 FROM {self.target} AS t WHERE {self.same_key('t', 's')})"
        return self._insert(missing if deleted else f"{missing} AND NOT {self.is_deleted('s')}")

    def update_and_insert(self, *, deleted: bool) -> Statement:
        """Do both by one statement, whose rows are how many there were of each: see `Dialect.has_merge`."""
        updated, inserted = ({**values, LOAD_ID: "?"} for values in (self._updated, self._inserted))
        assignments = ", ".join(f"{self.dialect.quote(name)} = {value}" for name, value in updated.items())
        living = "" if deleted else f" AND NOT {self.is_deleted('s')}"
        return Statement(
            f"WITH merged AS (MERGE INTO {self.target} AS t USING {self.staging} AS s ON {self.same_key('t', 's')} "
            f"WHEN MATCHED AND {self._changed} THEN UPDATE SET {assignments} "
            f"WHEN NOT MATCHED{living} THEN INSERT ({self.dialect.listed(inserted)}) "
            f"VALUES ({', '.join(inserted.values())}) RETURNING merge_action() AS done) "
            "SELECT COUNT(*) FILTER (WHERE done = 'INSERT'), COUNT(*) FILTER (WHERE done = 'UPDATE') FROM merged",
            (self.load_id, self.load_id),
        )

    def delete_removed(self) -> Statement:
        """Delete the rows that are staged as deleted."""
        keys = f"SELECT {self.columns('s', self.table.key)} FROM {self.staging} AS s WHERE {self.is_deleted('s')}"
        return Statement(self.dialect.delete(self.target, self.table.key, keys))

    def delete_repeated(self) -> Statement:
        """Delete the staged rows that say the same as one of their key that was read before."""
        before = f"{self.column('o', READ_AT)} < {self.column('s', READ_AT)}"
        return self.unstage(
            f"SELECT {self.row('s')} FROM {self.staging} AS s JOIN {self.staging} AS o "
            f"ON {self.same_key('o', 's')} AND {before} WHERE NOT ({self.differs('o', 's')})"
        )

    def append_new(self) -> Statement:
        """Insert the staged rows that say what no row of their key says.

        What has no cursor may say again what it has said before: it is new if another row was read in between.
        """
        says = f"NOT ({self.differs('t', 's')})"
        if not self.table.cursors:
            t, s, o = (self.column(alias, READ_AT) for alias in "tso")
            between = f"({o} > {t} AND {o} < {s} OR {o} > {s} AND {o} < {t})"
            says += (
                f" AND NOT EXISTS (SELECT 1 FROM {self.target} AS o WHERE {self.same_key('o', 's')} AND {between} "
                f"AND ({self.differs('o', 's')}))"
            )
        same_read = f"{self.column('t', READ_AT)} = {self.column('s', READ_AT)}"
        return self._insert(
            f"NOT EXISTS (SELECT 1 FROM {self.target} AS t WHERE {self.same_key('t', 's')} AND ({same_read} OR {says}))"
        )

    # What conditions consist of

    def column(self, alias: str, name: str) -> str:
        """Return a column of an alias."""
        return f"{alias}.{self.dialect.quote(name)}"

    def columns(self, alias: str, names: Iterable[str]) -> str:
        """Return columns of an alias, as a query selects them."""
        return ", ".join(self.column(alias, name) for name in names)

    def same_key(self, left: str, right: str) -> str:
        """Return a condition: two rows have the same key."""
        return " AND ".join(f"{self.column(left, name)} = {self.column(right, name)}" for name in self.table.key)

    def differs(self, left: str, right: str) -> str:
        """Return a condition: two rows of a key don't say the same."""
        ours = {*self.table.key, READ_AT, LOAD_ID, self.table.removed}
        return " OR ".join(
            self.dialect.differs(self.column(left, column.name), self.column(right, column.name), column.kind)
            for column in self.table.columns
            if column.name not in ours
        )

    def is_deleted(self, alias: str) -> str:
        """Return a condition that is never null: the API shows the row as deleted."""
        return "(1 = 0)" if self.table.deleted is None else f"COALESCE({self.column(alias, self.table.deleted)}, FALSE)"

    def version(self, alias: str) -> list[str]:
        """Return what a row's version consists of, the most significant first."""
        return [self.column(alias, name) for name in (*self.table.cursors, READ_AT)]

    def row(self, alias: str) -> str:
        """Return what a staged row is known by."""
        return self.column(alias, self.dialect.row_id)

    @property
    def _changed(self) -> str:
        """A condition: a staged row differs from the target's and isn't older."""
        changed = self.differs("t", "s")
        if (removed := self.table.removed) is not None:
            changed += f" OR ({self.column('t', removed)} IS NULL) = {self.is_deleted('s')}"
        return f"({changed}) AND ({newer(self.version('t'), self.version('s'))}) IS NOT TRUE"

    @property
    def _updated(self) -> dict[str, str]:
        """What columns of the target get. A row that was marked as removed keeps the time of that."""
        values = {name: value for name, value in self._inserted.items() if name not in self.table.key}
        if (removed := self.table.removed) is not None:
            seen = f"COALESCE({self.column('t', removed)}, {self.column('s', READ_AT)})"
            values[removed] = f"CASE WHEN {self.is_deleted('s')} THEN {seen} END"
        return values

    @property
    def _inserted(self) -> dict[str, str]:
        """What columns of a new row get."""
        values = {name: self.column("s", name) for name in self.table.names}
        if (removed := self.table.removed) is not None:
            values[removed] = f"CASE WHEN {self.is_deleted('s')} THEN {self.column('s', READ_AT)} END"
        return values

    def unstage(self, rows: str, parameters: tuple[object, ...] = ()) -> Statement:
        """Delete staged rows.

        :param rows: a query of what they are known by, see `row`.
        """
        return Statement(self.dialect.delete(self.staging, [self.dialect.row_id], rows), parameters)

    def _update(self, condition: str, values: Mapping[str, str]) -> Statement:
        values = {**values, LOAD_ID: "?"}
        on = f"{self.same_key('t', 's')} AND {condition}"
        return Statement(self.dialect.update(self.target, self.staging, on, values), (self.load_id,))

    def _insert(self, condition: str) -> Statement:
        values = {**self._inserted, LOAD_ID: "?"}
        return Statement(
            f"INSERT INTO {self.target} ({self.dialect.listed(values)}) SELECT {', '.join(values.values())} "
            f"FROM {self.staging} AS s WHERE {condition}",
            (self.load_id,),
        )


@dataclass(frozen=True)
class ChildStatements:
    """Statements that join the staged rows of a child list with those of its parents, which decide.

    A page brings a parent with its children, so they have the same `READ_AT`. After `delete_older` the parents that are
    staged are those that won.
    """

    parents: TableStatements
    rows: TableStatements

    def delete_strays(self, *, deleted: bool) -> Statement:
        """Delete the staged children that no staged parent has brought.

        :param deleted: whether to delete those that the API shows as deleted, too, and those of such parents.
        """
        rows = self.rows
        brought = f"{self._below('s')} AND {self.parents.column('p', READ_AT)} = {rows.column('s', READ_AT)}"
        if deleted:
            brought += f" AND NOT {self.parents.is_deleted('p')}"
        staged = f"SELECT {rows.row('s')} FROM {rows.staging} AS s WHERE "
        strays = f"{staged}NOT EXISTS (SELECT 1 FROM {self.parents.staging} AS p WHERE {brought})"
        if deleted:  # not by OR, which would look for the parent of each child one by one
            strays += f" UNION ALL {staged}{rows.is_deleted('s')}"
        return rows.unstage(strays)

    def delete_missing(self) -> Statement:
        """Delete the children of staged parents that aren't staged themselves."""
        rows = self.rows
        keys = f"SELECT {rows.columns('t', rows.table.key)}{self._missing()}"
        return Statement(rows.dialect.delete(rows.target, rows.table.key, keys))

    def parents_of_missing(self) -> str:
        """Return a query of the keys of staged parents with children that `delete_missing` deletes."""
        return f"SELECT {self.parents.columns('p', self.parents.table.key)}{self._missing()}"

    def parents_of_changed(self) -> str:
        """Return a query of the keys of staged parents with staged children that are new or differ."""
        rows = self.rows
        return (
            f"SELECT {rows.columns('s', self._parent)} FROM {rows.staging} AS s LEFT JOIN {rows.target} "
            f"AS t ON {rows.same_key('t', 's')} WHERE {rows.column('t', rows.table.key[0])} IS NULL "
            f"OR {rows.differs('t', 's')}"
        )

    @property
    def _parent(self) -> tuple[str, str]:
        """The columns of a child that hold its parent's key."""
        assert self.rows.table.parent is not None, self.rows.table.name
        return self.rows.table.key[0], self.rows.table.parent

    def _below(self, alias: str) -> str:
        """Return a condition: a child is one of the parent ``p``."""
        keys = zip(self._parent, self.parents.table.key, strict=True)
        return " AND ".join(f"{self.parents.column('p', key)} = {self.rows.column(alias, own)}" for own, key in keys)

    def _missing(self) -> str:
        rows = self.rows
        return (
            f" FROM {self.parents.staging} AS p JOIN {rows.target} AS t ON {self._below('t')} "
            f"WHERE NOT EXISTS (SELECT 1 FROM {rows.staging} AS s WHERE {rows.same_key('s', 't')})"
        )


def newer(left: Sequence[str], right: Sequence[str]) -> str:
    """Return a condition: the left version is newer than the right one; nulls are lowest.

    :param left: see `TableStatements.version`.
    """
    condition = f"{left[-1]} > {right[-1]}"
    for mine, other in zip(reversed(left[:-1]), reversed(right[:-1]), strict=True):
        same = f"{mine} = {other} OR {mine} IS NULL AND {other} IS NULL"
        condition = f"({mine} > {other} OR {mine} IS NOT NULL AND {other} IS NULL OR ({same}) AND {condition})"
    return condition
