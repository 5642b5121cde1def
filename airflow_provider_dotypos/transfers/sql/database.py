"""A database that an Airflow connection names: its connections, transactions and clock."""

from __future__ import annotations

import logging
import random
import threading
import time
from _thread import start_new_thread
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from airflow.sdk import BaseHook

from airflow_provider_dotypos.api.errors import DotyposCancelledError, DotyposEnvironmentError, DotyposInputError
from airflow_provider_dotypos.api.list_log import list_log
from airflow_provider_dotypos.api.retry_table import DATABASE_LOST
from airflow_provider_dotypos.transfers.sql.dialects.duckdb import DuckDb
from airflow_provider_dotypos.transfers.sql.dialects.mysql import MySql
from airflow_provider_dotypos.transfers.sql.dialects.postgres import Postgres
from airflow_provider_dotypos.transfers.sql.dialects.sqlite import Sqlite
from airflow_provider_dotypos.transfers.sql.errors import (
    DotyposDatabaseError,
    connection_error,
    database_error,
    is_drivers,
)
from airflow_provider_dotypos.transfers.sql.transaction import Transaction

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect

log = list_log(__name__)

#: What hooks write to of what they do; their errors are raised.
_quiet = logging.getLogger(f"{__name__}.hook")
_quiet.setLevel(logging.WARNING)

ResultT = TypeVar("ResultT")

#: The kinds of databases that tables are loaded into, by the types of Airflow's connections.
DIALECTS: dict[str, type[Dialect]] = {"postgres": Postgres, "mysql": MySql, "sqlite": Sqlite, "duckdb": DuckDb}

#: For how long, in seconds, a transaction is tried again: a database that went away restarts meanwhile, and another
#: task's merge into the same file ends.
LOST_AT_MOST, BUSY_AT_MOST = 60.0, 600.0

#: Seconds after which the clock of the database is looked at again: clocks drift apart by milliseconds a minute.
_CLOCK_HOLDS = 300.0

