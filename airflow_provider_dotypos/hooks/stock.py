"""The hook's stock operations: booked once by a document's number, however often a task runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from airflow_provider_dotypos.api.entities import id_text
from airflow_provider_dotypos.api.errors import DotyposError
from airflow_provider_dotypos.api.window import SETTLE, check_settle
from airflow_provider_dotypos.hooks.part import HookPart
from airflow_provider_dotypos.writes.stock.arguments import (
    check_columns,
    check_currency,
    check_document,
    check_note,
    check_notes,
    check_origin,
    counting_time,
)

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_dotypos.writes.sources import AnySource
    from airflow_provider_dotypos.writes.stock.arguments import Operation
    from airflow_provider_dotypos.writes.stock.bookings import Document, Receipt


class StockCalls(HookPart):
    """Stock operations in a warehouse.

    Dotypos books what it is sent each time it arrives, and shows no list of it. So each operation has a document number
    and a journal: what is about to be sent stands there before it leaves. If no answer comes, the levels of the stock
    say after `settle` seconds whether it was booked. In doubt nothing is sent again.
    """

    def stock_up(
        self,
        warehouse_id: int | str,
        items: AnySource,
        *,
        document: str,
        journal: str | ObjectStoragePath,
        currency: str | None = None,
        supplier_id: int | str | None = None,
        close_delivery_notes: Sequence[int | str] = (),
        update_purchase_price: bool = False,
        note: str | None = None,
        columns: Mapping[str, str] | None = None,
        settle: float = SETTLE,
    ) -> dict[str, Any]:
        """Add goods to a warehouse, once. A negative quantity takes goods out.

        :param warehouse_id: the warehouse.
        :param items: rows with ``_productId`` or ``externalId``, ``quantity``, and optionally ``purchasePrice`` and
            ``sellPrice``: dicts, the address of a file (JSONL, CSV, Parquet), or ``Sql(conn_id, query)``.
        :param document: the number under which they are booked once, such as the delivery note's. Dotypos keeps it as
            ``invoiceNumber``.
        :param journal: the folder of the journals, which all workers reach: an absolute path, or an address such as
            ``s3://bucket/journal``.
        :param currency: of the prices, such as ``CZK``. Defaults to the cloud's, which takes one request.
        :param supplier_id: the supplier.
        :param close_delivery_notes: ids of delivery notes that are closed with it.
        :param update_purchase_price: whether products get the purchase prices of the items. Defaults to ``False``.
        :param note: a note.
        :param columns: the item's field by the source's column, such as ``{"SKU": "externalId"}``. Other columns are
            passed over then. Defaults to the fields' own names.
        :param settle: seconds until a movement shows in the API. Defaults to 60.
        :return: ``{"status", "document", "items", "parts", "transactions", "journal"}``; ``status`` is ``applied``, or
            ``already`` if it was booked before.
        :raises DotyposPlanError: if rows can't be booked, with all problems of all rows. Nothing was sent.
        :raises DotyposInputError: if other items were booked under the number.
        :raises DotyposUncertainBookingError: if nobody knows whether it is booked.

        https://docs.api.dotypos.com/entity/warehouse
        """
        with self._errors():
            fields = {
                "invoiceNumber": check_document(document),
                "updatePurchasePrice": update_purchase_price,
                "note": check_note(note),
                "_supplierId": None if supplier_id is None else id_text(supplier_id, "supplier_id"),
                "_closeDeliveryNoteIds": check_notes(close_delivery_notes) or None,
            }
            up = self._document("stock_up", warehouse_id, items, document, fields, columns, currency=currency)
            return self._book(up, journal, settle)

    def sell(
        self,
        warehouse_id: int | str,
        items: AnySource,
        *,
        document: str,
        journal: str | ObjectStoragePath,
        currency: str | None = None,
        columns: Mapping[str, str] | None = None,
        settle: float = SETTLE,
    ) -> dict[str, Any]:
        """Take goods out of a warehouse that were sold elsewhere, once.

        :param warehouse_id: the warehouse.
        :param items: rows with ``_productId`` or ``externalId``, ``quantity``, and optionally ``note``, see `stock_up`.
        :param document: the number under which they are booked once. Dotypos doesn't keep it: a note may hold it.
        :param journal: where the journal lies, as in `stock_up`.
        :param currency: the currency of prices, as in `stock_up`.
        :param columns: the item's fields by the source's columns, as in `stock_up`.
        :param settle: seconds until a movement shows in the API. Defaults to 60.
        :return: as of `stock_up`, which says the other parameters, too.

        https://docs.api.dotypos.com/entity/warehouse
        """
        with self._errors():
            sale = self._document("sell", warehouse_id, items, document, {}, columns, currency=currency)
            return self._book(sale, journal, settle)

    def transfer(
        self,
        warehouse_id: int | str,
        items: AnySource,
        *,
        from_warehouse_id: int | str,
        document: str,
        journal: str | ObjectStoragePath,
        currency: str | None = None,
        update_purchase_price: bool = False,
        note: str | None = None,
        columns: Mapping[str, str] | None = None,
        settle: float = SETTLE,
    ) -> dict[str, Any]:
        """Move goods to a warehouse from another one, once.

        :param warehouse_id: where they go.
        :param items: rows with ``_productId`` or ``externalId``, ``quantity``, and optionally ``purchasePrice``.
        :param from_warehouse_id: where they come from.
        :param document: the document's name, as in `stock_up`.
        :param journal: where the journal lies, as in `stock_up`.
        :param currency: the currency of prices, as in `stock_up`.
        :param update_purchase_price: as in `stock_up`.
        :param note: the document's note, as in `stock_up`.
        :param columns: the item's fields by the source's columns, as in `stock_up`.
        :param settle: seconds until a movement shows in the API. Defaults to 60.
        :return: as of `stock_up`, which says the other parameters, too.

        https://docs.api.dotypos.com/entity/warehouse
        """
        with self._errors():
            fields = {
                "invoiceNumber": check_document(document),
                "updatePurchasePrice": update_purchase_price,
                "note": check_note(note),
            }
            origin = check_origin(from_warehouse_id, warehouse_id)
            move = self._document(
                "transfer", warehouse_id, items, document, fields, columns, currency=currency, origin_id=origin
            )
            return self._book(move, journal, settle)

    def take_stock(
        self,
        warehouse_id: int | str,
        items: AnySource,
        *,
        counted_at: str | date,
        journal: str | ObjectStoragePath,
        note: str | None = None,
        columns: Mapping[str, str] | None = None,
        settle: float = SETTLE,
        poll_interval: float = 5.0,
        wait: float = 3600.0,
    ) -> dict[str, Any]:
        """Set the levels of products to what was counted, once, and wait until Dotypos has done it.

        Send it soon after the count: it replaces the levels, whatever was sold since.

        :param warehouse_id: the warehouse.
        :param items: rows with ``_productId`` or ``externalId``, and ``quantity``: what was counted.
        :param counted_at: when: a datetime with a zone, or ISO 8601 text with one. It is the key under which it is
            booked once, and must be later than the last stock-taking.
        :param journal: where the journal lies, as in `stock_up`.
        :param note: the stock-taking's note.
        :param columns: the item's fields by the source's columns, as in `stock_up`.
        :param settle: seconds until a movement shows in the API. Defaults to 60.
        :param poll_interval: seconds until its status is asked for again. The waits grow up to a minute. Defaults to 5.
        :param wait: seconds to wait for it. Defaults to an hour. With 0 it asks once, and if Dotypos isn't done, the
            result's ``status`` is ``accepted``, and ``pending`` has the addresses at which the status is asked for.
        :return: as of `stock_up`, which says the other parameters, too; ``document`` is the time.
        :raises DotyposStockTakingError: if Dotypos refuses it after all.
        :raises DotyposError: if it still is being processed after `wait`. A second call doesn't send it again.

        https://docs.api.dotypos.com/entity/warehouse
        """
        from airflow_provider_dotypos.writes.stock.taking import finish, take_stock

        with self._errors():
            check_settle(settle)
            client = self.get_conn()
            count = self._document(
                "take_stock", warehouse_id, items, counting_time(counted_at), {"note": check_note(note)}, columns
            )
            receipt = client.run(take_stock(client, count, journal, settle))
            until = time.time() + wait if wait > 0 else None
            done = client.run(finish(client, count, receipt, poll_interval=poll_interval, until=until))
            if done is not None:
                return _result(count, done)
            if wait > 0:
                raise DotyposError(
                    f"The stock-taking of {count.number} is still being processed after {wait:.0f} s. Run the task "
                    "again: it asks how far that is, and doesn't send it again."
                )
            pending = [entry.facts["status_url"] for entry in receipt.entries if entry.outcome == "accepted"]
            return _result(count, receipt) | {"status": "accepted", "pending": pending}

    def _book(self, document: Document, journal: str | ObjectStoragePath, settle: float) -> dict[str, Any]:
        from airflow_provider_dotypos.writes.stock.bookings import book

        check_settle(settle)
        client = self.get_conn()
        return _result(document, client.run(book(client, document, journal, settle)))

    def _document(
        self,
        operation: Operation,
        warehouse_id: int | str,
        items: AnySource,
        number: str,
        fields: Mapping[str, Any],
        columns: Mapping[str, str] | None,
        *,
        currency: str | None = None,
        origin_id: str | None = None,
    ) -> Document:
        """Return what is to be booked; all of it is checked."""
        from airflow_provider_dotypos.writes.sources import source_of
        from airflow_provider_dotypos.writes.stock.bookings import Document
        from airflow_provider_dotypos.writes.stock.items import read_items

        number = check_document(number)
        check_columns(operation, columns)
        return Document(
            operation=operation,
            number=number,
            warehouse_id=str(int(id_text(warehouse_id, "warehouse_id"))),  # 05 is 5
            items=read_items(operation, source_of(items, "items"), columns),
            origin_id=origin_id,
            currency=check_currency(currency),
            fields={name: value for name, value in fields.items() if value is not None},
        )


def _result(document: Document, receipt: Receipt) -> dict[str, Any]:
    """Return what a task returns of a document."""
    transactions = [entry.facts.get("transaction") for entry in receipt.entries]
    return {
        "status": "already" if receipt.already else "applied",
        "document": document.number,
        "items": len(document.items),
        "parts": len(receipt.entries),
        "transactions": [id for id in transactions if id is not None],
        "journal": receipt.journal.address,
    }
