"""What tables an extraction fills: their columns, keys and versions. Pure: no database is asked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from airflow_provider_dotypos.api.entities import Entity, entities, find_entity
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.transfers.sql.names import (
    CLOUD_ID,
    LOAD_ID,
    READ_AT,
    REMOVED_AT,
    UNKNOWN,
    check_table_name,
)

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.rows.columns import Column, Columns, Kind
    from airflow_provider_dotypos.transfers.selection import Selection

#: What a column of a database holds: besides the kinds of the API's fields a short text that a key can hold.
SqlKind: TypeAlias = "Kind | Literal['name']"

#: How columns are named: ``versionDate`` becomes ``version_date``, or stays.
Naming: TypeAlias = Literal["snake", "api"]

#: What becomes of rows that the API shows as deleted.
Deletes: TypeAlias = Literal["keep", "remove", "mark"]

#: The field with the cloud's id. Rows of ``clouds`` and ``portions`` have none, so the connection's is taken for all.
_CLOUD_FIELD = "_cloudId"


@dataclass(frozen=True)
class SqlColumn:
    """A column of a table in a database.

    :param name: its name there.
    :param kind: what it holds.
    :param field: the API's field; ``None`` for the cloud's id and our own columns.
    :param required: whether it can't be null: of key columns and our own.
    :param comment: what the database says of it.
    """

    name: str
    kind: SqlKind
    field: str | None = None
    required: bool = False
    comment: str = ""


@dataclass(frozen=True)
class SqlTable:
    """A table that rows of an entity go to.

    :param schema: ``None``: the connection's own.
    :param columns: all, in their order: the cloud's id, the API's fields, and our own.
    :param key: the names of the primary key's columns; the cloud's id comes first.
    :param cursors: the names of the columns that order a row's versions, the most significant first; none if the entity
        has no cursor, or a child list is read without it. `READ_AT` comes after them.
    :param deleted: the name of the column that says whether the API shows the row as deleted, if there is one.
    :param parent: of a child table, the column that holds the parent's id.
    :param indexes: the columns of each index besides the key's.
    :param comment: what the database says of it.
    :param versions: whether it has a row for each version of a row of the API that was read.
    :param durable: whether committed rows must outlive a crash of the database.
    :param removes: whether a load may delete rows of it.
    """

    schema: str | None
    name: str
    entity: str
    columns: tuple[SqlColumn, ...]
    key: tuple[str, ...]
    cursors: tuple[str, ...]
    deleted: str | None = None
    parent: str | None = None
    indexes: tuple[tuple[str, ...], ...] = ()
    comment: str = ""
    versions: bool = False
    durable: bool = True
    removes: bool = False

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The columns by which the table's rows are unique."""
        return (*self.key, READ_AT) if self.versions else self.key

    @property
    def full_name(self) -> str:
        """Its name, with its schema if that was given."""
        return self.name if self.schema is None else f"{self.schema}.{self.name}"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns, in their order."""
        return tuple(column.name for column in self.columns)

    @property
    def removed(self) -> str | None:
        """The name of the column that says when the row was marked as removed, if there is one."""
        return REMOVED_AT if REMOVED_AT in self.names else None


def tables_of(
    selection: Selection,
    *,
    name: str | None,
    schema: str | None,
    naming: Naming,
    deletes: Deletes,
    versions: bool = False,
    replaces: bool = False,
) -> Mapping[str, SqlTable]:
    """Return the tables that a selection fills, by entity: its own first, then those of child lists.

    :param name: of the entity's own table; by default the entity's name in snake case. A child table's name follows it
        only if it isn't the default.
    :param versions: whether tables have a row for each version that was read.
    :param replaces: whether rows are removed that a whole walk lacks.
    :raises DotyposInputError: if a table can't have that name, or two of its columns would have the same.
    """
    own = selection.entity.name
    given = None if name in (None, "", snake(own)) else name
    parents = {child.entity: child.parent for child in selection.lists.values() if child.entity in selection.children}
    tables = {}
    for entity, columns in selection.tables.items():
        default = snake(entity)
        below = default if given is None else f"{given}_{default}"
        table = given or default if entity == own else below
        check_table_name(table)
        parent = parents.get(entity)
        removes = parent is not None or deletes == "remove" or (replaces and deletes == "keep")
        made = _table(columns, table, naming, deletes, parent)
        tables[entity] = replace(made, schema=schema, versions=versions, removes=removes)
    return tables


def snake(name: str) -> str:
    """Return a name of the API in snake case: ``_orderId`` as ``order_id``, ``order-items`` as ``order_items``."""
    return _HUMPS.sub("_", name.removeprefix("_")).replace("-", "_").lower()


#: Before a capital: after a small letter or a digit (``versionDate``, ``1ClickId``), or where an abbreviation ends.
_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def _table(columns: Columns, name: str, naming: Naming, deletes: Deletes, parent: str | None) -> SqlTable:
    entity = find_entity(columns.entity)
    cloud = CLOUD_ID[naming]
    fields = {column.name: named(column.name, naming) for column in columns.columns if column.name != _CLOUD_FIELD}
    key = (cloud, *(fields[field] for field in entity.primary_key))
    every = (
        SqlColumn(cloud, "long", required=True, comment="the cloud's id"),
        *(_column(entity, column, fields[column.name], key) for column in columns.columns if column.name in fields),
        *_own_columns(deletes),
    )
    _check_columns(name, every)
    cursors = tuple(fields[field] for field in entity.cursors if field in fields)
    lists = {fields[child] for child in _parents(entity) if child in fields}
    return SqlTable(
        schema=None,
        name=name,
        entity=entity.name,
        columns=every,
        key=key,
        cursors=cursors,
        deleted=fields.get("deleted"),
        parent=None if parent is None else fields[parent],
        indexes=(*((cursor,) for cursor in cursors), *((cloud, column) for column in sorted(lists))),
        comment=f"{entity.name} of Dotypos: {entity.docs}",
    )


def named(field: str, naming: Naming) -> str:
    """Return the name of a field's column."""
    return snake(field) if naming == "snake" else field


