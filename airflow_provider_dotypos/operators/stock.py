"""Stock operations as tasks: booked once by a document's number, however often the task runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_dotypos import _compat
from airflow_provider_dotypos.api.entities import id_text
from airflow_provider_dotypos.api.errors import DotyposError, DotyposInputError
from airflow_provider_dotypos.api.overrides import describe, is_absent
from airflow_provider_dotypos.api.window import SETTLE, check_settle
from airflow_provider_dotypos.hooks.arguments import argument_errors, check_connection, given, literals, refuse_empty
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.hooks.failures import airflow_failures
from airflow_provider_dotypos.storage.address import check_address
from airflow_provider_dotypos.writes.sources import source_of
from airflow_provider_dotypos.writes.stock.arguments import (
    Operation,
    check_columns,
    check_currency,
    check_document,
    check_note,
    check_notes,
    check_operation,
    check_origin,
    counting_time,
)

if TYPE_CHECKING:
    from airflow.sdk import Context, ObjectStoragePath

    from airflow_provider_dotypos.writes.sources import AnySource

#: The arguments that each operation takes besides those of all.
_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "stock_up": ("document", "currency", "note", "update_purchase_price", "supplier_id", "close_delivery_notes"),
    "sell": ("document", "currency"),
    "transfer": ("document", "currency", "note", "update_purchase_price", "from_warehouse_id"),
    "take_stock": ("note", "counted_at"),
}

#: Those without which an operation can't be.
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "stock_up": ("document",),
    "sell": ("document",),
    "transfer": ("document", "from_warehouse_id"),
    "take_stock": ("counted_at",),
}


class DotyposStockOperator(BaseOperator):
    """Book a stock-up, a sale, a transfer or a stock-taking in a warehouse, once.

    Dotypos books what it is sent each time it arrives, and keeps no list of it. So what is about to be sent stands in a
    journal before it leaves, under the document's number. A task that runs again, after a lost answer, a kill or a
    clear, looks there first. Whether a request without an answer was booked, the levels of the stock say after `settle`
    seconds. If a till has moved them meanwhile, the task fails and says what a person has to decide. In doubt nothing
    is sent again.

    More than 100 items are sent in several requests, and resumed where they ended. All products are looked up before
    the first.

    :param operation: ``stock_up``, ``sell``, ``transfer`` or ``take_stock``. (templated)
    :param warehouse_id: the warehouse; of a transfer the one that goods go to. (templated)
    :param items: what is booked: rows with ``_productId`` or ``externalId``, and ``quantity``; of a stock-up optionally
        ``purchasePrice`` and ``sellPrice``, of a transfer ``purchasePrice``, of a sale ``note``. Rows are a list of
        dicts, the address of a file (JSONL, CSV, Parquet), or ``Sql(conn_id, query)``. (templated)
    :param journal: the folder of the journals, which all workers reach: an absolute path, or an address such as
        ``s3://bucket/journal``. It must outlive the DAG run. (templated)
    :param document: the number under which it is booked once, such as the delivery note's; not of a stock-taking.
        Dotypos keeps it as ``invoiceNumber`` of stock-ups and transfers. (templated)
    :param counted_at: of a stock-taking: when was counted, a datetime with a zone, or ISO 8601 text with one. It is the
        key under which it is booked once. (templated)
    :param from_warehouse_id: of a transfer: the warehouse that goods come from. (templated)
    :param currency: of the prices, such as ``CZK``. Defaults to the cloud's. (templated)
    :param supplier_id: of a stock-up: the supplier. (templated)
    :param close_delivery_notes: of a stock-up: ids of delivery notes that are closed with it. (templated)
    :param update_purchase_price: of a stock-up or a transfer: whether products get the purchase prices of the items.
        Defaults to ``False``.
    :param note: a note, except of a sale. (templated)
    :param columns: the item's field by the source's column, such as ``{"SKU": "externalId", "Qty": "quantity"}``. Other
        columns are passed over then. Defaults to the fields' own names. (templated)
    :param settle: seconds until a movement shows in the API. Defaults to 60.
    :param deferrable: whether a stock-taking is awaited in the triggerer, without a worker slot. Defaults to Airflow's
        ``[operators] default_deferrable``.
    :param poll_interval: seconds until a stock-taking's status is asked for again. The waits grow up to a minute.
        Defaults to 5.
    :param wait: how long to wait for a stock-taking. Defaults to an hour.
    :param cloud_id: the cloud. Defaults to the connection's. (templated)
    :param dotypos_conn_id: the Airflow connection. (templated)
    :return: ``{"status", "document", "items", "parts", "transactions", "journal"}``; ``status`` is ``applied``, or
        ``already`` if it was booked before.
    :raises AirflowFailException: if a retry can't help: rows that can't be booked, other items under the same number, a
        booking of which nobody knows whether it is done, a stock-taking that Dotypos refuses.

    https://docs.api.dotypos.com/entity/warehouse
    """

    template_fields: Sequence[str] = (
        "operation",
        "warehouse_id",
        "items",
        "journal",
        "document",
        "counted_at",
        "from_warehouse_id",
        "currency",
        "supplier_id",
        "close_delivery_notes",
        "note",
        "columns",
        "cloud_id",
        "dotypos_conn_id",
    )
    template_ext: Sequence[str] = (".sql",)  # of queries, as Airflow's own SQL operators have it
    template_fields_renderers = {"items": "json", "columns": "json"}  # noqa: RUF012 (as Airflow declares it)
    ui_color = "#ffe3c2"

    def __init__(
        self,
        *,
        operation: str,
        warehouse_id: int | str,
        items: AnySource,
        journal: str | ObjectStoragePath,
        document: str | None = None,
        counted_at: str | date | None = None,
        from_warehouse_id: int | str | None = None,
        currency: str | None = None,
        supplier_id: int | str | None = None,
        close_delivery_notes: Sequence[int | str] | None = None,
        update_purchase_price: bool = False,
        note: str | None = None,
        columns: Mapping[str, str] | None = None,
        settle: float = SETTLE,
        deferrable: bool = _compat.default_deferrable(),
        poll_interval: float = 5.0,
        wait: timedelta = timedelta(hours=1),
        cloud_id: int | str | None = None,
        dotypos_conn_id: str = "dotypos_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.operation = operation
        self.warehouse_id = warehouse_id
        self.items = items
        self.journal = journal
        self.document = document
        self.counted_at = counted_at
        self.from_warehouse_id = from_warehouse_id
        self.currency = currency
        self.supplier_id = supplier_id
        self.close_delivery_notes = close_delivery_notes
        self.update_purchase_price = update_purchase_price
        self.note = note
        self.columns = columns
        self.settle = settle
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.wait = wait
        self.cloud_id = cloud_id
        self.dotypos_conn_id = dotypos_conn_id
        self._given = given(self, ("cloud_id",))
        self._hook: DotyposHook | None = None
        with argument_errors(self):
            self._check_literals(literals(self))

    def execute(self, context: Context) -> dict[str, Any]:
        """Book it, unless it is booked, and return what is known of it. A stock-taking may be left to the triggerer."""
        with airflow_failures(self.dotypos_conn_id, context):
            result = self._book(wait=0.0 if self.deferrable else self.wait.total_seconds())
            if result["status"] == "accepted":
                self._leave_to_triggerer(result["pending"])
            return result

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Go on after the triggerer. By the journal the stock-taking isn't sent again, but asked for once more."""
        with airflow_failures(self.dotypos_conn_id, context):
            result = self._book(wait=0.0)
            if result["status"] == "accepted":
                raise DotyposError(
                    f"The stock-taking of {result['document']} is still being processed. Run the task again: it asks "
                    "how far that is, and doesn't send it again."
                )
            return result

    def on_kill(self) -> None:
        """End every wait at once."""
        if self._hook is not None:
            self._hook.cancel()

    def _book(self, *, wait: float) -> dict[str, Any]:
        """Book it.

        :param wait: seconds to wait for a stock-taking; 0 to ask once how far it is.
        """
        refuse_empty(self, ("cloud_id",), self._given)
        self._check_literals(vars(self))
        names = _ARGUMENTS[self.operation]
        arguments: dict[str, Any] = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        if self.operation == "take_stock":
            arguments |= {"poll_interval": self.poll_interval, "wait": wait}
        self._hook = DotyposHook(self.dotypos_conn_id, cloud_id=self.cloud_id)
        with closing(self._hook):
            result: dict[str, Any] = getattr(self._hook, self.operation)(
                self.warehouse_id,
                self.items,
                journal=self.journal,
                columns=self.columns,
                settle=self.settle,
                **arguments,
            )
        status = "booked" if result["status"] == "applied" else "already booked, so nothing was sent"
        self.log.info("%s %s, %d items: %s.", self.operation, result["document"], result["items"], status)
        return result

    def _leave_to_triggerer(self, urls: Sequence[str]) -> None:
        """Defer until a stock-taking is processed."""
        from airflow_provider_dotypos.triggers.stock_taking import DotyposStockTakingTrigger

        trigger = DotyposStockTakingTrigger(
            urls=urls,
            until=time.time() + self.wait.total_seconds(),
            cloud_id=self.cloud_id,
            dotypos_conn_id=self.dotypos_conn_id,
            poll_interval=self.poll_interval,
        )
        self.defer(trigger=trigger, method_name="execute_complete")

    def _check_literals(self, arguments: Mapping[str, Any]) -> None:
        """Raise if an argument without a template is wrong, by the code that checks it when the task runs."""
        check_connection(arguments)
        check_settle(self.settle)
        for name in ("deferrable", "update_purchase_price"):
            if not isinstance(getattr(self, name), bool):
                raise DotyposInputError(f"{name} must be True or False, not {describe(getattr(self, name))}")
        _check_seconds(self.poll_interval, "poll_interval")
        if not isinstance(self.wait, timedelta) or self.wait <= timedelta(0):
            raise DotyposInputError(f"wait must be a timedelta of more than 0, not {describe(self.wait)}")
        if "warehouse_id" in arguments:
            id_text(self.warehouse_id, "warehouse_id")
        if "items" in arguments:
            source_of(self.items, "items")
        if "journal" in arguments:
            check_address(self.journal, "journal")
        if arguments.get("currency") is not None:
            check_currency(self.currency)
        if arguments.get("close_delivery_notes") is not None:
            check_notes(self.close_delivery_notes)
        if "note" in arguments:
            check_note(self.note)
        if arguments.get("supplier_id") is not None:
            id_text(self.supplier_id, "supplier_id")
        if arguments.get("counted_at") is not None:
            counting_time(arguments["counted_at"])
        if "operation" in arguments:
            self._check_operation(check_operation(self.operation), arguments)

    def _check_operation(self, operation: Operation, arguments: Mapping[str, Any]) -> None:
        """Raise if an operation lacks what it needs, or is given what it doesn't take."""
        if "columns" in arguments:
            check_columns(operation, self.columns)
        for name in _NEEDED[operation]:
            if name in arguments and is_absent(arguments[name]):
                raise DotyposInputError(f"{operation} needs {name}")
        others = {name for names in _ARGUMENTS.values() for name in names} - {*_ARGUMENTS[operation]}
        for name in sorted(others):
            if arguments.get(name) not in (None, False, ""):
                raise DotyposInputError(f"{operation} takes no {name}")
        if arguments.get("document") is not None:
            check_document(arguments["document"])
        if operation == "transfer" and {"from_warehouse_id", "warehouse_id"} <= arguments.keys():
            check_origin(self.from_warehouse_id, self.warehouse_id)


def _check_seconds(value: object, name: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 3600:
        raise DotyposInputError(f"{name} must be a number of seconds up to 3600, not {describe(value)}")
