"""Making tables ready for a load, before anything is asked of the API: creating, extending, or refusing them.

A table that is new gets its key, indexes, comments and a view of its living rows. A table that exists gets the columns
that it lacks, at its end. Nothing is dropped, narrowed or replaced, except for the view of living rows when its table
gets columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.transfers.sql.existing import differences, missing_columns
from airflow_provider_dotypos.transfers.sql.names import LIVE, REMOVED_AT
from airflow_provider_dotypos.transfers.sql.own_tables import own_tables

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect
    from airflow_provider_dotypos.transfers.sql.reflection import Existing
    from airflow_provider_dotypos.transfers.sql.tables import SqlColumn, SqlTable
    from airflow_provider_dotypos.transfers.sql.transaction import Transaction

#: The column that says whether the API shows a row as deleted, whatever the naming.
_DELETED = "deleted"


def prepare(
    transaction: Transaction,
    dialect: Dialect,
    tables: Iterable[SqlTable],
    own_schema: str | None,
    *,
    create: bool,
    alter: bool,
    indexes: bool,
    ours: bool = True,
) -> None:
    """Make tables ready for a load, and the tables of our own.

    :param own_schema: where the tables of our own lie; ``None``: the connection's own.
    :param create: whether tables may be created and changed; otherwise they must be there as they ought to be.
    :param alter: whether columns may be added to tables.
    :param indexes: whether new tables get indexes besides their key's.
    :param ours: whether the tables of our own are made ready, too; otherwise they are.
    :raises DotyposInputError: if a schema is missing, or tables can't take the rows: all reasons are in it.
    """
    targets = list(tables)
    _check_names(dialect, targets)
    _check_schemas(transaction, dialect, {own_schema, *(table.schema for table in targets)})
    with dialect.creating(transaction):
        own = _look_up(transaction, dialect, own_tables(own_schema) if ours else ())
        theirs = _look_up(transaction, dialect, targets)
        faults = [
            *_faults(dialect, own, create=True, alter=True),
            *_faults(dialect, theirs, create=create, alter=create and alter),
        ]
        if faults:
            raise DotyposInputError(_refusal(faults))
        for table, existing in (*own, *theirs):
            statements = list(_statements(transaction, dialect, table, existing, indexes=indexes))
            if statements and existing is not None:
                # A merge under way ends first. In the database's own queue behind it, this would hold up all readers.
                dialect.lock(transaction, dialect.relation(table.schema, table.name), own_schema)
            for statement in statements:
                transaction.execute(statement)


def create_statements(dialect: Dialect, table: SqlTable, *, indexes: bool) -> Iterator[str]:
    """Yield the statements that create a table with its key, its indexes and its comments."""
    yield dialect.create_table(
        dialect.relation(table.schema, table.name), table.columns, table.primary_key, durable=table.durable
    )
    if indexes:
        yield from (dialect.create_index(table, columns) for columns in table.indexes)
    if table.comment:
        yield from dialect.comments(table)


def add_statements(dialect: Dialect, table: SqlTable, columns: Iterable[SqlColumn]) -> Iterator[str]:
    """Yield the statements that add columns to a table."""
    relation = dialect.relation(table.schema, table.name)
    for column in columns:
        yield dialect.add_column(relation, column)
        if column.comment:
            yield from dialect.comment_column(relation, column)


def view_statements(dialect: Dialect, table: SqlTable, names: Sequence[str]) -> Iterator[str]:
    """Yield the statements that create or replace the view of a table's living rows, if some of its rows may not be.

    :param names: the table's columns. A view of ``*`` would break in one database, and stay as it was in others.
    """
    if conditions := _living(dialect, table, names):
        relation = dialect.relation(table.schema, table.name)
        query = f"SELECT {dialect.listed(names)} FROM {relation} WHERE {' AND '.join(conditions)}"
        yield from dialect.create_view(dialect.relation(table.schema, table.name + LIVE), query)


def _living(dialect: Dialect, table: SqlTable, names: Sequence[str]) -> list[str]:
    """Return the conditions of living rows, as far as a table with these columns shows it."""
    conditions: list[str] = []
    if table.versions:  # an old version of a row that is deleted now doesn't live
        return conditions
    if _DELETED in names and find_entity(table.entity).has_deleted:
        conditions.append(f"{dialect.quote(_DELETED)} IS NOT TRUE")
    if REMOVED_AT in names:
        conditions.append(f"{dialect.quote(REMOVED_AT)} IS NULL")
    return conditions


def _look_up(
    transaction: Transaction, dialect: Dialect, tables: Iterable[SqlTable]
) -> list[tuple[SqlTable, Existing | None]]:
    """Return tables, each with what there is of its name."""
    return [(table, dialect.existing(transaction, table.schema, table.name)) for table in tables]


def _statements(
    transaction: Transaction, dialect: Dialect, table: SqlTable, existing: Existing | None, *, indexes: bool
) -> Iterator[str]:
    """Yield what makes a table ready: nothing, if it is. A view that somebody has made or changed stays as it is."""
    if existing is None:
        yield from create_statements(dialect, table, indexes=indexes)
        if _fits(dialect, table.name + LIVE) and _view(transaction, dialect, table) is None:
            yield from view_statements(dialect, table, table.names)
    elif columns := missing_columns(dialect, table, existing):
        yield from add_statements(dialect, table, columns)
        if _fits(dialect, table.name + LIVE):
            view = _view(transaction, dialect, table)
            if view is None:
                ours = not _living(dialect, table, existing.names)  # otherwise somebody has dropped it
            else:
                ours = not view.is_table and view.names == existing.names
            if ours:
                yield from view_statements(dialect, table, [*existing.names, *(column.name for column in columns)])


def _view(transaction: Transaction, dialect: Dialect, table: SqlTable) -> Existing | None:
    """Return what has the name of a table's view of living rows."""
    return dialect.existing(transaction, table.schema, table.name + LIVE)


def _faults(
    dialect: Dialect, tables: Iterable[tuple[SqlTable, Existing | None]], *, create: bool, alter: bool
) -> Iterator[str]:
    """Yield all that keeps tables from taking our rows."""
    for table, existing in tables:
        relation = dialect.relation(table.schema, table.name)
        if existing is not None:
            yield from (f"{relation}: {fault}" for fault in differences(dialect, table, existing, alter=alter))
        elif not create:
            yield f"{relation}: it doesn't exist, and create is False"


def _refusal(faults: Sequence[str]) -> str:
    listed = " ".join(f"Table {fault}." for fault in faults)  # sentences: each begins a line of the task's log
    return f"Tables can't take the rows, so nothing was read. {listed} Change them, or load into others."


def _fits(dialect: Dialect, name: str) -> bool:
    """Return whether a database takes a name as long as this one."""
    return dialect.longest_name is None or dialect.length(name) <= dialect.longest_name


def _check_names(dialect: Dialect, tables: Iterable[SqlTable]) -> None:
    """Raise if a name would be cut: two that are cut may become the same."""
    for table in tables:
        for name in (table.name, *table.names):
            if not _fits(dialect, name):
                longest = f"at most {dialect.longest_name} {dialect.counts}"
                raise DotyposInputError(f"{dialect.title} takes names of {longest}: {name!r} is too long")


def _check_schemas(transaction: Transaction, dialect: Dialect, schemas: Iterable[str | None]) -> None:
    for schema in schemas:
        if schema is not None and not dialect.has_schema(transaction, schema):
            raise DotyposInputError(
                f"{dialect.title} has no schema {schema!r}: create it, and let the connection's role use it"
            )
