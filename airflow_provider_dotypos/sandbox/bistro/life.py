"""What happens in a shop: its past, and, in a lively shop, what comes while its clock moves on."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from airflow_provider_dotypos.sandbox.shop.shop import Shop


def history(bistro: Bistro, start: int, end: int, per_day: float) -> None:
    """Live through the past: orders between two times, some of them synchronised late."""
    rng = bistro.rng
    day_of: str | None = None
    for moment in arrivals(rng, start, end, per_day, bistro.zone):
        local = datetime.fromtimestamp(moment / 1000, bistro.zone)
        if local.date().isoformat() != day_of:
            day_of = local.date().isoformat()
            _day(bistro, local, end)
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


def _day(bistro: Bistro, local: datetime, end: int) -> None:
    """Open and close the till, and note who works."""
    opening = round((local.replace(hour=7, minute=30)).timestamp() * 1000)
    closing = opening + 16 * HOUR
    for kind, when in (("REGISTER_OPEN", opening), ("REGISTER_CLOSE", closing)):
        if when + SECOND < end:
            bistro.till(kind, when, 2000.0 if kind == "REGISTER_OPEN" else 0.0)
    for number, employee in enumerate(bistro.employees):
        for event, when in (
            ("CHECK_IN", opening + number * 7 * MINUTE),
            ("CHECK_OUT", closing - number * 11 * MINUTE),
        ):
            if when + SECOND < end:
                bistro.shop.insert(
                    bistro.cloud_id,
                    "attendances",
                    {
                        "_branchId": bistro.branch_id,
                        "_employeeId": employee,
                        "event": event,
                        "created": when,
                        "versionDate": when + 700,
                    },
                )


def live(shop: Shop, since: int, before: int, after: int, orders_per_day: float) -> None:
    """Let happen what happens between `since` and `after`: orders, payments, stock, prices, customers.

    :param before: the time shown until now: whatever happens gets a version date after it, so that it can't
        appear behind the back of somebody who has read up to that time.
    """
    for cloud_id in shop.cloud_ids:
        bistro = Bistro(shop, cloud_id)
        if bistro.products:
            _orders(bistro, since, before, after, orders_per_day)
            _changes(bistro, (after - since) / HOUR)


def _orders(bistro: Bistro, since: int, before: int, after: int, per_day: float) -> None:
    shop, cloud_id = bistro.shop, bistro.cloud_id
    for moment in arrivals(bistro.rng, since, after, per_day, bistro.zone, nights=True):
        bistro.order(moment, max(before + 1, moment))
    for order in shop.open_orders(cloud_id):
        due = order["created"] + dwell(order["id"])
        if due > after:
            continue
        paid = bistro.pay(order, due, max(before + 1, due))
        for item in shop.table(cloud_id, "order-items").children(order["id"]):
            _sold(shop, cloud_id, item["_productId"], item["quantity"])
        if bistro.rng.random() < 0.012:
            bistro.cancel(paid, max(before + 1, due))


def _sold(shop: Shop, cloud_id: int, product_id: int, quantity: float) -> None:
    stock = shop.get(cloud_id, "warehouse-products", product_id)
    if stock is not None:
        left = stock["stockQuantityStatus"] - quantity
        level = round(left if left > 0 else left + 100, 3)  # a delivery came just in time
        shop.update(
            cloud_id,
            "warehouse-products",
            product_id,
            {"stockQuantityStatus": level},
            warehouse_id=stock["_warehouseId"],
        )


def _changes(bistro: Bistro, hours: float) -> None:
    shop, rng, cloud_id = bistro.shop, bistro.rng, bistro.cloud_id
    for _ in range(poisson(rng, 1.5 * hours)):
        product = rng.choice(bistro.products)
        price = round(price_of(product) * rng.uniform(0.95, 1.1), 1)
        shop.update(
            cloud_id,
            "products",
            product["id"],
            {"priceWithVat": price, "priceWithoutVat": price / product["vat"]},
        )
    for _ in range(poisson(rng, 2 * hours) if bistro.customers else 0):
        chosen = shop.get(cloud_id, "customers", rng.choice(bistro.customers))
        if chosen is not None:
            shop.update(cloud_id, "customers", chosen["id"], {"points": chosen["points"] + rng.randrange(1, 30)})
    for _ in range(poisson(rng, 0.5 * hours)):
        number = len(shop.rows(cloud_id, "customers"))
        house = bistro.house
        shop.insert(
            cloud_id,
            "customers",
            {
                "firstName": rng.choice(house.first_names),
                "lastName": rng.choice(house.last_names),
                "email": f"guest{number}@example.invalid",
                "barcode": f"{number:012d}",
                "display": True,
            },
        )
