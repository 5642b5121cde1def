"""A customer erased from tables, in each kind of database.

Tests `erasure/tables`, `erasure/held_tables`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.window import instant
from airflow_provider_dotypos.exceptions import DotyposDatabaseError, DotyposInputError
from airflow_provider_dotypos.lake.erasure.erasing import Erasure
from airflow_provider_dotypos.lake.erasure.person import reach_of
from airflow_provider_dotypos.lake.erasure.report import ErasureReport
from airflow_provider_dotypos.lake.erasure.tables import TableErasure
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.transfers.selection import Selection
from airflow_provider_dotypos.transfers.sql import sink as sql_sink
from airflow_provider_dotypos.transfers.sql.database import Database
from airflow_provider_dotypos.transfers.sql.tables import SqlTable, named, tables_of
from airflow_provider_dotypos.transfers.sql.transaction import Transaction
from tests.lake.persons import HER, MARK, MARKED_NUMBER, OTHER, marked_row
from tests.transfers.sql.databases import KINDS, Warehouse
from tests.transfers.sql.test_dotypos_to_sql import load

SINCE = datetime(2026, 3, 1, tzinfo=timezone.utc)
UNTIL = SINCE + timedelta(days=1)
MOMENT = int(SINCE.timestamp() * 1000) + 3_600_000

#: Ids of hers: no moment or digest holds them by chance. Those of others are a few higher.
HERS = {
    name: 7_700_000_000_000_000 + 10 * number for number, name in enumerate(reach_of().entities) if name != "customers"
} | {"customers": int(HER)}

#: The day of `MARKED_TIME`, as databases give it. Its year alone is in some digest, or a fraction of a second.
MARKED_DAY = re.compile(r"1977(-07-07|, 7, 7)")

#: What is loaded: orders bring their items and payments into tables of their own.
LISTS: dict[str, dict[str, Any]] = {
    "customers": {},
    "customer-accounts": {},
    "customer-account-logs": {},
    "reservations": {},
    "orders": {"include": "orderItems,moneyLogs"},
}

pytestmark = pytest.mark.usefixtures("connection")


def fill(sandbox: Sandbox, customer: str = HER, by: int = 0) -> None:
    """Give a customer a row of each entity, with a mark in each personal field."""
    ids = {name: id + by for name, id in HERS.items()} | {"customers": int(customer)}
    reach = reach_of()
    for entity in reach.entities:
        row = {name: _stored(value) for name, value in marked_row(entity).items() if value is not None}
        for name, field in find_entity(entity).fields.items():
            if field.references is not None:
                shows = name in reach.fields(entity) and not name.startswith("_related")
                row[name] = ids[field.references] if shows and field.references in ids else 1
        row |= {"id": ids[entity], **dict.fromkeys(find_entity(entity).cursors, MOMENT)}
        for name in ("_sourceOrderId", "_cloudId"):
            row.pop(name, None)
        sandbox.shop.insert(sandbox.cloud_ids[0], entity, row)


def _stored(value: Any) -> Any:
    """Return a value as the sandbox's shop holds it."""
    if not isinstance(value, str) or not value[:1].isdigit():
        return value
    return instant(value, "a field") if value.endswith("Z") else float(value) if "." in value else int(value)


#: Lists whose personal fields have every type that there is.
EVERY_TYPE = ("customers", "orders")


def load_all(lists: Iterable[str] = LISTS, **arguments: Any) -> list[str]:
    """Load lists, and return the entities of which there are tables then."""
    for entity in lists:
        load(entity=entity, since=SINCE, until=UNTIL, **LISTS[entity], **arguments)
    return [*lists, *(("order-items", "money-logs") if "orders" in lists else ())]


