"""What the operators share that keep a destination in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_dotypos.api.errors import DotyposCancelledError
from airflow_provider_dotypos.api.overrides import read_given_cloud_id
from airflow_provider_dotypos.hooks.arguments import argument_errors, check_conn_id, check_connection, literals
from airflow_provider_dotypos.hooks.failures import airflow_failures
from airflow_provider_dotypos.lake.upkeep import lists_to_keep, read_entities
from airflow_provider_dotypos.storage.address import check_address
from airflow_provider_dotypos.transfers.arguments import check_switches

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_dotypos.lake.compaction import ListFolder
    from airflow_provider_dotypos.storage.patience import StorePatience


class DotyposUpkeepOperator(BaseOperator):
    """The base of operators that go through the lists below a destination.

    A subclass says what is done with a list, and what that came to.
    """

    template_fields: Sequence[str] = ("destination", "destination_conn_id", "entities", "cloud_id")
    ui_color = "#e8d9f2"

    def __init__(
        self,
        *,
        destination: str,
        destination_conn_id: str | None,
        entities: str | Sequence[str],
        cloud_id: int | str | None,
        dry_run: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.destination = destination
        self.destination_conn_id = destination_conn_id
        self.entities = entities
        self.cloud_id = cloud_id
        self._dry_run = dry_run  # dry_run() is a method of Airflow's
        self._cancelled = threading.Event()
        self._patience: StorePatience | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Go through the lists, and return what that came to in numbers."""
        with airflow_failures(self.destination_conn_id or "", context, resumes=True):
            totals = self._totals([one for folder in self._lists() for one in self._keep(folder)])
        totals["dry_run"] = self._dry_run
        self._log_totals(totals)
        return totals

    def on_kill(self) -> None:
        """End soon: what is done stays done, and the next run does the rest."""
        self._cancelled.set()
        if self._patience is not None:
            self._patience.hurry()

    def _check_arguments(self) -> None:
        """Check what can be checked when the DAG is parsed."""
        with argument_errors(self):
            self._check_literals(literals(self))

    def _check_literals(self, arguments: Mapping[str, Any]) -> None:
        """Raise if an argument without a template is wrong, by the code that checks it when the task runs."""
        check_connection(arguments)
        check_switches(dry_run=self._dry_run)
        if "destination" in arguments:
            check_address(self.destination)
        if arguments.get("destination_conn_id"):
            check_conn_id(self.destination_conn_id, "destination_conn_id")
        if "entities" in arguments:
            read_entities(self.entities)

    def _lists(self) -> list[ListFolder]:
        from airflow_provider_dotypos.storage.patience import StorePatience
        from airflow_provider_dotypos.storage.store import object_path

        self._patience = StorePatience()
        cloud_id = read_given_cloud_id(self.cloud_id) if self.cloud_id not in (None, "") else None
        destination = object_path(self.destination, self.destination_conn_id or None)
        return lists_to_keep(destination, read_entities(self.entities), cloud_id, self._patience)

    def _check_cancelled(self) -> None:
        """Raise if the task was killed.

        :raises DotyposCancelledError: if it was.
        """
        if self._cancelled.is_set():
            raise DotyposCancelledError("the task was killed; what is done stays done, and the next run does the rest")

    def _keep(self, folder: ListFolder) -> Iterator[Any]:
        """Do the work on a list, and yield each thing done."""
        raise NotImplementedError

    def _totals(self, done: list[Any]) -> dict[str, Any]:
        """Return what was done in numbers."""
        raise NotImplementedError

    def _log_totals(self, totals: Mapping[str, Any]) -> None:
        """Say in the log what was done."""
        raise NotImplementedError
