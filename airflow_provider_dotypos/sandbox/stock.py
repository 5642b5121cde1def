"""Warehouse operations: stock-ups, transfers, sales and stock takings [D2, C3]. The body is one object."""

from __future__ import annotations

import re
from typing import Any

from fastapi import APIRouter, Request, Response

from airflow_provider_dotypos.sandbox import wire
from airflow_provider_dotypos.sandbox.calls import answer, body_object, path_id, sandbox_of, within
from airflow_provider_dotypos.sandbox.errors import RefusedError, invalid, not_found
from airflow_provider_dotypos.sandbox.query import Row
from airflow_provider_dotypos.sandbox.shop import Shop

router = APIRouter()

_BELOW = "/v2/clouds/{cloud_id}/warehouses/{warehouse_id}"
_ITEMS = 100  # [D2]
_Items = list[tuple[int, float, Row]]


@router.post(_BELOW + "/stockups", response_model=None)
async def stock_up(request: Request, cloud_id: str, warehouse_id: str) -> Response:
    """Take goods in; a negative quantity takes some out."""
    shop, number, warehouse, body = await _called(request, cloud_id, warehouse_id)
    _text(body, "invoiceNumber")
    with shop.lock:
        for product, quantity, item in _items(shop, number, body):
            price = item.get("purchasePrice") if body.get("updatePurchasePrice") else None
            _move(shop, number, warehouse, product, quantity, price)
    return _done(shop)


@router.post(_BELOW + "/transfers", response_model=None)
async def transfer(request: Request, cloud_id: str, warehouse_id: str) -> Response:
    """Move goods here from another warehouse."""
    shop, number, warehouse, body = await _called(request, cloud_id, warehouse_id)
    _text(body, "invoiceNumber")
    origin = _id(body.get("_originWarehouseId"), "_originWarehouseId")
    if shop.get(number, "warehouses", origin) is None or origin == warehouse:
        raise invalid("_originWarehouseId", "must be another warehouse of the cloud")
    with shop.lock:
        for product, quantity, _ in _items(shop, number, body):
            _move(shop, number, origin, product, -quantity)
            _move(shop, number, warehouse, product, quantity)
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
    """Set quantities as counted. How it ended is read from ``statusWebhookUrl`` [D2]."""
    shop, number, warehouse, body = await _called(request, cloud_id, warehouse_id)
    try:
        date = wire.read_json(body.get("stockTakingDate"), "timestamp")
    except ValueError as error:
        raise invalid("stockTakingDate", str(error)) from None
    if date is None:
        raise invalid("stockTakingDate", "must not be null")
    transaction = shop.new_id()
    reason = "STOCK_TAKING_DATE_IN_FUTURE" if date > shop.now() else None
    with shop.lock:
        if reason is None:
            for product, quantity, _ in _items(shop, number, body):
                _move(shop, number, warehouse, product, quantity, absolute=True)
                shop.stock_takings[number, warehouse, product] = date
    status = {"status": "FAILED" if reason else "FINISHED", "reason": reason, "message": None}
    sandbox = sandbox_of(request)
    sandbox.stock_taking_results[transaction] = status
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
    """Tell how a stock taking went; whether the real one wants a token is [U], here it doesn't."""
    found = sandbox_of(request).stock_taking_results.get(path_id(transaction, "stock taking"))
    if found is None:
        raise not_found(f"stock taking {transaction}")
    return answer(found)


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


async def _called(request: Request, cloud_id: str, warehouse_id: str) -> tuple[Shop, int, int, Row]:
    number, warehouse = within(request, cloud_id), path_id(warehouse_id, "warehouse")
    shop = sandbox_of(request).shop
    if shop.get(number, "warehouses", warehouse) is None:
        raise not_found(f"warehouse {warehouse}")
    return shop, number, warehouse, await body_object(request)


def _items(shop: Shop, cloud_id: int, body: Row) -> _Items:
    """Read and check all items before any of them is booked."""
    given = body.get("items")
    if not isinstance(given, list) or not 1 <= len(given) <= _ITEMS:
        raise invalid("items", f"must be an array of 1 to {_ITEMS}")
    items: _Items = []
    faults: list[tuple[str | None, str]] = []
    for number, item in enumerate(given):
        at = f"items[{number}]"
        try:
            product = _product(shop, cloud_id, item if isinstance(item, dict) else {})
            quantity = wire.read_json(item["quantity"], "double")
            if product is None or quantity is None:
                raise ValueError("must name an existing product and a quantity")
            items.append((product, quantity, item))
        except (KeyError, TypeError, ValueError) as error:
            faults.append((at, str(error) if isinstance(error, ValueError) else "must have a product and a quantity"))
    if faults:
        raise RefusedError(400, violations=faults)
    return items


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
    price: Any = None,
    absolute: bool = False,
) -> None:
    changes: Row = {} if price is None else {"purchasePriceWithoutVat": float(price)}
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


def _text(body: Row, name: str) -> None:
    if not isinstance(body.get(name), str) or not body[name]:
        raise invalid(name, "must not be empty")


def _id(value: object, name: str) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"-?\d{1,19}", str(value)):
        raise invalid(name, "must be a whole number")
    return int(str(value))
