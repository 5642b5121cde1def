"""What the operators that check sales share: where the sales are, the hook, the database, and kills."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.hooks.arguments import argument_errors, check_conn_id, check_connection, literals
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.hooks.failures import airflow_failures, named_errors
from airflow_provider_dotypos.storage.address import check_address

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_dotypos.transfers.sql.database import Database


class SalesCheckOperator(BaseOperator):
    """The base of operators that check sales, with the hook and where the sales are: in a table or in files.

    A subclass checks in `_check`. Its constructor sets the attributes, and calls `_check_arguments` last.
    """

    conn_id: str | None
    destination: str | None
    naming: Any
    cloud_id: int | str | None
    dotypos_conn_id: str
    _hook: DotyposHook | None = None
    _database: Database | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Check, and return what came of it."""
        with airflow_failures(self.dotypos_conn_id, context):
            self._hook = DotyposHook(self.dotypos_conn_id, cloud_id=self.cloud_id)
            with closing(self._hook):
                return self._check(self._hook, context)

    def on_kill(self) -> None:
        """End every wait at once, and what runs in the database."""
        if self._hook is not None:
            self._hook.cancel()
        if self._database is not None:
            self._database.cancel()

    def _check(self, hook: DotyposHook, context: Context) -> dict[str, Any]:
        """Check, and return what came of it."""
        raise NotImplementedError

    def _check_arguments(self) -> None:
        """Check what can be checked when the DAG is parsed."""
        with argument_errors(self):
            self._check_literals(literals(self))

    def _check_literals(self, arguments: Mapping[str, Any]) -> None:
        """Raise if an argument without a template is wrong, by the code that checks it when the task runs."""
        check_connection(arguments)
        for name in ("conn_id", "destination_conn_id"):
            if arguments.get(name) is not None:
                check_conn_id(arguments[name], name)
        if arguments.get("destination") is not None:
            check_address(self.destination)
        if self.naming not in ("snake", "api"):
            raise DotyposInputError(f"naming must be snake or api, not {self.naming!r} (no template)")

    @contextmanager
    def _opened_database(self) -> Iterator[Database]:
        """Open the database with the table; a kill ends what runs in it."""
        from airflow_provider_dotypos.transfers.sql.database import Database

        self._database = Database.of(str(self.conn_id), 1)
        with named_errors(str(self.conn_id)), closing(self._database):
            yield self._database
