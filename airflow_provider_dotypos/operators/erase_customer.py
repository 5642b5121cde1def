"""A customer's personal data erased from files and tables that extractions have written."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.overrides import read_given_cloud_id
from airflow_provider_dotypos.hooks.arguments import argument_errors, check_conn_id, check_connection, literals
from airflow_provider_dotypos.hooks.failures import airflow_failures, named_errors
from airflow_provider_dotypos.lake.erasure_arguments import read_customer_id
from airflow_provider_dotypos.storage.address import check_address
from airflow_provider_dotypos.transfers.arguments import check_switches
from airflow_provider_dotypos.transfers.wording import count

if TYPE_CHECKING:
    from airflow.sdk import Context, ObjectStoragePath

    from airflow_provider_dotypos.lake.erasure import Erasure
    from airflow_provider_dotypos.lake.erasure_report import ErasureReport
    from airflow_provider_dotypos.transfers.sql.database import Database

log = logging.getLogger(__name__)


class DotyposEraseCustomerOperator(BaseOperator):
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
        "customer_id",
        "destination",
        "destination_conn_id",
        "database_conn_id",
        "schema",
        "cloud_id",
        "report",
    )
    ui_color = "#e8d9f2"

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
        super().__init__(**kwargs)
        self.customer_id = customer_id
        self.destination = destination
        self.destination_conn_id = destination_conn_id
        self.database_conn_id = database_conn_id
        self.schema = schema
        self.cloud_id = cloud_id
        self.remove_unfinished = remove_unfinished
        self.report = report
        self._dry_run = dry_run  # dry_run() is a method of Airflow's
        self._erasure: Erasure | None = None
        with argument_errors(self):
            self._check_literals(literals(self))

    def execute(self, context: Context) -> dict[str, Any]:
        """Erase, and return what was found in numbers."""
        with airflow_failures(self.database_conn_id or self.destination_conn_id or "", context, resumes=True):
            file = self._report_file()
            report = self._erase()
            path = self._write(report, file)
        self._log(report)
        return {**report.totals(), "report": path}

    def on_kill(self) -> None:
        """End soon: what was rewritten by then stays, and the next run does the rest."""
        if self._erasure is not None:
            self._erasure.cancel()

    def _check_literals(self, arguments: Mapping[str, Any]) -> None:
        """Raise if an argument without a template is wrong, by the code that checks it when the task runs."""
        check_connection(arguments)
        check_switches(remove_unfinished=self.remove_unfinished, dry_run=self._dry_run)
        if "customer_id" in arguments:
            read_customer_id(self.customer_id)
        for name in ("destination_conn_id", "database_conn_id"):
            if arguments.get(name):
                check_conn_id(arguments[name], name)
        for name in ("destination", "report"):
            if arguments.get(name):
                check_address(arguments[name], name)
        if self.destination is None and self.database_conn_id is None:
            raise DotyposInputError("give destination, database_conn_id, or both: they say where to erase")

    def _erase(self) -> ErasureReport:
        from airflow_provider_dotypos.lake.erasure import Erasure
        from airflow_provider_dotypos.storage.store import object_path

        database = self._database()
        self._erasure = Erasure(
            read_customer_id(self.customer_id),
            object_path(self.destination, self.destination_conn_id or None) if self.destination else None,
            database,
            self.schema or None,
            read_given_cloud_id(self.cloud_id) if self.cloud_id not in (None, "") else None,
            dry_run=self._dry_run,
            remove_unfinished=self.remove_unfinished,
        )
        if database is None:
            return self._erasure.run()
        with named_errors(str(self.database_conn_id)), closing(database):
            return self._erasure.run()

    def _database(self) -> Database | None:
        if not self.database_conn_id:
            return None
        from airflow_provider_dotypos.transfers.sql.database import Database

        return Database.of(self.database_conn_id, 1)

    def _report_file(self) -> ObjectStoragePath | None:
        """Return the file for the whole report, if one is named, once it is sure that it can be written."""
        if not self.report:
            return None
        from airflow_provider_dotypos.lake.erasure_report import require_room_for
        from airflow_provider_dotypos.storage.store import object_path

        file = object_path(self.report, self.destination_conn_id or None, "report")
        require_room_for(file)
        return file

    def _write(self, report: ErasureReport, file: ObjectStoragePath | None) -> str | None:
        if file is None:
            return None
        from airflow_provider_dotypos.lake.erasure_report import write_report

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
