"""Which rows were removed, in which version: statements, as values. They let no older version bring a row back.

In all of them ``r`` is the table of removed rows, ``s`` a staging table, and ``t`` its target.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_dotypos.transfers.sql.merge_statements import Statement, TableStatements, newer
from airflow_provider_dotypos.transfers.sql.names import LOAD_ID, READ_AT, REMOVED

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect
    from airflow_provider_dotypos.transfers.sql.tables import SqlTable

#: The columns of the table's key besides the target's name.
_KEY = ("cloud_id", "parent_id", "id")

#: Those of the versions' cursors.
_CURSORS = ("cursor_1", "cursor_2")


@dataclass(frozen=True)
class RemovalStatements:
    """Statements about the removed rows of one cloud in one target table.

    :param schema: of our own tables.
    """

    rows: TableStatements
    schema: str | None
    cloud_id: int

    @functools.cached_property
    def target(self) -> str:
        """What the table of removed rows calls the target."""
        table = self._table
        return table.name if table.schema is None else f"{table.schema}.{table.name}"

    def find_any(self) -> Statement:
        """Look for a removed row."""
        return Statement(
            f"SELECT 1 FROM {self._relation} AS r WHERE {self._of_target} LIMIT 1", (self.target, self.cloud_id)
        )

    def unstage_removed(self) -> Statement:
        """Delete the staged rows that are older than their removal.

        A row that a snapshot lacked was gone then, whatever version of it was read before.
        """
        rows = self.rows
        read_at = self._removed("read_at")
        later = newer([*map(self._removed, _CURSORS[: len(self._table.cursors)]), read_at], rows.version("s"))
        return rows.unstage(
            f"SELECT {rows.row('s')} FROM {rows.staging} AS s JOIN {self._relation} AS r ON {self._same('s')} "
            f"WHERE {self._of_target} AND CASE WHEN {self._removed('absent')} "
            f"THEN {read_at} > {rows.column('s', READ_AT)} ELSE {later} END",
            (self.target, self.cloud_id),
        )

    def forget_staged(self) -> Statement:
        """Delete the removals of rows that are staged: each has a newer version now."""
        return self._forget(f"{self.rows.staging} AS s", "s", "1 = 1", ())

    def remember_deleted(self) -> Statement:
        """Insert the removals of rows that are staged as deleted."""
        rows = self.rows
        read_at, deleted = rows.column("s", READ_AT), rows.is_deleted("s")
        return self._remember(f"{rows.staging} AS s WHERE {deleted}", "s", read_at, "FALSE", ())

    def forget_absent(self, absent: Absent) -> Statement:
        """Delete earlier removals of rows that a snapshot lacks."""
        return self._forget(f"{self.rows.target} AS t", "t", absent.condition, absent.parameters)

    def remember_absent(self, absent: Absent) -> Statement:
        """Insert the removals of rows that a snapshot lacks."""
        parameters = (absent.begun_at, *absent.parameters)
        return self._remember(f"{self.rows.target} AS t WHERE {absent.condition}", "t", "?", "TRUE", parameters)

    def delete_absent(self) -> Statement:
        """Delete the rows that `remember_absent` has noted."""
        return Statement(
            self._dialect.delete(self.rows.target, self._table.key, self._noted(self._key)), self._noting
        )

    def delete_children(self, children: TableStatements) -> Statement:
        """Delete the children of the rows that `remember_absent` has noted."""
        table = children.table
        assert table.parent is not None, table.name
        sql = self._dialect.delete(children.target, [table.key[0], table.parent], self._noted(self._key))
        return Statement(sql, self._noting)

    def mark_absent(self, begun_at: object) -> Statement:
        """Mark the rows that `remember_absent` has noted as removed."""
        dialect, table = self._dialect, self._table
        assert table.removed is not None, table.name
        return Statement(
            f"UPDATE {self.rows.target} SET {dialect.quote(table.removed)} = ?, {dialect.quote(LOAD_ID)} = ? "
            f"WHERE ({dialect.listed(table.key)}) IN ({self._noted(self._key)})",
            (begun_at, self.rows.load_id, *self._noting),
        )

    @property
    def _dialect(self) -> Dialect:
        return self.rows.dialect

    @property
    def _table(self) -> SqlTable:
        return self.rows.table

    @property
    def _relation(self) -> str:
        return self._dialect.relation(self.schema, REMOVED)

    @property
    def _key(self) -> tuple[str, ...]:
        """Where the target's key stands in the table of removed rows."""
        return _KEY if len(self._table.key) == len(_KEY) else (_KEY[0], _KEY[-1])

    @property
    def _of_target(self) -> str:
        return f"{self._removed('target')} = ? AND {self._removed('cloud_id')} = ?"

    def _removed(self, name: str) -> str:
        return self.rows.column("r", name)

    def _same(self, alias: str) -> str:
        """Return a condition: a removal is of a row of an alias."""
        keys = zip(self._key, self._table.key, strict=True)
        return " AND ".join(f"{self._removed(own)} = {self.rows.column(alias, key)}" for own, key in keys)

    def _noted(self, names: tuple[str, ...]) -> str:
        """Return a query of what a snapshot lacked in this load."""
        return (
            f"SELECT {self.rows.columns('r', names)} FROM {self._relation} AS r WHERE {self._of_target} "
            f"AND {self._removed('load_id')} = ? AND {self._removed('absent')}"
        )

    @property
    def _noting(self) -> tuple[object, ...]:
        return self.target, self.cloud_id, self.rows.load_id

    def _forget(self, source: str, alias: str, condition: str, parameters: tuple[object, ...]) -> Statement:
        key = ("target", *_KEY)
        keys = (
            f"SELECT {self.rows.columns('r', key)} FROM {source} JOIN {self._relation} AS r ON {self._same(alias)} "
            f"WHERE {self._of_target} AND {condition}"
        )
        return Statement(
            self._dialect.delete(self._relation, key, keys), (self.target, self.cloud_id, *parameters)
        )

    def _remember(
        self, source: str, alias: str, read_at: str, absent: str, parameters: tuple[object, ...]
    ) -> Statement:
        names = dict(zip(self._key, self._table.key, strict=True)) | dict(zip(_CURSORS, self._table.cursors))
        values: Mapping[str, str] = {
            "target": "?",
            "parent_id": "0",
            **{own: self.rows.column(alias, name) for own, name in names.items()},
            "load_id": "?",
            "absent": absent,
            "read_at": read_at,
        }
        return Statement(
            f"INSERT INTO {self._relation} ({self._dialect.listed(values)}) SELECT {', '.join(values.values())} "
            f"FROM {source}",
            (self.target, self.rows.load_id, *parameters),
        )


