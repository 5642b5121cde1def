"""The merge of staged rows into their tables: newer wins, in any order of windows.

A row's versions are ordered by its cursors and then by `READ_AT`, nulls lowest. Of each key a table, or the table of
removed rows, holds the newest version that was merged so far. What is staged counts unless it is older than that, so
the order of merges doesn't matter. What counts and says the same as the table's row leaves that untouched.

There is one exception to the order, because an untouched row keeps its `READ_AT`: a row that says A, then B, then A
again under one cursor, merged as first, third, second, ends as B. What a row's children say counts as its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.transfers.sql.merge_statements import ChildStatements, Statement, TableStatements
from airflow_provider_dotypos.transfers.sql.names import READ_AT
from airflow_provider_dotypos.transfers.sql.removals import AbsentStatements, RemovalStatements

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect
    from airflow_provider_dotypos.transfers.sql.tables import Deletes, SqlTable
    from airflow_provider_dotypos.transfers.sql.transaction import Transaction

#: What becomes of rows: merged by key, appended as every version read, or merged with all that is missing removed.
Mode: TypeAlias = Literal["upsert", "append", "replace"]


@dataclass(frozen=True)
class Staged:
    """A table and the staging table with its rows.

    :param staging: its name, quoted and with its schema.
    """

    table: SqlTable
    staging: str


@dataclass(frozen=True)
class Merge:
    """What to merge and how.

    :param tables: the entity's own table first, then those of its child lists.
    :param begun_at: when the walk began, by the database's clock: with ``mode="replace"`` rows that were read before
        it and aren't staged are gone.
    :param schema: where our own tables lie; ``None``: the connection's own.
    :param scope: with ``mode="replace"``: values of columns that rows must have to be removed besides the cloud's id,
        such as the warehouse's id.
    """

    cloud_id: int
    load_id: str
    mode: Mode
    deletes: Deletes
    tables: Sequence[Staged]
    begun_at: datetime
    schema: str | None = None
    scope: Mapping[str, object] = field(default_factory=dict)
    allow_empty: bool = False


@dataclass(frozen=True)
class Merged:
    """What a merge has done to the entity's own table.

    :param unchanged: how many keys were staged that changed nothing.
    """

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0


def lock_tables(transaction: Transaction, dialect: Dialect, tables: Iterable[SqlTable], schema: str | None) -> None:
    """Let no other merge into the same tables begin until this transaction ends.

    :param schema: of our own tables.
    """
    for table in sorted(tables, key=lambda table: table.name):  # all in one order, so that none waits in a circle
        dialect.lock(transaction, dialect.relation(table.schema, table.name), schema)


def merge(transaction: Transaction, dialect: Dialect, what: Merge) -> Merged:
    """Merge staged rows into their tables, in a transaction that holds the locks of the tables.

    What staging holds afterwards is of no use.

    :raises DotyposInputError: if an empty snapshot would empty a table.
    """
    for statement in dialect.begin_merge:
        transaction.rows(statement)
    merger = _Merger(transaction, dialect, what)
    return merger.append() if what.mode == "append" else merger.merge()


class _Merger:
    def __init__(self, transaction: Transaction, dialect: Dialect, what: Merge) -> None:
        self._transaction = transaction
        self._what = what
        self._has_merge = dialect.has_merge(transaction)
        self._begun_at = dialect.moment(what.begun_at)
        self._rows, *children = (
            TableStatements(dialect, staged.table, staged.staging, what.load_id) for staged in what.tables
        )
        self._children = [ChildStatements(self._rows, table) for table in children]
        self._removals = RemovalStatements(self._rows, what.schema, what.cloud_id)
        self._removes = what.deletes == "remove" and self._rows.table.deleted is not None

    def append(self) -> Merged:
        for children in self._children:
            self._append(children.rows)
        return self._append(self._rows)

    def merge(self) -> Merged:
        rows = self._rows
        self._delete_duplicates(rows)
        staged = self._count(rows)
        absent = self._remove_absent(empty=not staged) if self._what.mode == "replace" else 0
        self._delete_losers()
        removed = self._remove_deleted() if self._removes else 0
        inserted, updated = self._upsert(rows, deleted=not self._removes)
        updated += sum(self._settle_children(children) for children in self._children)
        for children in self._children:
            self._upsert(children.rows)
        if self._what.mode == "replace":
            self._remember_walk()
        return Merged(inserted, updated, staged - inserted - updated - removed, removed + absent)

    def _append(self, rows: TableStatements) -> Merged:
        staged = self._count(rows)
        self._delete_duplicates(rows, (*rows.table.key, READ_AT))
        self._execute(rows.delete_repeated())
        inserted = self._execute(rows.append_new())
        return Merged(inserted, unchanged=staged - inserted)

    def _remove_absent(self, *, empty: bool) -> int:
        """Remove or mark the rows that staging lacks; return how many."""
        what = self._what
        absent = AbsentStatements(self._rows, what.cloud_id, self._begun_at, what.scope)
        if empty and not what.allow_empty and self._query(absent.find_any()):
            raise DotyposInputError(
                f"the API shows no {self._rows.table.entity}, but the table {self._rows.table.name} has some. To "
                "remove them all, set allow_empty=True for one run"
            )
        if self._rows.table.removed is not None:
            return self._execute(absent.mark())
        for children in self._children:
            self._execute(absent.delete_children(children.rows))
        return self._execute(absent.delete())

    def _remember_walk(self) -> None:
        """Note that what was read before this walk and isn't in the table was gone by then.

        A walk that was limited to other columns than the key's doesn't say that.
        """
        scope, parent = dict(self._what.scope), self._rows.table.key[1:-1]
        parent_id = int(str(scope.pop(parent[0], 0))) if parent else 0
        if not scope:
            insert, update = self._removals.remember_walk(self._begun_at, parent_id)
            self._execute(insert)
            self._execute(update)

    def _delete_duplicates(self, rows: TableStatements, key: Sequence[str] | None = None) -> None:
        """Leave the newest version of each key staged. Most often there is but one, which is quicker to see."""
        if self._query(rows.find_duplicates(key)):
            self._execute(rows.delete_duplicates(key))

    def _delete_losers(self) -> None:
        """Leave those rows staged that count: no newer version was merged or removed.

        If nothing else hangs on them, updating passes over what is older.
        """
        anything_removed = self._query(self._removals.find_any())
        if anything_removed:
            self._execute(self._removals.unstage_removed())
            self._execute(self._removals.unstage_gone())
        if anything_removed or self._removes or self._children:
            self._execute(self._rows.delete_older())
        if anything_removed:
            self._execute(self._removals.forget_staged())

    def _remove_deleted(self) -> int:
        """Remove the rows that are staged as deleted; return how many the table held."""
        self._execute(self._removals.remember_deleted())
        return self._execute(self._rows.delete_removed())

    def _upsert(self, rows: TableStatements, *, deleted: bool = True) -> tuple[int, int]:
        """Bring staged rows into their table; return how many were inserted and updated."""
        if self._has_merge:
            ((inserted, updated),) = self._query(rows.update_and_insert(deleted=deleted))
            return inserted, updated
        updated = self._execute(rows.update_changed())
        return self._execute(rows.insert_missing(deleted=deleted)), updated

    def _settle_children(self, children: ChildStatements) -> int:
        """Leave those children staged that count, and delete those that their parents have lost.

        :return: how many parents nothing but their children changed of.
        """
        rows = children.rows
        self._execute(children.delete_strays(deleted=self._removes))
        self._delete_duplicates(rows)
        updated = self._execute(self._rows.update_read_at(children.parents_of_missing()))
        self._execute(children.delete_missing())
        self._execute(rows.delete_older())
        return updated + self._execute(self._rows.update_read_at(children.parents_of_changed()))

    def _execute(self, statement: Statement) -> int:
        return self._transaction.execute(statement.sql, statement.parameters)

    def _query(self, statement: Statement) -> list[tuple[Any, ...]]:
        return self._transaction.rows(statement.sql, statement.parameters)

    def _count(self, rows: TableStatements) -> int:
        ((count,),) = self._transaction.rows(rows.count_staged().sql)
        return int(count)
