"""Warehouse operations: stock-ups, transfers, sales and stock takings [D2, C3]. The body is one object."""

from __future__ import annotations

import re

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from airflow_provider_dotypos.sandbox.api.calls import answer, body_object, path_id, sandbox_of, within
from airflow_provider_dotypos.sandbox.errors import RefusedError, invalid, not_found
from airflow_provider_dotypos.sandbox.shop import wire
from airflow_provider_dotypos.sandbox.shop.query import Row
from airflow_provider_dotypos.sandbox.shop.shop import Shop

router = APIRouter()

_BELOW = "/v2/clouds/{cloud_id}/warehouses/{warehouse_id}"
_ITEMS = 100  # [D2]
_Items = list[tuple[int, float, float | None]]


@router.post(_BELOW + "/stockups", response_model=None)
async def stock_up(request: Request, cloud_id: str, warehouse_id: str) -> Response:
    """Take goods in; a negative quantity takes some out."""
    shop, number, warehouse, body = await _called(request, cloud_id, warehouse_id)
    _delivery(body)
    with shop.lock:
        for product, quantity, price in _items(shop, number, body):
            _move(shop, number, warehouse, product, quantity, price if body["updatePurchasePrice"] else None)
    return _done(shop)


@router.post(_BELOW + "/transfers", response_model=None)
async def transfer(request: Request, cloud_id: str, warehouse_id: str) -> Response:
    """Move goods here from another warehouse."""
    shop, number, warehouse, body = await _called(request, cloud_id, warehouse_id)
    _delivery(body)
    origin = _id(body.get("_originWarehouseId"), "_originWarehouseId")
    if shop.get(number, "warehouses", origin) is None or origin == warehouse:
        raise invalid("_originWarehouseId", "must be another warehouse of the cloud")
    with shop.lock:
        for product, quantity, price in _items(shop, number, body):
            _move(shop, number, origin, product, -quantity)
            _move(shop, number, warehouse, product, quantity, price if body["updatePurchasePrice"] else None)
    return _done(shop)


@router.post(_BELOW + "/sales", response_model=None)
async def sell(request: Request, cloud_id: str, warehouse_id: str) -> Response:
    """Take goods out, as sold elsewhere."""
    shop, number, warehouse, body = await _called(request, cloud_id, warehouse_id)
    with shop.lock:
        for product, quantity, _ in _items(shop, number, body):
            _move(shop, number, warehouse, product, -quantity)
    return _done(shop)


@router.post(_BELOW + "/stock-takings", response_model=None)
async def take_stock(request: Request, cloud_id: str, warehouse_id: str) -> Response:
    """Set quantities as counted. 201 is not success: how it ended is read from ``statusWebhookUrl`` [D2]."""
    shop, number, warehouse, body = await _called(request, cloud_id, warehouse_id)
    try:
        date = wire.read_json(body.get("stockTakingDate"), "timestamp")
    except ValueError as error:
        raise invalid("stockTakingDate", str(error)) from None
    if date is None:
        raise invalid("stockTakingDate", "must not be null")
    transaction = shop.new_id()
    with shop.lock:
        counted, reason = _counted(shop, number, warehouse, body, date)
        for product, quantity in counted:
            _move(shop, number, warehouse, product, quantity, absolute=True)
            shop.stock_takings[number, warehouse, product] = date
    sandbox = sandbox_of(request)
    sandbox.stock_taking_results[transaction] = [
        {"status": "PROCESSING", "reason": None, "message": None},
        {"status": "FAILED" if reason else "FINISHED", "reason": reason, "message": None},
    ]
    return answer(
        {
            "_cloudId": str(number),
            "_warehouseId": str(warehouse),
            "_stockTransactionId": str(transaction),
            "statusWebhookUrl": f"{sandbox.url}/status/stock-takings/{transaction}",
        },
        201,
    )


@router.get("/status/stock-takings/{transaction}", response_model=None)
async def stock_taking_status(request: Request, transaction: str) -> Response:
    """Return the state of a stock taking: under way when it is first asked for, then how it ended.

    Whether the real one wants a token is [U]. Here it doesn't.
    """
    states = sandbox_of(request).stock_taking_results.get(path_id(transaction, "stock taking"))
    if states is None:
        raise not_found(f"stock taking {transaction}")
    return answer(states.pop(0) if len(states) > 1 else states[0])


@router.post(_BELOW + "/stock-taking-dates", response_model=None)
async def stock_taking_dates(request: Request, cloud_id: str, warehouse_id: str) -> Response:
    """Return when products were last counted, as a bare array [D2]."""
    shop, number, warehouse, body = await _called(request, cloud_id, warehouse_id)
    given = body.get("_productIds")
    if not isinstance(given, list):
        raise invalid("_productIds", "must be an array")
    rows = []
    for product in (_id(value, "_productIds") for value in given):
        date = shop.stock_takings.get((number, warehouse, product))
        if date is not None:
            rows.append(
                {
                    "_productId": product,
                    "lastStockTakingDate": wire.write_time(date, sandbox_of(request).behaviour),
                }
            )
    return answer([row | {"_productId": str(row["_productId"])} for row in rows])


