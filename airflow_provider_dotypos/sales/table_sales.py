"""Sales in a table of a database: one query, whose result has a row for each branch and day.

Where the database's own sums aren't exact, it has a row for each amount, too, and sums are made here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.window import milliseconds
from airflow_provider_dotypos.sales.business_days import BusinessDay
from airflow_provider_dotypos.sales.daily_sales import DailySales
from airflow_provider_dotypos.sales.loaded_table import LoadedTable
from airflow_provider_dotypos.sales.newest_sales import NewestSales
from airflow_provider_dotypos.transfers.sql.loads import Loads, utc
from airflow_provider_dotypos.transfers.sql.names import CLOUD_ID, READ_AT, REMOVED_AT
from airflow_provider_dotypos.transfers.sql.tables import named

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.sql.database import Database
    from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect
    from airflow_provider_dotypos.transfers.sql.transaction import Transaction

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

_BRANCH, _COMPLETED = "_branchId", "completed"


def read_table(database: Database, table: LoadedTable, sales: DailySales, cloud_id: int) -> None:
    """Add the sales of a table.

    :raises DotyposInputError: if the table lacks a column.
    :raises DotyposDatabaseError: if it can't be read.
    """

    def query(transaction: Transaction) -> list[tuple[Any, ...]]:
        columns = _columns(database, table, transaction)
        return transaction.rows(*_query(database.dialect, table, sales, cloud_id, columns))

    rows = database.run(query, interruptible=True)
    with suppress(ValueError, ArithmeticError):  # whose text holds the value
        _add_rows(rows, sales, summed=database.dialect.exact_sums)
        return
    raise DotyposInputError(f"the table {table} holds branches or amounts that aren't numbers")


def read_newest_in_table(database: Database, table: LoadedTable, newest: NewestSales, cloud_id: int) -> None:
    """Add the newest sales of a table, by branch.

    :raises DotyposInputError: if the table lacks a column.
    :raises DotyposDatabaseError: if it can't be read.
    """

    def query(transaction: Transaction) -> list[tuple[Any, ...]]:
        dialect, columns = database.dialect, _columns(database, table, transaction)
        branch, completed = (named(field, table.naming) for field in (_BRANCH, _COMPLETED))
        groups = [branch, *(named(field, table.naming) for field in newest.choice.fields)]
        source, edges = _held(dialect, table, newest, cloud_id, columns, set(groups))
        listed = dialect.listed(groups)
        statement = f"SELECT {listed}, max({dialect.quote(completed)}) FROM {source} GROUP BY {listed}"
        return transaction.rows(statement, edges)

    for branch, *deciding, completed in database.run(query, interruptible=True):
        newest.add(None if branch is None else int(branch), milliseconds(utc(completed)), deciding, ())


def loaded_until(database: Database, table: LoadedTable, cloud_id: int, own_schema: str | None) -> int | None:
    """Return up to when a table is loaded (epoch milliseconds); ``None`` if no load of it is known.

    :param own_schema: where the operator that loads it keeps its own tables.
    :raises DotyposDatabaseError: if they can't be read.
    """
    loads = Loads(database.dialect, own_schema or None)

    def query(transaction: Transaction) -> datetime | None:
        return loads.reached(transaction, str(table), cloud_id)

    until = database.run(query, interruptible=True)
    return None if until is None else milliseconds(until)


def _columns(database: Database, table: LoadedTable, transaction: Transaction) -> set[str]:
    """Return the names of a table's columns.

    :raises DotyposInputError: if there is no such table.
    """
    existing = database.dialect.existing(transaction, table.schema, table.name)
    if existing is None:
        raise DotyposInputError(f"there is no table {table}: load it first, or correct table, schema or conn_id")
    return set(existing.names)


def _add_rows(rows: Iterable[tuple[Any, ...]], sales: DailySales, *, summed: bool) -> None:
    """Add the result of a query.

    :param summed: whether its amounts are sums. Otherwise each is of that many rows.
    """
    deciding = len(sales.choice.fields)
    for branch, day, *values, number in rows:
        times = 1 if summed else number
        sums = [Decimal(0) if value is None else Decimal(str(value)) * times for value in values[deciding:]]
        sales.add(None if branch is None else int(branch), int(day), values[:deciding], sums, number)


def _query(
    dialect: Dialect, table: LoadedTable, sales: DailySales, cloud_id: int, columns: set[str]
) -> tuple[str, Sequence[Any]]:
    """Return the query of a table's sales, and its parameters.

    :param columns: the names of the table's columns.
    :raises DotyposInputError: if one is missing.
    """
    branch, completed = (named(field, table.naming) for field in (_BRANCH, _COMPLETED))
    deciding, amounts = (
        [named(field, table.naming) for field in fields] for fields in (sales.choice.fields, sales.figures.fields)
    )
    source, edges = _held(dialect, table, sales, cloud_id, columns, {branch, *deciding, *amounts})
    day, day_edges = _number_of_day(dialect, dialect.quote(completed), sales.days, 0)
    shown, groups = dialect.quote, [branch, "day", *deciding]
    sums = [f"sum({shown(amount)})" if dialect.exact_sums else shown(amount) for amount in amounts]
    if not dialect.exact_sums:
        groups += amounts
    statement = (
        f"SELECT {', '.join([*map(shown, (branch, 'day', *deciding)), *sums])}, count(*) "
        f"FROM (SELECT {dialect.listed([branch, *deciding, *amounts])}, {day} AS {shown('day')} "
        f"FROM {source}) AS sold GROUP BY {dialect.listed(groups)}"
    )
    return statement, [*day_edges, *edges]


def _held(
    dialect: Dialect, table: LoadedTable, sales: DailySales, cloud_id: int, columns: set[str], needed: set[str]
) -> tuple[str, Sequence[Any]]:
    """Return what follows ``FROM`` for the newest versions of rows that were completed on the days, with parameters.

    :param columns: the names of the table's columns.
    :param needed: those that the query names besides.
    :raises DotyposInputError: if one is missing.
    """
    cloud, completed = CLOUD_ID[table.naming], named(_COMPLETED, table.naming)
    if missing := {cloud, completed, *needed} - columns:
        raise DotyposInputError(
            f"the table {table} has no column {', '.join(sorted(missing))}, which the comparison needs: load "
            "these fields, too, or correct table or naming"
        )
    relation = dialect.relation(table.schema, table.name)
    conditions = [f"{dialect.quote(cloud)} = ?"]
    conditions += [f"{dialect.quote(completed)} {operator} ?" for operator in (">=", "<")]
    if REMOVED_AT in columns:
        conditions.append(f"{dialect.quote(REMOVED_AT)} IS NULL")
    key, version = (cloud, named("id", table.naming)), named("versionDate", table.naming)
    if {*key, version, READ_AT} <= columns:
        conditions.append(_no_newer(dialect, relation, key, version))
    edges = [cloud_id, _moment(dialect, sales.begins), _moment(dialect, sales.ends)]
    return f"{relation} AS held WHERE {' AND '.join(conditions)}", edges


def _no_newer(dialect: Dialect, relation: str, key: Sequence[str], version: str) -> str:
    """Return the condition that a table holds no newer version of a row, which one filled by ``append`` may.

    :param key: the columns that name a row.
    :param version: the column of its change date.
    """
    same = " AND ".join(f"newer.{column} = held.{column}" for column in map(dialect.quote, key))
    changed, read = dialect.quote(version), dialect.quote(READ_AT)
    return (
        f"NOT EXISTS (SELECT 1 FROM {relation} AS newer WHERE {same} AND (newer.{changed} > held.{changed} "
        f"OR (newer.{changed} = held.{changed} AND newer.{read} > held.{read})))"
    )


def _number_of_day(
    dialect: Dialect, completed: str, days: Sequence[BusinessDay], first: int
) -> tuple[str, Sequence[Any]]:
    """Return an expression for the number of the day that a time belongs to, and its parameters.

    It halves the days until one is left, so a year costs nine comparisons a row.

    :param completed: the time's column, quoted.
    :param first: the number of the first of the days.
    """
    if len(days) == 1:
        return str(first), []
    middle = len(days) // 2
    earlier, edges = _number_of_day(dialect, completed, days[:middle], first)
    later, later_edges = _number_of_day(dialect, completed, days[middle:], first + middle)
    edge = _moment(dialect, days[middle].begins)
    return f"CASE WHEN {completed} < ? THEN {earlier} ELSE {later} END", [edge, *edges, *later_edges]


def _moment(dialect: Dialect, milliseconds: int) -> Any:
    return dialect.moment(_EPOCH + timedelta(milliseconds=milliseconds))
