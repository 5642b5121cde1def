"""The tables of our own, beside those that rows go to: loads, parts, removed rows, and what else is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.transfers.sql.names import LOADS, PARTS, REMOVED, STATE
from airflow_provider_dotypos.transfers.sql.tables import SqlColumn, SqlTable

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect
    from airflow_provider_dotypos.transfers.sql.tables import SqlKind
    from airflow_provider_dotypos.transfers.sql.transaction import Transaction


def own_tables(schema: str | None) -> list[SqlTable]:
    """Return the tables of our own, in the schema that they lie in.

    Rows of `PARTS` don't outlive a crash of the database, as those of the staging tables don't.
    """
    return [
        _own(schema, LOADS, ("load_id",), _LOADS),
        _own(schema, PARTS, ("part",), _PARTS, durable=False),
        _own(schema, REMOVED, ("target", "cloud_id", "parent_id", "id"), _REMOVED),
        _own(schema, STATE, ("target", "key"), {"target": "name", "key": "name", "value": "text"}),
    ]


def require_own_tables(transaction: Transaction, dialect: Dialect, schema: str | None) -> None:
    """Raise unless the tables of our own lie in a schema.

    :param schema: the schema; ``None``: the connection's own.
    :raises DotyposInputError: if they don't.
    """
    if dialect.existing(transaction, schema, LOADS) is None:
        where = f"in the schema {schema!r}" if schema else "in the connection's own schema"
        raise DotyposInputError(
            f"{dialect.title} has no table {LOADS} {where}: no load has written there. The schema is what loads have "
            "as staging_schema, or else as schema"
        )


def _own(
    schema: str | None, name: str, key: tuple[str, ...], kinds: dict[str, SqlKind], *, durable: bool = True
) -> SqlTable:
    columns = (SqlColumn(column, kind, required=column in key) for column, kind in kinds.items())
    return SqlTable(schema, name, "", tuple(columns), key, (), durable=durable, removes=True)


#: `tables` are the names of all tables that the load fills, as a JSON list: its target, and those of child lists.
_LOADS: dict[str, SqlKind] = {
    "load_id": "name",
    "target": "text",
    "tables": "text",
    "entity": "text",
    "cloud_id": "long",
    "shape": "text",
    "fields": "text",
    "since": "timestamp",
    "until": "timestamp",
    "mode": "text",
    "rows": "long",
    "inserted": "long",
    "updated": "long",
    "unchanged": "long",
    "removed": "long",
    "misfits": "text",
    "requests": "long",
    "run_id": "text",
    "try_number": "int",
    "package_version": "text",
    "begun_at": "timestamp",
    "tried_at": "timestamp",
    "loaded_at": "timestamp",
}
_PARTS: dict[str, SqlKind] = {
    "part": "name",
    "staging": "name",
    "stream": "text",
    "low": "long",
    "high": "long",
    "rows": "long",
    "child_rows": "long",
    "misfits": "text",
}
#: `parent_id` is the first column of a key of two besides the cloud's id, such as the warehouse's id; otherwise 0.
#: With a target such as ``orders/*`` a row says when the last walk over all rows began.
_REMOVED: dict[str, SqlKind] = {
    "target": "name",
    "cloud_id": "long",
    "parent_id": "long",
    "id": "long",
    "cursor_1": "timestamp",
    "cursor_2": "timestamp",
    "read_at": "timestamp",
    "load_id": "name",
}