async def read_back(request: Request, cloud_id: str, warehouse_id: str) -> Response:
    """Refuse to list or change operations: what was booked can't be read back [C1]."""
    within(request, cloud_id)
    raise HTTPException(405, "method not allowed", {"Allow": "POST"})


for _operation in ("stockups", "transfers", "sales", "stock-takings", "stock-taking-dates"):
    for _path in (f"{_BELOW}/{_operation}", f"{_BELOW}/{_operation}/{{id}}"):
        router.add_api_route(_path, read_back, methods=["GET", "PUT", "PATCH", "DELETE"], response_model=None)


async def _called(request: Request, cloud_id: str, warehouse_id: str) -> tuple[Shop, int, int, Row]:
    number, warehouse = within(request, cloud_id), path_id(warehouse_id, "warehouse")
    shop = sandbox_of(request).shop
    if shop.get(number, "warehouses", warehouse) is None:
        raise not_found(f"warehouse {warehouse}")
    return shop, number, warehouse, await body_object(request)


def _items(shop: Shop, cloud_id: int, body: Row) -> _Items:
    """Read all items as product, quantity and price, and check them before any of them is booked."""
    items: _Items = []
    faults: list[tuple[str | None, str]] = []
    for number, item in enumerate(_entries(body)):
        try:
            product = _product(shop, cloud_id, item)
            quantity, price = (wire.read_json(item.get(name), "double") for name in ("quantity", "purchasePrice"))
            if product is None or quantity is None:
                raise ValueError("must name an existing product and a quantity")
            items.append((product, quantity, price))
        except ValueError as error:
            faults.append((f"items[{number}]", str(error)))
    if faults:
        raise RefusedError(400, violations=faults)
    return items


def _counted(
    shop: Shop, cloud_id: int, warehouse: int, body: Row, date: int
) -> tuple[list[tuple[int, float]], str | None]:
    """Return what a stock taking has counted, or why it fails: it is checked only after it was accepted [D2]."""
    counted: list[tuple[int, float]] = []
    for number, item in enumerate(_entries(body)):
        try:
            product, quantity = (
                wire.read_json(item.get("_productId"), "long"),
                wire.read_json(item.get("quantity"), "double"),
            )
        except ValueError as error:
            raise invalid(f"items[{number}]", str(error)) from None
        if product is None or quantity is None:
            raise invalid(f"items[{number}]", "must have _productId and quantity")
        counted.append((product, quantity))
    if date > shop.now():
        return [], "STOCK_TAKING_DATE_IN_FUTURE"
    if any(shop.get(cloud_id, "products", product) is None for product, _ in counted):
        return [], "PRODUCT_DOES_NOT_EXIST"
    if any(shop.stock_takings.get((cloud_id, warehouse, product), date - 1) >= date for product, _ in counted):
        return [], "PRODUCT_STOCK_TAKING_AFTER_DATE"
    return counted, None


def _entries(body: Row) -> list[Row]:
    given = body.get("items")
    if not isinstance(given, list) or not 1 <= len(given) <= _ITEMS or not all(isinstance(i, dict) for i in given):
        raise invalid("items", f"must be an array of 1 to {_ITEMS} objects")
    return given


def _product(shop: Shop, cloud_id: int, item: Row) -> int | None:
    """Return the product of an item, named by id or by external id."""
    if item.get("_productId") is not None:
        number = int(wire.read_json(item["_productId"], "long"))
        return number if shop.get(cloud_id, "products", number) is not None else None
    wanted = item.get("externalId")
    same = (p["id"] for p in shop.rows(cloud_id, "products") if wanted is not None and p["externalId"] == wanted)
    return next(same, None)


def _move(
    shop: Shop,
    cloud_id: int,
    warehouse: int,
    product: int,
    quantity: float,
    price: float | None = None,
    absolute: bool = False,
) -> None:
    changes: Row = {} if price is None else {"purchasePriceWithoutVat": price}
    row = shop.get(cloud_id, "warehouse-products", product, warehouse_id=warehouse)
    if row is None:  # the first time that this warehouse has the product
        whole = shop.get(cloud_id, "products", product) or {}
        known = shop.table(cloud_id, "warehouse-products").entity.fields
        part = {name: value for name, value in whole.items() if name in known}
        shop.insert(
            cloud_id,
            "warehouse-products",
            part | changes | {"_warehouseId": warehouse, "stockQuantityStatus": quantity},
        )
        return
    level = quantity if absolute else round(row["stockQuantityStatus"] + quantity, 6)
    changes["stockQuantityStatus"] = level
    shop.update(cloud_id, "warehouse-products", product, changes, warehouse_id=warehouse)


def _done(shop: Shop) -> Response:
    return answer({"_stockTransactionId": str(shop.new_id())}, 201)  # the answer's shape is [A], 201 is [D2]


def _delivery(body: Row) -> None:
    """Check what goods that come in must be told with."""
    if not isinstance(body.get("invoiceNumber"), str) or not body["invoiceNumber"]:
        raise invalid("invoiceNumber", "must not be empty")
    if not isinstance(body.get("updatePurchasePrice"), bool):
        raise invalid("updatePurchasePrice", "must be true or false")


def _id(value: object, name: str) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"-?\d{1,19}", str(value)):
        raise invalid(name, "must be a whole number")
    return int(str(value))