def dump(warehouse: Warehouse) -> dict[str, list[Any]]:
    """Return all rows of all tables but those that say when somebody has looked, as text."""
    tables = sorted(warehouse.tables() - {"_dotypos_state"})
    with closing(warehouse.connect()) as connection:
        cursor = connection.cursor()
        rows = {}
        for table in tables:
            cursor.execute(f"SELECT * FROM {table}")
            rows[table] = sorted(repr(tuple(row)) for row in cursor.fetchall())
    return rows


def erase(**arguments: Any) -> ErasureReport:
    with closing(Database.of("warehouse", 1)) as database:
        return Erasure(int(HER), database=database, **{"dry_run": False, **arguments}).run()


def hers_and_others(tables: dict[str, list[Any]]) -> tuple[list[str], list[str]]:
    """Return the rows of tables that hold one of her ids, and all others."""
    rows = [f"{table} {row}" for table, all_rows in tables.items() for row in all_rows]
    hers = [row for row in rows if any(f"{id}" in row for id in HERS.values())]
    return hers, [row for row in rows if row not in hers]


@pytest.mark.parametrize(
    ("warehouse", "naming"),
    [*((kind, "snake") for kind in KINDS), ("sqlite", "api")],
    indirect=["warehouse"],
)
def test_a_customers_rows_in_all_tables_hold_none_of_their_data(
    warehouse: Warehouse, sandbox: Sandbox, naming: str
) -> None:
    fill(sandbox)
    fill(sandbox, OTHER, 1)
    tables = load_all(LISTS if warehouse.kind == "sqlite" else EVERY_TYPE, naming=naming)
    before = dump(warehouse)
    assert MARK in str(before["customers"])
    assert MARKED_DAY.search(str(before["customers"]))

    report = erase(dry_run=True)
    assert dump(warehouse) == before
    assert {place.table: (place.rows, place.changed, place.state) for place in report.places.values()} == {
        entity: (1, 0, "already erased") if entity == "customer-accounts" else (1, 1, "to erase") for entity in tables
    }
    report = erase()
    after = dump(warehouse)
    hers, others = hers_and_others(after)
    assert others == hers_and_others(before)[1]
    assert MARK in str(others)
    assert MARK not in str(hers)
    assert MARKED_NUMBER not in str(hers)
    assert not MARKED_DAY.search(str(hers))
    assert report.totals()["tables"] == len({*tables} - {"customer-accounts"})
    assert report.places["customers", "customers"].fields == dict.fromkeys(reach_of().personal("customers"), 1)
    again = erase()
    assert dump(warehouse) == after
    assert {place.state for place in again.places.values()} == {"already erased"}
    assert MARK not in json.dumps(again.as_mapping()) + json.dumps(report.as_mapping())


@pytest.mark.parametrize("warehouse", ["sqlite"], indirect=True)
def test_all_but_personal_columns_stay_as_they_were(warehouse: Warehouse, sandbox: Sandbox) -> None:
    fill(sandbox)
    load_all()
    personal = {named(name, "snake") for name in reach_of().personal("orders")}
    before, after = (columns_of_row(warehouse, erased) for erased in (False, True))
    assert before.keys() == after.keys()
    assert {name for name in before if before[name] != after[name]} == personal


def columns_of_row(warehouse: Warehouse, erased: bool) -> dict[str, Any]:
    if erased:
        erase()
    names = [column.name for column in tables_of_orders().columns]
    quoted = ", ".join(f"`{name}`" if warehouse.kind == "mysql" else f'"{name}"' for name in names)
    ((row),) = warehouse.rows(f"SELECT {quoted} FROM orders")
    return dict(zip(names, row, strict=True))


def tables_of_orders() -> SqlTable:
    selection = Selection.of("orders", cloud_id=1)
    return tables_of(selection, name=None, schema=None, naming="snake", deletes="keep")["orders"]


