"""What is remembered of removed rows, and of walks over all rows. How merges use it is in `test_merge`."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_dotypos.transfers.sql.dialects.sqlite import Sqlite
from airflow_provider_dotypos.transfers.sql.merge_statements import TableStatements
from airflow_provider_dotypos.transfers.sql.removals import AbsentStatements, RemovalStatements
from airflow_provider_dotypos.transfers.sql.tables import SqlColumn
from tests.transfers.sql.merging import orders

OWN = orders()
STOCK = replace(
    OWN,
    name="stock",
    schema="pos",
    columns=(*OWN.columns[:1], SqlColumn("warehouse_id", "long", "_warehouseId", required=True), *OWN.columns[1:]),
    key=("cloud_id", "warehouse_id", "id"),
)


def removals(table: object = OWN) -> RemovalStatements:
    rows = TableStatements(Sqlite(), STOCK if table is STOCK else OWN, "staging", "load")
    return RemovalStatements(rows, "own", 7)


def test_a_target_is_called_as_it_is_named() -> None:
    assert removals().find_any().parameters == ("orders", "orders/*", 7)
    assert removals(STOCK).find_any().parameters == ("pos.stock", "pos.stock/*", 7)


def test_a_key_of_two_columns_stands_in_three() -> None:
    columns = '("target", "cloud_id", "parent_id", "id", "cursor_1", "read_at", "load_id")'
    values = 's."version_date", s."_read_at", ? FROM staging AS s'
    assert f'{columns} SELECT ?, s."cloud_id", 0, s."id", {values}' in removals().remember_deleted().sql
    statement = removals(STOCK).remember_deleted()
    assert f'{columns} SELECT ?, s."cloud_id", s."warehouse_id", s."id", {values}' in statement.sql
    assert statement.parameters == ("pos.stock", "load")


def test_a_walk_over_one_place_says_nothing_of_others() -> None:
    insert, update = removals(STOCK).remember_walk("now", 12)
    assert insert.parameters == ("pos.stock/*", 7, 12, 0, "now", "load")
    assert update.parameters == ("now", "load", "pos.stock/*", 7, 12, 0, "now")
    assert 'r."parent_id" IN (0, s."warehouse_id")' in removals(STOCK).unstage_gone().sql
    assert 'r."parent_id" IN (0)' in removals().unstage_gone().sql


def test_absent_rows_are_of_the_cloud_and_the_scope_and_were_read_before() -> None:
    rows = TableStatements(Sqlite(), STOCK, "staging", "load")
    statement = AbsentStatements(rows, 7, "begun", {"warehouse_id": 12}).delete()
    before = '(t."_read_at" < ? OR t."_read_at" IS NULL)'
    assert f't."cloud_id" = ? AND t."warehouse_id" = ? AND {before} AND NOT EXISTS' in statement.sql
    assert statement.parameters == (7, 12, "begun")
