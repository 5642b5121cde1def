"""What every database does, and where they may differ."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from airflow_provider_dotypos.transfers.errors import PyarrowMissingError

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.encoding_thread import EncodingThread
    from airflow_provider_dotypos.transfers.rows.columns import Columns
    from airflow_provider_dotypos.transfers.rows.new_fields import NewFields
    from airflow_provider_dotypos.transfers.sql.reflection import Existing, ExistingType
    from airflow_provider_dotypos.transfers.sql.tables import SqlColumn, SqlKind, SqlTable
    from airflow_provider_dotypos.transfers.sql.transaction import Transaction


class RowEncoder(ABC):
    """Encodes rows of one table in memory, until they are copied into its staging table.

    :ivar load_id: what its rows have in `LOAD_ID`: the part that they belong to. It is set while there are none.
    """

    load_id: str = ""

    @property
    @abstractmethod
    def bytes(self) -> int:
        """Memory that the rows take, in bytes."""

    @property
    @abstractmethod
    def rows(self) -> int:
        """How many rows it holds."""

    @property
    @abstractmethod
    def misfits(self) -> Counter[str]:
        """How many values of each field of the rows held don't fit their column; complete once they are copied."""

    @property
    @abstractmethod
    def new_fields(self) -> NewFields:
        """Which fields of the rows held the entity table doesn't know; complete once they are copied."""

    @abstractmethod
    def add(self, rows: Sequence[msgspec.Raw], read_at: datetime) -> None:
        """Add rows that were read at a time (`READ_AT`)."""

    @abstractmethod
    def copy(self, transaction: Transaction, staging: str) -> None:
        """Copy all rows into a staging table, in a transaction, and keep them, so that it can be tried again.

        :param staging: the staging table's name, quoted and with its schema.
        """

    @abstractmethod
    def clear(self) -> None:
        """Forget the rows."""


