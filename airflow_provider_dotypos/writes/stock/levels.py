"""What warehouses hold of some products, and what that says of a booking whose answer was lost.

https://docs.api.dotypos.com/entity/warehouse
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from airflow_provider_dotypos.api.page import SECOND, timestamp

#: How far a difference of two levels may be off: they are doubles.
_OFF = Decimal("0.000001")


class Level(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a warehouse holds of a product, in the API's form.

    :param quantity: ``stockQuantityStatus``; ``None`` if it has never held any.
    :param version: ``stockStatusVersiondate``, which moves with each movement.
    :param price: ``purchasePriceWithoutVat``.
    :param kept: ``stockDeduct``: whether stock is kept of the product.
    """

    quantity: str | None = None
    version: str | None = None
    price: str | None = None
    kept: bool = True

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Level:
        """Return the level that a row of ``warehouse-products`` shows."""
        names = ("stockQuantityStatus", "stockStatusVersiondate", "purchasePriceWithoutVat")
        quantity, version, price = (None if row.get(name) is None else str(row[name]) for name in names)
        return cls(quantity, version, price, row.get("stockDeduct") is not False)

    @property
    def number(self) -> Decimal:
        """The quantity as a number."""
        return Decimal(self.quantity or "0")


#: By warehouse and product.
Levels: TypeAlias = Mapping[str, Mapping[str, Level]]

#: Of a warehouse that has never held a product.
_NONE = Level()


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of the stock before a booking is sent, and what that will change.

    :param before: the levels.
    :param moves: by how much each product moves, by warehouse and product.
    :param prices: the purchase prices that it sets, by product.
    :param since: when the levels were read, by the server's clock (epoch ms).
    """

    before: Levels
    moves: Mapping[str, Mapping[str, Decimal]]
    prices: Mapping[str, Decimal] = {}
    since: int = 0

    def weigh(self, after: Levels) -> Literal["applied", "not-applied", "uncertain"]:
        """Return what levels say of the booking, once it would show.

        It is done if each product has moved by exactly its quantity, or has moved and got the purchase price that the
        booking sets, which no sale does. It isn't if nothing has moved. Otherwise something else has moved products
        meanwhile, or it was booked twice, or an earlier movement shows only now: of two equal deliveries in a row the
        first would pass for the second.
        """
        traces = [*self._traces(after)]
        if all(trace.before == trace.after for trace in traces):
            return "not-applied"
        is_booked = all(trace.shows_booking for trace in traces) and not self.shows_twice(after)
        return "applied" if is_booked else "uncertain"

    def shows_twice(self, after: Levels) -> bool:
        """Return whether levels are as if the booking was carried out twice."""
        traces = [trace for trace in self._traces(after) if trace.quantity]
        return bool(traces) and all(trace.shows_booking_times(2) for trace in traces)

    def describe(self, after: Levels) -> list[dict[str, str | None]]:
        """Return the evidence for people: what each level was, is, and by how much it was to move."""
        return [
            {
                "_warehouseId": trace.warehouse,
                "_productId": trace.product,
                "quantity": format(trace.quantity, "f"),
                "before": trace.before.quantity,
                "after": trace.after.quantity,
                "changed": trace.after.version,
            }
            for trace in self._traces(after)
        ]

    def _traces(self, after: Levels) -> Iterator[_Trace]:
        for warehouse, quantities in self.moves.items():
            for product, quantity in quantities.items():
                was, now = (levels.get(warehouse, {}).get(product, _NONE) for levels in (self.before, after))
                yield _Trace(warehouse, product, quantity, was, now, self.prices.get(product), self.since)


class _Trace(NamedTuple):
    """What a booking may have left of one product in one warehouse."""

    warehouse: str
    product: str
    quantity: Decimal
    before: Level
    after: Level
    price: Decimal | None
    since: int

    @property
    def shows_booking(self) -> bool:
        """Whether the level is what the booking makes of it."""
        if self.before == self.after or not self._has_moved_since:
            return False
        if self.price is not None and _is(self.after.price, self.price) and not _is(self.before.price, self.price):
            return True
        return self.shows_booking_times(1)

    def shows_booking_times(self, times: int) -> bool:
        """Return whether the level has moved by so many times the quantity."""
        return abs(self.after.number - self.before.number - times * self.quantity) <= _OFF

    @property
    def _has_moved_since(self) -> bool:
        """Whether the last movement came after the levels were read. The API may show no fraction of a second [U]."""
        moved = 0 if self.after.version is None else timestamp(self.after.version)
        return moved >= (self.since if moved % SECOND else self.since // SECOND * SECOND)


def _is(text: str | None, number: Decimal) -> bool:
    return text is not None and float(text) == float(number)  # doubles, as the API keeps them


def sum_up(quantities: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    """Return the quantities of products, each of which may be named more than once."""
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for product, quantity in quantities:
        sums[product] += quantity
    return dict(sums)
