"""Whether a table's sales, or those of files, are the ones that the API's own report shows."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.names import split_names
from airflow_provider_dotypos.api.window import iso, milliseconds
from airflow_provider_dotypos.operators.sales_check import SalesCheckOperator
from airflow_provider_dotypos.sales.arguments import check_source, check_whole_number, read_branches
from airflow_provider_dotypos.sales.business_days import BusinessHours
from airflow_provider_dotypos.sales.comparison import spoken_difference
from airflow_provider_dotypos.sales.daily_sales import DailySales
from airflow_provider_dotypos.sales.errors import DotyposSalesReportError
from airflow_provider_dotypos.sales.figures import RowChoice, find_figures
from airflow_provider_dotypos.sales.loaded_table import LoadedTable
from airflow_provider_dotypos.sales.reports import ReportedSales
from airflow_provider_dotypos.transfers.arguments import check_switches
from airflow_provider_dotypos.transfers.wording import count, period, spoken

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_dotypos.api.window import Window
    from airflow_provider_dotypos.hooks.dotypos import DotyposHook
    from airflow_provider_dotypos.transfers.files.committed_set import CommittedSet

log = logging.getLogger(__name__)

#: How many days an error names. The log and the result hold all of them.
_NAMED = 5


class DotyposSalesReportCheckOperator(SalesCheckOperator):
    """Compare the sales that a table or files hold with the API's own sales report, by branch and business day.

    It asks for one report a branch, of all days together. Only if that differs, it asks for halves of the days, until
    it has found the days that differ. Amounts are compared exactly, without a tolerance.

    Orders are compared by the sum of ``totalValueRounded`` and by their number, with the report's line ``total`` of
    ``receiptInfo``. Order items are compared by the sums of ``totalPriceWithVat`` and ``totalPriceWithoutVat``, with
    its ``revenue``. A row belongs to the day on which it was ``completed``. One that isn't completed doesn't count.

    Give one of `conn_id`, `destination` and `manifests`: they say where the rows are.

    :param conn_id: the database's Airflow connection: PostgreSQL, SQLite, DuckDB, MySQL or MariaDB. (templated)
    :param table: the table, or a view. Defaults to the entity's name in snake case. (templated)
    :param schema: the table's schema. Defaults to the connection's own. (templated)
    :param naming: how the table's columns are named: ``snake``, or ``api``, as the API does. Defaults to ``snake``.
    :param destination: the destination of an extraction: all sets of the entity and cloud below it are read, and of
        each row its newest version counts. (templated)
    :param manifests: the path of a committed set's manifest, or several: only these are read. (templated)
    :param destination_conn_id: Airflow connection of the files' store, where the paths don't name one. (templated)
    :param shape: the digest at the end of the names of the sets' folders: sets of which shape are read, one or several.
        Defaults to those of all shapes below the destination. (templated)
    :param entity: what is compared: ``orders`` or ``order-items``. Defaults to ``orders``. (templated)
    :param since: first business day, as a bare date, or first instant. Defaults to `days` before the DAG run's time.
        (templated)
    :param until: first business day, or instant, after the compared ones. Give both or none. (templated)
    :param days: without `since` and `until`: how many whole business days before the DAG run's time are compared.
        Defaults to 1.
    :param timezone: IANA zone whose clocks count for business days. Defaults to ``Europe/Prague``. (templated)
    :param day_starts: time at which a business day begins, such as ``04:00``. Defaults to ``00:00``. (templated)
    :param branches: ids of the branches to compare: one, comma-separated ones, or a list. Defaults to all branches of
        the cloud that aren't deleted, and those that have sales in the table or files. (templated)
    :param document_types: types of documents that count as sales, comma-separated or a list. Defaults to all but
        ``CASH_IN``, ``CASH_OUT``, ``EXTERNAL_INVOICE_PAYMENT`` and ``INVOICE_FROM_RECEIPTS``. (templated)
    :param count_canceled: whether cancelled orders and the documents that cancel them count. Defaults to ``True``.
    :param count_unpaid: whether orders count that are completed and not paid. Defaults to ``True``.
    :param on_difference: what to do about days that differ: ``fail``, or ``warn`` and return them. Defaults to
        ``fail``.
    :param max_reports: how many reports are asked for to find out which days differ, besides one a branch. Then days
        are named together. Defaults to 100.
    :param cloud_id: the cloud, in place of the connection's. (templated)
    :param dotypos_conn_id: the Airflow connection to Dotypos. (templated)
    :return: ``{"agrees", "entity", "cloud_id", "since", "until", "branches", "days", "reports", "differences"}``:
        `branches`, `days` and `reports` are numbers, and a difference is
        ``{"branch_id", "day", "last_day", "since", "until", "held", "report", "difference"}``. Amounts are text.
    :raises AirflowFailException: if days differ, or a retry can't help otherwise.

    https://docs.api.dotypos.com/others/reports/base-sales-report
    """

    template_fields: Sequence[str] = (
        "conn_id",
        "table",
        "schema",
        "destination",
        "manifests",
        "destination_conn_id",
        "shape",
        "entity",
        "since",
        "until",
        "timezone",
        "day_starts",
        "branches",
        "document_types",
        "cloud_id",
        "dotypos_conn_id",
    )
    ui_color = "#d9f2d9"

    def __init__(
        self,
        *,
        conn_id: str | None = None,
        table: str | None = None,
        schema: str | None = None,
        naming: Literal["snake", "api"] = "snake",
        destination: str | None = None,
        manifests: str | Sequence[str] | None = None,
        destination_conn_id: str | None = None,
        shape: str | Sequence[str] | None = None,
        entity: str = "orders",
        since: str | date | None = None,
        until: str | date | None = None,
        days: int = 1,
        timezone: str = "Europe/Prague",
        day_starts: str = "00:00",
        branches: int | str | Sequence[int | str] | None = None,
        document_types: str | Sequence[str] | None = None,
        count_canceled: bool = True,
        count_unpaid: bool = True,
        on_difference: Literal["fail", "warn"] = "fail",
        max_reports: int = 100,
        cloud_id: int | str | None = None,
        dotypos_conn_id: str = "dotypos_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.table = table
        self.schema = schema
        self.naming = naming
        self.destination = destination
        self.manifests = manifests
        self.destination_conn_id = destination_conn_id
        self.shape = shape
        self.entity = entity
        self.since = since
        self.until = until
        self.days = days
        self.timezone = timezone
        self.day_starts = day_starts
        self.branches = branches
        self.document_types = document_types
        self.count_canceled = count_canceled
        self.count_unpaid = count_unpaid
        self.on_difference = on_difference
        self.max_reports = max_reports
        self.cloud_id = cloud_id
        self.dotypos_conn_id = dotypos_conn_id
        self._check_arguments()

    def _check_literals(self, arguments: Mapping[str, Any]) -> None:
        super()._check_literals(arguments)
        check_source(conn_id=self.conn_id, destination=self.destination, manifests=self.manifests)
        check_switches(count_canceled=self.count_canceled, count_unpaid=self.count_unpaid)
        if self.on_difference not in ("fail", "warn"):
            raise DotyposInputError(f"on_difference must be fail or warn, not {self.on_difference!r} (no template)")
        check_whole_number("days", self.days, 1)
        check_whole_number("max_reports", self.max_reports, 0)
        if (self.since is None) != (self.until is None):
            raise DotyposInputError("give since and until, or none of them")
        if "entity" in arguments and "document_types" in arguments:
            self._choice()
        if "shape" in arguments:
            split_names(self.shape, "shape")
        if "branches" in arguments:
            read_branches(self.branches)
        if "timezone" in arguments and "day_starts" in arguments:
            hours = BusinessHours.of(self.timezone, self.day_starts)
            if arguments.get("since") is not None and arguments.get("until") is not None:
                hours.window(arguments["since"], arguments["until"])

    def _check(self, hook: DotyposHook, context: Context) -> dict[str, Any]:
        result = self._compare(hook, context)
        self._conclude(result)
        return result

    def _compare(self, hook: DotyposHook, context: Context) -> dict[str, Any]:
        hours = BusinessHours.of(self.timezone, self.day_starts)
        window = self._window(hours, context)
        sales = DailySales(list(hours.days(window)), find_figures(self.entity), self._choice())
        settings = hook.get_conn().settings
        cloud_id = settings.require_cloud_id()
        log.info(
            "Comparing %s in %s with the sales reports of %s, %s.",
            spoken(self.entity),
            self._source(),
            settings.cloud,
            period(window, hours.zone),
        )
        self._read(sales, cloud_id)
        reported = ReportedSales(hook, sales)
        branches: set[int | None] = {*read_branches(self.branches)} or {*reported.branches(), *sales.branches}
        differences = reported.differences(branches, self.max_reports)
        log.info(
            "Compared %s of %s by %s.",
            count(len(sales.days), "days"),
            count(len(branches), "branches"),
            count(reported.reports, "reports"),
        )
        return {
            "agrees": not differences,
            "entity": self.entity,
            "cloud_id": cloud_id,
            "since": iso(sales.begins),
            "until": iso(sales.ends),
            "branches": len(branches),
            "days": len(sales.days),
            "reports": reported.reports,
            "differences": [difference.as_mapping(sales) for difference in differences],
        }

    def _conclude(self, result: Mapping[str, Any]) -> None:
        """Say what differs.

        :raises DotyposSalesReportError: if something does, and the task is to fail then.
        """
        differences = result["differences"]
        if not differences:
            log.info("All agree.")
            return
        lines = [spoken_difference(difference) for difference in differences]
        for line in lines:
            log.warning("%s", line)
        if self.on_difference == "fail":
            more = f"; and {len(lines) - _NAMED} more" if len(lines) > _NAMED else ""
            raise DotyposSalesReportError(
                f"{spoken(self.entity)} in {self._source()} differ from the sales report: "
                f"{'; '.join(lines[:_NAMED])}{more}. Load the window of these days again. If they still differ, the "
                "report may count other documents: see document_types, count_canceled and count_unpaid",
                differences,
            )

    def _window(self, hours: BusinessHours, context: Context) -> Window:
        """Return what is compared.

        :raises DotyposInputError: if it isn't over yet.
        """
        if self.since is None or self.until is None:
            return hours.last_days(self.days, _airflow.run_after(context))
        window = hours.window(self.since, self.until)
        if window.until > milliseconds(datetime.now(timezone.utc)):
            raise DotyposInputError(f"until={iso(window.until)} lies in the future: what isn't over can't be compared")
        return window

    def _choice(self) -> RowChoice:
        return RowChoice.of(
            find_figures(self.entity),
            self.document_types,
            count_canceled=self.count_canceled,
            count_unpaid=self.count_unpaid,
        )

    def _source(self) -> str:
        """Return where the rows are, for people."""
        return "files" if self.conn_id is None else f"the table {self._table()}"

    def _table(self) -> LoadedTable:
        return LoadedTable.of(self.entity, self.table, self.schema, self.naming)

    def _read(self, sales: DailySales, cloud_id: int) -> None:
        """Read the sales that the table or the files hold."""
        if self.conn_id is not None:
            from airflow_provider_dotypos.sales.table_sales import read_table

            with self._opened_database() as database:
                read_table(database, self._table(), sales, cloud_id)
            return
        from airflow_provider_dotypos.sales.set_sales import opened, read_sets, sets_below, sets_of

        if self.destination is not None:
            below = sets_below(self.destination, self.destination_conn_id, cloud_id, self.entity, self.shape)
            sets: Iterator[CommittedSet] = map(opened, below)
        else:
            sets = sets_of(self.manifests or (), self.destination_conn_id)
        read_sets(sets, sales, cloud_id)
