"""One transaction of a database: statements and their rows, with errors that hold no value of a row."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from airflow_provider_dotypos.transfers.sql.errors import DotyposDatabaseError, database_error

ResultT = TypeVar("ResultT")

#: What is quoted in a statement, and the marks of parameters.
_QUOTED_OR_MARK = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\?""")


class Driver(Protocol):
    """What differs between the drivers of databases."""

    @property
    def title(self) -> str:
        """What messages call the database."""

    @property
    def mark(self) -> str:
        """What a parameter is marked by."""

    def cursor(self, connection: Any) -> AbstractContextManager[Any]:
        """Return a cursor of a connection, which closes it at its end."""

    def changed(self, cursor: Any) -> int:
        """Return how many rows a statement has changed."""


class Transaction:
    """One transaction. Drivers' errors become `DotyposDatabaseError`, which holds no value of a row.

    :ivar connection: the driver's connection. Its errors are the driver's own until they leave the transaction.
    :param driver: how the connection is used.
    """

    def __init__(self, connection: Any, driver: Driver) -> None:
        self.connection = connection
        self._driver = driver

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement; return how many rows it changed.

        :param sql: parameters are written as ``?``; the driver's own marks are put there.
        """
        return self.use(lambda connection: int(self._run(connection, sql, parameters)[0]))

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a query; return its rows.

        :param sql: see `execute`.
        """
        return self.use(lambda connection: self._run(connection, sql, parameters, rows=True)[1])

    def use(self, work: Callable[[Any], ResultT]) -> ResultT:
        """Use the driver's connection, for what it does beyond statements, such as ``COPY``.

        :param work: gets the connection.
        :raises DotyposDatabaseError: in place of any error of it.
        """
        try:
            return work(self.connection)
        except Exception as error:
            if isinstance(error, DotyposDatabaseError):
                raise
            failure = database_error(error, self._driver.title)
        raise failure  # here, where no error is being handled: it would be kept as the context

    def _run(
        self, connection: Any, sql: str, parameters: Sequence[Any], *, rows: bool = False
    ) -> tuple[int, list[tuple[Any, ...]]]:
        with self._driver.cursor(connection) as cursor:
            if parameters:
                cursor.execute(with_marks(sql, self._driver.mark), tuple(parameters))
            else:
                cursor.execute(sql)
            if rows:
                return 0, [tuple(row) for row in cursor.fetchall()]
            return self._driver.changed(cursor), []


@functools.lru_cache(maxsize=256)
def with_marks(sql: str, mark: str) -> str:
    """Return a statement whose parameters are marked as a driver wants them, except for what is quoted.

    :param mark: ``?`` or ``%s``; with the latter, other per cent signs are doubled.
    """
    if mark == "?":
        return sql
    doubled = sql.replace("%", "%%")
    return _QUOTED_OR_MARK.sub(lambda match: mark if match[0] == "?" else match[0], doubled)
