"""Errors of databases: what a driver's error says, without the values of rows that it quotes.

A driver's text may hold any value of the row that it is about, so none of it goes into a message. What goes in are the
error's code and the name of a column, if it is one of ours: a trigger can give an error any name. Only where a
connection can't be made is the driver's text shown: no row was sent then.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from airflow_provider_dotypos.api.entities import entities
from airflow_provider_dotypos.api.errors import DotyposError
from airflow_provider_dotypos.api.redaction import missing_module, redact
from airflow_provider_dotypos.api.retry_table import DATABASE_BUSY, DATABASE_LOST, DATABASE_REFUSED
from airflow_provider_dotypos.transfers.sql.names import CLOUD_ID, LOAD_ID, READ_AT, REMOVED_AT, UNKNOWN
from airflow_provider_dotypos.transfers.sql.tables import snake

#: The longest text of a driver that a message shows, in characters.
_LONGEST_TEXT = 300


class DotyposDatabaseError(DotyposError):
    """A database couldn't do what it was asked for. The message holds no value of a row.

    :ivar sqlstate: the database's code, such as ``42501``, or what its driver has in place of one.
    :ivar column: the column that it is about, if that is known.
    """

    sqlstate: str | None = None
    column: str | None = None


class _Facts(NamedTuple):
    """What a driver's error says.

    :param code: see `DotyposDatabaseError`.
    :param reason: one of the reasons in the table of failures; ``None`` for all others.
    """

    code: str | None
    reason: str | None
    column: str | None = None


def is_drivers(error: BaseException) -> bool:
    """Return whether an error is a database driver's."""
    return isinstance(error, Exception) and _driver(error) in _READERS


def database_error(error: Exception, title: str) -> DotyposDatabaseError:
    """Return what is raised in place of an error that a statement ended with.

    :param title: what messages call the database.
    """
    reader = _READERS.get(_driver(error))
    code, reason, column = _Facts(type(error).__name__, None) if reader is None else reader(error)
    column = column if column in _column_names() else None
    what = f"{title} couldn't run a statement: {'no code' if code is None else code}"
    meaning, cure = _MEANINGS.get(code or "", ("", ""))
    if module := missing_module(error):
        meaning, cure = f"Python's module {module} can't be imported", f"Install {module} where tasks run."
    elif reason not in (DATABASE_BUSY, DATABASE_LOST) and _driver(error) in _WITHOUT_A_LOG:
        cure = cure or _NO_LOG
    what += f" ({meaning})" if meaning else ""
    what += f", column {column!r}" if column else ""
    return _made(f"{what}. {cure or _CURES[reason]}", code, reason, column)


def connection_error(error: Exception, title: str, secrets: tuple[str | None, ...] = ()) -> DotyposDatabaseError:
    """Return what is raised in place of an error of connecting.

    :param title: what messages call the database.
    :param secrets: what may not show in a message.
    """
    reader = _READERS.get(_driver(error))
    code, reason, _ = _Facts(type(error).__name__, None) if reader is None else reader(error)
    text = redact(" ".join(str(error).split()), secrets)[:_LONGEST_TEXT]
    cure = _CURES[reason] if reason in (DATABASE_BUSY, DATABASE_LOST) else _CONNECTION_CURE
    return _made(f"{title} can't be reached: {text.rstrip('.')}. {cure}", code, reason, None)


def _made(message: str, code: str | None, reason: str | None, column: str | None) -> DotyposDatabaseError:
    error = DotyposDatabaseError(message)
    error.sqlstate, error.reason, error.column = code, reason, column
    return error


@functools.cache
def _column_names() -> frozenset[str]:
    """Return the names of all columns that a table of ours can have."""
    fields = {field for entity in entities().values() for field in entity.fields}
    return frozenset({*fields, *map(snake, fields), *CLOUD_ID.values(), READ_AT, LOAD_ID, UNKNOWN, REMOVED_AT})


def _driver(error: BaseException) -> str:
    """Return the name of the package that an error's class, or a class above it, is of."""
    roots = (kind.__module__.partition(".")[0] for kind in type(error).__mro__)
    return next((root for root in roots if root in _READERS), "")


# PostgreSQL -----------------------------------------------------------------------------------------------------------

#: Where ``COPY`` names the column of a value that doesn't fit; what comes after it may be the value.
_COLUMN_OF_COPY = re.compile(r"COPY [^,\n]{1,200}, line \d{1,20}, column ([^:,\n]{1,200})")

_BUSY_STATES = ("40", "55P03", "53300")
_LOST_STATES = ("08", "57P")
_REFUSED_STATES = ("0A", "21", "22", "23", "28", "3D", "3F", "42")


