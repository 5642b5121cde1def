"""What was removed from a target table: statements, as values. They let no older version bring a row back.

In all of them ``r`` is the table of removed rows, ``s`` a staging table, and ``t`` its target. The table of removed
rows holds two things: in which version a row was deleted, and when the last walk over all rows of a target began. What
was read before that walk and isn't in the target was gone by then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    """Statements about what was removed of one cloud in one target table.

    :param schema: of our own tables.
    """

    rows: TableStatements
    schema: str | None
    cloud_id: int

    def find_any(self) -> Statement:
        """Look for something removed."""
        return Statement(
            f"SELECT 1 FROM {self._relation} AS r WHERE {self._column('target')} IN (?, ?) "
            f"AND {self._column('cloud_id')} = ? LIMIT 1",
            (self._target, self._walked, self.cloud_id),
        )

    def unstage_removed(self) -> Statement:
        """Delete the staged rows that are older than their removal."""
        rows = self.rows
        removed_in = [self._column(name) for name in (*_CURSORS[: len(self._table.cursors)], "read_at")]
        return rows.unstage(
            f"SELECT {rows.row('s')} FROM {rows.staging} AS s JOIN {self._relation} AS r ON {self._same_key} "
            f"WHERE {newer(removed_in, rows.version('s'))}",
            (self._target,),
        )

    def unstage_gone(self) -> Statement:
        """Delete the staged rows that were read before a walk over all rows, and were gone by then."""
        rows = self.rows
        held = rows.same_key("t", "s")
        if self._table.removed is not None:
            held += f" AND {rows.column('t', self._table.removed)} IS NULL"
        places = ", ".join(("0", *(rows.column("s", name) for name in self._parent)))
        return rows.unstage(
            f"SELECT {rows.row('s')} FROM {rows.staging} AS s JOIN {self._relation} AS r "
            f"ON {self._column('target')} = ? AND {self._column('cloud_id')} = {rows.column('s', self._table.key[0])} "
            f"AND {self._column('parent_id')} IN ({places}) "
            f"WHERE {rows.column('s', READ_AT)} < {self._column('read_at')} "
            f"AND NOT EXISTS (SELECT 1 FROM {rows.target} AS t WHERE {held})",
            (self._walked,),
        )

    def forget_staged(self) -> Statement:
        """Delete the removals of staged rows: each has a newer version now."""
        key = ("target", *_KEY)
        keys = (
            f"SELECT {self.rows.columns('r', key)} FROM {self.rows.staging} AS s JOIN {self._relation} AS r "
            f"ON {self._same_key}"
        )
        return Statement(self._dialect.delete(self._relation, key, keys), (self._target,))

    def remember_deleted(self) -> Statement:
        """Insert the removals of rows that are staged as deleted."""
        rows = self.rows
        cursors = dict(zip(_CURSORS, self._table.cursors, strict=False))
        values = {
            "target": "?",
            **self._keys,
            **{own: rows.column("s", name) for own, name in cursors.items()},
            "read_at": rows.column("s", READ_AT),
            "load_id": "?",
        }
        return Statement(
            f"INSERT INTO {self._relation} ({self._dialect.listed(values)}) SELECT {', '.join(values.values())} "
            f"FROM {rows.staging} AS s WHERE {rows.is_deleted('s')}",
            (self._target, rows.load_id),
        )

    def remember_walk(self, begun_at: object, parent_id: int) -> tuple[Statement, Statement]:
        """Note when a walk over all rows began, unless a later one is known: insert that, or update it if it exists.

        :param parent_id: what the walk was limited to; 0: nothing.
        """
        values = {
            "target": self._walked,
            "cloud_id": self.cloud_id,
            "parent_id": parent_id,
            "id": 0,
            "read_at": begun_at,
            "load_id": self.rows.load_id,
        }
        of_place = " AND ".join(f"{self._dialect.quote(name)} = ?" for name in ("target", *_KEY))
        noted = {name: values.pop(name) for name in ("read_at", "load_id")}
        key = tuple(values.values())
        read_at, load_id = map(self._dialect.quote, noted)
        return (
            Statement(self._dialect.insert_new(self._relation, [*values, *noted]), (*key, *noted.values())),
            Statement(
                f"UPDATE {self._relation} SET {read_at} = ?, {load_id} = ? WHERE {of_place} AND {read_at} < ?",
                (*noted.values(), *key, begun_at),
            ),
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
    def _target(self) -> str:
        """What the table of removed rows calls the target."""
        return self._table.full_name

    @property
    def _walked(self) -> str:
        """What it calls all rows of the target."""
        return f"{self._target}/*"

    @property
    def _parent(self) -> tuple[str, ...]:
        """The target's column of the parent in the key, if there is one."""
        return self._table.key[1:-1]

    @property
    def _keys(self) -> Mapping[str, str]:
        """The columns of its key, and what they hold of a staged row."""
        cloud, *parent, id = (self.rows.column("s", name) for name in self._table.key)
        return dict(zip(_KEY, (cloud, *(parent or ["0"]), id), strict=True))

    @property
    def _same_key(self) -> str:
        """A condition: what was removed is a staged row. Its parameter is the target."""
        same = (f"{self._column(own)} = {value}" for own, value in self._keys.items())
        return " AND ".join((f"{self._column('target')} = ?", *same))

    def _column(self, name: str) -> str:
        return self.rows.column("r", name)