class Dialect(ABC):
    """Statements of one kind of database, as values."""

    #: What messages call it.
    title: ClassVar[str]
    #: The package's extra with all that it needs.
    extra: ClassVar[str]
    #: What URIs of tables begin with, in assets.
    scheme: ClassVar[str]
    #: The server's usual port; ``None`` where there is no server.
    port: ClassVar[int | None] = None
    #: The query of the database's name, or of its file's path, and of the schema of tables that name none.
    location: ClassVar[str]
    #: How long a name may be, see `length`; ``None``: as long as it likes.
    longest_name: ClassVar[int | None]
    #: What the length of a name counts.
    counts: ClassVar[str] = "bytes"
    #: Whether sums of decimal numbers are exact.
    exact_sums: ClassVar[bool] = True
    #: Whether a rollback takes back what changed tables.
    transactional_ddl: ClassVar[bool]
    #: What a parameter is marked by.
    mark: ClassVar[str] = "%s"
    #: How many connections may write at once; ``None`` for any number.
    writers: ClassVar[int | None] = None
    #: Whether a connection serves one transaction alone: the database is a file, which no idle connection may hold.
    embedded: ClassVar[bool] = False
    #: The type of columns, by what they hold.
    types: ClassVar[Mapping[SqlKind, str]]
    #: What begins a transaction. Each of its statements sees what others have committed by then.
    begin: ClassVar[tuple[str, ...]] = ("BEGIN",)
    #: What a query ends with so that nobody else changes its rows until the transaction ends, or locks them so.
    for_update: ClassVar[str] = " FOR UPDATE"
    #: The same, but others may lock the rows likewise.
    for_share: ClassVar[str] = " FOR SHARE"
    #: The names of types that hold as much, by what they hold, and the least of their sizes: characters or digits of a
    #: second, or digits before and behind the point. Their values compare with those of `types`.
    wide_types: ClassVar[Mapping[SqlKind, Mapping[str, tuple[int, ...]]]]
    #: Whether two columns' names that differ in capitals only are the same.
    ignores_case: ClassVar[bool] = True

    def quote(self, name: str) -> str:
        """Return a name as a statement holds it."""
        doubled = name.replace('"', '""')
        return f'"{doubled}"'

    def relation(self, schema: str | None, name: str) -> str:
        """Return a table's name as a statement holds it."""
        return self.quote(name) if schema is None else f"{self.quote(schema)}.{self.quote(name)}"

    def length(self, name: str) -> int:
        """Return the length of a name, in what it `counts`."""
        return len(name.encode())

    # Connections: database.py

    @abstractmethod
    def ready(self, connection: Any) -> None:
        """Make a driver's new connection ready.

        It commits each statement by itself then, its text is UTF-8, and its times are in UTC.
        """

    def cursor(self, connection: Any) -> AbstractContextManager[Any]:
        """Return a cursor of a connection, which closes it at its end."""
        return closing(connection.cursor())

    def changed(self, cursor: Any) -> int:
        """Return how many rows a statement has changed."""
        return int(cursor.rowcount)

    def interrupt(self, connection: Any, connect: Callable[[], Any]) -> None:
        """End the statement that runs in a connection, from another thread.

        :param connect: opens a connection, if that is needed.
        """
        connection.interrupt()

    def moment(self, time: datetime) -> object:
        """Return a time, in UTC and to the microsecond, as a parameter for a column of times."""
        return time

    def insert_new(self, relation: str, columns: Sequence[str]) -> str:
        """Return the statement that inserts a row, unless its key exists.

        It waits for a transaction that has inserted the key and hasn't ended.
        """
        values = ", ".join("?" for _ in columns)
        return f"INSERT INTO {relation} ({self.listed(columns)}) VALUES ({values}) ON CONFLICT DO NOTHING"

    # Tables: tables.py, ddl.py

    def type_of(self, kind: SqlKind) -> str:
        """Return the type of columns of a kind."""
        return self.types[kind]

    def create_table(
        self, relation: str, columns: Iterable[SqlColumn], key: Sequence[str] = (), *, durable: bool = True
    ) -> str:
        """Return the statement that creates a table, unless there is one of its name.

        :param relation: its name, quoted and with its schema.
        :param key: the columns of the primary key; empty for none.
        :param durable: whether committed rows must outlive a crash of the database.
        """
        lines = [self._definition(column) for column in columns]
        if key:
            lines.append(f"PRIMARY KEY ({self.listed(key)})")
        body = ",\n  ".join(lines)
        return f"{self._create(durable)} IF NOT EXISTS {relation} (\n  {body}\n){self._table_options}"

    def listed(self, names: Iterable[str]) -> str:
        """Return names as a list of columns holds them."""
        return ", ".join(map(self.quote, names))

    def comments(self, table: SqlTable) -> Iterator[str]:
        """Yield the statements that comment a table and its columns, unless its creation does."""
        relation = self.relation(table.schema, table.name)
        yield f"COMMENT ON TABLE {relation} IS {literal(table.comment)}"
        for column in table.columns:
            yield from self.comment_column(relation, column)

    def add_column(self, relation: str, column: SqlColumn) -> str:
        """Return the statement that adds a column at a table's end. It can be null, as it is in the rows so far."""
        return f"ALTER TABLE {relation} ADD COLUMN {self._definition(replace(column, required=False))}"

    def comment_column(self, relation: str, column: SqlColumn) -> Iterator[str]:
        """Yield the statement that comments a column, unless its creation does."""
        yield f"COMMENT ON COLUMN {relation}.{self.quote(column.name)} IS {literal(column.comment)}"

    def create_index(self, table: SqlTable, columns: Sequence[str]) -> str:
        """Return the statement that creates an index of a table, unless there is one of its name."""
        relation = self.relation(table.schema, table.name)
        name = self.quote(f"{table.name}_{'_'.join(columns)}_idx")
        return f"CREATE INDEX IF NOT EXISTS {name} ON {relation} ({self.listed(columns)})"

    def create_view(self, view: str, query: str) -> Iterator[str]:
        """Yield the statements that create a view, or replace one. Who may read it stays.

        :param view: its name, quoted and with its schema.
        """
        yield f"CREATE OR REPLACE VIEW {view} AS {query}"

    # Tables as they are: existing.py

    @contextmanager
    def creating(self, transaction: Transaction) -> Iterator[None]:
        """Hold off other tasks that create or change tables: two at once fail even where each asks what exists."""
        yield

    #: What names the connection's own schema in a query.
    current_schema: ClassVar[str] = "current_schema()"

    def table_names(self, transaction: Transaction, schema: str | None, prefix: str) -> list[str]:
        """Return the names of the tables in a schema that begin with a text.

        :param schema: ``None``: the connection's own.
        """
        query = (
            f"SELECT table_name FROM information_schema.tables WHERE table_schema = coalesce(?, {self.current_schema})"
        )
        return [name for (name,) in transaction.rows(query, [schema]) if name.startswith(prefix)]

    def identify(self, transaction: Transaction, schema: str | None, name: str) -> object:
        """Return what is the same for all names of one table.

        :param schema: ``None``: the connection's own.
        """
        ((schema,),) = transaction.rows(f"SELECT coalesce(?, {self.current_schema})", [schema])
        return f"{schema}.{name}".casefold()

    @abstractmethod
    def has_schema(self, transaction: Transaction, schema: str) -> bool:
        """Return whether there is a schema of that name."""

    @abstractmethod
    def existing(self, transaction: Transaction, schema: str | None, name: str) -> Existing | None:
        """Return a table or a view as it is; ``None`` if there is none."""

    def holds(self, existing: ExistingType, column: SqlColumn) -> bool:
        """Return whether a column of an existing type holds each value of one of ours."""
        least = self.wide_types[column.kind].get(existing.name)
        if least is None or not existing.sizes:
            return least is not None
        if column.kind == "timestamp" and column.field is None:  # our own are in microseconds
            least = (6,)
        if len(least) == 2:
            digits, places = (*existing.sizes, 0)[:2]
            return digits - places >= least[0] and places >= least[1]
        return not least or existing.sizes[0] >= least[0]

    #: What a table's creation ends with.
    _table_options: ClassVar[str] = ""

    def _create(self, durable: bool) -> str:
        """Return what a table's creation begins with."""
        return "CREATE TABLE"

    def _definition(self, column: SqlColumn) -> str:
        """Return a column as its table's creation holds it."""
        return f"{self.quote(column.name)} {self.type_of(column.kind)}{' NOT NULL' if column.required else ''}"

    # Staging: staging.py

    def create_staging(self, table: SqlTable, staging: str) -> Iterable[str]:
        """Yield the statements that create a staging table with the columns of its target, none of them required.

        :param staging: its name, quoted and with its schema.
        """
        optional = [replace(column, required=False) for column in table.columns]
        yield self.create_table(staging, optional, durable=False)

    def analyze(self, staging: str) -> Iterable[str]:
        """Yield the statements that let the database know what a filled staging table holds, if it needs that."""
        return ()

    def require_pyarrow(self) -> None:
        """Check that rows can be encoded here.

        :raises PyarrowMissingError: if pyarrow isn't installed.
        """
        try:
            import pyarrow  # noqa: F401
        except ImportError as error:
            raise PyarrowMissingError(
                f"Loading into {self.title} needs pyarrow ({error}): "
                f"pip install 'airflow-provider-dotypos[{self.extra}]'"
            ) from error

    @abstractmethod
    def encoder(self, table: SqlTable, columns: Columns, cloud_id: int, thread: EncodingThread) -> RowEncoder:
        """Return an encoder of a table's rows. Threads have one each.

        :param thread: the one thread that encodes.
        """

    # Merging: merge.py

    #: What begins a merge.
    begin_merge: ClassVar[tuple[str, ...]] = ()
    #: The column by which a row of a staging table is known, even if another one holds the same.
    row_id: ClassVar[str] = "rowid"

    def has_merge(self, transaction: Transaction) -> bool:
        """Return whether the database has a ``MERGE`` that says in a query what it has done."""
        return False

    def differs(self, left: str, right: str, kind: SqlKind) -> str:
        """Return a condition: two values of a kind aren't the same; two nulls are."""
        return f"{left} IS DISTINCT FROM {right}"

    def delete(self, relation: str, key: Sequence[str], rows: str) -> str:
        """Return a statement that deletes rows.

        :param key: columns.
        :param rows: a query of what the rows to delete hold there; it names its columns as the key.
        """
        return f"DELETE FROM {relation} WHERE ({self.listed(key)}) IN ({rows})"

    def update(self, relation: str, staging: str, condition: str, values: Mapping[str, str]) -> str:
        """Return a statement that updates the rows ``t`` of a table by those of a staging table, ``s``.

        :param condition: joins both; has no parameters.
        :param values: what columns get.
        """
        assignments = ", ".join(f"{self.quote(name)} = {value}" for name, value in values.items())
        return f"UPDATE {relation} AS t SET {assignments} FROM {staging} AS s WHERE {condition}"

    @abstractmethod
    def lock(self, transaction: Transaction, relation: str, schema: str | None) -> None:
        """Let no other transaction that locks the same table go on until this one ends.

        :param relation: the table's name, quoted and with its schema.
        :param schema: where our own tables lie.
        """

    @abstractmethod
    def clock(self) -> str:
        """Return a query of the database's clock: seconds since 1970 in UTC, as a number."""


def literal(text: str) -> str:
    """Return one of our own texts as a statement holds it. No value of a row or a user comes here."""
    doubled = text.replace("'", "''")
    return f"'{doubled}'"