def _of_postgres(error: Any) -> _Facts:
    code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if code is None:  # without an answer of the server
        lost = any(kind.__name__ in ("OperationalError", "InterfaceError") for kind in type(error).__mro__)
        lost = lost or type(error).__name__ == "DatabaseError"  # psycopg2's, if the server is gone in mid-statement
        # psycopg has no code for what a server says while it is being connected to, but it has the text.
        refused = any(text in str(error) for text in ("authentication failed", "does not exist", "no pg_hba.conf"))
        return _Facts(None, (DATABASE_REFUSED if refused else DATABASE_LOST) if lost else None)
    diagnosis = getattr(error, "diag", None)
    column = getattr(diagnosis, "column_name", None)
    if column is None and (copied := _COLUMN_OF_COPY.search(getattr(diagnosis, "context", None) or "")):
        column = copied[1]
    for reason, states in (
        (DATABASE_BUSY, _BUSY_STATES),
        (DATABASE_LOST, _LOST_STATES),
        (DATABASE_REFUSED, _REFUSED_STATES),
    ):
        if code.startswith(states):
            return _Facts(code, reason, column)
    return _Facts(code, None, column)


# MySQL and MariaDB ----------------------------------------------------------------------------------------------------

_MYSQL_BUSY = (1040, 1203, 1205, 1213)
_MYSQL_LOST = (1053, 1077, 1080, 1152, 1184, 1927, 2002, 2003, 2006, 2013, 2055, 4031)
_MYSQL_REFUSED = (
    *(1044, 1045, 1048, 1049, 1050, 1054, 1062, 1064, 1071, 1072, 1075, 1102, 1103, 1118, 1136, 1142, 1143, 1146, 1227),
    *(1264, 1265, 1292, 1364, 1366, 1406, 1698),
)
_MYSQL_REASONS: Mapping[int, str] = {
    **dict.fromkeys(_MYSQL_BUSY, DATABASE_BUSY),
    **dict.fromkeys(_MYSQL_LOST, DATABASE_LOST),
    **dict.fromkeys(_MYSQL_REFUSED, DATABASE_REFUSED),
}
_COLUMN_OF_MYSQL = re.compile(r"column ['`](?:[^'`\n]{1,200}`\.`){0,2}([^'`\n]{1,200})['`]", re.IGNORECASE)


def _of_mysql(error: Any) -> _Facts:
    number = getattr(error, "errno", None) or (error.args[0] if error.args else None)
    if not isinstance(number, int):
        lost = type(error).__name__ in ("InterfaceError", "OperationalError")
        return _Facts(None, DATABASE_LOST if lost else None)
    if number in (0, -1):  # "(0, '')": the connection was closed
        return _Facts(None, DATABASE_LOST)
    column = _COLUMN_OF_MYSQL.search(str(error)) if number in _NAMING_A_COLUMN else None
    return _Facts(str(number), _MYSQL_REASONS.get(number), column[1] if column else None)


#: Errors of MySQL whose text names a column, before or without any value: missing, null, out of range, too long.
_NAMING_A_COLUMN = (1048, 1054, 1264, 1364, 1406)


# SQLite and DuckDB ----------------------------------------------------------------------------------------------------

_SQLITE_REASONS: Mapping[str, str] = {
    "SQLITE_BUSY": DATABASE_BUSY,
    "SQLITE_LOCKED": DATABASE_BUSY,
    "SQLITE_READONLY": DATABASE_REFUSED,
    "SQLITE_CANTOPEN": DATABASE_REFUSED,
    "SQLITE_NOTADB": DATABASE_REFUSED,
    "SQLITE_CONSTRAINT": DATABASE_REFUSED,
    "SQLITE_ERROR": DATABASE_REFUSED,
}


def _of_sqlite(error: Any) -> _Facts:
    name: str | None = getattr(error, "sqlite_errorname", None)  # since Python 3.11
    if name is None:
        name = "SQLITE_BUSY" if "is locked" in str(error) else type(error).__name__
    reasons = (reason for prefix, reason in _SQLITE_REASONS.items() if name.startswith(prefix))
    return _Facts(name, next(reasons, None))


_DUCKDB_REASONS: Mapping[str, str] = {
    "TransactionException": DATABASE_BUSY,
    **dict.fromkeys(
        ("BinderException", "CatalogException", "ConstraintException", "ConversionException", "ParserException"),
        DATABASE_REFUSED,
    ),
    **dict.fromkeys(("InvalidInputException", "OutOfRangeException", "TypeMismatchException"), DATABASE_REFUSED),
}


def _of_duckdb(error: Any) -> _Facts:
    name = type(error).__name__
    if "Could not set lock on file" in str(error):  # another process has it open
        return _Facts(name, DATABASE_BUSY)
    return _Facts(name, _DUCKDB_REASONS.get(name))


