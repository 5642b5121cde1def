"""Sales in tables of each kind of database are those of the API's report. Tests `sales/loaded_table.py`, too."""

from __future__ import annotations

import random
import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_dotypos._compat import fail_exception
from airflow_provider_dotypos.exceptions import DotyposCancelledError, DotyposDatabaseError
from airflow_provider_dotypos.operators.sales_report_check import DotyposSalesReportCheckOperator
from airflow_provider_dotypos.sales.business_days import BusinessHours
from airflow_provider_dotypos.sales.figures import NO_SALES
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.sandbox.api.wire import write_number
from airflow_provider_dotypos.transfers.dotypos_to_sql import DotyposToSqlOperator
from airflow_provider_dotypos.transfers.selection import Selection
from airflow_provider_dotypos.transfers.sql.database import Database
from airflow_provider_dotypos.transfers.sql.names import LOAD_ID, READ_AT, REMOVED_AT
from airflow_provider_dotypos.transfers.sql.tables import SqlTable, tables_of
from tests.patience import PATIENCE
from tests.sales.shops import PRAGUE, SINCE, UNTIL, add_order, fill, ms
from tests.transfers.sql.databases import Warehouse

pytestmark = pytest.mark.usefixtures("connection")

GUIDE = (Path(__file__).parents[3] / "docs" / "guides" / "sales-report.md").read_text()

#: A millisecond before, and at, each change of clocks, in two years.
EDGES_OF_SUMMER_TIME = [
    round(datetime.fromisoformat(f"{day}T{hour}:00+00:00").timestamp() * 1000) + by
    for day in ("2024-03-31", "2024-10-27", "2026-03-29", "2026-10-25")
    for hour in ("01:00", "22:00", "23:00")
    for by in (-1, 0)
]

COLUMNS = ("branch_id", "document_type", "flags", "paid", "total_value_rounded")

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def moment(milliseconds: int) -> datetime:
    return EPOCH + timedelta(milliseconds=milliseconds)


def create(database: Database, entity: str, cloud: int, **options: Any) -> SqlTable:
    """Create an entity's table as an extraction does."""
    chosen = {"name": None, "schema": None, "naming": "snake", "deletes": "keep", **options}
    table = tables_of(Selection.of(entity, cloud_id=cloud), **chosen)[entity]
    dialect = database.dialect
    with database.transaction() as transaction:
        relation = dialect.relation(table.schema, table.name)
        transaction.execute(dialect.create_table(relation, table.columns, table.primary_key))
    return table


def insert(database: Database, table: SqlTable, cloud: int, rows: Sequence[Mapping[str, Any]], **own: Any) -> None:
    """Insert rows of the shop: exactly, each as one statement."""
    dialect = database.dialect

    def value(column: Any, row: Mapping[str, Any]) -> Any:
        name = column.name
        if name == table.key[0]:
            return cloud
        if name in own:
            return own[name]
        if name == READ_AT:
            return dialect.moment(moment(0))
        if name == LOAD_ID:
            return "load"
        held = row.get(column.field) if column.field else None
        if held is None or column.kind in ("texts", "ints", "json"):
            return None
        if column.kind == "timestamp":
            return dialect.moment(moment(held))
        return write_number(held) if column.kind == "decimal" else held

    relation = dialect.relation(table.schema, table.name)
    marks = ", ".join("?" for _ in table.columns)
    with database.transaction() as transaction:
        for row in rows:
            values = [value(column, row) for column in table.columns]
            transaction.execute(f"INSERT INTO {relation} ({dialect.listed(table.names)}) VALUES ({marks})", values)


def check(**arguments: Any) -> dict[str, Any]:
    span = {"since": SINCE, "until": UNTIL, "conn_id": "warehouse"}
    return DotyposSalesReportCheckOperator(task_id="check", **{**span, **arguments}).execute({})


def reports(sandbox: Sandbox) -> int:
    return sum(request.path.endswith("/sales-report") for request in sandbox.requests)


def load(entity: str, **arguments: Any) -> dict[str, Any]:
    given = {"conn_id": "warehouse", "since": "2026-02-01", "until": "2026-05-01", "timezone": "Europe/Prague"}
    operator = DotyposToSqlOperator(task_id="load", entity=entity, **{**given, **arguments})
    context: Any = {"ti": SimpleNamespace(try_number=1, dag_id="d", task_id="t", run_id="r", map_index=-1)}
    return operator.execute(context)


def test_sales_agree_to_the_penny_across_a_change_of_clocks(sandbox: Sandbox, warehouse: Warehouse) -> None:
    """Each comparison takes one request a branch."""
    cloud, shop = sandbox.cloud_ids[0], sandbox.shop
    branches = fill(shop, cloud, orders=120)
    loaded = {entity: load(entity)["inserted"] for entity in ("orders", "order-items")}
    assert loaded == {entity: len(shop.rows(cloud, entity)) for entity in loaded}
    sandbox.requests.clear()
    for entity in loaded:
        for day_starts in ("00:00", "04:00"):
            assert check(entity=entity, day_starts=day_starts, branches=branches)["agrees"]
    assert len(sandbox.requests) == reports(sandbox) == 8
    for day in ("2026-03-28", "2026-03-29", "2026-03-30"):  # 24, 23 and 24 hours
        following = f"2026-03-{int(day[-2:]) + 1}"
        assert check(since=day, until=following)["agrees"]


