"""SQLite: types and statements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect, RowEncoder
from airflow_provider_dotypos.transfers.sql.reflection import Existing, ExistingColumn, ExistingKey

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.encoding_thread import EncodingThread
    from airflow_provider_dotypos.transfers.rows.columns import Columns
    from airflow_provider_dotypos.transfers.sql.reflection import ExistingType
    from airflow_provider_dotypos.transfers.sql.tables import SqlColumn, SqlKind, SqlTable
    from airflow_provider_dotypos.transfers.sql.transaction import Transaction


class Sqlite(Dialect):
    """SQLite, 3.35 and later.

    A type is only an affinity here. NUMERIC keeps whole numbers of 64 bits, and 15 digits of other numbers. Times are
    texts of 24 characters, such as ``2026-05-01T08:30:00.000Z``, so that they sort. Lists and JSON are texts, too: a
    column declared as JSON would make numbers of some.
    """

    title = "SQLite"
    extra = "sqlite"
    scheme = "sqlite"
    location = "SELECT file FROM pragma_database_list WHERE name = 'main'"
    longest_name = None
    exact_sums = False
    transactional_ddl = True
    mark = "?"
    writers = 1
    embedded = True
    begin = ("BEGIN IMMEDIATE",)
    current_schema = "'main'"
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

    def create_index(self, table: SqlTable, columns: Sequence[str]) -> str:
        """Return the statement that creates an index of a table, unless there is one of its name."""
        index = self.relation(table.schema, f"{table.name}_{'_'.join(columns)}_idx")
        return f"CREATE INDEX IF NOT EXISTS {index} ON {self.quote(table.name)} ({self.listed(columns)})"

    def create_view(self, view: str, query: str) -> Iterator[str]:
        """Yield the statements that create a view, or replace one."""
        yield f"DROP VIEW IF EXISTS {view}"
        yield f"CREATE VIEW {view} AS {query}"

    def table_names(self, transaction: Transaction, schema: str | None, prefix: str) -> list[str]:
        """Return the names of the tables in a database file that begin with a text."""
        tables = self.relation(schema or "main", "sqlite_master")
        names = transaction.rows(f"SELECT name FROM {tables} WHERE type = 'table'")
        return [name for (name,) in names if name.startswith(prefix)]

    def has_schema(self, transaction: Transaction, schema: str) -> bool:
        """Return whether a database is attached by that name; a file's own is called ``main``."""
        return schema.lower() in (name.lower() for _, name, _ in transaction.rows("PRAGMA database_list"))

    def existing(self, transaction: Transaction, schema: str | None, name: str) -> Existing | None:
        """Return a table or a view as it is."""
        schema = schema or "main"
        relations = transaction.rows(_TABLE.format(self.quote(schema)), [name])
        if not relations:
            return None
        kind, statement = relations[0]
        strict = "STRICT" in statement.rpartition(")")[2].upper()
        columns = transaction.rows(_COLUMNS, [name, schema])
        keys = [
            (index, transaction.rows(_INDEXED, [index, schema]), partial)
            for index, partial in transaction.rows(_INDEXES, [name, schema])
        ]
        keys.append(("PRIMARY KEY", [(column,) for column, *_, part in columns if part], 0))
        return Existing(
            is_table=kind == "table",
            columns=tuple(
                ExistingColumn(column, f"strict {text}" if strict else text, *facts)
                for column, text, *facts, _ in columns
            ),
            keys=tuple(
                ExistingKey.of(index, [column for (column,) in parts], enforced=not partial)
                for index, parts, partial in keys
                if parts
            ),
        )

    def holds(self, existing: ExistingType, column: SqlColumn) -> bool:
        """Return whether a column keeps our values: in a strict table by its type, otherwise by its affinity."""
        if existing.name.startswith("strict "):
            return existing.name.removeprefix("strict ") in _STRICT[column.kind]
        return _affinity(existing.name) in (_NUMBERS if column.kind in _STORED_AS_NUMBERS else ("text", "blob"))

    def comment_column(self, relation: str, column: SqlColumn) -> Iterator[str]:
        """Yield nothing: SQLite has no comments."""
        yield from ()

    def comments(self, table: SqlTable) -> Iterator[str]:
        """Yield nothing: SQLite has no comments."""
        yield from ()

    def create_staging(self, table: SqlTable, staging: str) -> Iterable[str]:
        """Yield the statements that create a staging table, and an index for the merge."""
        yield from super().create_staging(table, staging)
        name = staging.rpartition('"."')[2].strip('"')
        yield f'CREATE INDEX IF NOT EXISTS {staging[:-1]}_key" ON {self.quote(name)} ({self.listed(table.key)})'

    def encoder(self, table: SqlTable, columns: Columns, cloud_id: int, thread: EncodingThread) -> RowEncoder:
        """Return an encoder of a table's rows."""
        from airflow_provider_dotypos.transfers.sql.encoding.sqlite import InsertedRows

        return InsertedRows(self, table, columns, cloud_id, thread)

    def differs(self, left: str, right: str, kind: SqlKind) -> str:
        """Return a condition: two values of a kind aren't the same; two nulls are."""
        return f"{left} IS NOT {right}"

    def lock(self, transaction: Transaction, relation: str, schema: str | None) -> None:
        """Do nothing: a transaction has the file alone from its beginning."""

    def clock(self) -> str:
        """Return a query of the database's clock."""
        return "SELECT (julianday('now') - 2440587.5) * 86400"


_STORED_AS_NUMBERS = ("long", "int", "decimal", "boolean")
_NUMBERS = ("integer", "numeric", "blob")
_STRICT: Mapping[SqlKind, tuple[str, ...]] = {
    "long": ("int", "integer", "any"),
    "int": ("int", "integer", "any"),
    "boolean": ("int", "integer", "any"),
    "decimal": ("any",),
    "timestamp": ("text", "any"),
    "text": ("text", "any"),
    "texts": ("text", "any"),
    "ints": ("text", "any"),
    "json": ("text", "any"),
    "name": ("text", "any"),
}


def _affinity(name: str) -> str:
    """Return the affinity of a declared type, by SQLite's rules."""
    for affinity, marks in _AFFINITIES.items():
        if any(mark in name for mark in marks):
            return affinity
    return "numeric" if name else "blob"


_AFFINITIES = {
    "integer": ("int",),
    "text": ("char", "clob", "text"),
    "blob": ("blob",),
    "real": ("real", "floa", "doub"),
}
_TABLE = "SELECT type, sql FROM {}.sqlite_master WHERE type IN ('table', 'view') AND lower(name) = lower(?)"
_COLUMNS = """
    SELECT name, type, NOT "notnull", dflt_value IS NOT NULL, hidden > 1, pk
    FROM pragma_table_xinfo(?, ?) WHERE hidden <> 1"""
_INDEXES = """SELECT name, partial FROM pragma_index_list(?, ?) WHERE "unique" AND origin <> 'pk'"""
_INDEXED = "SELECT name FROM pragma_index_info(?, ?)"
