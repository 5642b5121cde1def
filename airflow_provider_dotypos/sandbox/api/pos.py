"""POS actions: calls that go through to a register (page /pos-actions/). Success is ``code`` 0, not HTTP 200
[D].

Request fields and result codes are documented second-hand [D2]; answers beyond ``order/hello`` are assumed
[A]. Numbers are real numbers here [D]. The sandbox's register is always online, answers at once, and calls no
webhooks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from airflow_provider_dotypos.sandbox.api.calls import answer, body_object, path_id, sandbox_of, within
from airflow_provider_dotypos.sandbox.bistro.bistro import CARD, CASH, MEAL_VOUCHER, WOLT, Bistro
from airflow_provider_dotypos.sandbox.errors import not_found
from airflow_provider_dotypos.sandbox.shop.query import Row
from airflow_provider_dotypos.sandbox.shop.shop import Shop

router = APIRouter()

_KNOWN_UNMODELLED = frozenset(
    f"order/{name}"
    for name in (
        "split",
        "split-issue",
        "split-issue-pay",
        "perform-status-transition",
        "change-item-course",
        "prepare-next-course",
        "set-item-takeaway",
        "sk/print-last-document",
    )
)


class _FailedError(Exception):
    """An action that the register refuses, with its result code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@router.post("/v2/clouds/{cloud_id}/branches/{branch_id}/pos-actions", response_model=None)
async def pos_action(request: Request, cloud_id: str, branch_id: str) -> Response:
    """Carry out one action."""
    number, branch = within(request, cloud_id), path_id(branch_id, "branch")
    shop = sandbox_of(request).shop
    if shop.get(number, "branches", branch) is None:
        raise not_found(f"branch {branch}")
    body = await body_object(request)
    with shop.lock:
        result = _result(shop, number, body)
    if body.get("webhook"):  # the result goes there instead [D2]; the sandbox keeps it to itself
        return Response(status_code=200)
    key = body.get("idempotency-key")
    return answer(result, headers={"Idempotency-Key": str(key)} if key else None)


def _result(shop: Shop, cloud_id: int, body: Row) -> dict[str, Any]:
    try:
        return _carry_out(shop, cloud_id, body) | {"code": 0, "deviceTimestamp": shop.now()}
    except _FailedError as failure:
        return {
            "code": failure.code,
            "message": str(failure),
            "localizedMessage": None,
            "deviceTimestamp": shop.now(),
        }


def _carry_out(shop: Shop, cloud_id: int, body: Row) -> dict[str, Any]:
    name = body.get("action")
    if not name:
        raise _FailedError(1003, "action is missing")
    if body.get("validity") is not None and _number(body["validity"], "validity") * 1000 < shop.now():
        raise _FailedError(1007, "validity has passed")
    _reference(shop, cloud_id, body, "user-id", "employees", 1008)
    if name in _KNOWN_UNMODELLED:
        raise _FailedError(1002, f"the sandbox's register does not do {name}")
    if name not in _ACTIONS:
        raise _FailedError(1004, f"unknown action {name}")
    return _ACTIONS[name](shop, cloud_id, body)


def _hello(shop: Shop, cloud_id: int, body: Row) -> dict[str, Any]:
    return {
        "device": "Sandbox",
        "appName": "Dotypos",
        "timezone": Bistro(shop, cloud_id).house.zone,
        "registerStatus": "open",
        "version": {"id": "sandbox", "code": 2019000, "name": "2.19"},
    }


def _create(shop: Shop, cloud_id: int, body: Row) -> dict[str, Any]:
    fields = {
        "_customerId": _reference(shop, cloud_id, body, "customer-id", "customers", 1010),
        "_tableId": _reference(shop, cloud_id, body, "table-id", "tables", 1011),
        "externalId": body.get("external-id"),
        "note": body.get("note") or "",
        "guestCount": _guests(body),
    }
    order = Bistro(shop, cloud_id).order(shop.now(), shop.now(), _picks(shop, cloud_id, body), **fields)
    if "issue" in body["action"]:
        _method(body)  # the order stays open if there is no such method [D2]
        shop.issued_orders.add(order["id"])
    if body["action"].endswith("pay"):
        order = Bistro(shop, cloud_id).pay(order, shop.now(), shop.now())
    return _shown(shop, cloud_id, order)


def _update(shop: Shop, cloud_id: int, body: Row) -> dict[str, Any]:
    order = _order(shop, cloud_id, body)
    changes: Row = {}
    if "customer-id" in body:
        changes["_customerId"] = _reference(shop, cloud_id, body, "customer-id", "customers", 1010)
    if "note" in body:
        changes["note"] = body["note"] or ""
    if "guest-count" in body:
        changes["guestCount"] = _guests(body)
    return _shown(shop, cloud_id, shop.update(cloud_id, "orders", order["id"], changes))


def _add_item(shop: Shop, cloud_id: int, body: Row) -> dict[str, Any]:
    order = _order(shop, cloud_id, body)
    return _shown(shop, cloud_id, Bistro(shop, cloud_id).add(order, _picks(shop, cloud_id, body), shop.now()))


