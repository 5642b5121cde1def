"""Rows of a query, by any connection of Airflow whose hook has a DB-API connection.

Rows are read as they are needed: PostgreSQL and MySQL would otherwise send the whole result before the first row.
Numbers come as the database has them: NUMERIC and DECIMAL are exact on PostgreSQL, MySQL and DuckDB. SQLite keeps
numbers with a fraction as doubles only.

A driver's text may hold values of rows, so an error shows it only where the query itself is wrong, or where the
connection fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, ClassVar

from airflow.sdk import BaseHook, Connection

from airflow_provider_dotypos.api.errors import DotyposEnvironmentError, DotyposError
from airflow_provider_dotypos.api.redaction import missing_module, redact
from airflow_provider_dotypos.writes.errors import DotyposPlanError, DotyposSourceError
from airflow_provider_dotypos.writes.sources.problems import Problems
from airflow_provider_dotypos.writes.sources.source import Row, Source, of_four_bytes

_ROWS_AT_ONCE = 2000
_LONGEST_TEXT = 300

#: Drivers whose ``ProgrammingError`` is about the query alone. DuckDB's and Snowflake's quote values of rows as well.
_PROGRAMMING = ("MySQLdb", "psycopg", "psycopg2", "sqlite3")

#: DuckDB's errors that are.
_DUCKDB = ("BinderException", "CatalogException", "ParserException", "SyntaxException")

#: Drivers that send parameters apart from the query. Others write them into it, so that the database may quote them.
_BINDING = ("_duckdb", "duckdb", "psycopg", "sqlite3")

#: Databases that are files keep none.
_WITHOUT_A_LOG = ("_duckdb", "duckdb", "sqlite3")

#: MySQL's error of a column that doesn't exist; its class is that of lost connections as well.
_UNKNOWN_COLUMN = 1054


@dataclass
class Sql(Source):
    """Rows of a query.

    Columns are named after the fields: ``SELECT code AS "externalId", price AS "priceWithVat" FROM prices``. All
    arguments are templated, where an operator's source is.

    :param conn_id: the Airflow connection of the database.
    :param query: the query.
    :param parameters: values of its parameters, in the form that the database's driver takes. They aren't shown.
    """

    template_fields: ClassVar[Sequence[str]] = ("conn_id", "query", "parameters")

    conn_id: str
    query: str
    parameters: Sequence[Any] | Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"the query on connection {self.conn_id!r}"

    def numbered(self, problems: Problems) -> Iterator[tuple[int, Row]]:
        """Yield the rows with their numbers, from 1 on.

        :raises DotyposPlanError: if the query is wrong, or two of its columns have one name.
        :raises DotyposSourceError: if the database fails.
        :raises DotyposEnvironmentError: if there is no driver for it.
        """
        connection = BaseHook.get_connection(self.conn_id)
        hook = _hook_of(connection)
        failure: DotyposError | None = None
        connected = False
        try:
            with closing(hook.get_conn()) as database:
                connected = True
                # Closed with its connection: a cursor of MySQL that is closed by itself reads the whole result first.
                cursor = _streaming_cursor(database)
                cursor.execute(self.query, *([] if self.parameters is None else [self.parameters]))
                number = 0
                while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                    names = _names(cursor.description)
                    of_four = _of_four_bytes(cursor, names)
                    for row in rows:
                        number += 1
                        read = dict(row if isinstance(row, Mapping) else zip(names, row, strict=True))
                        read |= {name: of_four_bytes(read[name]) for name in of_four if read[name] is not None}
                        yield number, read
        except DotyposError:
            raise
        except Exception as error:
            if not _is_drivers(error):
                raise
            failure = self._failure(error, connection, connected)
        if failure is not None:  # raised here, it doesn't hold the driver's error, which may hold values of rows
            failure.connection = self.conn_id  # else it would be named after the Dotypos connection
            raise failure

    def _failure(self, error: Exception, connection: Connection, connected: bool) -> DotyposError:
        kind = type(error).__name__
        code = _sqlstate(error)
        said = f"{kind} {code}" if code else kind
        text = redact(" ".join(str(error).split()), (connection.password,))[:_LONGEST_TEXT].rstrip(".")
        if not connected:
            return DotyposSourceError(f"{self.name} can't connect: {said}: {text}")
        if module := missing_module(error):
            return DotyposEnvironmentError(
                f"{self.name} failed: Python's module {module} can't be imported. Install {module} where tasks run"
            )
        if not _is_query_wrong(error):
            where = "" if _driver(error) in _WITHOUT_A_LOG else "The database's own log has the details. "
            return DotyposSourceError(
                f"{self.name} failed: {said}. {where}The database's words may hold rows and so aren't shown here"
            )
        if self.parameters and _driver(error) not in _BINDING:
            return DotyposPlanError(
                f"{self.name} is wrong: {said}. Correct the query. The database's words may hold its parameters and so "
                "aren't shown here"
            )
        return DotyposPlanError(f"{self.name} is wrong: {said}: {text}. Correct the query")


def _hook_of(connection: Connection) -> Any:
    try:
        hook = connection.get_hook()  # type: ignore[no-untyped-call]
    except Exception as error:  # Airflow's own of a type that no provider brings, or the provider lacks its driver
        reason = f"{type(error).__name__}: {error}"
    else:
        if hasattr(hook, "get_records"):
            return hook
        reason = "it isn't a database"
    raise DotyposEnvironmentError(
        f"connection {connection.conn_id!r} is of type {connection.conn_type!r}, which can't be asked for rows "
        f"({reason}): install Airflow's provider for the database where tasks run"
    )


def _streaming_cursor(database: Any) -> Any:
    """Return a cursor that doesn't hold the whole result in memory."""
    driver = type(database).__module__.partition(".")[0]
    if driver in ("psycopg", "psycopg2"):
        return database.cursor(name="dotypos_source")
    if driver == "MySQLdb":
        from MySQLdb.cursors import SSCursor  # type: ignore[import-untyped]

        return database.cursor(SSCursor)
    return database if driver in ("duckdb", "_duckdb") else database.cursor()  # DuckDB's would be one more connection