def test_what_fits_no_column_goes_if_nobody_can_vouch_for_it(warehouse: Warehouse, sandbox: Sandbox) -> None:
    fill(sandbox)
    load(entity="customers", since=SINCE, until=UNTIL)
    unknown = json.dumps({"loyalty": MARK, "birthday": MARK, "points": 12.50, "hexColor": {"a": [MARK]}})
    warehouse.execute(f"UPDATE customers SET _unknown = '{unknown}'")
    report = erase()
    ((left,),) = warehouse.rows("SELECT _unknown FROM customers")
    assert (left if isinstance(left, dict) else json.loads(left)) == {"points": 12.5}
    assert report.places["customers", "customers"].fields["_unknown"] == 1
    warehouse.execute(f"UPDATE customers SET _unknown = '{json.dumps({'loyalty': MARK})}'")
    erase()
    assert warehouse.rows("SELECT _unknown FROM customers") == [(None,)]


@pytest.mark.parametrize("warehouse", ["sqlite", "postgres"], indirect=True)
def test_a_row_that_names_them_in_another_form_is_theirs(warehouse: Warehouse, sandbox: Sandbox) -> None:
    fill(sandbox)
    load(entity="reservations", since=SINCE, until=UNTIL)
    assert MARK in str(dump(warehouse))
    for ids in [OTHER], [HER]:
        unknown = json.dumps({"_customerId": ids})
        warehouse.execute(f"UPDATE reservations SET customer_id = NULL, _unknown = '{unknown}'")
        report = erase()
        assert (MARK in str(dump(warehouse))) == (ids == [OTHER])
    assert report.places["reservations", "reservations"].changed == 1
    ((left,),) = warehouse.rows("SELECT _unknown FROM reservations")
    assert (left if isinstance(left, dict) else json.loads(left)) == {"_customerId": [HER]}
    erase()
    assert warehouse.rows("SELECT _unknown FROM reservations") != [(None,)]


def test_each_version_of_a_row_is_erased_and_stays_a_version(warehouse: Warehouse, sandbox: Sandbox) -> None:
    fill(sandbox)
    for day in (1, 2):
        sandbox.shop.update(sandbox.cloud_ids[0], "customers", int(HER), {"versionDate": MOMENT, "points": day})
        load(entity="customers", since=SINCE, until=UNTIL + timedelta(days=day), mode="append")
    before = warehouse.rows("SELECT id, points, _read_at, _load_id FROM customers ORDER BY _read_at")
    assert len(before) == 2
    report = erase()
    assert warehouse.rows("SELECT id, points, _read_at, _load_id FROM customers ORDER BY _read_at") == before
    assert MARK not in str(dump(warehouse))
    assert report.places["customers", "customers"].changed == 2


