"""Whole loads into tables that were there before, of odd names, and by roles that may do little."""

from __future__ import annotations

import pytest

from airflow_provider_dotypos._compat import fail_exception
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.sandbox import Sandbox
from tests.transfers.conftest import SINCE, SINCE_MS, UNTIL
from tests.transfers.sql.databases import Warehouse
from tests.transfers.sql.test_ddl import ODD_NAMES, WIDE, quoted
from tests.transfers.sql.test_dotypos_to_sql import context_of, load, window


@pytest.fixture(autouse=True)
def ready(connection: None) -> None:
    pass


def sell(sandbox: Sandbox, number: int = 1) -> list[int]:
    """Have the sandbox hold some products; return their ids."""
    cloud = sandbox.cloud_ids[0]
    fields = {"name": "Žloutek 'x' \\ \"", "priceWithVat": "12345678901234.5", "tags": ["a", "b"]}
    rows = [sandbox.shop.insert(cloud, "products", {"versionDate": SINCE_MS + i, **fields}) for i in range(number)]
    return sorted(int(row["id"]) for row in rows)


def ids(warehouse: Warehouse, *name: str) -> list[int]:
    return [row[0] for row in warehouse.rows(f"SELECT id FROM {quoted(warehouse, *name)} ORDER BY id")]


def test_nothing_is_asked_for_if_a_table_cannot_take_the_rows(warehouse: Warehouse, sandbox: Sandbox) -> None:
    warehouse.execute("CREATE TABLE orders (id INTEGER NOT NULL, mine INTEGER NOT NULL)")
    with pytest.raises(fail_exception(), match=r"(?s)nothing was read.*mine.*no unique key.*Change them"):
        window(alter=False)
    assert [request.path for request in sandbox.requests] == []


def test_fields_that_do_not_exist_reach_no_database(warehouse: Warehouse, sandbox: Sandbox) -> None:
    for columns in ('id" FROM x; --', ["name`; DROP TABLE victim"], "id) VALUES (1); --"):
        with pytest.raises(DotyposInputError, match="has no field"):
            window(columns=columns)
    assert sandbox.requests == []
    assert warehouse.tables() == set()


@pytest.mark.parametrize("name", ODD_NAMES[1:])
def test_rows_go_into_tables_of_odd_names(warehouse: Warehouse, sandbox: Sandbox, name: str) -> None:
    warehouse.execute("CREATE TABLE victim (id INTEGER)")
    sold = sell(sandbox, 3)
    assert window(entity="products", table=name)["inserted"] == len(ids(warehouse, name))
    assert set(sold) <= set(ids(warehouse, name))
    assert window(entity="products", table=name, reload=True)["updated"] == 0
    assert {name, "victim"} <= warehouse.tables()


def test_rows_go_into_schemas_of_odd_names(warehouse: Warehouse, sandbox: Sandbox) -> None:
    _, name, *_ = ODD_NAMES
    if warehouse.kind == "sqlite":
        pytest.skip("a file of SQLite has one schema")
    warehouse.execute(f"CREATE SCHEMA {quoted(warehouse, name)}")
    sold = sell(sandbox)
    window(entity="products", schema=name, deletes="mark")
    load(entity="products", schema=name, deletes="mark", mode="replace")
    assert set(sold) <= set(ids(warehouse, name, "products"))
    warehouse.execute(f"DROP SCHEMA {quoted(warehouse, name)}{'' if warehouse.kind == 'mysql' else ' CASCADE'}")


def test_rows_go_into_a_table_with_wider_types_and_columns_of_its_owner(warehouse: Warehouse, sandbox: Sandbox) -> None:
    names = ["category_id", "name", "price_with_vat", "version_date", "translated_name", "tags", "_read_at"]
    columns = [f"{name} {kind}" for name, kind in zip(names, WIDE[warehouse.kind], strict=True)]
    warehouse.execute(
        f"CREATE TABLE products (mine INTEGER DEFAULT 7, {', '.join(columns)}, id BIGINT NOT NULL, "
        "cloud_id BIGINT NOT NULL, UNIQUE (id, cloud_id))"
    )
    (sold,) = sell(sandbox)
    first = window(entity="products")
    assert first["inserted"] == first["rows"] >= 1
    warehouse.execute("UPDATE products SET mine = 8")
    sandbox.shop.update(sandbox.cloud_ids[0], "products", sold, {"name": "Bílek", "versionDate": SINCE_MS + 50_000})
    assert window(entity="products", reload=True)["updated"] == 1
    assert warehouse.rows(f"SELECT name, mine FROM products WHERE id = {sold}") == [("Bílek", 8)]
    again = load(context_of("r2"), entity="products", since=SINCE, until=UNTIL, reload=True)
    assert (again["rows"], again["updated"]) == (first["rows"], 0)


def test_a_role_needs_to_delete_only_where_rows_are_removed(postgres: Warehouse, role: str, sandbox: Sandbox) -> None:
    postgres.execute(
        "CREATE TABLE products (name text, version_date timestamptz, cloud_id bigint, id bigint, _read_at timestamptz, "
        "_load_id text, _unknown jsonb, PRIMARY KEY (cloud_id, id))",
        f"GRANT SELECT, INSERT, UPDATE ON products TO {role}",
        f"CREATE SCHEMA staging_{role} AUTHORIZATION {role}",
    )
    sold = sell(sandbox)
    given = {"entity": "products", "columns": "name", "staging_schema": f"staging_{role}", "create": False}
    window(**given)
    assert set(sold) <= set(ids(postgres, "products"))
    asked = len(sandbox.requests)
    with pytest.raises(fail_exception(), match=r"products.: the role lacks DELETE on it"):
        load(**given, mode="replace")
    assert len(sandbox.requests) == asked


def test_a_role_that_may_create_nothing_loads_and_merges(postgres: Warehouse, role: str, sandbox: Sandbox) -> None:
    """Somebody else creates the tables once. The loads' own tables lie where the role may create some."""
    columns = (
        "cloud_id bigint, id bigint, _read_at timestamptz, _load_id text, _unknown jsonb, PRIMARY KEY (cloud_id, id)"
    )
    postgres.execute(
        f"CREATE TABLE products (name text, version_date timestamptz, deleted boolean, {columns})",
        f"CREATE TABLE product_ingredients (version_date timestamptz, parent_product_id bigint, {columns})",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON products, product_ingredients TO {role}",
        f"CREATE SCHEMA staging_{role} AUTHORIZATION {role}",
    )
    sold = sell(sandbox, 3)
    given = {
        "entity": "products",
        "include": "ingredients",
        "columns": "name,deleted,ingredients.id",
        "staging_schema": f"staging_{role}",
        "deletes": "remove",
    }
    with pytest.raises(fail_exception(), match="42501"):
        window(**{**given, "staging_schema": None})
    assert window(**given, create=False)["inserted"] >= len(sold)
    assert set(sold) <= set(ids(postgres, "products"))
    sandbox.shop.update(sandbox.cloud_ids[0], "products", sold[0], {"deleted": True, "versionDate": SINCE_MS + 60_000})
    assert window(**given, create=False, reload=True)["removed"] == 1
    assert set(ids(postgres, "products")) & set(sold) == set(sold[1:])
    ours = postgres.rows(
        f"SELECT DISTINCT schemaname FROM pg_tables WHERE tablename LIKE '\\_dotypos%' AND tableowner = '{role}'"
    )
    assert ours == [(f"staging_{role}",)]
