"""PostgreSQL: types and statements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect, RowEncoder

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.rows.columns import Columns
    from airflow_provider_dotypos.transfers.sql.tables import SqlKind, SqlTable
    from airflow_provider_dotypos.transfers.sql.transaction import Transaction


class Postgres(Dialect):
    """PostgreSQL, 12 and later."""

    title = "PostgreSQL"
    longest_name = 63
    transactional_ddl = True
    begin = ("BEGIN ISOLATION LEVEL READ COMMITTED",)
    types: ClassVar[Mapping[SqlKind, str]] = {
        "long": "bigint",
        "int": "integer",
        "decimal": "numeric",
        "timestamp": "timestamptz",
        "boolean": "boolean",
        "text": "text",
        "texts": "text[]",
        "ints": "integer[]",
        "json": "jsonb",
        "name": "text",
    }

    def ready(self, connection: Any) -> None:
        """Make a new connection of psycopg 3 or psycopg2 ready."""
        connection.autocommit = True
        if hasattr(connection, "prepare_threshold"):  # psycopg 3
            from psycopg.rows import tuple_row

            connection.prepare_threshold = None  # a pooler in front may give each transaction another session
            connection.row_factory = tuple_row  # the connection's extra may ask for another
        else:
            connection.cursor_factory = None
        with connection.cursor() as cursor:
            cursor.execute("SET client_encoding TO 'UTF8'")

    def interrupt(self, connection: Any, connect: Callable[[], Any]) -> None:
        """End the statement that runs in a connection."""
        connection.cancel()

    def _create(self, durable: bool) -> str:
        return "CREATE TABLE" if durable else "CREATE UNLOGGED TABLE"

    def encoder(self, table: SqlTable, columns: Columns, cloud_id: int, load_id: str) -> RowEncoder:
        """Return an encoder of a table's rows."""
        raise NotImplementedError

    def differs(self, left: str, right: str) -> str:
        """Return a condition: two values aren't the same; two nulls are."""
        return f"{left} IS DISTINCT FROM {right}"

    def lock(self, transaction: Transaction, name: str) -> None:
        """Let no other transaction that locks the same name begin until this one ends."""
        transaction.rows("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", [name])

    def clock(self) -> str:
        """Return a query of the database's clock."""
        return "SELECT extract(epoch FROM clock_timestamp())"
