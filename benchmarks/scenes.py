"""A sandbox at a time of its own, and what happens in it: quiet hours, days, and rows that change while they are read.

The shop's clock starts at the end of its generated past, and the server's ``Date`` shows that clock. So the same seed
gives the same rows, and what changes during a reading has a later version date than everything before it.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from airflow_provider_dotypos.api.entities import Entity, cloud_lists, find_entity
from airflow_provider_dotypos.sandbox import Behaviour, Sandbox, Shop
from benchmarks.orders import PAGE

#: When the shop's past ends.
END = datetime(2026, 4, 1, tzinfo=timezone.utc)

SIGN_IN = "/v2/signin/token"

#: What a history is made of: orders, their items, and payments.
MONTH_LISTS = ("orders", "order-items", "money-logs")


class Scene:
    """A sandbox, its first cloud, and its clock.

    :ivar sandbox: the server.
    :ivar cloud_id: the cloud that is read.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.shop = sandbox.shop
        self.cloud_id = sandbox.cloud_ids[0]
        self._show_clock()

    @property
    def now(self) -> datetime:
        """The time in the shop."""
        return datetime.fromtimestamp(self.shop.now() / 1000, timezone.utc)

    def pass_time(self, seconds: float, orders_per_day: int = 0) -> None:
        """Let time pass.

        :param orders_per_day: how many guests come and go meanwhile, by day; at night come a third as many. Things
            change then, too: stock, prices, customers.
        """
        self.shop.orders_per_day = orders_per_day
        self.shop.lively = orders_per_day > 0
        self.shop.advance(seconds)
        self.shop.lively = False
        self._show_clock()

    def add_warehouse(self) -> None:
        """Open a second warehouse, which stocks the first ten products."""
        earlier = self.shop.rows(self.cloud_id, "warehouse-products")[:10]
        dated = {"versionDate": earlier[0]["versionDate"]}
        warehouse = self.shop.insert(self.cloud_id, "warehouses", {"name": "Cellar", **dated})
        for row in earlier:
            self.shop.insert(self.cloud_id, "warehouse-products", {**row, "_warehouseId": warehouse["id"]})

    @contextmanager
    def counted(self) -> Iterator[Spent]:
        """Count the requests that arrive meanwhile."""
        spent = Spent(Counter())
        before = len(self.sandbox.requests)
        yield spent
        for request in self.sandbox.requests[before:]:
            spent.paths[request.path] += 1
            spent.refused += request.status == 429

    def versions(self, name: str) -> dict[str, int]:
        """Return the rows that a list holds now: versions, in epoch milliseconds, by id."""
        return {str(row["id"]): row["versionDate"] for row in self.shop.rows(self.cloud_id, name)}

    def pages(self, since: datetime) -> int:
        """Return how many pages hold what has changed in each list since then. Lists without a cursor count whole."""
        moment = round(since.timestamp() * 1000)
        return sum(-(-self._changed(find_entity(name), moment) // PAGE) for name in cloud_lists())

    def _changed(self, entity: Entity, since: int) -> int:
        rows = self.shop.rows(self.cloud_id, entity.name)
        return sum(not entity.cursors or any((row[name] or 0) >= since for name in entity.cursors) for row in rows)

    def lists(self) -> list[dict[str, Any]]:
        """Return the lists of the cloud, as a tool needs to know them that has no entity table."""
        return [self._list(name) for name in cloud_lists()]

    def _list(self, name: str) -> dict[str, Any]:
        entity = find_entity(name)
        return {
            "name": name,
            "path": f"/v2/clouds/{self.cloud_id}/{entity.path}",
            "parent": entity.parent.entity if entity.parent else None,
            "cursor": entity.cursors[0] if entity.cursors else None,
            "sorted": bool(entity.cursors) and entity.cursor_sortable,
            "deleted": entity.deleted_filterable,
            "paged": entity.paged,
        }

    def _show_clock(self) -> None:
        self.sandbox.date_offset = self.shop.now() / 1000 - time.time()


@dataclass
class Spent:
    """Requests that were spent.

    :ivar paths: how many of each path.
    :ivar refused: how many of them were answered by 429.
    """

    paths: Counter[str]
    refused: int = 0

    @property
    def requests(self) -> int:
        """All of them, sign-ins included."""
        return self.paths.total()

    @property
    def sign_ins(self) -> int:
        return self.paths[SIGN_IN]


class Changing(list[Any]):
    """A log of requests at which rows of the cloud change: one order, one item and one payment, anywhere in the month.

    The door logs a request when its answer is made, and before the client has it. So changes fall between answers. With
    one in ten requests, a month's 475 pages see about as many as a shop of that size makes while 150 requests are let
    in per half hour.

    :param every: requests between two changes.
    """

    def __init__(self, scene: Scene, every: int = 10) -> None:
        super().__init__(scene.sandbox.requests)
        self._scene = scene
        self._every = every
        self._chance = random.Random(every)

    def append(self, request: Any) -> None:
        super().append(request)
        if len(self) % self._every:
            return
        shop, cloud_id = self._scene.shop, self._scene.cloud_id
        for name in MONTH_LISTS:
            rows = shop.rows(cloud_id, name)
            shop.update(cloud_id, name, self._chance.choice(rows)["id"], {})


@contextmanager
def month(orders: int = 10_000, behaviour: Behaviour | None = None) -> Iterator[Scene]:
    """Serve a bistro with a month of about that many orders, with their items and payments."""
    with Sandbox(Shop.generate(days=30, now=END, orders_per_day=orders // 30)) as sandbox:
        if behaviour is not None:
            sandbox.behaviour = behaviour
        yield Scene(sandbox)
