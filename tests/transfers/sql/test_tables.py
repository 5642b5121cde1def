"""The tables that an extraction fills, and their statements.

Of `dialects/base`, `dialects/postgres`, `dialects/sqlite`, `dialects/duckdb` and `dialects/mysql`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from airflow_provider_dotypos.api.entities import cloud_lists, find_entity
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.transfers.rows.columns import columns_of
from airflow_provider_dotypos.transfers.selection import Selection
from airflow_provider_dotypos.transfers.sql.ddl import create_statements, view_statements
from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect
from airflow_provider_dotypos.transfers.sql.dialects.duckdb import DuckDb
from airflow_provider_dotypos.transfers.sql.dialects.mysql import MySql
from airflow_provider_dotypos.transfers.sql.dialects.postgres import Postgres
from airflow_provider_dotypos.transfers.sql.dialects.sqlite import Sqlite
from airflow_provider_dotypos.transfers.sql.tables import Naming, SqlTable, snake, tables_of

GOLDEN = Path(__file__).parent / "golden"
#: What the golden statements are of.
ENTITIES = ["orders", "order-items", "products", "warehouse-products", "clouds", "portions"]


def table_of(entity: str, **given: object) -> SqlTable:
    """Return the table of an entity's rows, as ``deletes="mark"`` has it."""
    selection = Selection.of(entity, cloud_id=1)
    arguments: dict[str, object] = {"name": None, "schema": None, "naming": "snake", "deletes": "mark", **given}
    return tables_of(selection, **arguments)[entity]  # type: ignore[arg-type]


def columns(table: SqlTable) -> dict[str, str]:
    return {column.name: column.kind for column in table.columns}


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("_orderId", "order_id"),
        ("versionDate", "version_date"),
        ("1ClickId", "1_click_id"),
        ("priceWithVatB", "price_with_vat_b"),
        ("stockStatusVersiondate", "stock_status_versiondate"),
        ("addressLine1", "address_line1"),
        ("order-items", "order_items"),
        ("orderURLPath", "order_url_path"),
    ],
)
def test_names_are_in_snake_case(field: str, name: str) -> None:
    assert snake(field) == name


@pytest.mark.parametrize("naming", ["snake", "api"])
@pytest.mark.parametrize("entity", ["clouds", *cloud_lists()])
def test_no_listed_entity_has_names_that_collide_or_are_too_long(entity: str, naming: Naming) -> None:
    table = table_of(entity, naming=naming)
    assert len({name.lower() for name in table.names}) == len(table.names)
    assert max(map(len, table.names)) <= 33
    assert set(table.key) | set(table.cursors) <= set(table.names)


def test_a_table_has_the_clouds_id_the_fields_and_our_own_columns() -> None:
    kinds = columns(table_of("orders"))
    names = list(kinds)
    assert (names[0], names[-4:]) == ("cloud_id", ["_read_at", "_load_id", "_unknown", "_removed_at"])
    assert kinds["cloud_id"] == "long"  # one column, from the connection: `_cloudId` has no other
    assert kinds["version_date"] == "timestamp"
    assert "_removed_at" not in columns(table_of("orders", deletes="keep"))
    assert list(columns(table_of("orders", naming="api")))[:2] == ["_cloudId", "id"]


def test_rows_without_a_clouds_id_get_a_column_for_it() -> None:
    assert table_of("clouds").key == table_of("portions").key == ("cloud_id", "id")


def test_the_key_begins_with_the_cloud_and_is_the_only_thing_required_besides_our_own() -> None:
    table = table_of("warehouse-products")
    assert table.key == table.primary_key == ("cloud_id", "warehouse_id", "id")
    assert table.cursors == ("stock_status_versiondate", "version_date")
    required = {column.name for column in table.columns if column.required}
    assert required == {*table.key, "_read_at", "_load_id"}


def test_a_table_of_versions_has_a_row_for_each_time_of_reading() -> None:
    table = table_of("orders", versions=True)
    assert (table.key, table.primary_key) == (("cloud_id", "id"), ("cloud_id", "id", "_read_at"))


@pytest.mark.parametrize(
    ("given", "removes"),
    [
        ({"deletes": "keep"}, False),
        ({"deletes": "mark"}, False),
        ({"deletes": "remove"}, True),
        ({"deletes": "keep", "replaces": True}, True),
        ({"deletes": "mark", "replaces": True}, False),
    ],
)
def test_a_table_says_whether_loads_delete_rows_of_it(given: dict[str, object], removes: bool) -> None:
    assert table_of("tags", **given).removes == removes