def test_the_guides_queries_give_the_sales_that_are_compared(sandbox: Sandbox, warehouse: Warehouse) -> None:
    cloud, shop = sandbox.cloud_ids[0], sandbox.shop
    fill(shop, cloud, orders=60)
    for moment in EDGES_OF_SUMMER_TIME:
        times = {"completed": moment, "versionDate": moment}
        shop.insert(cloud, "orders", {**times, "_branchId": 1, "totalValueRounded": 0.1})
    load("orders", since=None, until="2026-11-20")
    sales: Counter[tuple[int, date]] = Counter()
    numbers: Counter[tuple[int, date]] = Counter()
    for order in shop.rows(cloud, "orders"):
        if order["completed"] is not None and order["documentType"] not in NO_SALES:
            day = datetime.fromtimestamp(order["completed"] / 1000, PRAGUE).date()
            sales[order["_branchId"], day] += round(order["totalValueRounded"] * 100)
            numbers[order["_branchId"], day] += 1
    expected = [(*group, Decimal(sales[group]) / 100, numbers[group]) for group in sorted(numbers)]
    first, sqlite, mysql = re.findall(r"^```sql\n(.*?)^```", GUIDE, re.M | re.S)
    for day in ("CAST(completed AT TIME ZONE 'Europe/Prague' AS date)", "'%Y-03-25'", "MAKEDATE"):
        assert day in first + sqlite + mysql
    rows = warehouse.rows({"sqlite": sqlite, "mysql": mysql}.get(warehouse.kind, first))
    shown = [(branch, date.fromisoformat(str(day)), Decimal(str(total)), number) for branch, day, total, number in rows]
    assert shown == expected
    if warehouse.kind not in ("sqlite", "mysql"):
        later = re.search(r"`(CAST\(.*'4 hours' AS date\))`", GUIDE)
        assert later is not None
        by_day = dict(warehouse.rows(f"SELECT {later[1]}, count(*) FROM orders WHERE completed IS NOT NULL GROUP BY 1"))
        hours = BusinessHours.of("Europe/Prague", "04:00")
        days = list(hours.days(hours.window(SINCE, UNTIL)))
        held = [order["completed"] for order in shop.rows(cloud, "orders") if order["completed"] is not None]
        assert {day.date: sum(day.begins <= moment < day.ends for moment in held) for day in days} == {
            day.date: by_day.get(day.date, 0) for day in days
        }


def test_a_missing_order_is_found_by_its_day_with_few_requests(sandbox: Sandbox, postgres: Warehouse) -> None:
    cloud, shop = sandbox.cloud_ids[0], sandbox.shop
    branches = fill(shop, cloud, orders=60)
    with closing(Database.of("warehouse", 1)) as database:
        insert(database, create(database, "orders", cloud), cloud, shop.rows(cloud, "orders"))
    sales = {"documentType": "RECEIPT", "flags": 256, "totalValueRounded": 0.1}
    for time in ("2026-03-28T23:59:59.999", "2026-03-30T00:00"):  # on both sides of the day with 23 hours
        add_order(shop, cloud, branches[0], ms(time), random.Random(2), **sales)
    result = check(on_difference="warn")
    assert [(found["day"], found["last_day"], found["difference"]) for found in result["differences"]] == [
        (day, day, {"total": "-0.1", "orders": "-1"}) for day in ("2026-03-28", "2026-03-30")
    ]
    assert result["reports"] == reports(sandbox) <= 2 + 10
    assert not check(on_difference="warn", since="2026-03-28", until="2026-03-29", branches=branches[:1])["agrees"]
    assert check(since="2026-03-29", until="2026-03-30")["agrees"]
    with pytest.raises(fail_exception(), match=rf"the table orders differ .*{branches[0]}, 2026-03-28: .* \(-0\.1\)"):
        check()


def test_only_living_rows_of_the_cloud_count_and_of_each_its_newest_version(
    sandbox: Sandbox, warehouse: Warehouse
) -> None:
    cloud, shop = sandbox.cloud_ids[0], sandbox.shop
    branches = fill(shop, cloud, orders=0)
    rows = shop.rows(cloud, "orders")
    first, second, *_ = (row for row in rows if row["documentType"] == "RECEIPT")
    with closing(Database.of("warehouse", 1)) as database:
        marking = create(database, "orders", cloud, deletes="mark", name="Order%s ?", naming="api")
        insert(database, marking, cloud, rows)
        insert(database, marking, 5, rows)
        removed = [row | {"id": row["id"] + 1} for row in rows[:2]]
        insert(database, marking, cloud, removed, **{REMOVED_AT: database.dialect.moment(moment(0))})
        versions = create(database, "orders", cloud, versions=True)
        insert(database, versions, cloud, rows)
        # An earlier version, a version of an order that was open again then, and one read earlier by the same cursor.
        earlier = {name: {READ_AT: database.dialect.moment(moment(-name))} for name in (1, 2, 3)}
        insert(database, versions, cloud, [first | {"versionDate": 1, "totalValueRounded": 5.0}], **earlier[1])
        reopened = {"versionDate": second["versionDate"] - 1, "completed": None}
        insert(database, versions, cloud, [second | reopened], **earlier[2])
        insert(database, versions, cloud, [second], **earlier[3])
    options: list[dict[str, Any]] = [{"table": "Order%s ?", "naming": "api"}, {}]
    for given in options:
        assert check(branches=branches, **given)["agrees"]
    found = check(branches=branches, cloud_id=sandbox.cloud_ids[1], on_difference="warn")["differences"]
    assert all(difference["report"] is None for difference in found)  # the other cloud has no such branches