def test_rows_that_wait_for_their_merge_are_erased_and_the_load_is_named(
    warehouse: Warehouse, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(sandbox)
    fill(sandbox, OTHER, 1)

    def die(*arguments: Any, **more: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(sql_sink, "merge", die)
        with pytest.raises(KeyboardInterrupt):
            load(entity="orders", since=SINCE, until=UNTIL, include="orderItems,moneyLogs")
    staging = [table for table in warehouse.tables() if table.startswith("_dotypos_staging_")]
    waiting = dump(warehouse)
    assert MARK in str([waiting[table] for table in staging])
    report = erase()
    assert [load.table for load in report.open_loads.values()] == ["orders"]
    assert next(iter(report.open_loads.values())).run_id in next(report.warnings())
    assert not report.whole
    assert {place.state for place in report.places.values()} == {"erased"}
    asked = len(sandbox.requests)
    load(entity="orders", since=SINCE, until=UNTIL, include="orderItems,moneyLogs")
    assert not any("/orders" in request.path for request in sandbox.requests[asked:])
    hers, others = hers_and_others(dump(warehouse))
    assert len([row for row in hers if row.startswith(("orders ", "order_items ", "money_logs "))]) == 3
    assert MARK not in str(hers)
    assert MARK in str(others)
    assert erase().whole


@pytest.mark.parametrize("warehouse", ["sqlite"], indirect=True)
def test_an_older_window_does_not_bring_the_data_back(warehouse: Warehouse, sandbox: Sandbox) -> None:
    """A version that Dotypos has replaced loses to the erased one, in whatever order windows are merged."""
    fill(sandbox)
    load(entity="customers", since=SINCE, until=UNTIL)
    cloud = sandbox.cloud_ids[0]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sql_sink, "merge", _dying)
        with pytest.raises(KeyboardInterrupt):
            load(entity="customers", since=SINCE, until=UNTIL - timedelta(hours=1))
    blank = {
        name: [] if name == "tags" else None if name == "birthday" else "" for name in reach_of().personal("customers")
    }
    sandbox.shop.update(cloud, "customers", int(HER), {**blank, "versionDate": MOMENT + 7_200_000})
    load(entity="customers", since=SINCE, until=UNTIL + timedelta(hours=1))
    erase()
    load(entity="customers", since=SINCE, until=UNTIL - timedelta(hours=1))
    assert MARK not in str(dump(warehouse))


def _dying(*arguments: Any, **more: Any) -> Any:
    raise KeyboardInterrupt


@pytest.mark.parametrize("warehouse", ["sqlite", "postgres"], indirect=True)
def test_a_crash_between_two_tables_is_made_good_by_the_next_run(
    warehouse: Warehouse, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(sandbox)
    load_all()
    statements = 0
    run = Transaction.execute

    def execute(self: Transaction, sql: str, parameters: Any = ()) -> int:
        nonlocal statements
        assert not any(MARK in str(each) for each in (sql, *parameters))
        statements += sql.startswith("UPDATE")
        if statements > 2:
            raise KeyboardInterrupt
        return run(self, sql, parameters)

    with monkeypatch.context() as patched:
        patched.setattr(Transaction, "execute", execute)
        with pytest.raises(KeyboardInterrupt):
            erase()
    report = erase()
    assert {place.state for place in report.places.values()} == {"erased", "already erased"}
    assert MARK not in str(dump(warehouse))


@pytest.mark.parametrize("warehouse", ["sqlite"], indirect=True)
def test_a_table_without_the_fields_that_show_whose_rows_are_is_named(warehouse: Warehouse, sandbox: Sandbox) -> None:
    fill(sandbox)
    load(entity="orders", since=SINCE, until=UNTIL, columns="note,printData")
    report = erase(dry_run=True)
    assert report.unsure == {
        ("orders", "orders"): ["_customerId", "_relatedInvoiceId", "_relatedOrderId", "_sourceOrderId"]
    }
    assert not report.whole


@pytest.mark.parametrize("warehouse", ["sqlite"], indirect=True)
def test_a_table_that_is_gone_is_passed_over(warehouse: Warehouse, sandbox: Sandbox) -> None:
    fill(sandbox)
    load_all()
    warehouse.execute("DROP VIEW customers_live", "DROP TABLE customers")
    assert erase().totals()["tables"] == 5


@pytest.mark.parametrize("warehouse", ["sqlite", "postgres"], indirect=True)
@pytest.mark.parametrize("waits", [True, False], ids=["its rows waited", "it has just begun"])
def test_what_a_load_merges_meanwhile_is_erased_as_well(
    warehouse: Warehouse, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    fill(sandbox)
    load(entity="customers", since=SINCE, until=UNTIL)
    newer = {"versionDate": MOMENT + 90_000_000, "points": 5}
    sandbox.shop.update(sandbox.cloud_ids[0], "customers", int(HER), newer)
    later = [{"entity": "customers", "since": UNTIL, "until": UNTIL + timedelta(days=1)}]
    if waits:
        with monkeypatch.context() as patched:
            patched.setattr(sql_sink, "merge", _dying)
            with pytest.raises(KeyboardInterrupt):
                load(**later[0])
    # Just before the staging tables are erased, or once all tables are.
    owner, name = (TableErasure, "_note_lacking") if waits else (Database, "read_at")
    before = getattr(owner, name)

    def looking(self: Any, what: Any) -> Any:
        if later and str(getattr(what, "name", "_dotypos_staging_")).startswith("_dotypos_staging_"):
            load(**later.pop())
        return before(self, what)

    monkeypatch.setattr(owner, name, looking)
    report = erase()
    assert not later
    assert MARK not in str(dump(warehouse))
    assert warehouse.rows("SELECT points FROM customers") == [(5,)]
    assert report.whole


@pytest.mark.parametrize("warehouse", ["sqlite"], indirect=True)
def test_what_is_no_table_any_more_is_named(warehouse: Warehouse, sandbox: Sandbox) -> None:
    fill(sandbox)
    load(entity="customers", since=SINCE, until=UNTIL)
    view = "CREATE VIEW customers AS SELECT * FROM raw_customers"
    warehouse.execute("DROP VIEW customers_live", "ALTER TABLE customers RENAME TO raw_customers", view)
    report = erase()
    assert "isn't a table any more" in report.unreadable["customers"]
    assert not report.whole


@pytest.mark.parametrize("warehouse", ["sqlite"], indirect=True)
def test_rows_that_wait_for_a_load_that_was_forgotten_are_named(
    warehouse: Warehouse, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loads of a table that somebody has dropped are forgotten, with what they have staged."""
    fill(sandbox)
    load(entity="reservations", since=SINCE, until=UNTIL)
    with monkeypatch.context() as patched:
        patched.setattr(sql_sink, "merge", _dying)
        with pytest.raises(KeyboardInterrupt):
            load(entity="customers", since=SINCE, until=UNTIL)
    warehouse.execute("DELETE FROM _dotypos_loads WHERE target = 'customers'")
    report = erase()
    [name] = report.unreadable
    assert MARK in str(dump(warehouse)[name])
    assert "The next load removes it" in report.unreadable[name]
    load(entity="reservations", since=UNTIL, until=UNTIL + timedelta(days=1))
    assert erase().whole
    assert MARK not in str(dump(warehouse))


@pytest.mark.parametrize("warehouse", ["sqlite"], indirect=True)
def test_each_version_is_erased_in_a_table_that_has_lost_its_key(warehouse: Warehouse, sandbox: Sandbox) -> None:
    fill(sandbox)
    for day in (1, 2):
        more = {"note": ""} if day == 2 else {}
        sandbox.shop.update(sandbox.cloud_ids[0], "customers", int(HER), {"versionDate": MOMENT, "points": day, **more})
        load(entity="customers", since=SINCE, until=UNTIL + timedelta(days=day), mode="append")
    copy = ["CREATE TABLE c2 AS SELECT * FROM customers", "DROP TABLE customers", "ALTER TABLE c2 RENAME TO customers"]
    warehouse.execute(*copy)
    erase()
    assert MARK not in str(dump(warehouse))
    assert len(warehouse.rows("SELECT points FROM customers")) == 2


def test_a_database_without_loads_is_refused(warehouse: Warehouse) -> None:
    with pytest.raises(DotyposInputError, match="no table _dotypos_loads"):
        erase()


def test_no_value_of_a_row_is_in_an_error(
    warehouse: Warehouse, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fill(sandbox)
    load(entity="customers", since=SINCE, until=UNTIL)
    monkeypatch.setattr(Transaction, "_run", _failing(Transaction._run))
    with pytest.raises(DotyposDatabaseError) as raised:
        erase()
    assert MARK not in f"{raised.value!r} {raised.value.__context__!r} {raised.value.__cause__!r} {caplog.text}"


def _failing(run: Callable[..., Any]) -> Callable[..., Any]:
    """Let the database refuse an update: its own error quotes the row."""

    def failing(self: Transaction, connection: Any, sql: str, parameters: Any, **more: Any) -> Any:
        if sql.startswith("UPDATE"):
            return run(self, connection, f"SELECT CAST('{MARK}' AS DATE), no_such_column", ())
        return run(self, connection, sql, parameters, **more)

    return failing
