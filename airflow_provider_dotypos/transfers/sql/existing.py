"""Whether a table as it is takes the rows of a load. Pure: what the database has was asked before.

A table may have more columns than a load fills, and wider types. Nothing of it is dropped or narrowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from airflow_provider_dotypos.transfers.sql.reflection import Existing, ExistingColumn, ExistingKey, ExistingType

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect
    from airflow_provider_dotypos.transfers.sql.tables import SqlColumn, SqlTable


def missing_columns(dialect: Dialect, table: SqlTable, existing: Existing) -> list[SqlColumn]:
    """Return the columns of ours that a table lacks."""
    there = {_folded(dialect, name) for name in existing.names}
    return [column for column in table.columns if _folded(dialect, column.name) not in there]


def differences(dialect: Dialect, table: SqlTable, existing: Existing, *, alter: bool) -> Iterator[str]:
    """Yield all that keeps a table from taking our rows, each as a clause about it.

    :param alter: whether columns that it lacks are added.
    """
    if not existing.is_table:
        yield "it isn't a table"
        return
    yield from existing.faults
    lacking = [privilege for privilege in existing.lacking if privilege != "DELETE" or table.removes]
    if lacking:
        yield f"the role lacks {', '.join(lacking)} on it"
    yield from (f"the foreign key {name} must go: rows come in any order" for name in existing.foreign_keys)
    if table.durable and not existing.durable:
        yield "it is UNLOGGED, so a crash would empty it"
    yield from _unlike_columns(dialect, table, existing)
    yield from _unlike_keys(dialect, table, existing.keys)
    missing = missing_columns(dialect, table, existing)
    if missing and not (alter and existing.owned):
        why = "" if not alter else ", and only its owner may add them"
        yield f"it has no {dialect.listed(column.name for column in missing)}{why}"


def _unlike_columns(dialect: Dialect, table: SqlTable, existing: Existing) -> Iterator[str]:
    ours = {_folded(dialect, column.name): column for column in table.columns}
    for column in existing.columns:
        name = dialect.quote(column.name)
        if mine := ours.get(_folded(dialect, column.name)):
            yield from (f"{name} {what}" for what in _unlike(dialect, column, mine))
        elif not (column.nullable or column.fills or column.generated):
            yield f"{name} is NOT NULL without a default, and no load fills it"


def _unlike(dialect: Dialect, column: ExistingColumn, ours: SqlColumn) -> Iterator[str]:
    if column.generated:
        yield "is generated, but loads fill it"
    if not column.nullable and not ours.required:
        yield "is NOT NULL, but the API may give none"
    if not dialect.holds(ExistingType.of(column.text), ours):
        yield f"is {column.text or 'of no type'}, which doesn't hold all of {dialect.type_of(ours.kind)}"


def _unlike_keys(dialect: Dialect, table: SqlTable, keys: Sequence[ExistingKey]) -> Iterator[str]:
    ours = {_folded(dialect, name) for name in table.primary_key}
    columns = {key: {_folded(dialect, name) for name in key.columns} for key in keys}
    if ours and not any(key.enforced and names == ours for key, names in columns.items()):
        yield f"it has no unique key over ({dialect.listed(table.primary_key)})"
    for key, names in columns.items():
        if not names >= ours:
            over = f"({dialect.listed(sorted(key.columns))})" if key.columns else "an expression"
            yield f"the unique key {key.name} over {over} must go: several rows may have the same there"


def _folded(dialect: Dialect, name: str) -> str:
    """Return what tells a column from others."""
    return name.lower() if dialect.ignores_case else name