def test_sums_are_exact_where_the_databases_are_not(sandbox: Sandbox, warehouse: Warehouse) -> None:
    cloud, shop = sandbox.cloud_ids[0], sandbox.shop
    branch = shop.rows(cloud, "branches")[0]["id"]
    amounts = [0.1] * 30 + [1234567.89] * 50 + [75425930.95, -0.07, 1e-9]
    for amount in amounts:
        common = {"_branchId": branch, "completed": ms("2026-03-29T12:00"), "totalValueRounded": amount}
        shop.insert(cloud, "orders", common)
    with closing(Database.of("warehouse", 1)) as database:
        insert(database, create(database, "orders", cloud), cloud, shop.rows(cloud, "orders"))
    (found,) = check(since="2026-03-29", until="2026-03-30", on_difference="warn", branches=[branch])["differences"]
    exact = sum(map(Decimal, map(str, amounts)))
    assert found["held"] == {"total": f"{exact:f}", "orders": "83"} != found["report"]
    assert found["difference"] == {"total": "0.000000001", "orders": "0"}  # which the report doesn't show


def test_what_no_report_shows_is_named(sandbox: Sandbox, warehouse: Warehouse) -> None:
    cloud, shop = sandbox.cloud_ids[0], sandbox.shop
    shop.insert(cloud, "orders", {"_branchId": 1, "completed": ms("2026-03-29T12:00"), "totalValueRounded": 2.5})
    rows = shop.rows(cloud, "orders")
    rows = [rows[0] | {"_branchId": None, "totalValueRounded": None}]
    with closing(Database.of("warehouse", 1)) as database:
        insert(database, create(database, "orders", cloud), cloud, rows)
    with pytest.raises(fail_exception(), match="rows without a branch, 2026-03-29: total 0, orders 1"):
        check(since="2026-03-29", until="2026-03-30")


def test_a_table_that_cannot_be_compared_is_named_without_its_rows(
    sandbox: Sandbox, warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    warehouse.execute(
        "CREATE TABLE narrow (id INTEGER, completed VARCHAR(30))",
        "INSERT INTO narrow VALUES (1, '2026-03-29 12:00:00.000000')",
    )
    with pytest.raises(
        fail_exception(), match="narrow has no column branch_id, cloud_id, document_type, flags, paid, t"
    ):
        check(table="narrow")
    with pytest.raises(fail_exception(), match=r"there is no table missing: load it first.*'warehouse'"):
        check(table="missing")
    texts = ", ".join(f"'Jana' AS {column}" for column in COLUMNS)
    warehouse.execute(f"CREATE VIEW odd AS SELECT {sandbox.cloud_ids[0]} AS cloud_id, {texts}, completed FROM narrow")
    with pytest.raises((fail_exception(), DotyposDatabaseError)) as odd:
        check(table="odd")
    raised: BaseException | None = odd.value
    while raised is not None:
        assert "Jana" not in str(raised)
        raised = raised.__context__
    assert "Jana" not in caplog.text
    assert not reports(sandbox)


def test_a_kill_ends_the_query(sandbox: Sandbox, postgres: Warehouse) -> None:
    fill(sandbox.shop, sandbox.cloud_ids[0], orders=0)
    load("orders")
    postgres.execute("CREATE VIEW slow AS SELECT orders.* FROM orders, pg_sleep(60)")
    operator = DotyposSalesReportCheckOperator(
        task_id="check", conn_id="warehouse", table="slow", since=SINCE, until=UNTIL
    )
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"

    def kill() -> None:
        while postgres.rows(sleeping) == [(0,)]:
            pass
        operator.on_kill()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with pytest.raises(DotyposCancelledError):
        operator.execute({})
    killer.join(PATIENCE)
    assert postgres.rows(sleeping) == [(0,)]


def test_a_year_of_days_is_one_query(sandbox: Sandbox, postgres: Warehouse) -> None:
    cloud, shop = sandbox.cloud_ids[0], sandbox.shop
    branches = fill(shop, cloud, orders=20)
    with closing(Database.of("warehouse", 1)) as database:
        insert(database, create(database, "orders", cloud), cloud, shop.rows(cloud, "orders"))
    result = check(since="2025-10-01", until="2026-10-01", day_starts="02:30", branches=branches)
    assert (result["days"], result["reports"], result["agrees"]) == (365, 2, True)
