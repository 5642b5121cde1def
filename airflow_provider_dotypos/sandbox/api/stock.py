"""Warehouse operations: stock-ups, transfers, sales and stock takings [D2, C3]. The body is one object."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from airflow_provider_dotypos.sandbox.api import wire
from airflow_provider_dotypos.sandbox.api.calls import answer, body_object, log_write, path_id, state_of, within
from airflow_provider_dotypos.sandbox.errors import RefusedError, Violation, invalid, not_found
from airflow_provider_dotypos.sandbox.shop.table import Row

router = APIRouter()

_BELOW = "/v2/clouds/{cloud_id}/warehouses/{warehouse_id}"
_ITEMS = 100  # [D2]
_CLOSED = 1  # the status of a delivery note that is closed [A]


@router.post(_BELOW + "/stockups", response_model=None)
async def stock_up(request: Request, cloud_id: str, warehouse_id: str) -> Response:
    """Add goods. A negative quantity removes some."""
    booking = await _Booking.of(request, cloud_id, warehouse_id)
    booking.check_delivery()
    with booking.shop.lock:
        for product, quantity, price in booking.items():
            booking.move(booking.warehouse, product, quantity, price)
        booking.close_delivery_notes()
    return booking.done("stockups")


@router.post(_BELOW + "/transfers", response_model=None)
async def transfer(request: Request, cloud_id: str, warehouse_id: str) -> Response:
    """Move goods here from another warehouse."""
    booking = await _Booking.of(request, cloud_id, warehouse_id)
    booking.check_delivery()
    origin = _id(booking.body.get("_originWarehouseId"), "_originWarehouseId")
    if booking.shop.get(booking.cloud_id, "warehouses", origin) is None or origin == booking.warehouse:
        raise invalid("_originWarehouseId", "must be another warehouse of the cloud")
    with booking.shop.lock:
        for product, quantity, price in booking.items():
            booking.move(origin, product, -quantity)
            booking.move(booking.warehouse, product, quantity, price)
    return booking.done("transfers")


@router.post(_BELOW + "/sales", response_model=None)
async def sell(request: Request, cloud_id: str, warehouse_id: str) -> Response:
    """Remove goods that were sold elsewhere."""
    booking = await _Booking.of(request, cloud_id, warehouse_id)
    with booking.shop.lock:
        for product, quantity, _ in booking.items():
            booking.move(booking.warehouse, product, -quantity)
    return booking.done("sales")


@router.post(_BELOW + "/stock-takings", response_model=None)
async def take_stock(request: Request, cloud_id: str, warehouse_id: str) -> Response:
    """Set quantities as counted. 201 isn't success: the result is read from ``statusWebhookUrl`` [D2]."""
    booking = await _Booking.of(request, cloud_id, warehouse_id)
    shop, number, warehouse = booking.shop, booking.cloud_id, booking.warehouse
    try:
        date = wire.read_json(booking.body.get("stockTakingDate"), "timestamp")
    except ValueError as error:
        raise invalid("stockTakingDate", str(error)) from None
    if date is None:
        raise invalid("stockTakingDate", "must not be null")
    transaction, state = shop.new_id(), state_of(request)
    with shop.lock:
        counted = booking.counted()
        reason = state.stock_taking_reason or booking.reason_to_fail([product for product, _ in counted], date)
        for product, quantity in counted if reason is None else ():
            booking.count(product, quantity, date if state.behaviour.stock_taking == "dated" else shop.now())
            shop.stock_takings[number, warehouse, product] = date
        if reason is None:
            log_write(request, "action", "stock-takings", transaction, booking.body)
    # On another host's name, which is this machine all the same, so that a test sees what is sent there.
    base = state.url if state.behaviour.status_host == "api" else f"http://localhost:{state.port}"
    state.stock_taking_results[transaction] = [
        *[{"status": "PROCESSING", "reason": None, "message": None}] * state.stock_taking_polls,
        {"status": "FAILED" if reason else "FINISHED", "reason": reason, "message": None},
    ]
    return answer(
        {
            "_cloudId": str(number),
            "_warehouseId": str(warehouse),
            "_stockTransactionId": str(transaction),
            "statusWebhookUrl": f"{base}/status/stock-takings/{transaction}",
        },
        201,
    )