def _names(description: Sequence[Sequence[Any]]) -> list[str]:
    """Return the names of the columns.

    :raises DotyposPlanError: if two have the same.
    """
    names = [str(column[0]) for column in description]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise DotyposPlanError(
            f"the query has two columns of one name: {', '.join(doubled)}. Give each its own with AS"
        )
    return names


def _of_four_bytes(cursor: Any, names: Sequence[str]) -> list[str]:
    """Return the columns whose numbers the driver has made of four bytes each. Only DuckDB's shows them as doubles."""
    if not type(cursor).__module__.endswith("duckdb"):
        return []
    return [name for name, column in zip(names, cursor.description, strict=True) if str(column[1]) == "FLOAT"]


def _is_drivers(error: Exception) -> bool:
    """Return whether an error is of a DB-API driver, as far as its classes' names say."""
    return bool({"Error", "DatabaseError", "OperationalError", "InterfaceError"} & _classes(error))


def _is_query_wrong(error: Exception) -> bool:
    """Return whether the query itself is wrong, so that the driver's text is about it alone."""
    driver, classes = _driver(error), _classes(error)
    return (
        str(_sqlstate(error)).startswith("42")  # syntax, names and rights
        or (driver in _PROGRAMMING and "ProgrammingError" in classes)
        or (driver in ("_duckdb", "duckdb") and not classes.isdisjoint(_DUCKDB))
        or (driver == "sqlite3" and str(error).startswith(("no such ", 'near "')))  # of a class that has others as well
        or (driver == "MySQLdb" and _UNKNOWN_COLUMN in error.args[:1])
    )


def _driver(error: Exception) -> str:
    return type(error).__module__.partition(".")[0]


def _sqlstate(error: Exception) -> object:
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def _classes(error: Exception) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}