def test_personal_data_gets_no_column_if_it_is_not_wanted() -> None:
    selection = Selection.of("customers", cloud_id=1, personal_data=False)
    table = tables_of(selection, name=None, schema=None, naming="snake", deletes="keep")["customers"]
    personal = {snake(field.name) for field in find_entity("customers").fields.values() if field.personal}
    assert personal
    assert not personal & set(table.names)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        (None, {"orders": "orders", "order-items": "order_items", "money-logs": "money_logs"}),
        ("orders", {"orders": "orders", "order-items": "order_items", "money-logs": "money_logs"}),
        ("shop", {"orders": "shop", "order-items": "shop_order_items", "money-logs": "shop_money_logs"}),
    ],
)
def test_child_lists_have_tables_of_their_own(name: str | None, names: dict[str, str]) -> None:
    selection = Selection.of("orders", cloud_id=1, include="orderItems,moneyLogs", flatten=True)
    tables = tables_of(selection, name=name, schema="s", naming="snake", deletes="keep")
    assert {entity: table.name for entity, table in tables.items()} == names
    assert {table.schema for table in tables.values()} == {"s"}
    assert [table.parent for table in tables.values()] == [None, "order_id", "order_id"]
    assert [table.removes for table in tables.values()] == [False, True, True]
    assert list(tables) == ["orders", "order-items", "money-logs"]


def test_child_lists_can_do_without_what_orders_their_changes_as_their_parents_decide() -> None:
    selection = Selection.of("orders", cloud_id=1, include="orderItems", columns="orderItems.id", flatten=True)
    tables = tables_of(selection, name=None, schema=None, naming="snake", deletes="keep")
    assert [table.cursors for table in tables.values()] == [("version_date",), ()]
    assert tables["order-items"].indexes == (("cloud_id", "order_id"),)


def test_tables_that_are_joined_by_their_parent_have_an_index_for_it_however_they_are_loaded() -> None:
    assert table_of("order-items").indexes == (("version_date",), ("cloud_id", "order_id"))
    assert table_of("order-items", naming="api").indexes == (("versionDate",), ("_cloudId", "_orderId"))
    assert table_of("product-ingredients").indexes == (("version_date",), ("cloud_id", "parent_product_id"))


@pytest.mark.parametrize(
    ("naming", "names"), [("snake", "id .of id.*name .of Name.*id .of _id"), ("api", "Name .of Name")]
)
def test_columns_of_the_same_name_are_refused(naming: Naming, names: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some databases don't tell capitals from small letters. What the API has today doesn't collide."""
    entity = find_entity("tags")
    more = {name: msgspec.structs.replace(entity.fields["name"], name=name) for name in ("Name", "_id")}
    entity = msgspec.structs.replace(entity, fields={**entity.fields, **more})
    monkeypatch.setattr("airflow_provider_dotypos.transfers.sql.tables.find_entity", {"tags": entity}.__getitem__)
    selection = replace(Selection.of("tags", cloud_id=1), columns=columns_of(entity))
    with pytest.raises(DotyposInputError, match=f"columns of the same name: .*{names}.*exclude"):
        tables_of(selection, name=None, schema=None, naming=naming, deletes="keep")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("_dotypos_loads", "the loads' own"),
        ("_DOTYPOS_x", "the loads' own"),
        ("a\0b", "can't be named"),
        ("sales.eu.orders", "not 'sales.eu.orders', but 'orders' and schema='sales.eu'"),
    ],
)
def test_names_that_no_table_can_have_are_refused(name: str, message: str) -> None:
    with pytest.raises(DotyposInputError, match=message):
        table_of("orders", name=name)


@pytest.mark.parametrize("dialect", [Postgres(), Sqlite(), DuckDb(), MySql()], ids=lambda dialect: dialect.title)
def test_the_statements_are_those_that_were_looked_at(dialect: Dialect) -> None:
    """After a wanted change: ``python -m tests.transfers.sql.test_tables`` writes them anew."""
    assert golden(dialect) == (GOLDEN / f"tables-{dialect.title}.sql").read_text()


def golden(dialect: Dialect) -> str:
    """Return the statements that create some tables."""
    tables = [replace(table_of(entity), schema="dotypos") for entity in ENTITIES]
    statements: list[str] = []
    for table in tables:
        statements += create_statements(dialect, table, indexes=True)
        statements += view_statements(dialect, table, table.names)
    return "".join(f"{statement};\n" for statement in statements)


if __name__ == "__main__":
    for each in (Postgres(), Sqlite(), DuckDb(), MySql()):
        (GOLDEN / f"tables-{each.title}.sql").write_text(golden(each))
