"""What operators share that look after what extractions have written: arguments, dry runs, kills."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_dotypos.api.errors import DotyposCancelledError
from airflow_provider_dotypos.api.overrides import read_given_cloud_id
from airflow_provider_dotypos.hooks.arguments import (
    argument_errors,
    check_conn_id,
    check_connection,
    given,
    literals,
    refuse_empty,
)
from airflow_provider_dotypos.hooks.failures import airflow_failures
from airflow_provider_dotypos.lake.upkeep import read_entities, select_lists
from airflow_provider_dotypos.storage.address import check_address
from airflow_provider_dotypos.transfers.arguments import check_switches

if TYPE_CHECKING:
    from airflow.sdk import Context, ObjectStoragePath

    from airflow_provider_dotypos.lake.compaction import ListFolder
    from airflow_provider_dotypos.storage.patience import StorePatience


class DotyposUpkeepOperator(BaseOperator):
    """The base of operators that look after what extractions have written. They never ask the API.

    A subclass does the work in `_run`, and calls `_check_cancelled` between its steps.
    """

    template_fields: Sequence[str] = ("destination", "destination_conn_id", "cloud_id")
    ui_color = "#e8d9f2"

    def __init__(
        self,
        *,
        destination: str | None,
        destination_conn_id: str | None,
        cloud_id: int | str | None,
        dry_run: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.destination = destination
        self.destination_conn_id = destination_conn_id
        self.cloud_id = cloud_id
        self._dry_run = dry_run  # dry_run() is a method of Airflow's
        # No threading.Event: Airflow copies operators, and a lock can't be copied.
        self._cancelled = False
        self._patience: StorePatience | None = None
        self._given: frozenset[str] = frozenset()

    def execute(self, context: Context) -> dict[str, Any]:
        """Do the work, and return what that came to in numbers."""
        from airflow_provider_dotypos.storage.patience import StorePatience

        self._patience = StorePatience()
        with airflow_failures(self._conn_id(), context, resumes=True):
            refuse_empty(self, self.template_fields, self._given)
            return self._run()

    def on_kill(self) -> None:
        """End soon: what is done stays done, and the next run does the rest."""
        self._cancelled = True
        if self._patience is not None:
            self._patience.hurry()

    def _run(self) -> dict[str, Any]:
        """Do the work, and return what that came to in numbers."""
        raise NotImplementedError

    def _conn_id(self) -> str | None:
        """Return the connection that a failure names, if there is one."""
        return self.destination_conn_id or None

    def _check_arguments(self) -> None:
        """Check what can be checked when the DAG is parsed. A subclass's constructor calls it last."""
        self._given = given(self, self.template_fields)
        with argument_errors(self):
            self._check_literals(literals(self))

    def _check_literals(self, arguments: Mapping[str, Any]) -> None:
        """Raise if an argument without a template is wrong, by the code that checks it when the task runs."""
        check_connection(arguments)
        check_switches(dry_run=self._dry_run)
        if arguments.get("destination_conn_id"):
            check_conn_id(self.destination_conn_id, "destination_conn_id")

    def _path(self, address: str, argument: str = "destination") -> ObjectStoragePath:
        """Return a place in the store, checked.

        :param argument: what the operator's argument is called.
        """
        from airflow_provider_dotypos.storage.store import object_path

        return object_path(address, self.destination_conn_id or None, argument)

    def _given_cloud(self) -> int | None:
        """Return the cloud that is named, if one is."""
        return None if self.cloud_id is None else read_given_cloud_id(self.cloud_id)

    def _check_cancelled(self) -> None:
        """Raise if the task was killed.

        :raises DotyposCancelledError: if it was.
        """
        if self._cancelled:
            raise DotyposCancelledError("the task was killed; what is done stays done, and the next run does the rest")


class DotyposListsOperator(DotyposUpkeepOperator):
    """The base of operators that go through the lists below a destination.

    A subclass says what is done with a list, and what that came to.
    """

    template_fields: Sequence[str] = (*DotyposUpkeepOperator.template_fields, "entities")

    def __init__(self, *, destination: str, entities: str | Sequence[str], **kwargs: Any) -> None:
        super().__init__(destination=destination, **kwargs)
        self.entities = entities

    def _check_literals(self, arguments: Mapping[str, Any]) -> None:
        super()._check_literals(arguments)
        if "destination" in arguments:
            check_address(self.destination)
        if "entities" in arguments:
            read_entities(self.entities)

    def _run(self) -> dict[str, Any]:
        totals = self._totals([item for folder in self._lists() for item in self._work(folder)])
        totals["dry_run"] = self._dry_run
        self._log_totals(totals)
        return totals

    def _lists(self) -> list[ListFolder]:
        destination = self._path(str(self.destination))
        return select_lists(destination, read_entities(self.entities), self._given_cloud(), self._patience)

    def _work(self, folder: ListFolder) -> Iterator[Any]:
        """Do the work on a list, and yield each thing done."""
        raise NotImplementedError

    def _totals(self, done: list[Any]) -> dict[str, Any]:
        """Return what was done in numbers."""
        raise NotImplementedError

    def _log_totals(self, totals: Mapping[str, Any]) -> None:
        """Log what was done."""
        raise NotImplementedError
