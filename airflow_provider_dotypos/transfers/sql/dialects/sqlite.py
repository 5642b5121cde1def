"""SQLite: types and statements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect, RowEncoder

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.rows.columns import Columns
    from airflow_provider_dotypos.transfers.sql.tables import SqlKind, SqlTable
    from airflow_provider_dotypos.transfers.sql.transaction import Transaction


class Sqlite(Dialect):
    """SQLite, 3.35 and later.

    A type is only an affinity here. NUMERIC keeps whole numbers of 64 bits, and 15 digits of other numbers. Times are
    texts of 24 characters, such as ``2026-05-01T08:30:00.000Z``, so that they sort. Lists and JSON are texts, too: a
    column declared as JSON would make numbers of some.
    """

    title = "SQLite"
    longest_name = None
    transactional_ddl = True
    mark = "?"
    writers = 1
    embedded = True
    begin = ("BEGIN IMMEDIATE",)
    for_update = for_share = ""  # it has one writer
    types: ClassVar[Mapping[SqlKind, str]] = {
        "long": "BIGINT",
        "int": "INTEGER",
        "decimal": "NUMERIC",
        "timestamp": "TEXT",
        "boolean": "BOOLEAN",
        "text": "TEXT",
        "texts": "TEXT",
        "ints": "TEXT",
        "json": "TEXT",
        "name": "TEXT",
    }

    def ready(self, connection: Any) -> None:
        """Make a new connection ready. Who waits for another writer is decided elsewhere."""
        connection.isolation_level = None
        connection.execute("PRAGMA busy_timeout = 500")

    def moment(self, time: datetime) -> object:
        """Return a time as a parameter: a text of 27 characters."""
        return f"{time:%Y-%m-%dT%H:%M:%S.%fZ}"

    def comments(self, table: SqlTable) -> Iterator[str]:
        """Yield nothing: SQLite has no comments."""
        yield from ()

    def encoder(self, table: SqlTable, columns: Columns, cloud_id: int, load_id: str) -> RowEncoder:
        """Return an encoder of a table's rows."""
        raise NotImplementedError

    def differs(self, left: str, right: str) -> str:
        """Return a condition: two values aren't the same; two nulls are."""
        return f"{left} IS NOT {right}"

    def lock(self, transaction: Transaction, name: str) -> None:
        """Let no other transaction that locks the same name begin until this one ends."""
        raise NotImplementedError

    def clock(self) -> str:
        """Return a query of the database's clock."""
        return "SELECT (julianday('now') - 2440587.5) * 86400"
