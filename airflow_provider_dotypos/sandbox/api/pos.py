"""POS actions: calls that go through to a register (page /pos-actions/). ``code`` 0 is success, not HTTP 200 [D].

Request fields, answers and result codes are documented second-hand [D2]. Numbers are real numbers here [D]. ``Device``
is the register.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from airflow_provider_dotypos.sandbox.api.calls import answer, body_object, log_write, path_id, state_of, within
from airflow_provider_dotypos.sandbox.api.device import Action, Device
from airflow_provider_dotypos.sandbox.bistro.bistro import CARD, CASH, MEAL_VOUCHER, WOLT, Bistro
from airflow_provider_dotypos.sandbox.errors import RefusedError, not_found
from airflow_provider_dotypos.sandbox.shop.rows import Rows
from airflow_provider_dotypos.sandbox.shop.table import Row

router = APIRouter()

_NOT_MODELLED = frozenset(
    f"order/{name}" for name in ("change-item-course", "prepare-next-course", "set-item-takeaway")
)
#: The order's status before and after a transition [D2].
_TRANSITIONS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "prepare_for_delivery": (("parked", "closed"), "ready_for_delivery"),
    "prepare_to_pickup": (("parked", "closed"), "ready_to_pickup"),
    "complete_pickup": (("ready_to_pickup",), "closed"),
    "cancel_pickup": (("ready_to_pickup",), "canceled"),
    "start_delivery": (("ready_for_delivery",), "on_delivery"),
    "cancel_delivery": (("ready_for_delivery",), "canceled"),
    "complete_delivery": (("on_delivery",), "closed"),
}
_NOT_IN_SLOVAKIA = frozenset({"order/issue", "order/pay", "order/create-issue", "order/create-issue-pay"})  # [D2]


class _FailedError(Exception):
    """An action that the register refuses, with its result code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@router.post("/v2/clouds/{cloud_id}/branches/{branch_id}/pos-actions", response_model=None)
async def pos_action(request: Request, cloud_id: str, branch_id: str) -> Response:
    """Carry out one action. Without a webhook of its own, one runs at a time, and its answer is the result [D]."""
    place = number, branch = within(request, cloud_id), path_id(branch_id, "branch")
    state = state_of(request)
    if state.shop.get(number, "branches", branch) is None:
        raise not_found(f"branch {branch}")
    body = await body_object(request)
    device, key = state.device, body.get("idempotency-key")

    def carry_out(action: Action) -> dict[str, Any]:
        if action.given_up:
            request.scope["state"].update(lost=True, late=True)
        result = _result(request, number, branch, body)
        if body.get("webhook"):  # the result goes there instead [D2]
            state.deliveries.call_back(str(body["webhook"]), str(body.get("action")), result, key)
        return result

    action = Action(carry_out)
    if body.get("webhook"):
        device.take(action)
        return Response(status_code=200)
    if place in device.busy:
        raise RefusedError(429, "TOO_MANY_REQUESTS", "Another action of this branch is running")
    device.busy.add(place)
    try:
        result = await device.answer(action)
    finally:
        device.busy.discard(place)
    if result is None:
        raise RefusedError(404, "DEVICE_NOT_RESPONDING", "The device did not answer in time")  # its body is [A]
    return answer(result, headers={"Idempotency-Key": str(key)} if key else None)


def _result(request: Request, cloud_id: int, branch_id: int, body: Row) -> dict[str, Any]:
    state, key = state_of(request), (cloud_id, branch_id, str(body.get("idempotency-key")))
    results = state.device.results if state.behaviour.idempotency_key == "honoured" else {}
    if body.get("idempotency-key") and key in results:
        return results[key]
    with state.shop.lock:
        action = _Action(state.shop, state.device, cloud_id, body, state.behaviour.pos_validity)
        try:
            result = action.carry_out()
            result = result if "resultCode" in result else result | {"code": 0}
        except _FailedError as failure:
            result = {"code": failure.code, "message": str(failure), "localizedMessage": None}
        if action.written is not None:
            log_write(request, "action", str(action.name), action.written, body)
        results[key] = result = result | {"deviceTimestamp": action.now()}
    return result


