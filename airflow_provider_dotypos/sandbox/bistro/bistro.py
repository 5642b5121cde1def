"""A bistro at work: guests arrive with the day's rhythm, order, pay, and sometimes cancel.

The parts of an order follow the samples. Amounts, pace and the share of oddities are invented.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from airflow_provider_dotypos.api.entities import entities
from airflow_provider_dotypos.sandbox.bistro import menu
from airflow_provider_dotypos.sandbox.shop.rows import Rows
from airflow_provider_dotypos.sandbox.shop.table import Row, blank

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000

# Flag bits of orders [D2].
CANCELED_FULL, CANCELLATION, DELIVERY, VAT_PAYER = 1 << 1, 1 << 2, 1 << 16, 1 << 8

CASH, CARD, MEAL_VOUCHER, WOLT = 900000001, 900000002, 900000004, 901000004  # payment methods [D2]

_GUESTS = (3, 4, 4, 10, 14, 11, 5, 3, 3, 5, 9, 11, 9, 5, 1)  # from 8 o'clock on, per hour, in proportion
_SHARE = {hour: guests / sum(_GUESTS) for hour, guests in enumerate(_GUESTS, 8)}
_WEEK = (0.85, 0.9, 0.95, 1.0, 1.35, 1.2, 0.75)  # Monday to Sunday


def arrivals(
    rng: random.Random, start: int, end: int, per_day: float, zone: ZoneInfo, nights: bool = False
) -> Iterator[int]:
    """Yield the times (ms) at which guests arrive, in order. There are peaks at lunch and in the evening.

    :param nights: let some come at night, too, so that a demonstration at midnight has something to show.
    """
    at = start
    while at < end:
        until = min(end, at - at % HOUR + HOUR)
        local = datetime.fromtimestamp(at / 1000, zone)
        share = _SHARE.get(local.hour, 0.0)
        if nights:
            share = max(share, 1 / 24)
        expected = per_day * _WEEK[local.weekday()] * share * (until - at) / HOUR
        yield from sorted(rng.randrange(at, until) for _ in range(poisson(rng, expected)))
        at = until


def poisson(rng: random.Random, expected: float) -> int:
    """Return the number of times that something happens which happens `expected` times on average."""
    if expected > 30:
        return max(0, round(rng.gauss(expected, math.sqrt(expected))))
    limit, count, product = math.exp(-expected), 0, rng.random()
    while product > limit:
        count += 1
        product *= rng.random()
    return count


def dwell(order_id: int) -> int:
    """Return the ms for which guests of an order stay until they pay. Take-away guests hardly stay at all."""
    return (1 + order_id % 4) * MINUTE if order_id % 5 < 2 else (15 + order_id % 61) * MINUTE


def price_of(product: Row) -> float:
    """Return the price with VAT, computed where the product doesn't give it."""
    price = product["priceWithVat"]
    return float(product["priceWithoutVat"] * product["vat"] if price is None else price)


