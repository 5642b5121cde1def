"""What tables an extraction fills: their columns, keys and versions. Pure: no database is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.rows.columns import Kind
    from airflow_provider_dotypos.transfers.selection import Selection

#: How columns are named: ``versionDate`` becomes ``version_date``, or stays.
Naming: TypeAlias = Literal["snake", "api"]

#: What becomes of rows that the API shows as deleted.
Deletes: TypeAlias = Literal["keep", "remove", "mark"]


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
    kind: Kind
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
        has no cursor. `READ_AT` comes after them.
    :param deleted: the name of the column that says whether the API shows the row as deleted, if there is one.
    :param parent: of a child table, the column that holds the parent's id.
    """

    schema: str | None
    name: str
    entity: str
    columns: tuple[SqlColumn, ...]
    key: tuple[str, ...]
    cursors: tuple[str, ...]
    deleted: str | None = None
    parent: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns, in their order."""
        return tuple(column.name for column in self.columns)


def tables_of(
    selection: Selection, *, name: str | None, schema: str | None, naming: Naming, deletes: Deletes
) -> Mapping[str, SqlTable]:
    """Return the tables that a selection fills, by entity: its own first, then those of child lists.

    :param name: of the entity's own table; by default the entity's name in snake case. A child table's name follows it
        only if it isn't the default.
    """
    raise NotImplementedError