@dataclass(frozen=True)
class Absent:
    """The rows of a target that a snapshot lacks, as a condition on ``t``.

    :param begun_at: when its walk began, as a parameter. What was read later may be newer than the walk.
    """

    condition: str
    parameters: tuple[object, ...]
    begun_at: object

    @classmethod
    def of(cls, rows: TableStatements, cloud_id: int, scope: Mapping[str, object], begun_at: object) -> Absent:
        """Return the rows that a staging table lacks.

        :param scope: values of columns that rows must have besides the cloud's id.
        """
        own = {rows.table.key[0]: cloud_id, **scope}
        conditions = [f"{rows.column('t', name)} = ?" for name in own]
        conditions.append(f"{rows.column('t', READ_AT)} < ?")
        if rows.table.removed is not None:
            conditions.append(f"{rows.column('t', rows.table.removed)} IS NULL")
        conditions.append(f"NOT EXISTS (SELECT 1 FROM {rows.staging} AS s WHERE {rows.same_key('s', 't')})")
        return cls(" AND ".join(conditions), (*own.values(), begun_at), begun_at)

    def find_any(self, rows: TableStatements) -> Statement:
        """Look for one of the rows."""
        return Statement(f"SELECT 1 FROM {rows.target} AS t WHERE {self.condition} LIMIT 1", self.parameters)
