"""What webhooks deliver of a change: records with the names of API v1 (page /others/webhook).

Names are in lower case, times are epoch milliseconds, booleans are 0 or 1, and numbers are real ones [D].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from airflow_provider_dotypos.api.entities import Field, entities
from airflow_provider_dotypos.sandbox.api.wire import write_number
from airflow_provider_dotypos.sandbox.behaviour import Behaviour
from airflow_provider_dotypos.sandbox.shop.rows import RowChange, Rows
from airflow_provider_dotypos.sandbox.shop.table import Row

_EXPONENT_FROM = 10**7  # from here on, numbers of JavaScript's kin are written so by some encoders [A]


class _Payload(NamedTuple):
    """Records of one entity.

    :param keys: fields of API v2 by their names in a record; ``None`` for what the shop doesn't know, which is null.
    :param texts: names of ids that are always text.
    """

    entity: str
    keys: Mapping[str, str | None]
    texts: frozenset[str] = frozenset()


_PAYLOADS: Mapping[str, _Payload] = {
    "PRODUCT": _Payload(  # [D, C2]
        "products",
        {
            "productid": "id",
            "cloudid": "_cloudId",
            "categoryid": "_categoryId",
            "name": "name",
            "ean": "ean",
            "plu": "plu",
            "pricewithvat": "priceWithVat",
            "pricewithoutvat": "priceWithoutVat",
            "vat": "vat",
            "deleted": "deleted",
            "display": "display",
            "bitflags": "flags",
            "versiondate": "versionDate",
        },
    ),
    "ORDERBEAN": _Payload(  # [C2]
        "orders",
        {
            "orderid": "id",
            "relatedorderid": "_relatedOrderId",
            "externalid": "externalId",
            "orderseriesid": None,
            "branchid": "_branchId",
            "cloudid": "_cloudId",
            "employeeid": "_employeeId",
            "customerlongid": "_customerId",
            "created": "created",
            "completed": "completed",
            "canceleddate": "canceledDate",
            "updated": "updated",
            "versiondate": "versionDate",
            "itemcount": "itemCount",
            "totalvaluerounded": "totalValueRounded",
            "paymenttypeid": None,
            "currency": "currency",
            "documenttype": "documentType",
            "flags": "flags",
            "paid": "paid",
            "parked": "parked",
            "printed": None,
            "refunded": None,
            "note": "note",
        },
    ),
    "RESERVATION": _Payload(  # [C1]
        "reservations",
        {
            "reservationid": "id",
            "branchid": "_branchId",
            "cloudid": "_cloudId",
            "customerid": "_customerId",
            "employeeid": "_employeeId",
            "tableid": "_tableId",
            "created": "created",
            "startdate": "startDate",
            "enddate": "endDate",
            "versiondate": "versionDate",
            "flags": "flags",
            "seats": "seats",
            "status": "status",
            "note": "note",
            "taglist": None,
        },
        texts=frozenset({"cloudid"}),
    ),
    "CUSTOMER": _Payload(  # its keys are [U]: those of v2 in lower case [A]
        "customers",
        {
            "customerid" if name == "id" else name.lstrip("_").lower(): name
            for name, field in entities()["customers"].fields.items()
            if not field.type.endswith("[]")
        },
    ),
}
_STATUS = ("NEW", "CONFIRMED", "CANCELLED")  # of reservations, which are numbers [C1]; which ones is [A]
_STOCK = "warehouse-products"


def due(shop: Rows, change: RowChange, behaviour: Behaviour) -> Iterator[tuple[Row, dict[str, Any]]]:
    """Yield the webhooks to which a change is delivered, each with the record that they get.

    POINTSLOG gets none: its keys are unknown.
    """
    webhooks = shop.rows(change.cloud_id, "webhooks")
    for webhook in webhooks:
        payload = _PAYLOADS.get(webhook["payloadEntity"])
        if payload is not None and payload.entity == change.entity:
            yield webhook, _record(payload, change, behaviour)
    if change.entity == _STOCK and change.after is not None:
        # Without a warehouse a webhook gets the movements of all of them [A].
        places = (None, change.after["_warehouseId"])
        those = [hook for hook in webhooks if hook["payloadEntity"] == "STOCKLOG" and hook["_warehouseId"] in places]
        movement = _movement(shop, change.before or {}, change.after, behaviour) if those else None
        yield from ((webhook, movement) for webhook in those if movement is not None)


def _record(payload: _Payload, change: RowChange, behaviour: Behaviour) -> dict[str, Any]:
    row = change.after or change.before or {}
    fields = entities()[payload.entity].fields
    record = {
        key: None if name is None else _written(fields[name], row.get(name), behaviour, text=key in payload.texts)
        for key, name in payload.keys.items()
    }
    if payload.entity == "reservations":
        record["status"] = _STATUS.index(row["status"]) if row["status"] in _STATUS else None
        record["deleted"] = int(change.after is None)
    return record


def _written(field: Field, value: Any, behaviour: Behaviour, *, text: bool = False) -> Any:
    if value is None:
        return None
    if field.name == "id" or field.name.startswith("_"):
        return str(value) if text else _id(value, behaviour)
    if field.type == "boolean":
        return int(value)
    return ",".join(value) if isinstance(value, list) else value


def _id(value: int | None, behaviour: Behaviour) -> Any:
    """Return an id as records hold it, which is a switch. An exponent has lost digits, as the vendor's manual has."""
    if value is None or behaviour.delivered_ids == "number":
        return value
    if behaviour.delivered_ids == "text":
        return str(value)
    return msgspec.Raw(f"{value:.2e}".encode()) if abs(value) >= _EXPONENT_FROM else value


def _movement(shop: Rows, before: Row, after: Row, behaviour: Behaviour) -> dict[str, Any] | None:
    """Return the record of a change of stock (STOCKLOG) [D]; ``None`` if the stock is the same."""
    level = after["stockQuantityStatus"]
    quantity = round(level - before.get("stockQuantityStatus", 0.0), 6)
    if not quantity:
        return None
    ids = {
        "stocklogid": shop.new_id(),
        "stocktransactionid": shop.new_id(),
        "warehouseid": after["_warehouseId"],
        "branchid": next((branch["id"] for branch in shop.rows(after["_cloudId"], "branches")), None),
        "inventoryid": None,
        "product_id": after["id"],
        "order_id": None,
        "employee_id": None,
        "supplier_id": None,
    }
    return {name: _id(value, behaviour) for name, value in ids.items()} | {
        "transactiontype": "SALE" if quantity < 0 else "PURCHASE",  # SALE is documented, the other [A]
        "quantity": write_number(quantity),
        "quantitystatus": write_number(level),
        "unit": after["unit"],
        "purchasepricewithoutvat": after["purchasePriceWithoutVat"],
        "avgpurchasepricewithoutvat": after["purchasePriceWithoutVat"],
        "currency": after["currency"],
        "invoicenumber": None,
        "note": None,
        "created": shop.now(),
        "versiondate": after["stockStatusVersiondate"],
        "synced": 1,
    }
