"""Sales that go on while the fleet works."""

from __future__ import annotations

import random
import threading
from types import TracebackType

from airflow_provider_dotypos.sandbox import Shop

#: Orders a day in each cloud meanwhile: some in each minute.
_ORDERS_PER_DAY = 20_000

#: Entities whose old rows change, too, with a text of theirs. Such a row leaves the window in which it was.
_CORRECTED = {"orders": "note", "order-items": "note", "products": "description", "customers": "note"}


class Sales(threading.Thread):
    """Guests who come and pay, and old rows that are corrected, in the shop of a running sandbox."""

    def __init__(self, shop: Shop, seed: int = 1) -> None:
        super().__init__(name="sales", daemon=True)
        self._shop = shop
        self._chance = random.Random(seed)
        self._closed = threading.Event()
        #: Old rows that were corrected.
        self.corrected = 0
        shop.lively = True
        shop.orders_per_day = _ORDERS_PER_DAY

    def run(self) -> None:
        """Let a second pass, again and again."""
        while not self._closed.wait(1):
            self._shop.advance(0)
            cloud = self._chance.choice(self._shop.cloud_ids)
            name, field = self._chance.choice(list(_CORRECTED.items()))
            row = self._chance.choice(self._shop.rows(cloud, name))
            self._shop.update(cloud, name, row["id"], {field: f"corrected {self.corrected}"})
            self.corrected += 1

    def close(self) -> None:
        """End them. The shop is at rest afterwards."""
        self._closed.set()
        if self.is_alive():
            self.join()
        self._shop.lively = False

    def __enter__(self) -> Sales:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
