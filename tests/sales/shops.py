"""Shops whose sales are compared: two branches around a change of clocks, with all that a report counts or doesn't."""

from __future__ import annotations

import random
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from airflow_provider_dotypos.sandbox import Shop

PRAGUE = ZoneInfo("Europe/Prague")

#: The compared days; clocks go forward on the 29th.
SINCE, UNTIL = "2026-03-01", "2026-04-01"

SECOND = 1000


def ms(text: str) -> int:
    """Return a time of Prague's clocks as epoch milliseconds."""
    return round(datetime.fromisoformat(text).replace(tzinfo=PRAGUE).timestamp() * 1000)


#: The first and last moments of days, and those around the change of clocks.
EDGES = [
    *(ms(f"2026-03-{day:02}T{time}") for day in (1, 28, 29, 30, 31) for time in ("00:00", "23:59:59.999")),
    *(ms("2026-03-29T01:59:59.999"), ms("2026-03-29T03:00"), ms("2026-02-28T23:59:59.999"), ms("2026-04-01T00:00")),
]


def fill(shop: Shop, cloud: int, orders: int = 300, seed: int = 1) -> list[int]:
    """Give a cloud two branches with sales; return the ids of the branches."""
    rng = random.Random(seed)
    first = shop.rows(cloud, "branches")[0]["id"]
    second = shop.insert(cloud, "branches", {"id": first + 1, "name": "Second"})["id"]
    moments = EDGES + [rng.randrange(EDGES[0], EDGES[-1]) for _ in range(orders)]
    for moment in moments:
        add_order(shop, cloud, rng.choice((first, second)), moment, rng)
    return [first, second]


def add_order(shop: Shop, cloud: int, branch: int, moment: int, rng: random.Random, **fields: object) -> int:
    """Add an order with its items that was completed at a moment; return its id."""
    kind = rng.choices(
        ("RECEIPT", "INVOICE", "CORRECTIVE_INVOICE", "CASH_IN", "INVOICE_FROM_RECEIPTS"), (90, 5, 2, 2, 1)
    )[0]
    total = Decimal(rng.randrange(-500, 200_000)) / 100
    common = {"_branchId": branch, "completed": moment, "versionDate": moment + rng.randrange(10 * SECOND)}
    order = {
        "totalValueRounded": float(total),
        "documentType": kind,
        "flags": rng.choices((256, 258, 260, 257), (94, 2, 2, 2))[0],
        "paid": rng.random() < 0.95,
        "note": "Jana Nováková",
        **common,
        **fields,
    }
    order_id = shop.insert(cloud, "orders", order)["id"]
    if kind in ("RECEIPT", "INVOICE", "CORRECTIVE_INVOICE"):
        for _ in range(rng.randrange(1, 4)):
            price = rng.randrange(100, 30_000) / 100 * rng.choice((1, 0.9, 0.345))
            prices = {"totalPriceWithVat": price, "totalPriceWithoutVat": price / 1.21}
            shop.insert(cloud, "order-items", {"_orderId": order_id, **prices, **common})
    return int(order_id)