def _pay(shop: Shop, cloud_id: int, body: Row) -> dict[str, Any]:
    order = _order(shop, cloud_id, body)
    if body["action"] == "order/issue-and-pay":
        _set_issued(shop, order)
    elif order["id"] not in shop.issued_orders:
        raise _FailedError(2006, "order not issued")
    _method(body)
    return _shown(shop, cloud_id, Bistro(shop, cloud_id).pay(order, shop.now(), shop.now()))


def _issue(shop: Shop, cloud_id: int, body: Row) -> dict[str, Any]:
    order = _order(shop, cloud_id, body)
    _set_issued(shop, order)
    return _shown(shop, cloud_id, order)


def _set_issued(shop: Shop, order: Row) -> None:
    if order["id"] in shop.issued_orders:
        raise _FailedError(2005, "order already issued")
    shop.issued_orders.add(order["id"])


def _cancel(shop: Shop, cloud_id: int, body: Row) -> dict[str, Any]:
    order = _order(shop, cloud_id, body)
    if order["itemCount"]:
        raise _FailedError(2009, "the order is not empty")
    changes = {"status": "canceled", "canceledDate": shop.now(), "parked": False}
    return _shown(shop, cloud_id, shop.update(cloud_id, "orders", order["id"], changes))


def _list(shop: Shop, cloud_id: int, body: Row) -> dict[str, Any]:
    orders = shop.open_orders(cloud_id)
    for name, field in (("table-id", "_tableId"), ("customer-id", "_customerId")):
        if body.get(name) is not None:
            orders = [o for o in orders if o[field] == _number(body[name], name)]
    return {"orders": [_shown(shop, cloud_id, order)["order"] for order in orders]}


_ACTIONS: Mapping[str, Callable[[Shop, int, Row], dict[str, Any]]] = {
    "order/hello": _hello,
    "order/create": _create,
    "order/create-issue": _create,
    "order/create-issue-pay": _create,
    "order/update": _update,
    "order/add-item": _add_item,
    "order/issue": _issue,
    "order/pay": _pay,
    "order/issue-and-pay": _pay,
    "order/cancel": _cancel,
    "order/list": _list,
}


def _shown(shop: Shop, cloud_id: int, order: Row) -> dict[str, Any]:
    items = shop.table(cloud_id, "order-items").children(order["id"])
    return {
        "order": {
            "id": order["id"],
            "external-id": order["externalId"],
            "document-number": order["documentNumber"],
            "status": order["status"],
            "paid": order["paid"],
            "table-id": order["_tableId"],
            "customer-id": order["_customerId"],
            "total": order["totalValueRounded"],
            "items": [{"id": i["id"], "product-id": i["_productId"], "qty": i["quantity"]} for i in items],
        }
    }


def _order(shop: Shop, cloud_id: int, body: Row) -> Row:
    order = shop.get(cloud_id, "orders", _number(body.get("order-id"), "order-id"))
    if order is None:
        raise _FailedError(2002, "order not found")
    if order["paid"]:
        raise _FailedError(2004, "order already paid")
    if order["canceledDate"] is not None:
        raise _FailedError(2010, "order already cancelled")
    return order


def _picks(shop: Shop, cloud_id: int, body: Row) -> list[tuple[Row, float]]:
    picks = []
    for item in body.get("items") or []:
        if not isinstance(item, dict):
            raise _FailedError(1005, "items must be objects")
        product = shop.get(cloud_id, "products", _number(item.get("id"), "id"))
        if product is None or product["deleted"]:
            raise _FailedError(4001, "product not found")
        quantity = item.get("qty", 1)
        if isinstance(quantity, bool) or not isinstance(quantity, (int, float)):
            raise _FailedError(1005, "qty must be a number")
        if quantity <= 0:
            raise _FailedError(5003, "qty must be positive")
        if item.get("manual-price") is not None:
            price = item["manual-price"]
            if isinstance(price, bool) or not isinstance(price, (int, float)):
                raise _FailedError(1005, "manual-price must be a number")
            product = product | {"priceWithVat": float(price)}
        picks.append((product, float(quantity)))
    return picks


def _guests(body: Row) -> int:
    count = body.get("guest-count") or 0
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise _FailedError(2012, "guest-count must be a whole number, 0 or more")
    return count


def _method(body: Row) -> None:
    if body.get("payment-method-id") not in (CASH, CARD, MEAL_VOUCHER, WOLT):
        raise _FailedError(2003, "payment method not found")


def _reference(shop: Shop, cloud_id: int, body: Row, name: str, entity: str, code: int) -> int | None:
    if body.get(name) is None:
        return None
    number = _number(body[name], name)
    if shop.get(cloud_id, entity, number) is None:
        raise _FailedError(code, f"{name} {number} not found")
    return number


def _number(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)) or not str(value).lstrip("-").isdecimal():
        raise _FailedError(1005, f"{name} must be a whole number")
    return int(value)
