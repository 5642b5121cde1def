"""DuckDB: types and statements."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect, RowEncoder
from airflow_provider_dotypos.transfers.sql.reflection import Existing, ExistingColumn, ExistingKey

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.encoding_thread import EncodingThread
    from airflow_provider_dotypos.transfers.rows.columns import Columns
    from airflow_provider_dotypos.transfers.sql.tables import SqlKind, SqlTable
    from airflow_provider_dotypos.transfers.sql.transaction import Transaction


class DuckDb(Dialect):
    """DuckDB, 1.2 and later."""

    title = "DuckDB"
    extra = "duckdb"
    scheme = "duckdb"
    location = "SELECT path, current_schema() FROM duckdb_databases() WHERE database_name = current_database()"
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
    wide_types: ClassVar[Mapping[SqlKind, Mapping[str, tuple[int, ...]]]] = {
        "long": {"bigint": (), "hugeint": (), "decimal": (19, 0)},
        "int": {"integer": (), "bigint": (), "hugeint": (), "decimal": (10, 0)},
        "decimal": {"decimal": (20, 18)},
        "timestamp": {"timestamp with time zone": ()},
        "boolean": {"boolean": ()},
        "text": {"varchar": ()},
        "texts": {"varchar[]": ()},
        "ints": {"integer[]": (), "bigint[]": ()},
        "json": {"json": (), "varchar": ()},
        "name": {"varchar": ()},
    }

    def has_schema(self, transaction: Transaction, schema: str) -> bool:
        """Return whether there is a schema of that name."""
        return bool(transaction.rows(_SCHEMA, [schema]))

    def existing(self, transaction: Transaction, schema: str | None, name: str) -> Existing | None:
        """Return a table or a view as it is."""
        place = [schema, name]
        relations = transaction.rows(_TABLE, place)
        if not relations:
            return None
        constraints = transaction.rows(_CONSTRAINTS, place)
        keys = [(key, columns) for kind, key, columns in constraints if kind != "FOREIGN KEY"]
        keys += transaction.rows(_INDEXES, place)
        return Existing(
            is_table=relations[0][0] == "BASE TABLE",
            columns=tuple(ExistingColumn(*column) for column in transaction.rows(_COLUMNS, place)),
            keys=tuple(ExistingKey.of(key, columns) for key, columns in keys),
            foreign_keys=tuple(key for kind, key, _ in constraints if kind == "FOREIGN KEY"),
        )

    def ready(self, connection: Any) -> None:
        """Make a new connection ready."""
        connection.execute("SET TimeZone = 'UTC'")

    def cursor(self, connection: Any) -> AbstractContextManager[Any]:
        """Return the connection itself: what DuckDB calls a cursor is another connection."""
        return nullcontext(connection)

    def changed(self, cursor: Any) -> int:
        """Return how many rows a statement has changed. DuckDB before 2.0 gives the count as a row alone."""
        if cursor.rowcount >= 0 or not cursor.description or cursor.description[0][0] != "Count":
            return int(cursor.rowcount)
        row = cursor.fetchone()
        return -1 if row is None else int(row[0])

    def encoder(self, table: SqlTable, columns: Columns, cloud_id: int, thread: EncodingThread) -> RowEncoder:
        """Return an encoder of a table's rows."""
        from airflow_provider_dotypos.transfers.sql.encoding.duckdb import RegisteredRows

        return RegisteredRows(self, table, columns, cloud_id, thread)

    def lock(self, transaction: Transaction, relation: str, schema: str | None) -> None:
        """Do nothing: one process alone can open the file, and its transactions come one after the other."""

    def clock(self) -> str:
        """Return a query of the database's clock."""
        return "SELECT epoch_us(now()) / 1000000"


_HERE = """
    database_name = current_database() AND lower(schema_name) = lower(coalesce(?, current_schema()))
    AND lower(table_name) = lower(?)"""
_SCHEMA = """
    SELECT 1 FROM duckdb_schemas() WHERE database_name = current_database() AND lower(schema_name) = lower(?)"""
_IN_CATALOG = _HERE.replace("database_name", "table_catalog").replace("schema_name", "table_schema")
_TABLE = f"SELECT table_type FROM information_schema.tables WHERE {_IN_CATALOG}"
_COLUMNS = f"""
    SELECT column_name, data_type, is_nullable = 'YES', column_default IS NOT NULL, is_generated = 'ALWAYS'
    FROM information_schema.columns WHERE {_IN_CATALOG} ORDER BY ordinal_position"""
_CONSTRAINTS = f"""
    SELECT constraint_type, constraint_name, constraint_column_names FROM duckdb_constraints()
    WHERE {_HERE} AND constraint_type IN ('PRIMARY KEY', 'UNIQUE', 'FOREIGN KEY')"""
_INDEXES = f"""
    SELECT index_name, CAST(expressions AS VARCHAR[]) FROM duckdb_indexes() WHERE {_HERE} AND is_unique"""
