"""Rows of a query, on real databases: `writes.sources.sql`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

import pytest

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.errors import DotyposEnvironmentError
from airflow_provider_dotypos.exceptions import DotyposPlanError, DotyposSourceError
from airflow_provider_dotypos.writes.sources import Sql, sql
from airflow_provider_dotypos.writes.sources.index import index_source
from airflow_provider_dotypos.writes.sources.problems import Problems
from tests.transfers.sql.databases import Warehouse

PRICE = "41.32231404958677685"
QUOTE = {"mysql": "`"}


def table(warehouse: Warehouse) -> None:
    warehouse.execute(
        "CREATE TABLE prices (id bigint, code varchar(40), price numeric(30, 17), active boolean)",
        f"INSERT INTO prices VALUES (7123456789012345, 'A-1', {PRICE}, true), (-401, 'B', NULL, false)",
    )


def named(warehouse: Warehouse, **columns: str) -> str:
    mark = QUOTE.get(warehouse.kind, '"')
    return ", ".join(f"{column} AS {mark}{name}{mark}" for name, column in columns.items())


def test_numbers_of_a_query_keep_their_digits(warehouse: Warehouse) -> None:
    table(warehouse)
    columns = named(warehouse, id="id", externalId="code", priceWithVat="price", display="active")
    problems = Problems()
    source = Sql("warehouse", f"SELECT {columns} FROM prices ORDER BY code")
    with index_source(source, find_entity("products"), match=("id",), cloud_id=5, problems=problems) as index:
        first, second = index.rows()
    exact = PRICE if warehouse.kind != "sqlite" else "41.32231404958678"  # SQLite has doubles only
    assert first.values == {"id": "7123456789012345", "externalId": "A-1", "priceWithVat": exact, "display": True}
    assert second.values == {"id": "-401", "externalId": "B", "display": False}
    assert len(problems) == 0


def test_a_number_of_four_bytes_has_the_digits_that_it_was_given(warehouse: Warehouse) -> None:
    warehouse.execute("CREATE TABLE floats (price real)", "INSERT INTO floats VALUES (125.1), (NULL)")
    assert [row["price"] for row in Sql("warehouse", "SELECT price FROM floats").rows()] == [125.1, None]


def test_parameters_are_those_of_the_driver(warehouse: Warehouse) -> None:
    table(warehouse)
    mark = {"sqlite": "?", "duckdb": "?"}.get(warehouse.kind, "%s")
    rows = list(Sql("warehouse", f"SELECT code FROM prices WHERE code = {mark}", ["B"]).rows())
    assert rows == [{"code": "B"}]


def test_a_percent_sign_needs_no_care_without_parameters(warehouse: Warehouse) -> None:
    table(warehouse)
    assert list(Sql("warehouse", "SELECT code FROM prices WHERE code LIKE 'A%'").rows()) == [{"code": "A-1"}]


def test_a_query_without_rows_is_a_source_without_rows(warehouse: Warehouse) -> None:
    table(warehouse)
    assert list(Sql("warehouse", "SELECT * FROM prices WHERE code = 'none'").rows()) == []


def test_a_wrong_query_is_named_with_the_databases_words(warehouse: Warehouse) -> None:
    with pytest.raises(
        DotyposPlanError, match=r"the query on connection 'warehouse' is wrong: .*(nowhere|does not)"
    ) as raised:
        list(Sql("warehouse", "SELECT code FROM nowhere").rows())
    assert raised.value.permanent
    assert raised.value.__context__ is None


def test_a_wrong_column_is_named(warehouse: Warehouse) -> None:
    table(warehouse)
    with pytest.raises(DotyposPlanError, match="prize"):
        list(Sql("warehouse", "SELECT prize FROM prices").rows())


def test_two_columns_of_one_name_are_refused(warehouse: Warehouse) -> None:
    table(warehouse)
    with pytest.raises(DotyposPlanError, match="two columns of one name: code"):
        list(Sql("warehouse", "SELECT code, code FROM prices").rows())


def test_what_a_driver_says_of_a_row_is_not_shown(warehouse_of: Callable[[str], Warehouse]) -> None:
    warehouse = warehouse_of("postgres")
    warehouse.execute("CREATE TABLE people (phone text)", "INSERT INTO people VALUES ('+420 602 000 000')")
    with pytest.raises(DotyposSourceError, match="22P02") as raised:
        list(Sql("warehouse", "SELECT phone::int FROM people").rows())
    assert "420" not in str(raised.value)
    assert raised.value.__context__ is None
    assert not raised.value.permanent


@pytest.mark.parametrize(
    "column",
    ["strptime(phone, '%Y')", "error(phone)", "json_extract(phone, '$.a')", "regexp_matches(phone, phone)"],
)
def test_what_duckdb_says_of_a_row_is_not_shown(warehouse_of: Callable[[str], Warehouse], column: str) -> None:
    warehouse = warehouse_of("duckdb")
    warehouse.execute("CREATE TABLE people (phone text)", "INSERT INTO people VALUES ('+420 602 000 000')")
    with pytest.raises(DotyposSourceError, match="InvalidInputException") as raised:
        list(Sql("warehouse", f"SELECT {column} FROM people").rows())
    assert "+" not in str(raised.value)


def test_what_a_driver_that_is_not_known_says_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    class Error(Exception):
        sqlstate = "22018"

    class ProgrammingError(Error):
        pass

    class Snowflake:
        def get_conn(self) -> Snowflake:
            return self

        def close(self) -> None: ...

        def cursor(self) -> None:
            raise ProgrammingError("Numeric value '+420 602 000 000' is not recognized")

    monkeypatch.setenv("AIRFLOW_CONN_SNOW", "postgres://x")
    monkeypatch.setattr(sql, "_hook_of", lambda _: Snowflake())
    with pytest.raises(DotyposSourceError, match="22018") as raised:
        list(Sql("snow", "SELECT 1").rows())
    assert "420" not in str(raised.value)


def test_parameters_are_not_shown_where_a_query_is_wrong(warehouse: Warehouse) -> None:
    mark = {"sqlite": "?", "duckdb": "?"}.get(warehouse.kind, "%s")
    with pytest.raises(DotyposPlanError, match="is wrong: ") as raised:
        list(Sql("warehouse", f"SELECT 1 {mark} {mark}", ["602000000", "Novak"]).rows())
    assert "602" not in str(raised.value)
    assert "Novak" not in str(raised.value)


def test_times_come_with_their_zone_or_are_refused(warehouse_of: Callable[[str], Warehouse]) -> None:
    warehouse_of("postgres")
    query = """SELECT 'A' AS "externalId", TIMESTAMPTZ '2026-01-15 13:00+01' AS "expireDate" """
    (row,) = Sql("warehouse", query).rows()
    assert row["expireDate"] == datetime(2026, 1, 15, 12, tzinfo=timezone.utc)
    problems = Problems()
    naive = Sql("warehouse", query.replace("TIMESTAMPTZ", "TIMESTAMP"))
    with index_source(naive, find_entity("customers"), match=("externalId",), cloud_id=5, problems=problems):
        pass
    with pytest.raises(DotyposPlanError, match="expireDate: must be a time with its zone"):
        problems.raise_any("it")


def test_a_database_that_cannot_be_reached_is_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWAY", "postgres://somebody:hunter22@localhost:1/none")
    with pytest.raises(
        DotyposSourceError, match="the query on connection 'away' can't connect: OperationalError"
    ) as raised:
        list(Sql("away", "SELECT 1").rows())
    assert "refused" in str(raised.value)
    assert "hunter22" not in str(raised.value)
    assert not raised.value.permanent
    assert raised.value.connection == "away"  # and not that of Dotypos, which the hook would name


def test_a_connection_that_has_no_rows_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, uri in (("WEB", "http://x"), ("ODD", "nothing://x")):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", uri)
        with pytest.raises(DotyposEnvironmentError, match="can't be asked for rows"):
            list(Sql(name.lower(), "SELECT 1").rows())


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_a_large_result_is_not_held_in_memory(warehouse_of: Callable[[str], Warehouse], kind: str) -> None:
    warehouse = warehouse_of(kind)
    warehouse.execute("CREATE TABLE many (code varchar(200))", "INSERT INTO many VALUES (repeat('x', 200))")
    for _ in range(14):
        warehouse.execute("INSERT INTO many SELECT code FROM many")
    rows = Sql("warehouse", "SELECT a.code FROM many a, many b").rows()  # 268 million rows
    assert [next(rows)["code"][:1] for _ in range(5000)] == ["x"] * 5000
    rows.close()  # doesn't wait for the others
