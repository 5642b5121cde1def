"""The rows of the sandbox's clouds, and their clock. Pure memory, no sockets.

Rows are kept in an internal form: ids are ints, times are ints of epoch **milliseconds**, numbers are ints, floats or
Decimals. ``api/wire.py`` gives them the form of an answer.
"""

from __future__ import annotations

import functools
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from airflow_provider_dotypos.api.entities import Entity, entities
from airflow_provider_dotypos.sandbox.shop.table import Row, Table, blank, stored

_NO_TABLE = ("manifest", "sales-report")
_FIRST_ID = 4_100_000_000_000_000  # real ids have up to 16 digits [C3]


class RowChange(NamedTuple):
    """A change of one row.

    :param before: its earlier state; ``None`` if the row is new.
    :param after: its new state; ``None`` if the row was removed.
    """

    cloud_id: int
    entity: str
    before: Row | None
    after: Row | None


class Rows:
    """The rows of a few clouds. ``Shop`` furnishes them.

    :param now: the time that the clock shows. Defaults to the real time.
    :param seed: makes ids, and what else is left to chance, the same again.

    :ivar cloud_ids: the two clouds that the sandbox's token may use.
    :ivar foreign_cloud_id: a cloud that the token may not use.
    :ivar lively: whether things happen while the clock moves on.
    :ivar order_version_moves_with_items: see ``Behaviour``.
    :ivar undocumented: names of fields that rows may have although the entity table doesn't name them.
    :ivar on_change: called after each change of a row, in the thread that has made it. It must be quick.
    """

    def __init__(self, now: datetime | None = None, seed: int = 1) -> None:
        self.cloud_ids: tuple[int, int] = (310_101_001, 320_202_002)
        self.foreign_cloud_id = 390_909_009
        self.lively = False
        self.order_version_moves_with_items = False
        self.undocumented: set[str] = set()
        self.on_change: Callable[[RowChange], None] | None = None
        self.lock = threading.RLock()
        self.random = random.Random(seed)
        self.stock_takings: dict[tuple[int, int, int], int] = {}  # (cloud, warehouse, product): when counted
        self.issued_orders: set[int] = set()  # their documents were issued by a POS action
        self._stopped_at = _real_ms()
        self._offset = stored(now) - self._stopped_at if now is not None else 0
        self._ticking = False  # while the shop is being furnished, so that the same seed makes the same shop
        self._next_id = _FIRST_ID
        self._tables: dict[tuple[int, str], Table] = {}

    # The clock

    def now(self) -> int:
        """Return the clouds' time in epoch milliseconds."""
        return (_real_ms() if self._ticking else self._stopped_at) + self._offset

    def set_to_real_time(self) -> None:
        """Let the clock show the real time."""
        self._stopped_at, self._offset = _real_ms(), 0

    @property
    def ticking(self) -> bool:
        """Whether the clock runs by itself. If not, only ``advance`` moves it."""
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
        """Move the clock on.

        :param seconds: by how much.
        """
        if seconds < 0:
            raise ValueError("time doesn't run backwards")
        with self.lock:
            self._offset += round(seconds * 1000)

    # Rows

    def insert(self, cloud_id: int, entity: str, row: Mapping[str, Any] | None = None) -> Row:
        """Store a row and return it. The fields of `row` are kept, a cursor and None included; others are filled.

        :param cloud_id: the cloud.
        :param entity: the list, such as ``orders``.
        """
        table = self.table(cloud_id, entity)
        given = self._checked(table.entity, row or {})
        with self.lock:
            full = blank(table.entity, cloud_id, self.currency(cloud_id), self.now()) | given
            for name in table.entity.primary_key:
                if name not in given:
                    full[name] = self.new_id()
            if table.key(full) in table.rows:
                raise ValueError(f"{entity} has a row {table.key(full)} already")
            table.put(full)
            self._move_followers(cloud_id, table.entity, full)
            return full

    def update(self, cloud_id: int, entity: str, id: int, changes: Mapping[str, Any], **placeholders: int) -> Row:
        """Change a row and return it. Its version date moves to now unless `changes` sets it.

        :param cloud_id: the cloud.
        :param entity: the list.
        :param id: the row's id.
        :raises KeyError: if there is no such row.
        """
        table = self.table(cloud_id, entity)
        given = self._checked(table.entity, changes)
        with self.lock:
            row = self._present(cloud_id, entity, id, **placeholders)
            full = row | dict.fromkeys(_moving(table.entity, given), self.now()) | given
            if table.key(full) != table.key(row):
                raise ValueError("a row's id can't change")
            table.put(full)
            self._move_followers(cloud_id, table.entity, full)
            return full

    def delete(self, cloud_id: int, entity: str, id: int, **placeholders: int) -> Row:
        """Delete a row and return it: softly where the entity has ``deleted`` [D2], otherwise for good [U].

        :param cloud_id: the cloud.
        :param entity: the list.
        :param id: the row's id.
        """
        if entities()[entity].has_deleted:
            return self.update(cloud_id, entity, id, {"deleted": True}, **placeholders)
        return self.remove(cloud_id, entity, id, **placeholders)

    def remove(self, cloud_id: int, entity: str, id: int, **placeholders: int) -> Row:
        """Remove a row without a trace, and return its last state.

        :param cloud_id: the cloud.
        :param entity: the list.
        :param id: the row's id.
        :raises KeyError: if there is no such row.
        """
        table = self.table(cloud_id, entity)
        with self.lock:
            row = self._present(cloud_id, entity, id, **placeholders)
            table.drop(table.key(row))
            return row

    def get(self, cloud_id: int, entity: str, id: int, **placeholders: int) -> Row | None:
        """Return the stored row with this id, deleted or not.

        :param cloud_id: the cloud.
        :param entity: the list.
        :param id: the row's id.
        """
        table = self.table(cloud_id, entity)
        parent = table.entity.parent
        if parent is None:
            return table.rows.get((id,))
        with self.lock:
            same = (row for row in table.rows.values() if row["id"] == id)
            return next((row for row in same if placeholders.get(parent.argument) in (None, row[parent.field])), None)

    def _present(self, cloud_id: int, entity: str, id: int, **placeholders: int) -> Row:
        row = self.get(cloud_id, entity, id, **placeholders)
        if row is None:
            raise KeyError(id)
        return row

    def rows(self, cloud_id: int, entity: str) -> list[Row]:
        """Return all stored rows, deleted ones too, in the order in which they came. Don't change them.

        :param cloud_id: the cloud.
        :param entity: the list.
        """
        with self.lock:
            return list(self.table(cloud_id, entity).rows.values())

    def table(self, cloud_id: int, entity: str) -> Table:
        """Return the table that holds the rows of an entity. Clouds themselves lie above all clouds.

        :param cloud_id: the cloud.
        :param entity: the list.
        """
        if entity not in entities() or entity in _NO_TABLE:
            raise ValueError(f"the shop keeps no rows of {entity!r}")
        place = (0 if entity == "clouds" else cloud_id, entity)
        with self.lock:
            if place not in self._tables:
                self._tables[place] = Table(entities()[entity], functools.partial(self._report, cloud_id, entity))
            return self._tables[place]

    def tables(self) -> Iterator[tuple[int, str, Table]]:
        """Yield every table that holds rows, with its cloud and entity."""
        for (cloud_id, entity), table in sorted(self._tables.items()):
            if table.rows:
                yield cloud_id, entity, table

    def new_id(self) -> int:
        """Return an id that no row has: 16 digits, rising, as ids of real rows are."""
        with self.lock:
            self._next_id += self.random.randint(1, 9999)
            return self._next_id

    def cloud(self, cloud_id: int) -> Row | None:
        """Return the cloud with this id.

        :param cloud_id: the cloud.
        """
        return self.table(0, "clouds").rows.get((cloud_id,))

    def currency(self, cloud_id: int) -> str:
        """Return the currency of a cloud.

        :param cloud_id: the cloud.
        """
        cloud = self.cloud(cloud_id)
        return "PLN" if cloud is not None and cloud["country"] == "PL" else "CZK"

    def open_orders(self, cloud_id: int) -> list[Row]:
        """Return the orders that the API calls open.

        :param cloud_id: the cloud.
        """
        return [row for row in self.rows(cloud_id, "orders") if is_open(row)]

    def _checked(self, entity: Entity, row: Mapping[str, Any]) -> Row:
        for name in row.keys() - self.undocumented:
            entity.field(name)
        return {name: stored(value) for name, value in row.items()}

    def _report(self, cloud_id: int, entity: str, before: Row | None, after: Row | None) -> None:
        if self.on_change is not None:
            self.on_change(RowChange(cloud_id, entity, before, after))

    def _move_followers(self, cloud_id: int, entity: Entity, row: Row) -> None:
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


def is_open(row: Row) -> bool:
    """Return whether an order or order item is open: neither completed nor cancelled [A]."""
    return row["completed"] is None and row["canceledDate"] is None


def _moving(entity: Entity, changes: Mapping[str, Any]) -> set[str]:
    """Return the time fields that a change moves to now."""
    if entity.name == "warehouse-products":  # stock and product part have a cursor each [D]
        stock = {"stockQuantityStatus", "purchasePriceWithoutVat"}
        moved = {"stockStatusVersiondate": stock & set(changes), "versionDate": set(changes) - stock}
        return {name for name, because in moved.items() if because}
    return {name for name in ("versionDate", "modified", "updated", "version") if name in entity.fields}


def _real_ms() -> int:
    return time.time_ns() // 1_000_000
