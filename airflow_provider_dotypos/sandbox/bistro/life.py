"""Events in a shop: its past, and, in a lively shop, its life while the clock moves on."""

from __future__ import annotations

from datetime import date, datetime

from airflow_provider_dotypos.sandbox.bistro.bistro import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Bistro,
    arrivals,
    dwell,
    poisson,
    price_of,
)
from airflow_provider_dotypos.sandbox.shop.rows import Rows
from airflow_provider_dotypos.sandbox.shop.table import Row


def live_through(shop: Rows, cloud_id: int, days: int, orders_per_day: float) -> None:
    """Give a cloud a past of so many days. Some of its orders were synchronised late."""
    bistro, end = Bistro(shop, cloud_id), shop.now()
    rng = bistro.rng
    today: date | None = None
    for moment in arrivals(rng, end - days * DAY, end, orders_per_day, bistro.zone):
        local = datetime.fromtimestamp(moment / 1000, bistro.zone)
        if local.date() != today:
            today = local.date()
            _open_and_close(bistro, local, end)
        version = moment + rng.randrange(300, 4000)
        if version >= end:
            return
        order = bistro.order(moment, version)
        completed = moment + dwell(order["id"])
        if completed + 5 * SECOND >= end:
            continue  # still open
        lag = rng.randrange(200, 5000)
        if rng.random() < 0.02:  # the register was offline for a while: version dates are later than its own times [A]
            lag += rng.randrange(HOUR, 8 * HOUR)
        order = bistro.pay(order, completed, min(completed + lag, end - 1))
        fate = rng.random()
        if fate < 0.012:
            bistro.cancel(order, min(completed + rng.randrange(5 * MINUTE, 2 * HOUR), end - 1))
        elif fate < 0.03:  # somebody adds a note later
            when = min(completed + rng.randrange(HOUR, 3 * DAY), end - 1)
            note = {"note": bistro.house.words["regulars"], "updated": when, "versionDate": when}
            bistro.shop.table(bistro.cloud_id, "orders").put(order | note)


def _open_and_close(bistro: Bistro, local: datetime, end: int) -> None:
    """Open and close the till on a day, and note who works."""
    opening = round((local.replace(hour=7, minute=30)).timestamp() * 1000)
    closing = opening + 16 * HOUR
    for kind, when, cash in (("REGISTER_OPEN", opening, 2000.0), ("REGISTER_CLOSE", closing, 0.0)):
        if when + SECOND < end:
            bistro.till(kind, when, cash)
    for number, employee in enumerate(bistro.employees):
        came, left = opening + number * 7 * MINUTE, closing - number * 11 * MINUTE
        for event, when in (("CHECK_IN", came), ("CHECK_OUT", left)):
            if when + SECOND < end:
                whose = {"_branchId": bistro.branch_id, "_employeeId": employee}
                times = {"created": when, "versionDate": when + 700}
                bistro.shop.insert(bistro.cloud_id, "attendances", {"event": event, **whose, **times})


def live(shop: Rows, since: int, before: int, after: int, orders_per_day: float) -> None:
    """Let guests come and pay between `since` and `after`, and let stock, prices and customers change.

    :param before: the time that the clock showed until now. Every event gets a version date after it, so that nothing
        appears behind the back of a reader who has read up to that time.
    """
    for cloud_id in shop.cloud_ids:
        bistro = Bistro(shop, cloud_id)
        if bistro.products:
            _let_guests_come(bistro, since, before, after, orders_per_day)
            _change_things(bistro, (after - since) / HOUR)


def _let_guests_come(bistro: Bistro, since: int, before: int, after: int, per_day: float) -> None:
    shop, cloud_id = bistro.shop, bistro.cloud_id
    for moment in arrivals(bistro.rng, since, after, per_day, bistro.zone, nights=True):
        bistro.order(moment, max(before + 1, moment))
    for order in shop.open_orders(cloud_id):
        due = order["created"] + dwell(order["id"])
        if due > after:
            continue
        paid = _pay(bistro, order, due, max(before + 1, due))
        if bistro.rng.random() < 0.012:
            bistro.cancel(paid, max(before + 1, due))


def _pay(bistro: Bistro, order: Row, completed: int, version: int) -> Row:
    """Let the guests pay an open order, and take what they had from stock; return the order's new state."""
    paid = bistro.pay(order, completed, version)
    for item in bistro.shop.table(bistro.cloud_id, "order-items").children(order["id"]):
        _deduct(bistro.shop, bistro.cloud_id, item["_productId"], item["quantity"])
    return paid


def _deduct(shop: Rows, cloud_id: int, product_id: int, quantity: float) -> None:
    stock = shop.get(cloud_id, "warehouse-products", product_id)
    if stock is not None:
        left = stock["stockQuantityStatus"] - quantity
        level = round(left if left > 0 else left + 100, 3)  # a delivery came just in time
        changes = {"stockQuantityStatus": level}
        shop.update(cloud_id, "warehouse-products", product_id, changes, warehouse_id=stock["_warehouseId"])


def sell(shop: Rows, cloud_id: int) -> Row | None:
    """Let a guest order something and pay at once, as a register does; return the order.

    :return: ``None`` if the cloud has nothing to sell.
    """
    with shop.lock:
        bistro = Bistro(shop, cloud_id)
        if not bistro.products:
            return None
        now = shop.now()
        return _pay(bistro, bistro.order(now, now), now, now)


def change_price(shop: Rows, cloud_id: int, product_id: int | None = None, price: float | None = None) -> Row | None:
    """Give a product another price, as a register does; return the product.

    :param product_id: Defaults to any that is sold.
    :param price: with VAT. Defaults to a tenth more.
    :return: ``None`` if there is no such product.
    """
    with shop.lock:
        products = Bistro(shop, cloud_id).products
        wanted = [product for product in products if product_id in (None, product["id"])]
        if not wanted:
            return None
        product = shop.random.choice(wanted)
        return _set_price(shop, product, round(price_of(product) * 1.1, 1) if price is None else price)


def _set_price(shop: Rows, product: Row, price: float) -> Row:
    prices = {"priceWithVat": price, "priceWithoutVat": price / product["vat"]}
    return shop.update(product["_cloudId"], "products", product["id"], prices)


def _change_things(bistro: Bistro, hours: float) -> None:
    shop, rng, cloud_id = bistro.shop, bistro.rng, bistro.cloud_id
    for _ in range(poisson(rng, 1.5 * hours)):
        product = rng.choice(bistro.products)
        _set_price(shop, product, round(price_of(product) * rng.uniform(0.95, 1.1), 1))
    for _ in range(poisson(rng, 2 * hours) if bistro.customers else 0):
        customer = shop.get(cloud_id, "customers", rng.choice(bistro.customers))
        if customer is not None:
            points = {"points": customer["points"] + rng.randrange(1, 30)}
            shop.update(cloud_id, "customers", customer["id"], points)
    for _ in range(poisson(rng, 0.5 * hours)):
        number = len(shop.rows(cloud_id, "customers"))
        first, last = rng.choice(bistro.house.first_names), rng.choice(bistro.house.last_names)
        names = {"firstName": first, "lastName": last, "email": f"guest{number}@example.invalid"}
        shop.insert(cloud_id, "customers", {**names, "barcode": f"{number:012d}", "display": True})
