"""The operator into real databases: windows, resumption, the watermark. This tests `sql_tables`, `sql/state.py` too."""

from __future__ import annotations

import itertools
import json
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_dotypos import _compat
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.transfers.dotypos_to_sql import DotyposToSqlOperator
from airflow_provider_dotypos.transfers.sql import sink as sql_sink
from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect
from airflow_provider_dotypos.transfers.sql.dialects.sqlite import Sqlite
from airflow_provider_dotypos.transfers.sql.errors import DotyposDatabaseError
from airflow_provider_dotypos.transfers.sql.loads import Loads
from tests.transfers.conftest import SINCE, UNTIL
from tests.transfers.sql.databases import Warehouse
from tests.transfers.sql.tries import leftovers

HOUR = timedelta(hours=1)


def context_of(run: str = "r1", at: datetime = UNTIL, try_number: int = 1) -> Any:
    ti = SimpleNamespace(try_number=try_number, dag_id="d", task_id="t", run_id=run, map_index=-1)
    return {"ti": ti, "dag_run": SimpleNamespace(run_after=at), "run_id": run}


def operator(**arguments: Any) -> DotyposToSqlOperator:
    arguments = {"entity": "orders", "conn_id": "warehouse", "concurrency": 4, **arguments}
    return DotyposToSqlOperator(task_id="t", **arguments)


def load(context: Any = None, **arguments: Any) -> dict[str, Any]:
    return operator(**arguments).execute(context or context_of())


def window(**arguments: Any) -> dict[str, Any]:
    return load(since=SINCE, until=UNTIL, **arguments)


def ids(warehouse: Warehouse, table: str = "orders") -> list[str]:
    return sorted(str(row[0]) for row in warehouse.rows(f"SELECT id FROM {table}"))


@pytest.fixture(autouse=True)
def ready(connection: None) -> None:
    pass


def test_a_window_is_loaded_once(warehouse: Warehouse, orders: list[str], sandbox: Sandbox) -> None:
    result = window()
    assert ids(warehouse) == sorted(orders)
    assert result == {
        "table": "orders",
        "entity": "orders",
        "cloud_id": sandbox.cloud_ids[0],
        "since": "2026-03-01T00:00:00.000Z",
        "until": "2026-03-02T00:00:00.000Z",
        "rows": len(orders),
        "inserted": len(orders),
        "updated": 0,
        "unchanged": 0,
        "removed": 0,
        "load_id": result["load_id"],
        "new_fields": {},
        "misfits": {},
    }
    assert leftovers(warehouse) == ([], 0)
    json.dumps(result)
    asked = len(sandbox.requests)
    assert window() == result
    assert [request.path for request in sandbox.requests[asked:]] == []
    again = window(reload=True)
    assert (again["inserted"], again["updated"], again["unchanged"]) == (0, 0, len(orders))


def insert(sandbox: Sandbox, at: datetime, note: str = "") -> str:
    moment = int(at.timestamp() * 1000)
    row = sandbox.shop.insert(sandbox.cloud_ids[0], "orders", {"versionDate": moment, "note": note})
    return str(row["id"])


def test_without_a_window_a_run_continues_where_the_table_ends(warehouse: Warehouse, sandbox: Sandbox) -> None:
    """On any version of Airflow, without an outlet: the database keeps the watermark."""
    first = insert(sandbox, UNTIL - HOUR)
    result = load(context_of("r1"))
    assert (result["since"], result["until"]) == (None, "2026-03-01T23:59:00.000Z")
    second = insert(sandbox, UNTIL)
    result = load(context_of("r2", UNTIL + HOUR))
    assert (result["since"], result["rows"]) == ("2026-03-01T23:59:00.000Z", 1)
    asked = len(sandbox.requests)
    assert load(context_of("r3", UNTIL + 2 * HOUR))["rows"] == 0
    assert sum("/orders" in request.path for request in sandbox.requests[asked:]) <= 2
    with pytest.raises(_compat._exception("AirflowSkipException"), match="read by later runs"):
        load(context_of("r0", UNTIL + HOUR / 2))
    assert ids(warehouse) == sorted([first, second])
    # An explicit window leaves the watermark where it is.
    load(since=UNTIL, until=UNTIL + 5 * HOUR)
    assert load(context_of("r4", UNTIL + 3 * HOUR))["since"] == "2026-03-02T01:59:00.000Z"


