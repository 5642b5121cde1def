"""MySQL and MariaDB: types and statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect, RowEncoder, literal
from airflow_provider_dotypos.transfers.sql.names import OURS, STATE
from airflow_provider_dotypos.transfers.sql.reflection import Existing, ExistingColumn, ExistingKey

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.encoding_thread import EncodingThread
    from airflow_provider_dotypos.transfers.rows.columns import Columns
    from airflow_provider_dotypos.transfers.sql.tables import SqlColumn, SqlKind, SqlTable
    from airflow_provider_dotypos.transfers.sql.transaction import Transaction


class MySql(Dialect):
    """MySQL and MariaDB.

    Times are in UTC, whatever the session's time zone is. Lists and JSON are text: MySQL's own JSON makes doubles of
    decimal numbers.
    """

    title = "MySQL"
    extra = "mysql"
    scheme = "mysql"
    port = 3306
    location = "SELECT database()"
    longest_name = 64
    counts = "characters"
    transactional_ddl = False
    row_id = "_row"
    begin = ("SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION")
    for_share = " LOCK IN SHARE MODE"
    current_schema = "database()"
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

    wide_types: ClassVar[Mapping[SqlKind, Mapping[str, tuple[int, ...]]]] = {
        "long": {"bigint": (), "decimal": (19, 0)},
        "int": {"int": (), "bigint": (), "decimal": (10, 0)},
        "decimal": {"decimal": (20, 18)},
        "timestamp": {"datetime": (3,)},
        "boolean": {"tinyint": (), "smallint": (), "int": ()},
        "text": {"longtext": ()},
        "texts": {"longtext": (), "json": ()},
        "ints": {"longtext": (), "json": ()},
        "json": {"longtext": (), "json": ()},
        "name": {"longtext": (), "varchar": (255,)},
    }
    _table_options = " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4"

    def ready(self, connection: Any) -> None:
        """Make a new connection of mysqlclient or of mysql-connector-python ready."""
        if isinstance(getattr(type(connection), "autocommit", None), property):  # mysql-connector-python
            connection.autocommit = True
            connection.set_charset_collation("utf8mb4")
        else:
            from MySQLdb.cursors import Cursor  # type: ignore[import-untyped]

            connection.autocommit(True)
            connection.set_character_set("utf8mb4")
            connection.cursorclass = Cursor  # the connection's extra may ask for another
            connection.connection_id = connection.thread_id()  # no other thread may ask while a statement runs
        with closing(connection.cursor()) as cursor:
            cursor.execute("SET time_zone = '+00:00'")

    def interrupt(self, connection: Any, connect: Callable[[], Any]) -> None:
        """End the statement that runs in a connection."""
        with closing(connect()) as other, closing(other.cursor()) as cursor:
            cursor.execute(f"KILL QUERY {int(connection.connection_id)}")

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

    def comment_column(self, relation: str, column: SqlColumn) -> Iterator[str]:
        """Yield nothing: the column's creation comments it."""
        yield from ()

    def create_index(self, table: SqlTable, columns: Sequence[str]) -> str:
        """Return the statement that creates an index of a table. Its name is the table's own."""
        relation, name = self.relation(table.schema, table.name), self.quote("_".join(columns))
        return f"CREATE INDEX {name} ON {relation} ({self.listed(columns)})"

    @contextmanager
    def creating(self, transaction: Transaction) -> Iterator[None]:
        """Hold off other tasks that create or change tables: the lock is the connection's, as DDL ends transactions."""
        transaction.rows("SELECT get_lock(?, ?)", [OURS, _PATIENCE])
        try:
            yield
        finally:
            transaction.rows("SELECT release_lock(?)", [OURS])

    def has_schema(self, transaction: Transaction, schema: str) -> bool:
        """Return whether there is a database of that name."""
        return bool(transaction.rows("SELECT 1 FROM information_schema.schemata WHERE schema_name = ?", [schema]))

    def existing(self, transaction: Transaction, schema: str | None, name: str) -> Existing | None:
        """Return a table or a view as it is."""
        place = [schema, name]
        relations = transaction.rows(_TABLE, place)
        if not relations:
            return None
        kind, engine = relations[0]
        keys: dict[str, list[tuple[str | None, int | None]]] = defaultdict(list)
        for key, column, prefix in transaction.rows(_KEYS, place):
            keys[key].append((column, prefix))
        return Existing(
            is_table=kind == "BASE TABLE",
            columns=tuple(_column(*column) for column in transaction.rows(_COLUMNS, place)),
            keys=tuple(
                ExistingKey.of(key, [column for column, _ in parts], enforced=not any(prefix for _, prefix in parts))
                for key, parts in keys.items()
            ),
            foreign_keys=tuple(key for (key,) in transaction.rows(_FOREIGN_KEYS, place)),
            faults=() if engine in ("InnoDB", None) else (f"its engine {engine} has no transactions: make it InnoDB",),
        )

    def _definition(self, column: SqlColumn) -> str:
        comment = f" COMMENT {literal(column.comment)}" if column.comment else ""
        return super()._definition(column) + comment

    def create_staging(self, table: SqlTable, staging: str) -> Iterable[str]:
        """Yield the statement that creates a staging table, with a number for each row, and an index for the merge."""
        (statement,) = super().create_staging(table, staging)
        row = self.quote(self.row_id)
        keys = f"{row} bigint AUTO_INCREMENT PRIMARY KEY,\n  KEY ({self.listed(table.key)})"
        yield statement.replace("(\n", f"(\n  {keys},\n", 1)

    def encoder(self, table: SqlTable, columns: Columns, cloud_id: int, thread: EncodingThread) -> RowEncoder:
        """Return an encoder of a table's rows."""
        from airflow_provider_dotypos.transfers.sql.encoding.mysql import PackedRows

        return PackedRows(self, table, columns, cloud_id, thread)

    def differs(self, left: str, right: str, kind: SqlKind) -> str:
        """Return a condition: two values of a kind aren't the same; two nulls are.

        By a column's collation, ``a`` may be the same as ``A``. So bytes are compared.
        """
        if self.type_of(kind).startswith(("longtext", "varchar")):
            left, right = f"CAST({left} AS BINARY)", f"CAST({right} AS BINARY)"
        return f"NOT ({left} <=> {right})"

    def delete(self, relation: str, key: Sequence[str], rows: str) -> str:
        """Return a statement that deletes rows: by a join, as a subquery can't read the table that they are in."""
        # MySQL 8 merges a query that isn't distinct into the join, and refuses it then.
        distinct = rows.replace("SELECT", "SELECT DISTINCT", 1)
        same = " AND ".join(f"d.{name} = o.{name}" for name in map(self.quote, key))
        return f"DELETE d FROM {relation} AS d JOIN ({distinct}) AS o ON {same}"

    def update(self, relation: str, staging: str, condition: str, values: Mapping[str, str]) -> str:
        """Return a statement that updates the rows ``t`` of a table by those of a staging table, ``s``."""
        assignments = ", ".join(f"t.{self.quote(name)} = {value}" for name, value in values.items())
        return f"UPDATE {relation} AS t JOIN {staging} AS s ON {condition} SET {assignments}"

    def identify(self, transaction: Transaction, schema: str | None, name: str) -> object:
        """Return a table's full name. Whether its case counts is a setting of the server."""
        query = "SELECT concat(coalesce(?, database()), '.', ?), @@lower_case_table_names"
        ((full, folds),) = transaction.rows(query, [schema, name])
        return full.casefold() if folds else full

    def lock(self, transaction: Transaction, relation: str, schema: str | None) -> None:
        """Let no other transaction that locks the same table begin until this one ends: by a row, as `GET_LOCK` would
        outlive it.
        """
        state, place = self.relation(schema, STATE), [relation, "lock"]
        query = f"SELECT 1 FROM {state} WHERE target = ? AND {self.quote('key')} = ?{self.for_update}"
        if not transaction.rows(query, place):
            transaction.execute(self.insert_new(state, ["target", "key"]), place)

    def clock(self) -> str:
        """Return a query of the database's clock."""
        return "SELECT unix_timestamp(now(6))"


#: Seconds to wait for other tasks that create or change tables.
_PATIENCE = 600

_HERE = "table_schema = coalesce(?, database()) AND table_name = ?"
_TABLE = f"SELECT table_type, engine FROM information_schema.tables WHERE {_HERE}"
_COLUMNS = f"""
    SELECT column_name, column_type, is_nullable, column_default, extra, character_set_name
    FROM information_schema.columns WHERE {_HERE} ORDER BY ordinal_position"""
_KEYS = f"""
    SELECT index_name, column_name, sub_part FROM information_schema.statistics
    WHERE {_HERE} AND non_unique = 0 ORDER BY index_name, seq_in_index"""
_FOREIGN_KEYS = f"""
    SELECT constraint_name FROM information_schema.table_constraints
    WHERE {_HERE} AND constraint_type = 'FOREIGN KEY'"""


def _column(
    name: str, text: str, nullable: str, default: str | None, extra: str, characters: str | None
) -> ExistingColumn:
    text = "datetime(0)" if text == "datetime" else text
    text += "" if characters in (None, "utf8mb4") else f" character set {characters}"
    return ExistingColumn(
        name,
        text,
        nullable == "YES",
        default is not None or "auto_increment" in extra,
        extra.upper().endswith(" GENERATED"),
    )