#: Seconds after which what runs on in spite of a kill is ended again.
_BETWEEN_INTERRUPTIONS = 0.2

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Database:
    """A database, for all threads of a task.

    :param connect: opens a driver's connection.
    :param connections: how many connections there can be at once.
    :param secrets: what messages may not show.
    :param conn_id: the Airflow connection, for messages.
    :ivar host: the server's, as the connection has it.
    :ivar port: the server's; ``None`` for the usual one.
    :ivar dialect: what this kind of database does differently.
    """

    def __init__(
        self,
        connect: Callable[[], Any],
        dialect: Dialect,
        connections: int,
        secrets: tuple[str | None, ...] = (),
        conn_id: str | None = None,
    ) -> None:
        self.dialect = dialect
        self._conn_id = conn_id
        self.host: str | None = None
        self.port: int | None = None
        self._connect = connect
        self._secrets = secrets
        self._places = threading.BoundedSemaphore(min(connections, dialect.writers or connections))
        self._lock = threading.Lock()
        self._idle: list[Any] = []
        self._interruptible: list[Any] = []
        self._cancelled = False
        self._wake = threading.Event()
        self._clock: tuple[float, float] | None = None

    @classmethod
    def of(cls, conn_id: str, connections: int) -> Database:
        """Return the database of an Airflow connection; read the connection once, and connect to nothing yet.

        :param connections: how many connections to it there can be at once.
        :raises DotyposInputError: if it is of a kind that tables can't be loaded into.
        """
        connection = BaseHook.get_connection(conn_id)
        dialect = _dialect_of(connection)
        hook = _hook_of(connection)
        # Some hooks read the connection anew for each of theirs. A thread may not ask Airflow for it.
        hook.get_connection = lambda *args, **kwargs: connection
        hook._log = _quiet  # DuckDB's says each time that it opens the file
        secrets = (connection.password, *_secrets_in(connection.extra_dejson))
        database = cls(hook.get_conn, dialect, connections, secrets, conn_id)
        database.host, database.port = connection.host, connection.port
        return database

    def run(self, work: Callable[[Transaction], ResultT], *, interruptible: bool = False) -> ResultT:
        """Do work in a transaction. It is done again on a new connection if one was lost, or another was in the way.

        An answer to ``COMMIT`` may be lost as well. So the work must see what it has done already.

        :param interruptible: whether a killed task ends it at once, because it may take long.
        :raises DotyposDatabaseError: if it fails.
        :raises DotyposCancelledError: if the task was killed.
        """
        begun = time.monotonic()
        tries = 0
        while True:
            if interruptible:
                self._check_cancelled()
            try:
                with self.transaction(interruptible=interruptible) as transaction:
                    return work(transaction)
            except DotyposDatabaseError as failure:
                if interruptible:
                    self._check_cancelled()
                wait = min(0.1 * 2**tries, 5.0) * random.uniform(0.5, 1)
                most = LOST_AT_MOST if failure.reason == DATABASE_LOST else BUSY_AT_MOST
                if self._cancelled or not failure.passing or time.monotonic() + wait - begun > most:
                    raise
                error = failure
            # A wait may last ten minutes: now and then one line of it is enough.
            (log.info if tries % 12 == 3 else log.debug)("%s Trying again in %.1f s.", error, wait)
            tries += 1
            self._wake.wait(wait)

    @contextmanager
    def transaction(self, *, interruptible: bool = False) -> Iterator[Transaction]:
        """Give a transaction: committed at the end, rolled back if an error ends it.

        :param interruptible: see `run`.
        :raises DotyposDatabaseError: in place of a driver's error.
        """
        failure: DotyposDatabaseError | None = None
        with self._places:
            connection = self._take(interruptible)
            committed = False
            try:
                if interruptible:
                    self._check_cancelled()
                transaction = self._transaction(connection)
                for statement in self.dialect.begin:
                    transaction.execute(statement)
                yield transaction
                transaction.execute("COMMIT")
                committed = True
            except (DotyposDatabaseError, DotyposInputError) as error:
                error.connection = self._conn_id
                raise
            except Exception as error:
                if not is_drivers(error):
                    raise
                failure = database_error(error, self.dialect.title)
                failure.connection = self._conn_id
            finally:
                self._give_back(connection, committed)
        if failure is not None:
            _raise_alone(failure)

    def read_at(self, monotonic: float) -> datetime:
        """Return a moment of this machine's monotonic clock by the database's clock, in UTC, to the microsecond."""
        clock = self._clock
        if clock is None or time.monotonic() - clock[1] > _CLOCK_HOLDS:
            clock = self._clock = self.run(self._compare_clocks)
        return _EPOCH + timedelta(seconds=monotonic + clock[0])

    def cancel(self) -> None:
        """End what takes long in the database, and wait for nothing more. Short transactions can still be run.

        Safe in a signal's handler: the main thread may hold the lock just then, so another thread does it.
        """
        self._cancelled = True
        with suppress(RuntimeError):  # no thread can be started: what runs lasts to its end
            start_new_thread(self._interrupt, ())

    def close(self) -> None:
        """Close the idle connections. All are idle once no transaction is under way."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            _close(connection)

    def _take(self, interruptible: bool) -> Any:
        """Return an idle connection, or a new one."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        connection = self._open() if connection is None else connection
        with self._lock:
            if interruptible:
                self._interruptible.append(connection)
        return connection

    def _open(self) -> Any:
        try:
            connection = self._connect()
            self.dialect.ready(connection)
            return connection
        except Exception as error:
            if not is_drivers(error):
                raise
            failure = connection_error(error, self.dialect.title, self._secrets)
            failure.connection = self._conn_id
        raise failure

    def _give_back(self, connection: Any, committed: bool) -> None:
        """Keep a connection for the next transaction, or close it if it can't be used further."""
        with self._lock:
            if connection in self._interruptible:
                self._interruptible.remove(connection)
        reusable = False
        try:
            reusable = committed or self._roll_back(connection)
        finally:  # whatever breaks in
            if reusable and not self.dialect.embedded:
                with self._lock:
                    self._idle.append(connection)
            else:
                _close(connection)
        if not reusable:  # what ended this connection has ended the idle ones, too
            self.close()

    def _roll_back(self, connection: Any) -> bool:
        """Roll back; return whether the connection can be used further."""
        try:
            self._transaction(connection).execute("ROLLBACK")
        except DotyposDatabaseError:  # it is lost, or was left in the midst of something
            return False
        return True

    def _transaction(self, connection: Any) -> Transaction:
        return Transaction(connection, self.dialect)

    def _compare_clocks(self, transaction: Transaction) -> tuple[float, float]:
        """Return by how much the database's clock is ahead of the monotonic one here, and when that was measured.

        The quickest of three answers is the most exact one.
        """
        measured = []
        for _ in range(3):
            asked = time.monotonic()
            seconds = float(transaction.rows(self.dialect.clock())[0][0])
            answered = time.monotonic()
            measured.append((answered - asked, seconds - (asked + answered) / 2, answered))
        return min(measured)[1:]

    def _check_cancelled(self) -> None:
        if self._cancelled:
            raise DotyposCancelledError(
                "The task was killed while it loaded rows into the database. What is staged is kept for the next try."
            )

    def _interrupt(self) -> None:
        self._wake.set()
        while self._interruptible:  # one may be between two statements just now
            with self._lock:
                for connection in self._interruptible:
                    with suppress(Exception):  # it may just have ended
                        self.dialect.interrupt(connection, self._connect)
            time.sleep(_BETWEEN_INTERRUPTIONS)


