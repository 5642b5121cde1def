"""The data behind the sandbox: clouds, their rows, and a clock. Pure memory, no sockets.

Rows are kept in an internal form: ids are ints, times are ints of epoch **milliseconds**, numbers are ints,
floats or Decimals. How they look in an answer is ``wire``'s business.
"""

from __future__ import annotations

import gc
import random
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from airflow_provider_dotypos.api.entities import Entity, entities
from airflow_provider_dotypos.sandbox.api import lists
from airflow_provider_dotypos.sandbox.behaviour import BEST_KNOWN, Behaviour
from airflow_provider_dotypos.sandbox.bistro import furnish, life, menu
from airflow_provider_dotypos.sandbox.errors import RefusedError
from airflow_provider_dotypos.sandbox.shop.query import Row
from airflow_provider_dotypos.sandbox.shop.table import Table, blank, stored

PRAGUE, KRAKOW, FOREIGN = 310_101_001, 320_202_002, 390_909_009
Rows = list[Row]  # inside the class, list is a method
_NO_TABLE = ("manifest", "sales-report")
_FIRST_ID = 4_100_000_000_000_000  # real ids have up to 16 digits [C3]


class Shop:
    """A few Dotypos clouds in memory.

    :ivar cloud_ids: the two clouds that the sandbox's token may use; ``foreign_cloud_id``: one that it may
        not.
    :ivar lively: whether ``advance`` also makes up what happens in the time that passes.
    :ivar ticking: whether the clock runs by itself; if not, only ``advance`` moves it.
    :ivar order_version_moves_with_items: see ``Behaviour``.
    """

    def __init__(self, now: datetime | None = None, seed: int = 1) -> None:
        self._stopped_at = _real_ms()
        self._offset = stored(now) - self._stopped_at if now is not None else 0
        self._ticking = False  # while it is being furnished, so that the same seed makes the same shop
        self._next_id = _FIRST_ID
        self._tables: dict[tuple[int, str], Table] = {}
        self.lock = threading.RLock()
        self.random = random.Random(seed)
        self.stock_takings: dict[tuple[int, int, int], int] = {}  # (cloud, warehouse, product): when counted
        self.issued_orders: set[int] = set()  # their documents were issued by a POS action
        self.lively = False
        self.orders_per_day = 120
        self._lived_until = self.now()
        self.order_version_moves_with_items = False
        self.cloud_ids: tuple[int, int] = (PRAGUE, KRAKOW)
        self.foreign_cloud_id = FOREIGN

    @classmethod
    def empty(cls, now: datetime | None = None, seed: int = 1, *, ticking: bool = True) -> Shop:
        """Return a shop with its three clouds, their branches, warehouses and taxes, and nothing else.

        :param now: what its clock shows; default: the real time.
        :param ticking: whether the clock runs.
        """
        shop = cls(now, seed)
        furnish.found(shop, PRAGUE, menu.PRAGUE)
        furnish.found(shop, KRAKOW, menu.KRAKOW)
        furnish.found(shop, FOREIGN, menu.PRAGUE, name="Somebody else's bistro")
        shop._open(now, ticking)
        return shop

    @classmethod
    def generate(
        cls,
        seed: int = 1,
        days: int = 60,
        now: datetime | None = None,
        orders_per_day: int = 120,
        *,
        ticking: bool = True,
    ) -> Shop:
        """Return two bistros with their history, the same for the same arguments.

        :param now: the end of the history, and what the shop's clock shows; default: the real time.
        :param orders_per_day: orders on an average day in each of the two clouds.
        """
        shop = cls.empty(now, seed, ticking=False)
        shop.orders_per_day = orders_per_day
        collecting = gc.isenabled()
        gc.disable()  # rows hold no cycles; looking for some while they pile up would double the time
        try:
            furnish.furnish(shop, PRAGUE, menu.PRAGUE, days, orders_per_day)
            furnish.furnish(shop, KRAKOW, menu.KRAKOW, days, orders_per_day)
        finally:
            if collecting:
                gc.enable()
        for _, _, table in shop.tables():
            table.forget()
        shop._open(now, ticking)
        return shop

    def _open(self, now: datetime | None, ticking: bool) -> None:
        """Let the clock run: from `now` on, or, without it, with the real time."""
        if now is None:
            self._stopped_at, self._offset = _real_ms(), 0
        self._lived_until = self.now()
        self.ticking = ticking

    # The clock

    def now(self) -> int:
        """Return the shop's time in epoch milliseconds."""
        return (_real_ms() if self._ticking else self._stopped_at) + self._offset

    @property
    def ticking(self) -> bool:
        """Whether the clock runs by itself."""
        return self._ticking

    @ticking.setter
    def ticking(self, running: bool) -> None:
        if running == self._ticking:
            return
        real = _real_ms()
        if running:
            self._offset += self._stopped_at - real
        self._stopped_at, self._ticking = real, running

    def advance(self, seconds: float) -> None:
        """Move the clock on; in a lively shop, what happens meanwhile happens.

        Whatever happens gets a version date between the clock's old and new time, so nothing appears behind
        the back of a reader who has read up to the old time.
        """
        if seconds < 0:
            raise ValueError("time doesn't run backwards")
        with self.lock:
            before = self.now()
            self._offset += round(seconds * 1000)
            if self.lively:
                after = self.now()
                life.live(self, self._lived_until, before, after, self.orders_per_day)
                self._lived_until = after

    # Rows

    def insert(self, cloud_id: int, entity: str, row: Mapping[str, Any] | None = None) -> Row:
        """Store a row and return it. What `row` gives is kept, also a cursor or None; the rest is filled."""
        table = self.table(cloud_id, entity)
        given = _checked(table.entity, row or {})
        with self.lock:
            full = blank(table.entity, cloud_id, self.currency(cloud_id), self.now()) | given
            for name in table.entity.primary_key:
                if name not in given:
                    full[name] = self.new_id()
            if table.key(full) in table.rows:
                raise ValueError(f"{entity} has a row {table.key(full)} already")
            table.put(full)
            self._moved(cloud_id, table.entity, full)
            return full

    def update(self, cloud_id: int, entity: str, id: int, changes: Mapping[str, Any], **placeholders: int) -> Row:
        """Change a row and return it; its version date moves to now unless `changes` sets it.

        :raises KeyError: there is no such row.
        """
        table = self.table(cloud_id, entity)
        given = _checked(table.entity, changes)
        with self.lock:
            row = self.get(cloud_id, entity, id, **placeholders)
            if row is None:
                raise KeyError(id)
            moved = {name: self.now() for name in _moving(table.entity, given)}
            full = row | moved | given
            if table.key(full) != table.key(row):
                raise ValueError("a row's id can't change")
            table.put(full)
            self._moved(cloud_id, table.entity, full, since=row)
            return full

    def delete(self, cloud_id: int, entity: str, id: int, **placeholders: int) -> Row:
        """Delete a row: softly where the entity has ``deleted`` [D2], otherwise for good [U]. Return it."""
        if entities()[entity].has_deleted:
            return self.update(cloud_id, entity, id, {"deleted": True}, **placeholders)
        return self.remove(cloud_id, entity, id, **placeholders)

    def remove(self, cloud_id: int, entity: str, id: int, **placeholders: int) -> Row:
        """Take a row out without a trace, and return what it was."""
        with self.lock:
            row = self.get(cloud_id, entity, id, **placeholders)
            if row is None:
                raise KeyError(id)
            table = self.table(cloud_id, entity)
            table.drop(table.key(row))
            return row

    def get(self, cloud_id: int, entity: str, id: int, **placeholders: int) -> Row | None:
        """Return the stored row with this id, deleted or not."""
        table = self.table(cloud_id, entity)
        if len(table.entity.primary_key) == 1:
            return table.rows.get((id,))
        wanted = placeholders.get("warehouse_id")
        with self.lock:
            found = (row for row in table.rows.values() if row["id"] == id)
            return next((row for row in found if wanted in (None, row["_warehouseId"])), None)

    def rows(self, cloud_id: int, entity: str) -> Rows:
        """Return all stored rows, deleted ones too, in the order in which they came. Don't change them."""
        with self.lock:
            return list(self.table(cloud_id, entity).rows.values())

    def table(self, cloud_id: int, entity: str) -> Table:
        """Return the table that holds the rows of an entity. Clouds themselves lie above all clouds."""
        if entity not in entities() or entity in _NO_TABLE:
            raise ValueError(f"the shop keeps no rows of {entity!r}")
        place = (0 if entity == "clouds" else cloud_id, entity)
        with self.lock:
            if place not in self._tables:
                self._tables[place] = Table(entities()[entity])
            return self._tables[place]

    def new_id(self) -> int:
        """Return an id that no row has: 16 digits, rising, as ids of real rows are."""
        with self.lock:
            self._next_id += self.random.randint(1, 9999)
            return self._next_id

    def cloud(self, cloud_id: int) -> Row | None:
        """Return the cloud with this id."""
        return self.table(0, "clouds").rows.get((cloud_id,))

    def currency(self, cloud_id: int) -> str:
        """Return the currency of a cloud."""
        cloud = self.cloud(cloud_id)
        return "PLN" if cloud is not None and cloud["country"] == "PL" else "CZK"

    def open_orders(self, cloud_id: int) -> Rows:
        """Return the orders that are neither completed nor cancelled [A: what the API calls open]."""
        orders = self.rows(cloud_id, "orders")
        return [row for row in orders if row["completed"] is None and row["canceledDate"] is None]

    def _moved(self, cloud_id: int, entity: Entity, row: Row, since: Row | None = None) -> None:
        """Carry a change of one row over to the rows that follow it."""
        if entity.name == "products":  # the product part of stock rows is the product itself [D]
            stock = self.table(cloud_id, "warehouse-products")
            for other in [r for r in stock.rows.values() if r["id"] == row["id"]]:
                stock.put(other | {k: v for k, v in row.items() if k in other and k != "purchasePriceWithoutVat"})
        if entity.name in ("order-items", "money-logs") and self.order_version_moves_with_items:  # [U]
            orders = self.table(cloud_id, "orders")
            order = orders.rows.get((row["_orderId"],))
            if order is not None and (row["versionDate"] or 0) > (order["versionDate"] or 0):
                orders.put(order | {"versionDate": row["versionDate"]})

    def list(
        self,
        cloud_id: int,
        entity: str,
        params: Mapping[str, str] | None = None,
        behaviour: Behaviour = BEST_KNOWN,
        headers: Mapping[str, str] | None = None,
        **placeholders: int,
    ) -> tuple[int, bytes]:
        """Return the status and body that a list request is answered with.

        :param params: the query parameters, decoded.
        :param headers: request headers; only ``Allow-Version`` matters.
        :param placeholders: what the entity lies below, such as ``warehouse_id``.
        """
        try:
            page = lists.page(self, cloud_id, entity, params or {}, behaviour, headers or {}, None, **placeholders)
        except RefusedError as refusal:
            return refusal.status, refusal.body()
        return page.status, page.body

    def tables(self) -> Iterator[tuple[int, str, Table]]:
        """Yield every table that holds rows, with its cloud and entity."""
        for (cloud_id, entity), table in sorted(self._tables.items()):
            if table.rows:
                yield cloud_id, entity, table


def _checked(entity: Entity, row: Mapping[str, Any]) -> Row:
    for name in row:
        entity.field(name)
    return {name: stored(value) for name, value in row.items()}


def _moving(entity: Entity, changes: Mapping[str, Any]) -> set[str]:
    """Return the time fields that a change moves to now."""
    if entity.name == "warehouse-products":  # stock and product part have a cursor each [D]
        stock = {"stockQuantityStatus", "purchasePriceWithoutVat"}
        return ({"stockStatusVersiondate"} if stock & set(changes) else set()) | (
            {"versionDate"} if set(changes) - stock else set()
        )
    return {name for name in ("versionDate", "modified", "updated", "version") if name in entity.fields}


def _real_ms() -> int:
    return time.time_ns() // 1_000_000