def test_a_run_that_died_after_its_merge_returns_its_result(
    warehouse: Warehouse, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = [insert(sandbox, UNTIL - HOUR)]
    results = [load(context_of("r1"))]
    notes.append(insert(sandbox, UNTIL))
    with monkeypatch.context() as patched:
        patched.setattr(DotyposToSqlOperator, "_conclude", interrupt)
        with pytest.raises(KeyboardInterrupt):
            load(context_of("r2", UNTIL + HOUR))
    asked = len(sandbox.requests)
    results.append(load(context_of("r2", UNTIL + HOUR, try_number=2)))
    assert len(sandbox.requests) == asked
    notes.append(insert(sandbox, UNTIL + HOUR))
    results.append(load(context_of("r3", UNTIL + 2 * HOUR)))
    assert [result["inserted"] for result in results] == [1, 1, 1]
    assert all(one["until"] == other["since"] for one, other in itertools.pairwise(results))
    assert ids(warehouse) == sorted(notes)


def interrupt(*arguments: Any) -> Any:
    raise KeyboardInterrupt


def test_a_table_that_was_dropped_is_loaded_anew(warehouse: Warehouse, sandbox: Sandbox, orders: list[str]) -> None:
    load(context_of("r1"))
    window()
    if warehouse.kind != "mysql":
        warehouse.execute("DROP VIEW IF EXISTS orders_live")
    warehouse.execute("DROP TABLE orders")
    result = load(context_of("r2", UNTIL + HOUR))
    assert result["since"] is None
    assert ids(warehouse) == sorted(orders)


def test_a_task_that_died_while_it_created_tables_can_be_tried_again(warehouse: Warehouse, orders: list[str]) -> None:
    load(context_of("r1"))
    warehouse.execute(*(f"DROP TABLE {name}" for name in ("orders", "_dotypos_removed", "_dotypos_state")))
    assert load(context_of("r1", try_number=2))["inserted"] == len(orders)


def test_a_child_table_that_was_dropped_is_loaded_anew(warehouse: Warehouse, sandbox: Sandbox) -> None:
    for _ in range(3):
        sandbox.shop.insert(sandbox.cloud_ids[0], "order-items", {"_orderId": int(insert(sandbox, UNTIL - HOUR))})
    load(context_of("r1"), include="orderItems")
    window(include="orderItems")
    warehouse.execute("DROP TABLE order_items")
    assert load(context_of("r2", UNTIL + HOUR), include="orderItems")["since"] is None
    assert len(ids(warehouse, "order_items")) == 3
    assert window(include="orderItems")["unchanged"] == 3


def test_a_quiet_list_costs_one_request(postgres: Warehouse, sandbox: Sandbox, orders: list[str]) -> None:
    for number in range(3):
        asked = len(sandbox.requests)
        load(context_of(f"r{number}", UNTIL + number * HOUR), concurrency=1)
    paths = [request.path for request in sandbox.requests[asked:] if "signin" not in request.path]
    assert len(paths) <= 2, paths


def test_rows_that_are_gone_are_removed_by_a_replacement(
    warehouse: Warehouse, sandbox: Sandbox, orders: list[str]
) -> None:
    load(mode="replace", table="all_orders")
    cloud = sandbox.cloud_ids[0]
    gone = orders[7]
    sandbox.shop.remove(cloud, "orders", int(gone))
    added = insert(sandbox, UNTIL + HOUR)
    result = load(context_of("r2", UNTIL + 2 * HOUR), mode="replace", table="all_orders")
    assert (result["inserted"], result["removed"]) == (1, 1)
    assert ids(warehouse, "all_orders") == sorted({*orders, added} - {gone})


def test_child_lists_go_into_tables_of_their_own(warehouse: Warehouse, sandbox: Sandbox) -> None:
    order = insert(sandbox, UNTIL - HOUR)
    item = sandbox.shop.insert(sandbox.cloud_ids[0], "order-items", {"_orderId": int(order)})["id"]
    result = load(since=None, until=UNTIL, include="orderItems", entity="orders")
    assert result["rows"] == 1
    assert warehouse.rows("SELECT id, order_id FROM order_items") == [(item, int(order))]
    with pytest.raises(_compat.fail_exception(), match="the table order_items is filled by orders"):
        load(entity="order-items", until=UNTIL)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"mode": "merge"}, "mode must be one of upsert, append, replace, not 'merge'"),
        ({"deletes": True}, "deletes must be one of keep, remove, mark"),
        ({"naming": "camel"}, "naming must be one of snake, api"),
        ({"create": "yes"}, "create must be True or False"),
        ({"mode": "append", "deletes": "mark"}, "mode='append' keeps every version"),
        ({"mode": "replace", "since": SINCE, "until": UNTIL}, "mode='replace' reads all rows"),
        ({"mode": "replace", "start": SINCE}, "mode='replace' reads all rows"),
        ({"allow_empty": True}, "allow_empty is for mode='replace'"),
        ({"conn_id": ""}, "conn_id must be the id of an Airflow connection"),
        ({"table": 5}, "table must be a name, not"),
        (
            {"table": "public.orders"},
            "table is a name without its schema: not 'public.orders', but 'orders' and schema",
        ),
        ({"schema": " "}, "schema must be a name, not"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused_when_the_dag_is_parsed(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(DotyposInputError, match=said):
        operator(**arguments)


def test_other_kinds_of_connections_are_refused_before_any_request(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    Warehouse("other", {"conn_type": "snowflake"}).store(monkeypatch)
    with pytest.raises(_compat.fail_exception(), match=r"Into others, such as Snowflake, .* go by files"):
        window()
    assert not sandbox.requests


def test_a_table_that_cannot_take_the_rows_is_refused_before_any_request(
    warehouse: Warehouse, sandbox: Sandbox
) -> None:
    warehouse.execute("CREATE TABLE orders (id VARCHAR(3))")
    with pytest.raises(_compat.fail_exception(), match="can't take the rows, so nothing was read") as raised:
        window()
    assert "(connection 'warehouse')" in str(raised.value)  # not Dotypos's, which is all right
    assert not sandbox.requests


def test_an_empty_name_is_none_given(warehouse: Warehouse, orders: list[str]) -> None:
    """A template may give it."""
    assert window(table="", schema="", staging_schema="")["table"] == "orders"
    assert ids(warehouse) == sorted(orders)


def test_old_staging_tables_are_removed_with_their_parts(
    warehouse: Warehouse, sandbox: Sandbox, orders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sql_sink.SqlSink, "commit", interrupt)
        with pytest.raises(KeyboardInterrupt):
            window()
    staging, parts = leftovers(warehouse)
    assert staging
    assert parts
    load(since=SINCE - HOUR, until=SINCE)
    assert leftovers(warehouse) == (staging, parts)
    long_ago = "2020-01-01T00:00:00.000000Z" if warehouse.kind == "sqlite" else "2020-01-01 00:00:00"
    warehouse.execute(f"UPDATE _dotypos_loads SET tried_at = '{long_ago}' WHERE loaded_at IS NULL")
    load(since=SINCE - 2 * HOUR, until=SINCE)
    assert leftovers(warehouse) == ([], 0)
    assert window()["inserted"] == len(orders)


def test_a_table_takes_one_entity_alone(warehouse: Warehouse, orders: list[str], sandbox: Sandbox) -> None:
    """Rows of two entities may have the same ids, so one would overwrite the other."""
    window()
    asked = len(sandbox.requests)
    with pytest.raises(_compat.fail_exception(), match="the table orders holds orders, and money-logs may have"):
        window(entity="money-logs", table="orders")
    assert [request.path for request in sandbox.requests[asked:]] == []
    with pytest.raises(Exception, match="amount"):
        warehouse.rows("SELECT amount FROM orders")  # nor did the table get columns of the other entity


def test_a_child_table_that_was_dropped_is_filled_again(warehouse: Warehouse, sandbox: Sandbox) -> None:
    """The orders' own table, which would continue from where it ends, is read from the beginning."""
    order = insert(sandbox, UNTIL - HOUR)
    item = sandbox.shop.insert(sandbox.cloud_ids[0], "order-items", {"_orderId": int(order)})["id"]
    load(context_of("r1"), include="orderItems")
    assert ids(warehouse, "order_items") == [str(item)]
    warehouse.execute("DROP TABLE order_items")
    assert load(context_of("r2", UNTIL + HOUR), include="orderItems")["since"] is None
    assert ids(warehouse, "order_items") == [str(item)]
    assert load(context_of("r3", UNTIL + 2 * HOUR), include="orderItems")["since"] is not None
    # A list that is included for the first time has filled nothing that could be gone.
    load(context_of("r4", UNTIL + 2 * HOUR), include="orderItems,moneyLogs")
    assert load(context_of("r5", UNTIL + 3 * HOUR), include="orderItems")["since"] is not None


def test_a_table_goes_by_one_name(warehouse: Warehouse, orders: list[str], sandbox: Sandbox) -> None:
    """What is remembered of its removed rows and its windows has that name."""
    window()
    query = {
        "postgres": "SELECT current_schema()",
        "mysql": "SELECT database()",
        "duckdb": "SELECT current_schema()",
        "sqlite": "SELECT 'main'",
    }
    ((schema,),) = warehouse.rows(query[warehouse.kind])
    asked = len(sandbox.requests)
    with pytest.raises(_compat.fail_exception(), match="as orders: give table and schema as they do"):
        window(schema=schema)
    if warehouse.kind in ("sqlite", "duckdb"):  # elsewhere this is another table
        with pytest.raises(_compat.fail_exception(), match="name the table Orders as orders: "):
            window(table="Orders")
    assert len(sandbox.requests) == asked


def test_loads_of_other_fields_at_once_lose_none(
    warehouse: Warehouse, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    if warehouse.kind == "duckdb":
        pytest.skip("one task at a time")
    insert(sandbox, UNTIL - HOUR, note="kept")
    commit = sql_sink.SqlSink.commit

    def commit_late(sink: Any, *arguments: Any) -> Any:
        monkeypatch.setattr(sql_sink.SqlSink, "commit", commit)
        window(columns="status")
        return commit(sink, *arguments)

    monkeypatch.setattr(sql_sink.SqlSink, "commit", commit_late)
    with pytest.raises(DotyposDatabaseError, match="A load of other fields into the table orders was merged"):
        window(columns="note")
    assert leftovers(warehouse) == ([], 0)
    assert window(columns="note")["updated"] == 1
    assert warehouse.rows("SELECT note FROM orders WHERE status IS NOT NULL") == [("kept",)]


def test_other_fields_are_read_from_the_beginning_and_the_others_keep_their_values(
    warehouse: Warehouse, sandbox: Sandbox
) -> None:
    insert(sandbox, UNTIL - HOUR, note="first")
    load(context_of("r1"), columns="note")
    result = load(context_of("r2", UNTIL + HOUR), columns="status")
    assert (result["since"], result["updated"]) == (None, 1)
    assert warehouse.rows("SELECT note FROM orders WHERE status IS NOT NULL") == [("first",)]


def test_a_table_that_was_dropped_and_made_anew_under_a_load_ends_it(
    warehouse: Warehouse, orders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = sql_sink.SqlSink.stage

    def stage_late(sink: Any, *arguments: Any) -> None:
        monkeypatch.setattr(sql_sink.SqlSink, "stage", stage)
        if warehouse.kind == "duckdb":  # it lets no driver in beside the task
            pytest.skip("the file is open")
        warehouse.execute("DROP TABLE orders")
        load(since=SINCE - HOUR, until=SINCE)
        stage(sink, *arguments)

    monkeypatch.setattr(sql_sink.SqlSink, "stage", stage_late)
    with pytest.raises(DotyposDatabaseError, match="The table orders was removed while rows were loaded into it"):
        window(concurrency=1)  # else two threads may both be the first to stage
    assert window()["inserted"] == len(orders)


def test_staging_is_listed_before_the_loads_that_are_open(
    warehouse: Warehouse, orders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So any table that is listed has its load by then, also if another task begins one meanwhile."""
    asked: list[str] = []

    def noting(kind: type, name: str) -> None:
        original = getattr(kind, name)
        monkeypatch.setattr(kind, name, lambda *arguments: asked.append(name) or original(*arguments))

    noting(Loads, "open_loads")
    noting(Dialect, "table_names")
    noting(Sqlite, "table_names")
    window()
    assert asked == ["table_names", "open_loads"]


def test_staging_tables_of_another_role_are_left(
    postgres: Warehouse, role: str, orders: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    schema = postgres.rows("SELECT current_schema()")[0][0]
    with monkeypatch.context() as patched:
        postgres.store(patched)
        patched.setattr(sql_sink.SqlSink, "commit", interrupt)
        with pytest.raises(KeyboardInterrupt):
            window()
    postgres.execute(
        "UPDATE _dotypos_loads SET tried_at = '2020-01-01'",
        f"GRANT CREATE ON SCHEMA {schema} TO {role}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
    )
    staging, _ = leftovers(postgres)
    assert window(table="own")["inserted"] == len(orders)
    assert leftovers(postgres)[0] == staging
    assert "couldn't be removed: PostgreSQL couldn't run a statement: 42501" in caplog.text