_READERS: Mapping[str, Any] = {
    "psycopg": _of_postgres,
    "psycopg2": _of_postgres,
    "MySQLdb": _of_mysql,
    "mysql": _of_mysql,
    "sqlite3": _of_sqlite,
    "duckdb": _of_duckdb,
    "_duckdb": _of_duckdb,
}

_DETAILS = "The database's own log has the details, which may hold rows and so aren't shown here."

#: Databases that are files keep none.
_WITHOUT_A_LOG = ("sqlite3", "duckdb", "_duckdb")
_NO_LOG = (
    "Its own words may hold rows and so aren't shown here. Check what somebody has changed or added in the database: "
    "types of columns, constraints, indexes, triggers."
)

#: What to do, by the reason.
_CURES: Mapping[str | None, str] = {
    DATABASE_BUSY: "Another transaction was in the way. The next try may succeed.",
    DATABASE_LOST: "The connection was lost, or the database isn't up. What is staged is kept for the next try.",
    DATABASE_REFUSED: _DETAILS,
    None: _DETAILS,
}

_NO_PRIVILEGE = (
    "a privilege is missing",
    "The role needs SELECT, INSERT, UPDATE and DELETE on the tables, and CREATE in the schema or in staging_schema.",
)
_NO_TABLE = ("a table doesn't exist", "Somebody has removed it meanwhile, or create=False is set: create it.")
_DISK_FULL = ("the disk is full", "Free some room: what is staged is kept for the next try.")
_CANCELLED = ("it was cancelled", "A time limit of the role or an admin ended the statement: raise statement_timeout.")
_NO_COLUMN = ("a column doesn't exist", "Somebody has removed it meanwhile, or alter=False is set: add it.")
_NULL = ("a column that can't be null got a null", "Let it be null: the API gives no value for it.")
_CHECK = ("a check failed", "Remove the check: what the API gives doesn't pass it.")
_NOT_UNIQUE = (
    "a unique index has the value already",
    "Only the primary key may be unique: drop other unique indexes.",
)
_TOO_LARGE = ("a number is too large for its column", "Make the column wider.")
_TOO_LONG = ("a text is too long for its column", "Make the column wider.")
_READ_ONLY = ("the file can't be written", "Let the user of tasks write the file and its folder.")

_CONNECTION_CURE = "Check the Airflow connection: its host or file, port, schema, login and password."

#: What codes mean, and what to do about them.
_MEANINGS: Mapping[str, tuple[str, str]] = {
    "42501": _NO_PRIVILEGE,
    "1142": _NO_PRIVILEGE,
    "1044": _NO_PRIVILEGE,
    "42P01": _NO_TABLE,
    "1146": _NO_TABLE,
    "42703": _NO_COLUMN,
    "1054": _NO_COLUMN,
    "3F000": ("a schema doesn't exist", "Create it, and grant the role CREATE and USAGE on it."),
    "53100": _DISK_FULL,
    "SQLITE_FULL": _DISK_FULL,
    "SQLITE_NOTADB": ("the file is no SQLite database", "Correct the connection's host."),
    "57014": _CANCELLED,
    "1317": _CANCELLED,
    "23502": _NULL,
    "1048": _NULL,
    "SQLITE_CONSTRAINT_NOTNULL": _NULL,
    "23514": _CHECK,
    "3819": _CHECK,  # MySQL's
    "4025": _CHECK,  # MariaDB's
    "SQLITE_CONSTRAINT_CHECK": _CHECK,
    "23505": _NOT_UNIQUE,
    "1062": _NOT_UNIQUE,
    "SQLITE_CONSTRAINT_UNIQUE": _NOT_UNIQUE,
    "22003": _TOO_LARGE,
    "1264": _TOO_LARGE,
    "22001": _TOO_LONG,
    "1406": _TOO_LONG,
    "SQLITE_READONLY": _READ_ONLY,
    "SQLITE_CANTOPEN": _READ_ONLY,
    "CatalogException": (
        "a table, a column or a schema doesn't exist",
        "Somebody has removed it meanwhile: create it.",
    ),
    "BinderException": ("a column doesn't exist, or has an unfit type", "Give the column back its name and type."),
    "ConstraintException": (
        "a row breaks a constraint or a unique index",
        "Remove what isn't the loads' own: only the primary key may be unique, and all other columns may be null.",
    ),
    "ConversionException": ("a value doesn't fit its column's type", "Give the column the type that loads give it."),
    "OutOfRangeException": ("a number is too large for its column", "Make the column wider."),
    "OutOfMemoryException": ("its memory is used up", "Raise DuckDB's memory_limit, or let fewer tasks run at once."),
    "IOException": ("its file can't be read or written", "Check the file's rights, and the room on its disk."),
}
