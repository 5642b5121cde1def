"""Databases: `warehouse` is each kind in turn, `postgres` and the others are one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.transfers.sql.databases import (
    KINDS,
    MariaDb,
    Postgres,
    Warehouse,
    embedded,
    mariadb_server,
    postgres_server,
)


@pytest.fixture(scope="session")
def postgres_of_session() -> Iterator[Postgres]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_of_session() -> Iterator[MariaDb]:
    with mariadb_server() as server:
        yield server


@pytest.fixture
def postgres(postgres_of_session: Postgres, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """An empty schema of PostgreSQL; Airflow knows it as ``warehouse``."""
    warehouse = postgres_of_session.warehouse()
    warehouse.store(monkeypatch)
    return warehouse


@pytest.fixture
def warehouse_of(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Warehouse]:
    """Makes an empty place in a kind of database; Airflow knows it as ``warehouse``."""

    def make(kind: str) -> Warehouse:
        if kind == "postgres":
            empty: Warehouse = request.getfixturevalue("postgres_of_session").warehouse()
        elif kind == "mysql":
            empty = request.getfixturevalue("mariadb_of_session").warehouse()
        else:
            empty = embedded(kind, tmp_path)
        empty.store(monkeypatch)
        return empty

    return make


@pytest.fixture(params=KINDS)
def warehouse(request: pytest.FixtureRequest, warehouse_of: Callable[[str], Warehouse]) -> Warehouse:
    """An empty place in each kind of database in turn; Airflow knows it as ``warehouse``."""
    return warehouse_of(str(request.param))


@pytest.fixture
def role(postgres: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A role of its own, which Airflow connects as. It may use the schema, and create nothing there."""
    (schema,) = postgres.rows("SELECT current_schema()")[0]
    role = f"loader_{schema}"
    postgres.execute(f"CREATE ROLE {role} LOGIN", f"GRANT USAGE ON SCHEMA {schema} TO {role}")
    replace(postgres, connection={**postgres.connection, "login": role}).store(monkeypatch)
    yield role
    postgres.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")
