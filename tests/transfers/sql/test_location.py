"""The assets that tables are: the URIs that Airflow's providers give them (`transfers.sql.location`)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

import pytest
from airflow.sdk import Asset, Connection

from airflow_provider_dotypos.transfers.lineage import _identity
from airflow_provider_dotypos.transfers.sql.database import Database
from airflow_provider_dotypos.transfers.sql.location import Location, _server
from tests.transfers.sql.databases import Warehouse
from tests.transfers.sql.test_tables import table_of


def test_a_table_has_the_address_of_its_database(warehouse: Warehouse) -> None:
    table = replace(table_of("orders"), schema=None)
    with closing(Database.of("warehouse", 1)) as database:
        uri = Location.of(database).uri(table)
    file = f"//{warehouse.connection['host']}"
    current = {
        "postgres": "SELECT current_database() || '/' || current_schema()",
        "mysql": "SELECT database()",
        "sqlite": "SELECT ''",
        "duckdb": "SELECT current_schema()",
    }
    ((names,),) = warehouse.rows(current[warehouse.kind])
    server = {"postgres": "//localhost:5432", "mysql": "//localhost:3306"}.get(warehouse.kind, file)
    expected = "/".join([f"{warehouse.kind}:{server}", *([names] if names else []), "orders"])
    assert uri == expected
    assert Asset(uri=uri).uri in (uri, uri.replace("///", "/"))  # of schemes without a server Airflow drops slashes


@pytest.mark.parametrize(
    ("scheme", "names", "schema", "uri"),
    [
        ("postgres", ("shop", "public"), "dotypos", "postgres://db:5433/shop/dotypos/orders"),
        ("mysql", ("shop",), "dotypos", "mysql://db:5433/dotypos/orders"),
        ("postgres", ("a/b c", "ěš"), None, "postgres://db:5433/a%2Fb%20c/%C4%9B%C5%A1/orders"),
    ],
)
def test_a_tables_own_schema_and_odd_names(scheme: str, names: Sequence[str], schema: str | None, uri: str) -> None:
    table = replace(table_of("orders"), schema=schema)
    assert Location(scheme, "db:5433", tuple(names)).uri(table) == uri
    assert Asset(uri=uri).uri == uri


@pytest.mark.parametrize(
    ("host", "port", "server"),
    [
        ("DB.example.com", 6000, "db.example.com:6000"),
        (None, 5432, "localhost:5432"),
        ("/run/postgresql", 5432, "localhost:5432"),
    ],
)
def test_a_socket_is_a_place_on_this_machine(host: str | None, port: int, server: str) -> None:
    assert _server(host, port) == server


def test_openlineage_gives_a_table_the_name_that_the_providers_operators_give_it() -> None:
    """So a table's events join those of the task that reads it by SQL."""
    pytest.importorskip("airflow.providers.openlineage")
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    connection = Connection(conn_id="db", conn_type="postgres", host="DB.example.com", login="x", schema="shop")
    info = PostgresHook(connection=connection).get_openlineage_database_info(connection)
    location = Location("postgres", _server(connection.host, connection.port or 5432), ("shop", "public"))
    namespace, name = _identity(location.uri(replace(table_of("orders"), schema=None)))
    assert namespace == f"{info.scheme}://{info.authority}"
    assert name == f"{info.database}.public.orders"
