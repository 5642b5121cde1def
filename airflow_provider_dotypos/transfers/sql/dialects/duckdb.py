"""DuckDB: types and statements."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect, RowEncoder

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.rows.columns import Columns
    from airflow_provider_dotypos.transfers.sql.tables import SqlKind, SqlTable
    from airflow_provider_dotypos.transfers.sql.transaction import Transaction


class DuckDb(Dialect):
    """DuckDB, 1.2 and later."""

    title = "DuckDB"
    longest_name = None
    transactional_ddl = True
    mark = "?"
    writers = 1
    embedded = True
    for_update = for_share = ""  # it has one writer
    types: ClassVar[Mapping[SqlKind, str]] = {
        "long": "BIGINT",
        "int": "INTEGER",
        "decimal": "DECIMAL(38, 18)",
        "timestamp": "TIMESTAMPTZ",
        "boolean": "BOOLEAN",
        "text": "VARCHAR",
        "texts": "VARCHAR[]",
        "ints": "INTEGER[]",
        "json": "JSON",
        "name": "VARCHAR",
    }

    def ready(self, connection: Any) -> None:
        """Make a new connection ready."""
        connection.execute("SET TimeZone = 'UTC'")

    def cursor(self, connection: Any) -> AbstractContextManager[Any]:
        """Return the connection itself: what DuckDB calls a cursor is another connection."""
        return nullcontext(connection)

    def encoder(self, table: SqlTable, columns: Columns, cloud_id: int, load_id: str) -> RowEncoder:
        """Return an encoder of a table's rows."""
        raise NotImplementedError

    def differs(self, left: str, right: str) -> str:
        """Return a condition: two values aren't the same; two nulls are."""
        return f"{left} IS DISTINCT FROM {right}"

    def lock(self, transaction: Transaction, name: str) -> None:
        """Let no other transaction that locks the same name begin until this one ends."""
        raise NotImplementedError

    def clock(self) -> str:
        """Return a query of the database's clock."""
        return "SELECT epoch_us(now()) / 1000000"