@router.get("/status/stock-takings/{transaction}", response_model=None)
async def stock_taking_status(request: Request, transaction: str) -> Response:
    """Return the state of a stock taking: at first that it is being processed, then its result.

    Whether the real one requires a token is [U]. This one doesn't.
    """
    states = state_of(request).stock_taking_results.get(path_id(transaction, "stock taking"))
    if states is None:
        raise not_found(f"stock taking {transaction}")
    return answer(states.pop(0) if len(states) > 1 else states[0])


@router.post(_BELOW + "/stock-taking-dates", response_model=None)
async def stock_taking_dates(request: Request, cloud_id: str, warehouse_id: str) -> Response:
    """Return when products were last counted, as a bare array [D2]."""
    booking, behaviour = await _Booking.of(request, cloud_id, warehouse_id), state_of(request).behaviour
    products = booking.body.get("_productIds")
    if not isinstance(products, list):
        raise invalid("_productIds", "must be an array")
    rows = []
    for product in (_id(value, "_productIds") for value in products):
        date = booking.shop.stock_takings.get((booking.cloud_id, booking.warehouse, product))
        if date is not None:
            rows.append({"_productId": str(product), "lastStockTakingDate": wire.write_time(date, behaviour)})
    return answer(rows)


async def read_back(request: Request, cloud_id: str, warehouse_id: str) -> Response:
    """Refuse to list or change operations: they can't be read back [C1]."""
    within(request, cloud_id)
    raise HTTPException(405, "method not allowed", {"Allow": "POST"})


for _operation in ("stockups", "transfers", "sales", "stock-takings", "stock-taking-dates"):
    for _path in (f"{_BELOW}/{_operation}", f"{_BELOW}/{_operation}/{{id}}"):
        router.add_api_route(_path, read_back, methods=["GET", "PUT", "PATCH", "DELETE"], response_model=None)