def _column(entity: Entity, column: Column, name: str, key: Iterable[str]) -> SqlColumn:
    return SqlColumn(name, column.kind, column.name, name in key, comment=_comment(entity, column))


def _comment(entity: Entity, column: Column) -> str:
    """Return the API's name of a field, and what the entity table says of it."""
    field = entity.fields[column.name]
    remarks = [f"field {field.name}"]
    if field.name in entity.cursors:
        remarks.append("orders changes")
    if field.references:
        remarks.append(f"id in {field.references}")
    if field.personal:
        remarks.append("personal data")
    return ", ".join(remarks)


def _own_columns(deletes: Deletes) -> Iterator[SqlColumn]:
    yield SqlColumn(READ_AT, "timestamp", required=True, comment="when the row was read, by this database's clock")
    yield SqlColumn(LOAD_ID, "name", required=True, comment="the load that wrote the row last")
    yield SqlColumn(UNKNOWN, "json", comment="fields without a column, and values that don't fit theirs")
    if deletes == "mark":
        yield SqlColumn(REMOVED_AT, "timestamp", comment="when the row was noted as removed; null of living rows")


def _parents(entity: Entity) -> set[str]:
    """Return the fields by which the rows belong to parents that can nest them: those are what tables are joined by."""
    return {
        child.parent
        for parent in entities().values()
        for child in parent.includes.values()
        if child.entity == entity.name
    }


def _check_columns(table: str, columns: Iterable[SqlColumn]) -> None:
    """Raise if two columns have the same name: some databases don't tell capitals from small letters."""
    counts = Counter(column.name.casefold() for column in columns)
    if twice := [column for column in columns if counts[column.name.casefold()] > 1]:
        raise DotyposInputError(
            f"the table {table} would have columns of the same name: "
            + ", ".join(f"{column.name} (of {column.field or 'every load'})" for column in twice)
            + ". Leave one of the fields out with exclude"
        )
