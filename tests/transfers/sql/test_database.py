"""Connections, transactions and errors, on each kind of database.

This tests `sql/transaction.py`, `dialects/postgres.py`, `dialects/mysql.py`, `dialects/sqlite.py` and
`dialects/duckdb.py`, too.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import BaseHook

from airflow_provider_dotypos.api.errors import DotyposCancelledError, DotyposInputError
from airflow_provider_dotypos.exceptions import DotyposDatabaseError
from airflow_provider_dotypos.transfers.sql import database as databases
from airflow_provider_dotypos.transfers.sql.database import Database
from airflow_provider_dotypos.transfers.sql.transaction import with_marks
from demo import children
from tests.patience import PATIENCE
from tests.transfers.sql.databases import Warehouse

SECRET = "Jana Nováková"


@pytest.fixture
def database(warehouse: Warehouse) -> Any:
    with closing(Database.of("warehouse", 3)) as opened:
        with opened.transaction() as transaction:
            transaction.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, note VARCHAR(20) NOT NULL)")
        yield opened


def count(database: Database) -> int:
    return int(database.run(lambda transaction: transaction.rows("SELECT count(*) FROM t"))[0][0])


def test_a_transaction_is_whole_or_nothing(database: Database) -> None:
    with database.transaction() as transaction:
        assert transaction.execute("INSERT INTO t VALUES (?, ?)", [1, "100% ?"]) == 1

    def insert_and_fail(transaction: Any) -> None:
        transaction.execute("INSERT INTO t VALUES (2, 'x')")
        raise KeyError

    with pytest.raises(KeyError):
        database.run(insert_and_fail)
    with database.transaction() as transaction:
        assert transaction.rows("SELECT id, note FROM t WHERE note LIKE '%\"?%' OR id = ?", [1]) == [(1, "100% ?")]


def test_the_airflow_connection_is_read_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BaseHook, "get_connection", None)
    monkeypatch.delenv("AIRFLOW_CONN_WAREHOUSE")
    counted: list[int] = []
    threads = [threading.Thread(target=lambda: counted.append(count(database))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert counted == [0] * 6


def test_an_error_holds_no_value_of_a_row(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    def insert_twice(transaction: Any) -> None:
        for _ in range(2):
            transaction.execute("INSERT INTO t VALUES (?, ?)", [7, SECRET])

    with pytest.raises(DotyposDatabaseError) as caught:
        database.run(insert_twice)
    error = caught.value
    assert SECRET not in f"{error!r} {error} {vars(error)} {caplog.text}"
    assert error.__context__ is None
    assert error.__cause__ is None
    assert error.permanent
    assert count(database) == 0


def test_an_error_that_a_driver_raises_past_the_transaction_holds_none_either(database: Database) -> None:
    def insert_twice(transaction: Any) -> None:
        with database.dialect.cursor(transaction.connection) as cursor:
            for _ in range(2):
                cursor.execute(f"INSERT INTO t VALUES (7, '{SECRET}')")

    with pytest.raises(DotyposDatabaseError) as caught:
        database.run(insert_twice)
    assert SECRET not in f"{caught.value!r}"
    assert caught.value.__context__ is None
    assert count(database) == 0


def test_a_column_is_named(postgres: Warehouse) -> None:
    with closing(Database.of("warehouse", 1)) as database:
        postgres.execute("CREATE TABLE t (id integer, note text NOT NULL)")
        with pytest.raises(DotyposDatabaseError, match=r"23502 .*column 'note'") as caught:
            database.run(lambda transaction: transaction.execute("INSERT INTO t VALUES (1, NULL)"))
        assert (caught.value.sqlstate, caught.value.column) == ("23502", "note")


def test_what_is_lost_is_done_again_on_a_new_connection(postgres: Warehouse) -> None:
    postgres.execute("CREATE TABLE t (id integer)")
    tries: list[int] = []

    def insert(transaction: Any) -> None:
        ((process,),) = transaction.rows("SELECT pg_backend_pid()")
        tries.append(process)
        transaction.execute("INSERT INTO t VALUES (1)")
        if len(tries) < 3:
            postgres.execute(f"SELECT pg_terminate_backend({process})")
            transaction.rows("SELECT 1")

    with closing(Database.of("warehouse", 2)) as database:
        database.run(insert)
    assert len(set(tries)) == 3
    assert postgres.rows("SELECT count(*) FROM t") == [(1,)]


def test_what_stays_lost_is_given_up(postgres: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "LOST_AT_MOST", 0.3)
    postgres.connection["host"] = "/nowhere"
    postgres.store(monkeypatch)
    with pytest.raises(DotyposDatabaseError, match="PostgreSQL can't be reached") as caught:
        Database.of("warehouse", 1).run(lambda transaction: None)
    assert caught.value.passing


def test_who_is_refused_does_not_try_again(postgres: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    postgres.connection["login"] = "nobody"
    postgres.store(monkeypatch)
    with pytest.raises(DotyposDatabaseError, match=r"nobody.*[^.]\. Check the Airflow connection: ") as caught:
        Database.of("warehouse", 1).run(lambda transaction: None)
    assert caught.value.permanent


def test_no_secret_of_the_connection_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "LOST_AT_MOST", 0.1)
    extra = {"sslmode": "own-secret", "sslpassword": "own-secret"}  # what isn't a mode is quoted by the driver
    given = {"conn_type": "postgres", "host": "127.0.0.1", "port": 1, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(given))
    with pytest.raises(DotyposDatabaseError, match=r"\*\*\*") as caught:
        Database.of("warehouse", 1).run(lambda transaction: None)
    assert "own-secret" not in str(caught.value)


def test_there_are_no_more_connections_than_allowed(postgres: Warehouse) -> None:
    at_once: list[int] = []

    def look(transaction: Any) -> None:
        transaction.rows("SELECT pg_sleep(0.05)")
        at_once.append(
            transaction.rows(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = current_setting('application_name')"
            )[0][0]
        )

    postgres.connection["extra"]["application_name"] = "counted"
    with pytest.MonkeyPatch.context() as patch:
        postgres.store(patch)
        database = Database.of("warehouse", 3)
    threads = [threading.Thread(target=database.run, args=[look]) for _ in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(at_once) == 9
    assert max(at_once) <= 3
    database.close()
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'counted' AND pid <> pg_backend_pid()"
    until = time.monotonic() + PATIENCE
    while postgres.rows(query) != [(0,)]:  # the server takes a moment to see that they are closed
        assert time.monotonic() < until


LONG = {
    "postgres": "SELECT pg_sleep(60)",
    "mysql": "SELECT sleep(60)",
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
    "duckdb": "SELECT sum(a.range * b.range) FROM range(1000000000) a, range(1000000000) b",
}


def test_a_kill_ends_what_takes_long_and_lets_short_work_be_done(database: Database, warehouse: Warehouse) -> None:
    begun = threading.Event()
    ended: list[BaseException] = []

    def work() -> None:
        def wait(transaction: Any) -> None:
            begun.set()
            transaction.rows(LONG[warehouse.kind])

        try:
            database.run(wait, interruptible=True)
        except DotyposCancelledError as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(PATIENCE)
    while thread.is_alive():  # it may not have reached the statement yet
        database.cancel()
        thread.join(0.2)
    assert len(ended) == 1
    assert count(database) == 0
    with pytest.raises(DotyposCancelledError):
        database.run(lambda transaction: None, interruptible=True)


def test_moments_are_told_by_the_clock_of_the_database(database: Database) -> None:
    now = database.read_at(time.monotonic())
    assert abs(now - datetime.now(timezone.utc)) < timedelta(seconds=1)
    assert database.read_at(time.monotonic() - 60) < now - timedelta(seconds=59)
    assert now.tzinfo is timezone.utc


def test_a_key_that_exists_is_left_alone(database: Database) -> None:
    statement = database.dialect.insert_new("t", ("id", "note"))
    for note in ("a", "b"):
        database.run(lambda transaction, note=note: transaction.execute(statement, [1, note]))
    assert database.run(lambda transaction: transaction.rows("SELECT note FROM t")) == [("a",)]


@pytest.mark.parametrize(
    ("connection", "said"),
    [
        ({"conn_type": "snowflake"}, "of type 'snowflake': tables can be loaded into duckdb, mysql, postgres, sqlite"),
        ({"conn_type": "http"}, "go by files: write Parquet with DotyposToObjectStorageOperator"),
        ({"conn_type": "postgres", "extra": {"redshift": True}}, "of type 'redshift'"),
        ({"conn_type": "duckdb"}, "is DuckDB in memory"),
        ({"conn_type": "duckdb", "host": ":memory:"}, "is DuckDB in memory"),
        ({"conn_type": "sqlite"}, "is SQLite in memory"),
    ],
    ids=str,
)
def test_other_connections_are_refused(connection: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Warehouse("other", connection).store(monkeypatch)
    with pytest.raises(DotyposInputError, match=said):
        Database.of("warehouse", 1)


def test_marks_are_put_in_outside_of_quotes() -> None:
    sql = """SELECT "a?%s", '?''%', `?`, ? FROM t WHERE x LIKE ?"""
    assert with_marks(sql, "?") == sql
    assert with_marks(sql, "%s") == """SELECT "a?%%s", '?''%%', `?`, %s FROM t WHERE x LIKE %s"""


@pytest.mark.parametrize(
    ("kind", "cure"),
    [("sqlite", "the file is no SQLite database"), ("duckdb", "Check the Airflow connection: its host or file")],
)
def test_a_file_that_is_no_database_is_named_as_the_cause(
    kind: str, cure: str, warehouse_of: Callable[[str], Warehouse]
) -> None:
    Path(warehouse_of(kind).connection["host"]).write_text("no database " * 500)
    with pytest.raises(DotyposDatabaseError, match=cure):
        Database.of("warehouse", 1).run(lambda transaction: transaction.rows("SELECT 1 FROM sqlite_master"))


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("sqlite", r"SQLITE_CONSTRAINT_NOTNULL \(a column .* got a null\)|IntegrityError"),  # Python 3.10 has no code
        ("duckdb", r"ConstraintException \(a row breaks a constraint"),
    ],
)
def test_what_a_file_refuses_says_why_and_names_no_log(
    kind: str, says: str, warehouse_of: Callable[[str], Warehouse]
) -> None:
    warehouse_of(kind).execute("CREATE TABLE t (id INTEGER, note VARCHAR(20) NOT NULL)")
    with closing(Database.of("warehouse", 1)) as database, pytest.raises(DotyposDatabaseError, match=says) as caught:
        database.run(lambda transaction: transaction.execute("INSERT INTO t VALUES (7, NULL)"))
    assert "log" not in str(caught.value)


def test_a_module_that_duckdb_lacks_is_named() -> None:
    """In a process of its own, as DuckDB imports each module once."""
    code = """
import sys; sys.modules["pytz"] = None
import duckdb
from airflow_provider_dotypos.transfers.sql.errors import database_error
try:
    duckdb.sql("SELECT '2026-01-01 00:00:00+00'::TIMESTAMPTZ").fetchall()
except duckdb.Error as error:
    print(database_error(error, "DuckDB"))
"""
    done = children.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "DuckDB couldn't run a statement: InvalidInputException (Python's module pytz can't be imported). "
        "Install pytz where tasks run.\n"
    )
