"""The databases of the tests start, and Airflow's hooks reach them."""

from __future__ import annotations

from contextlib import closing

from airflow.sdk import BaseHook

from tests.transfers.sql.databases import Warehouse


def test_airflow_reaches_what_the_tests_look_at(warehouse: Warehouse) -> None:
    with closing(BaseHook.get_hook("warehouse").get_conn()) as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE t (x INTEGER)")
        cursor.execute("INSERT INTO t VALUES (1)")
        if hasattr(connection, "commit") and warehouse.kind != "duckdb":
            connection.commit()
    assert warehouse.tables() == {"t"}
    assert warehouse.rows("SELECT x FROM t") == [(1,)]