class Bistro:
    """One cloud's bistro, with its menu, tables and people as they are in the shop now."""

    def __init__(self, shop: Rows, cloud_id: int) -> None:
        self.shop = shop
        self.cloud_id = cloud_id
        self.rng = shop.random
        self.house = menu.KRAKOW if shop.currency(cloud_id) == "PLN" else menu.PRAGUE
        self.zone = ZoneInfo(self.house.zone)
        self.branch_id: int = shop.rows(cloud_id, "branches")[0]["id"]
        self.products = [p for p in shop.rows(cloud_id, "products") if not p["deleted"] and p["display"]]
        self.employees = [e["id"] for e in shop.rows(cloud_id, "employees") if e["id"] > 0] or [0]
        self.tables = [t["id"] for t in shop.rows(cloud_id, "tables")]
        self.customers = [c["id"] for c in shop.rows(cloud_id, "customers") if not c["deleted"]]
        self._blank = {
            name: blank(entities()[name], cloud_id, self.house.currency, 0) | {"_branchId": self.branch_id}
            for name in ("orders", "order-items", "money-logs")
        }
        self._orders = shop.table(cloud_id, "orders")
        self._items = shop.table(cloud_id, "order-items")
        self._logs = shop.table(cloud_id, "money-logs")
        self.dayparts = {dish[0]: dish[3] for dishes in self.house.menu.values() for dish in dishes}
        self._weights: dict[str, list[float]] = {}
        self._serial = len(self._orders.rows)

    def order(self, created: int, version: int, picks: Sequence[tuple[Row, float]] | None = None, **fields: Any) -> Row:
        """Open an order with its items, and return it. It isn't paid yet.

        :param picks: products and their quantities. Defaults to what guests order at that time of day.
        """
        rng = self.rng
        self._serial += 1
        local = datetime.fromtimestamp(created / 1000, self.zone)
        order: Row = {
            **self._blank["orders"],
            "id": self.shop.new_id(),
            "_employeeId": rng.choice(self.employees),
            "_tableId": rng.choice(self.tables) if self.tables and rng.random() < 0.6 else None,
            "_customerId": rng.choice(self.customers) if self.customers and rng.random() < 0.15 else None,
            "created": created,
            "updated": created,
            "completed": None,
            "versionDate": version,
            "documentNumber": f"{local:%Y%m%d}{self._serial % 1_000_000:06d}",
            "status": "parked",
            "parked": True,
            "paid": False,
            "flags": VAT_PAYER,
            "guestCount": rng.choice((0, 0, 1, 2, 2, 3, 4)),
            "note": "",
            "tags": [],
            "tipAmount": 0.0,
            **fields,
        }
        chosen = self._guess(local.hour) if picks is None else picks
        self._fill(order, [], [self._item(order, *pick) for pick in chosen])
        return self._orders.put(order)

    def add(self, order: Row, picks: Sequence[tuple[Row, float]], when: int) -> Row:
        """Add items to an open order, and return its new state."""
        fuller = order | {"updated": when, "versionDate": when}
        present = self._items.children(order["id"])
        self._fill(fuller, present, [self._item(fuller, *pick) for pick in picks])
        return self._orders.put(fuller)

    def pay(self, order: Row, completed: int, version: int) -> Row:
        """Let the guests pay an open order, and return its new state."""
        rng = self.rng
        total = order["totalValueRounded"]
        tip = self._rounded(total * 0.1) if rng.random() < 0.12 else 0.0
        closed = {"completed": completed, "updated": completed, "parked": False, "versionDate": version}
        paid = order | closed | {"status": "closed", "paid": True, "tipAmount": tip}
        method = rng.choices((CARD, CASH, MEAL_VOUCHER, WOLT), (56, 34, 7, 3))[0]
        if method == WOLT:
            paid["flags"] |= DELIVERY
            paid["_tableId"] = None
        parts = [total]
        if rng.random() < 0.03:  # two pay separately
            parts = [self._rounded(total / 2), total - self._rounded(total / 2)]
        for number, amount in enumerate(parts):
            self._log("SALE", amount, completed, version, paid, paymentTypeId=method, tipAmount=0.0 if number else tip)
        for item in self._items.children(order["id"]):
            self._items.put(item | closed)
        return self._orders.put(paid)

    def cancel(self, order: Row, when: int) -> Row:
        """Cancel a paid order: mark it, and write the document that cancels it [bits D2, the rest A]."""
        moved = {"updated": when, "versionDate": when}
        cancelled = moved | {"canceledDate": when}
        self._orders.put(order | cancelled | {"flags": order["flags"] | CANCELED_FULL})
        items = self._items.children(order["id"])
        people = {name: order[name] for name in ("_employeeId", "_customerId", "_tableId")}
        flags = order["flags"] & ~CANCELED_FULL | CANCELLATION
        document = self.order(when, when, picks=(), _sourceOrderId=order["id"], flags=flags, **people)
        for item in items:
            self._items.put(item | cancelled)
            ids = {"id": self.shop.new_id(), "_orderId": document["id"], "_relatedOrderItemId": item["id"]}
            times = moved | {"created": when, "completed": when, "canceledDate": None}
            negated = {k: -item[k] for k in ("quantity", "totalPriceWithVat", "totalPriceWithoutVat")}
            self._items.put(item | ids | times | negated)
        for log in self._logs.children(order["id"]):
            fields = {"paymentTypeId": log["paymentTypeId"], "tipAmount": 0.0, "_relatedMoneyLogId": log["id"]}
            self._log("REFUND", -log["amount"], when, when, document, **fields)
        closed = {"completed": when, "status": "closed", "parked": False, "paid": True}
        totals = {"itemCount": len(items), "totalValueRounded": -order["totalValueRounded"]}
        return self._orders.put(document | closed | totals)

    def _fill(self, order: Row, present: Sequence[Row], new: Sequence[Row]) -> None:
        """Add new items to those of an order, and set its totals."""
        for item in new:
            self._items.put(item)
        items = [*present, *new]
        order["itemCount"] = len(items)
        order["totalValueRounded"] = self._rounded(sum(item["totalPriceWithVat"] for item in items))
        order["printData"] = self._receipt(order, items)

    def till(self, kind: str, when: int, amount: float = 0.0) -> Row:
        """Write a movement of the till that belongs to no order. Which order id it carries is [U], 0 here."""
        return self._log(kind, amount, when, when + 400, {"id": 0, "_employeeId": self.employees[0]})

    def _guess(self, hour: int) -> Iterator[tuple[Row, float]]:
        rng = self.rng
        part = "m" if hour < 11 else "l" if hour < 15 else "e"
        if part not in self._weights:
            wanted = {part: 6.0, "a": 2.0}
            weights = (wanted.get(self.dayparts.get(product["name"], "a"), 0.7) for product in self.products)
            self._weights[part] = list(itertools.accumulate(weights))
        count = rng.choices((1, 2, 3, 4, 5, 7), (25, 30, 20, 13, 8, 4))[0]
        for product in rng.choices(self.products, cum_weights=self._weights[part], k=count):
            if product["unit"] == "Kilogram":
                yield product, round(rng.uniform(0.12, 0.9), 3)
            else:
                yield product, float(rng.choices((1, 2, 3), (80, 16, 4))[0])

    def _item(self, order: Row, product: Row, quantity: float) -> Row:
        vat = product["vat"]
        price = price_of(product)
        discount = 10.0 if order["_customerId"] is not None and order["id"] % 3 == 0 else 0.0
        billed = price * (100 - discount) / 100
        return {
            **self._blank["order-items"],
            "id": self.shop.new_id(),
            "_orderId": order["id"],
            "_productId": product["id"],
            **{name: order[name] for name in ("_customerId", "_employeeId", "versionDate")},
            **{name: product[name] for name in ("_categoryId", "name", "unit", "vat")},  # vat: a multiplier [C1]
            "quantity": quantity,
            "unitPriceWithVat": price,
            "unitPriceWithoutVat": price / vat,  # the API doesn't round [D2]
            "billedUnitPriceWithVat": billed,
            "billedUnitPriceWithoutVat": billed / vat,
            "totalPriceWithVat": billed * quantity,
            "totalPriceWithoutVat": billed * quantity / vat,
            "unitPurchasePrice": round(price * 0.28, 2),
            "discountPercent": discount,
            "ean": product["ean"] or [],
            "tags": product["tags"] or [],
            "created": order["created"] + 10 * SECOND,
            "updated": order["created"] + 10 * SECOND,
            "parked": True,
        }

    def _log(self, kind: str, amount: float, when: int, version: int, order: Row, **fields: Any) -> Row:
        return self._logs.put(
            {
                **self._blank["money-logs"],
                "id": self.shop.new_id(),
                "_orderId": order["id"],
                "_employeeId": order["_employeeId"],
                "amount": amount,
                "amountDefaultCurrency": amount,
                "transactionType": kind,
                "tags": [],
                "created": when,
                "versionDate": version,
                **fields,
            }
        )

    def _rounded(self, amount: float) -> float:
        """Round as a till does: whole crowns, or grosze."""
        return float(round(amount)) if self.house.currency == "CZK" else round(amount, 2)

    def _receipt(self, order: Row, items: Sequence[Row]) -> str:
        words, currency = self.house.words, self.house.currency
        local = datetime.fromtimestamp(order["created"] / 1000, self.zone)
        lines = (f"{i['name'][:24]:<24} {i['quantity']:>6g} x {i['unitPriceWithVat']:>8.2f}" for i in items)
        head = (self.house.name, self.house.city, f"{words['receipt']} {order['documentNumber']}")
        rule = "-" * 42
        total = f"{words['total']:<24} {order['totalValueRounded']:>13.2f} {currency}"
        return "\n".join((*head, f"{local:%d.%m.%Y %H:%M}", rule, *lines, rule, total, words["thanks"]))
