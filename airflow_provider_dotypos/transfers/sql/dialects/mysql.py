"""MySQL and MariaDB: types and statements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect, RowEncoder, literal

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.rows.columns import Columns
    from airflow_provider_dotypos.transfers.sql.tables import SqlColumn, SqlKind, SqlTable
    from airflow_provider_dotypos.transfers.sql.transaction import Transaction


class MySql(Dialect):
    """MySQL and MariaDB.

    Times are in UTC, whatever the session's time zone is. Lists and JSON are text: MySQL's own JSON makes doubles of
    decimal numbers.
    """

    title = "MySQL"
    longest_name = 64
    transactional_ddl = False
    begin = ("SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION")
    for_share = " LOCK IN SHARE MODE"
    types: ClassVar[Mapping[SqlKind, str]] = {
        "long": "bigint",
        "int": "int",
        "decimal": "decimal(38,18)",
        "timestamp": "datetime(6)",
        "boolean": "boolean",
        "text": "longtext",
        "texts": "longtext",
        "ints": "longtext",
        "json": "longtext",
        "name": "varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    }

    _table_options = " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4"

    def ready(self, connection: Any) -> None:
        """Make a new connection of mysqlclient or of mysql-connector-python ready."""
        if isinstance(getattr(type(connection), "autocommit", None), property):  # mysql-connector-python
            connection.autocommit = True
            connection.set_charset_collation("utf8mb4")
        else:
            connection.autocommit(True)
            connection.set_character_set("utf8mb4")
        with closing(connection.cursor()) as cursor:
            cursor.execute("SET time_zone = '+00:00'")

    def interrupt(self, connection: Any, connect: Callable[[], Any]) -> None:
        """End the statement that runs in a connection."""
        number = getattr(connection, "connection_id", None) or connection.thread_id()
        with closing(connect()) as other, closing(other.cursor()) as cursor:
            cursor.execute(f"KILL QUERY {int(number)}")

    def moment(self, time: datetime) -> object:
        """Return a time as a parameter: in UTC, without a zone."""
        return time.replace(tzinfo=None)

    def insert_new(self, relation: str, columns: Sequence[str]) -> str:
        """Return the statement that inserts a row, unless its key exists."""
        values = ", ".join("?" for _ in columns)
        key = self.quote(columns[0])  # IGNORE would let other errors pass, too
        inserted = f"INSERT INTO {relation} ({self.listed(columns)}) VALUES ({values})"
        return f"{inserted} ON DUPLICATE KEY UPDATE {key} = {key}"

    def quote(self, name: str) -> str:
        """Return a name as a statement holds it."""
        doubled = name.replace("`", "``")
        return f"`{doubled}`"

    def length(self, name: str) -> int:
        """Return how many characters a name has."""
        return len(name)

    def comments(self, table: SqlTable) -> Iterator[str]:
        """Yield the statement that comments a table; its creation comments the columns."""
        yield f"ALTER TABLE {self.relation(table.schema, table.name)} COMMENT = {literal(table.comment)}"

    def _definition(self, column: SqlColumn) -> str:
        comment = f" COMMENT {literal(column.comment)}" if column.comment else ""
        return super()._definition(column) + comment

    def encoder(self, table: SqlTable, columns: Columns, cloud_id: int, load_id: str) -> RowEncoder:
        """Return an encoder of a table's rows."""
        raise NotImplementedError

    def differs(self, left: str, right: str) -> str:
        """Return a condition: two values aren't the same; two nulls are."""
        return f"NOT ({left} <=> {right})"

    def lock(self, transaction: Transaction, name: str) -> None:
        """Let no other transaction that locks the same name begin until this one ends."""
        raise NotImplementedError

    def clock(self) -> str:
        """Return a query of the database's clock."""
        return "SELECT unix_timestamp(now(6))"