class _Booking:
    """One operation in a warehouse."""

    def __init__(self, request: Request, cloud_id: int, warehouse: int, body: Row) -> None:
        self.request, self.shop = request, state_of(request).shop
        self.cloud_id, self.warehouse = cloud_id, warehouse
        self.body = {"currency": "CZK"} | body  # its default [D2], in a Polish cloud, too

    @classmethod
    async def of(cls, request: Request, cloud_id: str, warehouse_id: str) -> _Booking:
        number, warehouse = within(request, cloud_id), path_id(warehouse_id, "warehouse")
        shop = state_of(request).shop
        if shop.get(number, "warehouses", warehouse) is None:
            raise not_found(f"warehouse {warehouse}")
        booking = cls(request, number, warehouse, await body_object(request))
        if not re.fullmatch("[A-Z]{3}", str(booking.body["currency"])):
            raise invalid("currency", "must be three letters")
        return booking

    def check_delivery(self) -> None:
        """Check the fields that a delivery needs."""
        if not isinstance(self.body.get("invoiceNumber"), str) or not self.body["invoiceNumber"]:
            raise invalid("invoiceNumber", "must not be empty")
        if not isinstance(self.body.get("updatePurchasePrice"), bool):
            raise invalid("updatePurchasePrice", "must be true or false")
        supplier = self.body.get("_supplierId")
        if supplier is not None and self.shop.get(self.cloud_id, "suppliers", _id(supplier, "_supplierId")) is None:
            raise invalid("_supplierId", "does not exist")
        for id in self._delivery_notes():
            if self.shop.get(self.cloud_id, "delivery-notes", _id(id, "_closeDeliveryNoteIds")) is None:
                raise invalid("_closeDeliveryNoteIds", "does not exist")

    def close_delivery_notes(self) -> None:
        """Close the delivery notes that a stock-up names [D2]."""
        for id in self._delivery_notes():
            self.shop.update(self.cloud_id, "delivery-notes", int(id), {"status": _CLOSED})

    def _delivery_notes(self) -> list[Any]:
        ids = self.body.get("_closeDeliveryNoteIds")
        if not isinstance(ids, (list, type(None))):
            raise invalid("_closeDeliveryNoteIds", "must be an array")
        return ids or []

    def items(self) -> list[tuple[int, float, float | None]]:
        """Return all items as product, quantity and new purchase price, checked before any of them is booked."""
        return self._read_all(self._item)

    def counted(self) -> list[tuple[int, float]]:
        """Return the products of a stock taking, and their quantities."""
        return self._read_all(self._count)

    def reason_to_fail(self, products: list[int], date: int) -> str | None:
        """Return why a stock taking fails, if it does. This is checked only after it was accepted [D2]."""
        takings = self.shop.stock_takings
        keys = [(self.cloud_id, self.warehouse, product) for product in products]
        earlier = [takings[key] for key in keys if key in takings]
        if date > self.shop.now():
            return "STOCK_TAKING_DATE_IN_FUTURE"
        if any(self.shop.get(self.cloud_id, "products", product) is None for product in products):
            return "PRODUCT_DOES_NOT_EXIST"
        if any(counted > self.shop.now() for counted in earlier):
            return "PRODUCT_STOCK_TAKING_IN_FUTURE"
        if any(counted >= date for counted in earlier):
            return "PRODUCT_STOCK_TAKING_AFTER_DATE"
        return None

    def count(self, product: int, quantity: float, date: int) -> None:
        """Set the stock of a product as it was counted at a date; what has moved since then moves it, too."""
        now = self.shop.get(self.cloud_id, "warehouse-products", product, warehouse_id=self.warehouse)
        then = self.shop.table(self.cloud_id, "warehouse-products").state_at(now, date) if now is not None else None
        level = now["stockQuantityStatus"] if now is not None else 0.0
        moved = level - then["stockQuantityStatus"] if then is not None else 0.0
        self.move(self.warehouse, product, quantity + moved - level)

    def move(self, warehouse: int, product: int, quantity: float, price: float | None = None) -> None:
        """Change the stock of a product by `quantity`."""
        changes: Row = {} if price is None else {"purchasePriceWithoutVat": price}
        row = self.shop.get(self.cloud_id, "warehouse-products", product, warehouse_id=warehouse)
        if row is not None:
            changes["stockQuantityStatus"] = round(row["stockQuantityStatus"] + quantity, 6)
            self.shop.update(self.cloud_id, "warehouse-products", product, changes, warehouse_id=warehouse)
            return
        # The first time that this warehouse has the product.
        fields = self.shop.table(self.cloud_id, "warehouse-products").entity.fields
        whole = self.shop.get(self.cloud_id, "products", product) or {}
        part = {name: value for name, value in whole.items() if name in fields}
        stock = {"_warehouseId": warehouse, "stockQuantityStatus": quantity}
        self.shop.insert(self.cloud_id, "warehouse-products", part | changes | stock)

    def done(self, operation: str) -> Response:
        transaction = self.shop.new_id()
        log_write(self.request, "action", operation, transaction, self.body)
        return answer({"_stockTransactionId": str(transaction)}, 201)  # the answer's shape is [A], 201 is [D2]

    def _read_all(self, read: Callable[[Row], Any]) -> list[Any]:
        given = self.body.get("items")
        if not isinstance(given, list) or not 1 <= len(given) <= _ITEMS or not all(isinstance(i, dict) for i in given):
            raise invalid("items", f"must be an array of 1 to {_ITEMS} objects")
        items: list[Any] = []
        violations: list[Violation] = []
        for number, item in enumerate(given):
            try:
                items.append(read(item))
            except ValueError as error:
                violations.append((f"items[{number}]", str(error)))
        if violations:
            raise RefusedError(400, violations=violations)
        return items

    def _item(self, item: Row) -> tuple[int, float, float | None]:
        product = self._product(item)
        quantity, price = (wire.read_json(item.get(name), "double") for name in ("quantity", "purchasePrice"))
        if product is None or quantity is None:
            raise ValueError("must name an existing product and a quantity")
        return product, quantity, price if self.body.get("updatePurchasePrice") else None

    def _count(self, item: Row) -> tuple[int, float]:
        product = wire.read_json(item.get("_productId"), "long")
        quantity = wire.read_json(item.get("quantity"), "double")
        if product is None or quantity is None:
            raise ValueError("must have _productId and quantity")
        return product, quantity

    def _product(self, item: Row) -> int | None:
        """Return the product of an item, named by id or by external id."""
        if item.get("_productId") is not None:
            number = int(wire.read_json(item["_productId"], "long"))
            return number if self.shop.get(self.cloud_id, "products", number) is not None else None
        wanted = item.get("externalId")
        products = self.shop.rows(self.cloud_id, "products") if wanted is not None else []
        return next((product["id"] for product in products if product["externalId"] == wanted), None)


def _id(value: object, name: str) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"-?\d{1,19}", str(value)):
        raise invalid(name, "must be a whole number")
    return int(str(value))
