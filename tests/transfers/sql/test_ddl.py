"""Tables are made ready on real databases, or refused for all reasons at once (`ddl`, `existing`, `reflection`)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_dotypos.api.entities import cloud_lists
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.transfers.sql.database import Database
from airflow_provider_dotypos.transfers.sql.ddl import prepare
from airflow_provider_dotypos.transfers.sql.reflection import Existing
from airflow_provider_dotypos.transfers.sql.tables import SqlTable
from tests.transfers.sql.databases import Warehouse
from tests.transfers.sql.test_tables import table_of


def make_ready(
    *tables: SqlTable, own_schema: str | None = None, create: bool = True, alter: bool = True, indexes: bool = True
) -> list[str]:
    """Make tables ready in the database that Airflow knows as ``warehouse``; return the statements that changed it."""
    with closing(Database.of("warehouse", 1)) as database, database.transaction() as transaction:
        changes: list[str] = []
        execute = transaction.execute

        def listening(sql: str, parameters: Sequence[Any] = ()) -> int:
            changes.append(sql)
            return execute(sql, parameters)

        transaction.execute = listening  # type: ignore[method-assign]
        prepare(transaction, database.dialect, tables, own_schema, create=create, alter=alter, indexes=indexes)
        transaction.execute = execute  # type: ignore[method-assign]
    return changes


def existing_table(warehouse: Warehouse, name: str, schema: str | None = None) -> Existing:
    with closing(Database.of("warehouse", 1)) as database, database.transaction() as transaction:
        existing = database.dialect.existing(transaction, schema, name)
    assert existing is not None
    return existing


def quoted(warehouse: Warehouse, *names: str) -> str:
    mark = "`" if warehouse.kind == "mysql" else '"'
    return ".".join(mark + name.replace(mark, mark * 2) + mark for name in names)


@pytest.mark.parametrize("naming", ["snake", "api"])
def test_all_entities_get_tables_and_a_second_load_changes_nothing(warehouse: Warehouse, naming: str) -> None:
    tables = [table_of(entity, naming=naming, deletes=deletes) for entity, deletes in _every()]
    assert make_ready(*tables)
    assert {table.name for table in tables} <= warehouse.tables()
    assert {"products_live", "orders_live", "_dotypos_loads", "_dotypos_parts"} <= warehouse.tables()
    assert make_ready(*tables) == []
    for table in tables:
        assert existing_table(warehouse, table.name).names == table.names


def _every() -> Iterator[tuple[str, str]]:
    yield from zip(["clouds", *cloud_lists()], itertools.cycle(["mark", "keep"]), strict=False)


def test_the_view_of_living_rows_has_those_that_are_neither_deleted_nor_removed(warehouse: Warehouse) -> None:
    make_ready(table_of("tags"))
    table, view = quoted(warehouse, "tags"), quoted(warehouse, "tags_live")
    for id, deleted, removed in [
        (1, "FALSE", "NULL"),
        (2, "TRUE", "NULL"),
        (3, "FALSE", "'2026-01-01'"),
        (4, "NULL", "NULL"),
    ]:
        warehouse.execute(
            f"INSERT INTO {table} (cloud_id, id, deleted, _removed_at, _read_at, _load_id) "
            f"VALUES (1, {id}, {deleted}, {removed}, '2026-01-01', 'l')"
        )
    assert warehouse.rows(f"SELECT id FROM {view} ORDER BY id") == [(1,), (4,)]  # a null says nothing of a deletion


def test_a_table_whose_rows_all_live_gets_no_view(warehouse: Warehouse) -> None:
    make_ready(table_of("order-items", deletes="keep"))
    assert "order_items" in warehouse.tables()
    assert "order_items_live" not in warehouse.tables()


def test_columns_are_added_at_the_end_and_views_stay(warehouse: Warehouse) -> None:
    whole = table_of("tags", deletes="mark")
    narrow = table_of("tags", deletes="keep")
    narrow = replace(
        narrow, columns=tuple(c for c in narrow.columns if c.name not in ("name", "version_date")), indexes=()
    )
    make_ready(narrow)
    table = quoted(warehouse, "tags")
    warehouse.execute(
        f"INSERT INTO {table} (cloud_id, id, _read_at, _load_id) VALUES (1, 7, '2026-01-01', 'l')",
        f"CREATE VIEW mine AS SELECT id FROM {table}",
    )
    changes = make_ready(whole)
    names = existing_table(warehouse, "tags").names
    assert names == (*narrow.names, "name", "version_date", "_removed_at")
    assert existing_table(warehouse, "tags_live").names == names
    assert all(column.nullable for column in existing_table(warehouse, "tags").columns[-3:])
    assert warehouse.rows("SELECT id FROM mine") == warehouse.rows("SELECT id FROM tags_live") == [(7,)]
    assert not [change for change in changes if change.startswith(("DROP TABLE", "DROP COLUMN"))]
    assert make_ready(whole) == []
    assert make_ready(narrow) == []  # what a load doesn't fill may be there


def test_a_view_that_somebody_has_made_stays(warehouse: Warehouse) -> None:
    warehouse.execute("CREATE TABLE t (id INTEGER)", "CREATE VIEW tags_live AS SELECT id FROM t")
    narrow = table_of("tags", deletes="keep")
    make_ready(narrow)
    make_ready(table_of("tags", deletes="mark"))
    assert existing_table(warehouse, "tags_live").names == ("id",)


#: Types that are narrower than ours, by database and in the order of the columns of `MISMATCHED`, and how it says so.
NARROW: Mapping[str, Sequence[str]] = {
    "postgres": ["integer", "varchar(20)", "numeric(10,2)", "timestamp", "json", "varchar(10)[]", "timestamptz(0)"],
    "mysql": ["int", "varchar(20)", "decimal(10,2)", "timestamp(3) NULL", "blob", "text", "datetime"],
    "duckdb": ["INTEGER", "INTEGER", "DECIMAL(10,2)", "TIMESTAMP", "BLOB", "INTEGER[]", "DATE"],
    "sqlite": ["TEXT", "INTEGER", "REAL", "NUMERIC", "JSON", "INTEGER", "DATETIME"],
}


def test_all_differences_of_an_existing_table_are_in_one_error(warehouse: Warehouse) -> None:
    long, text, decimal, time, json, texts, read_at = NARROW[warehouse.kind]
    q = lambda name: quoted(warehouse, name)
    warehouse.execute(
        f"CREATE TABLE products (cloud_id BIGINT NOT NULL, id BIGINT NOT NULL, {q('category_id')} {long}, "
        f"{q('name')} {text}, {q('price_with_vat')} {decimal}, {q('version_date')} {time}, "
        f"{q('translated_name')} {json}, {q('tags')} {texts}, _read_at {read_at}, "
        f"{q('display')} BOOLEAN NOT NULL, {q('mine')} INTEGER NOT NULL, {q('yours')} INTEGER NOT NULL DEFAULT 1, "
        f"{q('external_id')} BIGINT UNIQUE, {q('points')} BIGINT GENERATED ALWAYS AS (id + 1) "
        f"{'VIRTUAL' if warehouse.kind == 'duckdb' else 'STORED'})"
    )
    before = existing_table(warehouse, "products")
    with pytest.raises(DotyposInputError) as raised:
        make_ready(table_of("products"), alter=False)
    message = str(raised.value)
    wanted = [
        "category_id .* is .*, which doesn't hold all of",
        "name",
    ]
    for name in (
        "category_id",
        "name",
        "price_with_vat",
        "version_date",
        "translated_name",
        "tags",
        "_read_at",
        "external_id",
    ):
        assert f"{q(name)} is " in message, name
    assert message.count("doesn't hold all of") >= 8
    assert f"{q('display')} is NOT NULL, but the API may give none" in message
    assert f"{q('mine')} is NOT NULL without a default" in message
    assert q("yours") not in message
    assert f"{q('points')} is generated" in message
    assert f"no unique key over ({q('cloud_id')}, {q('id')})" in message
    assert f"over ({q('external_id')}) must go" in message
    assert f"it has no {q('allergens')}, " in message
    assert "nothing was read" in message
    assert existing_table(warehouse, "products") == before
    assert warehouse.tables() == {"products"}
