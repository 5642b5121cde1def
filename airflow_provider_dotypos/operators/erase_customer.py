"""A customer's personal data erased from files and tables that extractions have written."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.hooks.arguments import check_conn_id
from airflow_provider_dotypos.hooks.failures import named_errors
from airflow_provider_dotypos.lake.erasure.arguments import read_customer_id
from airflow_provider_dotypos.operators.upkeep import DotyposUpkeepOperator
from airflow_provider_dotypos.storage.address import check_address
from airflow_provider_dotypos.transfers.arguments import check_switches
from airflow_provider_dotypos.transfers.wording import count

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_dotypos.lake.erasure.report import ErasureReport
    from airflow_provider_dotypos.transfers.sql.database import Database

log = logging.getLogger(__name__)


class DotyposEraseCustomerOperator(DotyposUpkeepOperator):
    """Erase a customer's personal data from the files and tables that extractions have written.

    It looks for the customer's row, for rows that name the customer, and for rows that refer to those: orders with
    their items and payments, reservations, entries of accounts. Of these rows the fields with personal data become
    blank, and fields that the entity table doesn't know are removed. Ids and amounts stay. Sets are rewritten as their
    next generation, and say so in `Manifest.rewritings`. Tables are updated.

    Dotypos itself isn't asked or changed. Anonymize the customer there first, with `DotyposWriteOperator` and
    ``actions="anonymize"``: otherwise the next change of the customer's row brings the data again.

    Run it again whenever you like: what was erased isn't touched again. It fails nothing if the customer is nowhere.

    :param customer_id: the customer's id. (templated)
    :param destination: the destination of extractions, whose sets are searched. (templated)
    :param destination_conn_id: Airflow connection of the files' store, where `destination` doesn't name one.
        (templated)
    :param database_conn_id: Airflow connection of a database that loads have filled: PostgreSQL, SQLite, DuckDB, MySQL
        or MariaDB. Give it, `destination`, or both. (templated)
    :param schema: the schema of the loads' own tables: what loads were given as ``staging_schema``, or else as
        ``schema``. Defaults to the connection's own. (templated)
    :param cloud_id: the customer's cloud. Defaults to the only one that there is data of. (templated)
    :param remove_unfinished: whether to remove files that unfinished extractions have left, too. They may hold the
        customer's rows. Let no extraction into `destination` run meanwhile. Defaults to ``False``: they are counted.
    :param report: path of a file that gets the whole report, as JSON. Defaults to none. (templated)
    :param dry_run: whether to search only, and change nothing. Defaults to ``False``.
    :return: numbers: ``{"customer_id", "cloud_id", "dry_run", "rows", "changed", "values", "sets", "tables",
        "searched_sets", "searched_tables", "removed_files", "unfinished", "unsure", "unreadable", "open_loads",
        "report"}``.
    :raises AirflowFailException: if an argument is wrong, or nothing was ever extracted to where it looks.
    """

    template_fields: Sequence[str] = (
        *DotyposUpkeepOperator.template_fields,
        "customer_id",
        "database_conn_id",
        "schema",
        "report",
    )

    def __init__(
        self,
        *,
        customer_id: int | str,
        destination: str | None = None,
        destination_conn_id: str | None = None,
        database_conn_id: str | None = None,
        schema: str | None = None,
        cloud_id: int | str | None = None,
        remove_unfinished: bool = False,
        report: str | None = None,
        dry_run: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            destination=destination,
            destination_conn_id=destination_conn_id,
            cloud_id=cloud_id,
            dry_run=dry_run,
            **kwargs,
        )
        self.customer_id = customer_id
        self.database_conn_id = database_conn_id
        self.schema = schema
        self.remove_unfinished = remove_unfinished
        self.report = report
        self._database: Database | None = None
        self._check_arguments()

    def on_kill(self) -> None:
        """End soon: what is done stays done, and the next run does the rest."""
        super().on_kill()
        if self._database is not None:
            self._database.cancel()

    def _run(self) -> dict[str, Any]:
        file = self._report_file()
        report = self._erase()
        path = self._write(report, file)
        self._log(report)
        return {**report.totals(), "report": path}

    def _conn_id(self) -> str | None:
        return self.database_conn_id or super()._conn_id()

    def _check_literals(self, arguments: Mapping[str, Any]) -> None:
        super()._check_literals(arguments)
        check_switches(remove_unfinished=self.remove_unfinished)
        if "customer_id" in arguments:
            read_customer_id(self.customer_id)
        if arguments.get("database_conn_id"):
            check_conn_id(self.database_conn_id, "database_conn_id")
        for name in ("destination", "report"):
            if arguments.get(name):
                check_address(arguments[name], name)
        if self.destination is None and self.database_conn_id is None:
            raise DotyposInputError("give destination, database_conn_id, or both: they say where to erase")

    def _erase(self) -> ErasureReport:
        from airflow_provider_dotypos.lake.erasure.erasing import Erasure

        if self.database_conn_id:
            from airflow_provider_dotypos.transfers.sql.database import Database

            self._database = Database.of(self.database_conn_id, 1)
        erasure = Erasure(
            read_customer_id(self.customer_id),
            self._path(self.destination) if self.destination else None,
            self._database,
            self.schema or None,
            self._given_cloud(),
            dry_run=self._dry_run,
            remove_unfinished=self.remove_unfinished,
            patience=self._patience,
            check=self._check_cancelled,
        )
        if self._database is None:
            return erasure.run()
        with named_errors(str(self.database_conn_id)), closing(self._database):
            return erasure.run()

    def _report_file(self) -> ObjectStoragePath | None:
        """Return the file for the whole report, if one is named, once it is sure that it can be written."""
        if not self.report:
            return None
        from airflow_provider_dotypos.lake.erasure.report import require_room_for

        file = self._path(self.report, "report")
        require_room_for(file)
        return file

    def _write(self, report: ErasureReport, file: ObjectStoragePath | None) -> str | None:
        if file is None:
            return None
        from airflow_provider_dotypos.lake.erasure.report import write_report

        return write_report(report, file)

    def _log(self, report: ErasureReport) -> None:
        totals = report.totals()
        log.info(
            "%s of the customer in %s and %s: %s %s.",
            count(totals["rows"], "rows"),
            count(totals["searched_sets"], "sets"),
            count(totals["searched_tables"], "tables"),
            count(totals["values"], "values"),
            "would be erased" if report.dry_run else "erased",
        )
        for line in report.warnings():
            log.warning("%s", line)