@dataclass(frozen=True)
class AbsentStatements:
    """Statements about the rows of a target that a walk over all rows lacked.

    :param begun_at: when the walk began, as a parameter. Rows that were read later may be newer than the walk.
    :param scope: values of columns that rows must have besides the cloud's id.
    """

    rows: TableStatements
    cloud_id: int
    begun_at: object
    scope: Mapping[str, object] = field(default_factory=dict)

    def find_any(self) -> Statement:
        """Look for one of them."""
        return Statement(f"SELECT 1 {self._source} LIMIT 1", self._parameters)

    def delete(self) -> Statement:
        """Delete them."""
        rows = self.rows
        keys = f"SELECT {rows.columns('t', rows.table.key)} {self._source}"
        return Statement(rows.dialect.delete(rows.target, rows.table.key, keys), self._parameters)

    def delete_children(self, children: TableStatements) -> Statement:
        """Delete their children."""
        rows, table = self.rows, children.table
        assert table.parent is not None, table.name
        key = (table.key[0], table.parent)
        own = zip(rows.table.key, key, strict=True)
        columns = ", ".join(f"{rows.column('t', name)} AS {rows.dialect.quote(child)}" for name, child in own)
        sql = rows.dialect.delete(children.target, key, f"SELECT {columns} {self._source}")
        return Statement(sql, self._parameters)

    def mark(self) -> Statement:
        """Mark them as removed."""
        rows, quote = self.rows, self.rows.dialect.quote
        assert rows.table.removed is not None, rows.table.name
        return Statement(
            f"UPDATE {rows.target} AS t SET {quote(rows.table.removed)} = ?, {quote(LOAD_ID)} = ? "
            f"WHERE {self._condition}",
            (self.begun_at, rows.load_id, *self._parameters),
        )

    @property
    def _source(self) -> str:
        return f"FROM {self.rows.target} AS t WHERE {self._condition}"

    @property
    def _condition(self) -> str:
        rows, table = self.rows, self.rows.table
        conditions = [f"{rows.column('t', name)} = ?" for name in (table.key[0], *self.scope)]
        read_at = rows.column("t", READ_AT)
        conditions.append(f"({read_at} < ? OR {read_at} IS NULL)")  # a table may hold rows that no load has brought
        if table.removed is not None:
            conditions.append(f"{rows.column('t', table.removed)} IS NULL")
        conditions.append(f"NOT EXISTS (SELECT 1 FROM {rows.staging} AS s WHERE {rows.same_key('s', 't')})")
        return " AND ".join(conditions)

    @property
    def _parameters(self) -> tuple[object, ...]:
        return self.cloud_id, *self.scope.values(), self.begun_at
