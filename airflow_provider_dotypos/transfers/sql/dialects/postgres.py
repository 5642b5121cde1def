"""PostgreSQL: types and statements."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect, RowEncoder
from airflow_provider_dotypos.transfers.sql.names import OURS
from airflow_provider_dotypos.transfers.sql.reflection import Existing, ExistingColumn, ExistingKey

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.encoding_thread import EncodingThread
    from airflow_provider_dotypos.transfers.rows.columns import Columns
    from airflow_provider_dotypos.transfers.sql.tables import SqlKind, SqlTable
    from airflow_provider_dotypos.transfers.sql.transaction import Transaction


#: More characters than any limit of a type.
_NO_LIMIT = sys.maxsize


class Postgres(Dialect):
    """PostgreSQL, 12 and later."""

    title = "PostgreSQL"
    extra = "postgres"
    scheme = "postgres"
    port = 5432
    location = "SELECT current_database(), current_schema()"
    longest_name = 63
    transactional_ddl = True
    # By default a join of 10,000 rows would go to disk. This setting ends with the transaction.
    begin_merge = (
        "SELECT set_config('work_mem', '64MB', true) WHERE pg_size_bytes(current_setting('work_mem')) < 67108864",
    )
    row_id = "ctid"
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

    wide_types: ClassVar[Mapping[SqlKind, Mapping[str, tuple[int, ...]]]] = {
        "long": {"bigint": (), "numeric": (19, 0)},
        "int": {"integer": (), "bigint": (), "numeric": (10, 0)},
        "decimal": {"numeric": (20, 18)},
        "timestamp": {"timestamp with time zone": (3,)},
        "boolean": {"boolean": ()},
        "text": {"text": (), "character varying": (_NO_LIMIT,)},
        "texts": {"text[]": ()},
        "ints": {"integer[]": ()},
        "json": {"jsonb": ()},
        "name": {"text": (), "character varying": (255,)},
    }
    ignores_case = False

    def create_index(self, table: SqlTable, columns: Sequence[str]) -> str:
        """Return the statement that creates an index of a table, with a name of the database's choice."""
        return f"CREATE INDEX ON {self.relation(table.schema, table.name)} ({self.listed(columns)})"

    @contextmanager
    def creating(self, transaction: Transaction) -> Iterator[None]:
        """Hold off other tasks that create or change tables, until the transaction ends."""
        transaction.rows("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", [OURS])
        yield

    def has_schema(self, transaction: Transaction, schema: str) -> bool:
        """Return whether there is a schema of that name."""
        return bool(transaction.rows("SELECT 1 FROM pg_namespace WHERE nspname = ?", [schema]))

    def existing(self, transaction: Transaction, schema: str | None, name: str) -> Existing | None:
        """Return a table or a view as it is: without a schema, the first one in the search path."""
        relations = transaction.rows(_RELATION, [self.relation(schema, name)])
        if not relations:
            return None
        oid, kind, persistence, owned, *privileges = relations[0]
        return Existing(
            is_table=kind in ("r", "p"),
            columns=tuple(ExistingColumn(*column) for column in transaction.rows(_COLUMNS, [oid])),
            keys=tuple(ExistingKey.of(*key) for key in transaction.rows(_KEYS, [oid])),
            foreign_keys=tuple(key for (key,) in transaction.rows(_FOREIGN_KEYS, [oid])),
            durable=persistence != "u",
            owned=owned,
            lacking=tuple(name for name, granted in zip(_PRIVILEGES, privileges, strict=True) if not granted),
        )

    def delete(self, relation: str, key: Sequence[str], rows: str) -> str:
        """Return a statement that deletes rows. What to delete is found once: a plan may ask for it row by row."""
        same = " AND ".join(f"d.{name} = gone.{name}" for name in map(self.quote, key))
        return f"WITH gone AS MATERIALIZED ({rows}) DELETE FROM {relation} AS d USING gone WHERE {same}"

    def analyze(self, staging: str) -> Iterable[str]:
        """Yield the statement that counts values: without it a merge may be planned as if there were a few rows."""
        yield f"ANALYZE {staging}"

    def _create(self, durable: bool) -> str:
        return "CREATE TABLE" if durable else "CREATE UNLOGGED TABLE"

    def encoder(self, table: SqlTable, columns: Columns, cloud_id: int, thread: EncodingThread) -> RowEncoder:
        """Return an encoder of a table's rows."""
        from airflow_provider_dotypos.transfers.sql.encoding.copy import CopiedRows

        return CopiedRows(self, table, columns, cloud_id, thread)

    def has_merge(self, transaction: Transaction) -> bool:
        """Return whether it is PostgreSQL 17 or later."""
        return bool(transaction.rows("SELECT current_setting('server_version_num')::integer >= 170000")[0][0])

    def identify(self, transaction: Transaction, schema: str | None, name: str) -> object:
        """Return a table's number, or its full name if there is no such table."""
        relation = self.relation(schema, name)
        named = "coalesce(to_regclass(?)::oid::text, concat(coalesce(?::text, current_schema()), '.', ?::text))"
        return transaction.rows(f"SELECT {named}", [relation, schema, name])[0][0]

    def lock(self, transaction: Transaction, relation: str, schema: str | None) -> None:
        """Let no other transaction that locks the same table begin until this one ends, whatever schema it names."""
        named = "coalesce(to_regclass(?)::oid::text, ?)"
        transaction.rows(f"SELECT pg_advisory_xact_lock(hashtextextended({named}, 0))", [relation, relation])

    def clock(self) -> str:
        """Return a query of the database's clock."""
        return "SELECT extract(epoch FROM clock_timestamp())"


_PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE")
#: A relation's kind, whether a crash empties it, and what the role may do with it.
_RELATION = f"""
    SELECT oid::bigint, relkind::text, relpersistence::text, pg_has_role(relowner, 'USAGE'),
        {", ".join(f"has_any_column_privilege(oid, '{privilege}')" for privilege in _PRIVILEGES[:3])},
        has_table_privilege(oid, 'DELETE')
    FROM pg_class WHERE oid = to_regclass(?)"""
_COLUMNS = """
    SELECT attname::text, format_type(atttypid, atttypmod), NOT attnotnull,
        atthasdef OR attidentity <> '', attgenerated <> '' OR attidentity = 'a'
    FROM pg_attribute WHERE attrelid = CAST(? AS oid) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""
_KEYS = """
    SELECT indexrelid::regclass::text,
        ARRAY(
            SELECT attname::text FROM unnest(indkey[0:indnkeyatts - 1]) AS part
            LEFT JOIN pg_attribute ON attrelid = indrelid AND attnum = part
        ),
        indpred IS NULL AND indimmediate AND indisvalid
    FROM pg_index WHERE indrelid = CAST(? AS oid) AND indisunique"""
_FOREIGN_KEYS = "SELECT conname::text FROM pg_constraint WHERE conrelid = CAST(? AS oid) AND contype = 'f'"
