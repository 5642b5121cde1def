"""A database that an Airflow connection names: its connections, transactions, clock and errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect


class Transaction:
    """One transaction. Driver's errors become `DotyposDatabaseError`, which holds no value of a row.

    :ivar connection: the driver's connection, for what a dialect does beyond SQL, such as COPY.
    """

    connection: Any

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement; return how many rows it changed.

        :param sql: parameters are written as ``?``; the dialect puts its own marks there.
        """
        raise NotImplementedError

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a query; return its rows."""
        raise NotImplementedError


class Database:
    """A database, for all threads of a task.

    :ivar dialect: what this kind of database does differently.
    """

    dialect: Dialect

    @classmethod
    def of(cls, conn_id: str, connections: int) -> Database:
        """Return the database of an Airflow connection; read the connection once, and connect to nothing yet.

        :param connections: how many connections to it there can be at once.
        :raises DotyposInputError: if it is of a kind that tables can't be loaded into.
        """
        raise NotImplementedError

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Give a transaction: committed at the end, rolled back if an error ends it."""
        raise NotImplementedError
        yield

    def read_at(self, monotonic: float) -> datetime:
        """Return a moment of this machine's monotonic clock by the database's clock, in UTC, to the microsecond."""
        raise NotImplementedError

    def cancel(self) -> None:
        """End what runs in the database, from another thread; no further transaction begins."""
        raise NotImplementedError

    def close(self) -> None:
        """Close all connections."""
        raise NotImplementedError