class _Action:
    """One action of the register. Each of its methods may raise ``_FailedError``.

    :ivar written: the id of the order that it has made or changed, also if it fails after that.
    """

    def __init__(self, shop: Rows, device: Device, cloud_id: int, body: Row, unit: str) -> None:
        self.shop, self.device, self.cloud_id, self.body = shop, device, cloud_id, body
        self.in_seconds = unit == "s"
        self.name = body.get("action")
        self.written: int | None = None

    def now(self) -> int:
        """Return the time that the register's clock shows."""
        return self.shop.now() + round(self.device.clock_offset * 1000)

    def carry_out(self) -> dict[str, Any]:
        if not self.name:
            raise _FailedError(1003, "action is missing")
        if self.is_late():
            raise _FailedError(1007, "validity has passed")
        if self.device.codes and self.name != "order/hello" and (code := self.device.codes.pop(0)):
            raise _FailedError(code, "the sandbox is set to refuse it")
        self.reference("user-id", "employees", 1008)
        if not isinstance(self.name, str):
            raise _FailedError(1005, "action must be text")
        if self.name in _NOT_MODELLED:
            raise _FailedError(1002, f"the sandbox's register does not do {self.name}")
        if self.name not in _ACTIONS:
            raise _FailedError(1004, f"unknown action {self.name}")
        cloud = self.shop.cloud(self.cloud_id)
        if self.name in _NOT_IN_SLOVAKIA and cloud is not None and cloud["country"] == "SK":
            raise _FailedError(1009, f"{self.name} is not allowed in Slovakia")
        return _ACTIONS[self.name](self)

    def is_late(self) -> bool:
        """Return whether the action's validity has passed."""
        validity = self.body.get("validity")
        ends = None if validity is None else _number(validity, "validity") * (1000 if self.in_seconds else 1)
        return ends is not None and ends < self.now()

    def hello(self) -> dict[str, Any]:
        return {
            "device": "Sandbox",
            "appName": "Dotypos",
            "timezone": self.bistro().house.zone,
            "registerStatus": "open",
            "version": {"id": "sandbox", "code": 2019000, "name": "2.19"},
        }

    def create(self) -> dict[str, Any]:
        now, action = self.shop.now(), str(self.name)
        fields = {
            "_customerId": self.reference("customer-id", "customers", 1010),
            "_tableId": self.reference("table-id", "tables", 1011),
            "externalId": self.body.get("external-id"),
            "note": self.body.get("note") or "",
            "guestCount": self.guests(),
        }
        order = self.bistro().order(now, now, self.picks(), **fields)
        self.written = order["id"]
        if "issue" in action:
            self.check_method()  # the order stays open if there is no such method [D2]
            self.shop.issued_orders.add(order["id"])
        return self.paid(order) if action.endswith("pay") else self.shown(order)

    def update(self) -> dict[str, Any]:
        order = self.order()
        changes: Row = {}
        if "customer-id" in self.body:
            changes["_customerId"] = self.reference("customer-id", "customers", 1010)
        if "note" in self.body:
            changes["note"] = self.body["note"] or ""
        if "guest-count" in self.body:
            changes["guestCount"] = self.guests()
        return self.changed(order, changes)

    def add_item(self) -> dict[str, Any]:
        order = self.order()
        picks = self.picks()
        self.written = order["id"]
        return self.shown(self.bistro().add(order, picks, self.shop.now()))

    def split(self) -> dict[str, Any]:
        order, action = self.order(), str(self.name)
        parts = self.parts("split-items")
        if not parts:
            raise _FailedError(2013, "no items to split")
        picks = [self.split_off(part) for part in parts]
        now = self.shop.now()
        fields = {"_sourceOrderId": order["id"], "externalId": self.body.get("external-id")}
        new = self.bistro().order(now, now, picks, **fields)
        self.written = new["id"]
        if "issue" in action:
            self.check_method()
            self.shop.issued_orders.add(new["id"])
        return self.paid(new) if action.endswith("pay") else self.shown(new)

    def split_off(self, part: Row) -> tuple[Row, float]:
        """Take a quantity off an item; return its product and that quantity."""
        item = self.shop.get(self.cloud_id, "order-items", _number(part.get("id"), "id"))
        quantity = _amount(part.get("qty"), "qty")
        if item is None:
            raise _FailedError(5001, "order item not found")
        if quantity > item["quantity"]:
            raise _FailedError(5002, "the item's quantity is too low")
        self.shop.update(self.cloud_id, "order-items", item["id"], {"quantity": item["quantity"] - quantity})
        self.written = item["_orderId"]
        product = self.shop.get(self.cloud_id, "products", item["_productId"])
        if product is None:
            raise _FailedError(4001, "product not found")
        return product, quantity

    def move_on(self) -> dict[str, Any]:
        order = self.order(paid_too=True)
        before, after = _TRANSITIONS.get(str(self.body.get("status-transition")), ((), ""))
        if not after:
            raise _FailedError(6001, "unknown status transition")
        if order["status"] not in before:
            raise _FailedError(6002, "the order's status doesn't allow it")
        return self.changed(order, {"status": after})

    def print_last(self) -> dict[str, Any]:
        return {"resultCode": 1}  # the sandbox's registers aren't in Slovakia

    def issue(self) -> dict[str, Any]:
        order = self.order()
        self.set_issued(order)
        return self.shown(order)

    def pay(self) -> dict[str, Any]:
        order = self.order()
        if order["id"] not in self.shop.issued_orders:
            raise _FailedError(2006, "order not issued")
        self.check_method()
        return self.paid(order)

    def issue_and_pay(self) -> dict[str, Any]:
        self.set_issued(self.order())
        return self.pay()

    def cancel(self) -> dict[str, Any]:
        order = self.order()
        if order["itemCount"]:
            raise _FailedError(2009, "the order is not empty")
        return self.changed(order, {"status": "canceled", "canceledDate": self.shop.now(), "parked": False})

    def list_open(self) -> dict[str, Any]:
        orders = self.shop.open_orders(self.cloud_id)
        for name, field in (("table-id", "_tableId"), ("customer-id", "_customerId")):
            if self.body.get(name) is not None:
                orders = [order for order in orders if order[field] == _number(self.body[name], name)]
        return {"orders": [self.shown(order) for order in orders]}

    def bistro(self) -> Bistro:
        return Bistro(self.shop, self.cloud_id)

    def paid(self, order: Row) -> dict[str, Any]:
        self.written = order["id"]
        return self.shown(self.bistro().pay(order, self.shop.now(), self.shop.now()))

    def changed(self, order: Row, changes: Row) -> dict[str, Any]:
        self.written = order["id"]
        return self.shown(self.shop.update(self.cloud_id, "orders", order["id"], changes))

    def set_issued(self, order: Row) -> None:
        if order["id"] in self.shop.issued_orders:
            raise _FailedError(2005, "order already issued")
        self.shop.issued_orders.add(order["id"])
        self.written = order["id"]

    def shown(self, order: Row) -> dict[str, Any]:
        items = self.shop.table(self.cloud_id, "order-items").children(order["id"])
        return {
            "order": {
                "id": order["id"],
                "external-id": order["externalId"],
                "order-number": order["documentNumber"],
                "status": order["status"],
                "paid": order["paid"],
                "canceled-date": order["canceledDate"],
                "table-id": order["_tableId"],
                "customer-id": order["_customerId"],
                "price-total": order["totalValueRounded"],
            },
            "items": [{"id": i["id"], "product-id": i["_productId"], "qty": i["quantity"]} for i in items],
        }

    def order(self, *, paid_too: bool = False) -> Row:
        order = self.shop.get(self.cloud_id, "orders", _number(self.body.get("order-id"), "order-id"))
        if order is None:
            raise _FailedError(2002, "order not found")
        if order["paid"] and not paid_too:
            raise _FailedError(2004, "order already paid")
        if order["canceledDate"] is not None:
            raise _FailedError(2010, "order already cancelled")
        return order

    def picks(self) -> list[tuple[Row, float]]:
        return [self.pick(item) for item in self.parts("items")]

    def parts(self, name: str) -> list[Row]:
        """Return a field that is a list of objects."""
        parts = self.body.get(name) or []
        if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
            raise _FailedError(1005, f"{name} must be a list of objects")
        return parts

    def pick(self, item: Row) -> tuple[Row, float]:
        product = self.shop.get(self.cloud_id, "products", _number(item.get("id"), "id"))
        if product is None or product["deleted"]:
            raise _FailedError(4001, "product not found")
        quantity, price = _amount(item.get("qty", 1), "qty"), item.get("manual-price")
        if quantity <= 0:
            raise _FailedError(5003, "qty must be positive")
        if price is not None:
            product = product | {"priceWithVat": _amount(price, "manual-price")}
        return product, quantity

    def guests(self) -> int:
        count = self.body.get("guest-count")
        if count is None:
            return 0
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise _FailedError(2012, "guest-count must be a whole number, 1 or more")
        return count

    def check_method(self) -> None:
        if self.body.get("payment-method-id") not in (CASH, CARD, MEAL_VOUCHER, WOLT):
            raise _FailedError(2003, "payment method not found")

    def reference(self, name: str, entity: str, code: int) -> int | None:
        if self.body.get(name) is None:
            return None
        number = _number(self.body[name], name)
        if self.shop.get(self.cloud_id, entity, number) is None:
            raise _FailedError(code, f"{name} {number} not found")
        return number


_ACTIONS: Mapping[str, Callable[[_Action], dict[str, Any]]] = {
    "order/hello": _Action.hello,
    "order/create": _Action.create,
    "order/create-issue": _Action.create,
    "order/create-issue-pay": _Action.create,
    "order/update": _Action.update,
    "order/add-item": _Action.add_item,
    "order/split": _Action.split,
    "order/split-issue": _Action.split,
    "order/split-issue-pay": _Action.split,
    "order/perform-status-transition": _Action.move_on,
    "order/sk/print-last-document": _Action.print_last,
    "order/issue": _Action.issue,
    "order/pay": _Action.pay,
    "order/issue-and-pay": _Action.issue_and_pay,
    "order/cancel": _Action.cancel,
    "order/list": _Action.list_open,
}


def _number(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)) or not str(value).lstrip("-").isdecimal():
        raise _FailedError(1005, f"{name} must be a whole number")
    return int(value)


def _amount(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _FailedError(1005, f"{name} must be a number")
    return float(value)