def _dialect_of(connection: Connection) -> Dialect:
    kind = connection.conn_type
    extra = connection.extra_dejson
    redshift = any(extra.get(name) for name in ("redshift", "redshift-serverless"))
    if kind not in DIALECTS or redshift:
        raise DotyposInputError(
            f"connection {connection.conn_id!r} is of type {'redshift' if redshift else kind!r}: tables can be loaded "
            f"into {', '.join(sorted(DIALECTS))}. Into others, such as Snowflake, BigQuery and Redshift, go by files: "
            "write Parquet with DotyposToObjectStorageOperator, and load the committed sets from there"
        )
    places = {connection.host, *(_further_places(connection) if kind == "duckdb" else ())}
    if DIALECTS[kind].embedded and not places - {None, "", ":memory:"}:
        raise DotyposInputError(
            f"connection {connection.conn_id!r} is {DIALECTS[kind].title} in memory, which ends with the task: give "
            "the path of a file as its host"
        )
    return DIALECTS[kind]()


def _secrets_in(extra: Mapping[str, Any]) -> Iterator[str]:
    """Yield the values that an extra calls secret, such as a token among DuckDB's settings."""
    for name, value in extra.items():
        if isinstance(value, Mapping):
            yield from _secrets_in(value)
        elif any(word in name.lower() for word in ("passw", "secret", "token")):
            yield str(value)


def _further_places(connection: Connection) -> tuple[str | None, ...]:
    """Return where else than in its host a connection to DuckDB says which file it is, or that it is MotherDuck's."""
    extra = connection.extra_dejson
    return (extra.get("database"), connection.password, extra.get("motherduck_token"))


def _hook_of(connection: Connection) -> Any:
    kind = connection.conn_type
    try:
        return connection.get_hook()  # type: ignore[no-untyped-call]
    except Exception as error:  # Airflow's own of a type that no provider brings, or the provider lacks its driver
        reason = f"{type(error).__name__}: {error}"
    raise DotyposEnvironmentError(
        f"connection {connection.conn_id!r} is of type {kind!r}, and Airflow's provider or its driver can't be loaded "
        f"({reason}): pip install 'airflow-provider-dotypos[{kind}]'"
    )


def _close(connection: Any) -> None:
    with suppress(Exception):  # it is lost
        connection.close()


def _raise_alone(error: DotyposDatabaseError) -> NoReturn:
    """Raise an error without what was being handled, which would be its context and holds values of rows."""
    try:
        raise error from None
    except DotyposDatabaseError:  # raising it has set its context
        error.__context__ = None
        raise
