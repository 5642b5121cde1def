"""The shop that users see: two furnished bistros whose lists can be asked for without a server."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from datetime import datetime

from airflow_provider_dotypos.sandbox.api import lists
from airflow_provider_dotypos.sandbox.behaviour import BEST_KNOWN, Behaviour
from airflow_provider_dotypos.sandbox.bistro import furnish, life, menu
from airflow_provider_dotypos.sandbox.errors import RefusedError
from airflow_provider_dotypos.sandbox.shop.rows import Rows


class Shop(Rows):
    """A few Dotypos clouds in memory. Make one with ``empty`` or ``generate``."""

    def __init__(self, now: datetime | None = None, seed: int = 1) -> None:
        super().__init__(now, seed)
        self.orders_per_day = 120
        self._lived_until = self.now()

    @classmethod
    def empty(cls, now: datetime | None = None, seed: int = 1, *, ticking: bool = True) -> Shop:
        """Return a shop with its three clouds, their branches, warehouses and taxes, and nothing else.

        :param now: the time that its clock shows. Defaults to the real time.
        :param seed: makes ids, and what else is left to chance, the same again.
        :param ticking: whether the clock runs.
        """
        shop = cls(now, seed)
        for cloud_id, house in zip(shop.cloud_ids, menu.HOUSES, strict=True):
            furnish.open_cloud(shop, cloud_id, house)
        furnish.open_cloud(shop, shop.foreign_cloud_id, menu.PRAGUE, name="Somebody else's bistro")
        shop._start_clock(now, ticking)
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

        :param seed: makes the same history again.
        :param days: how many days of history.
        :param now: the end of the history, and the time that the shop's clock shows. Defaults to the real time.
        :param orders_per_day: orders on an average day in each of the two clouds.
        :param ticking: whether the clock runs.
        """
        shop = cls.empty(now, seed, ticking=False)
        shop.orders_per_day = orders_per_day
        collecting = gc.isenabled()
        gc.disable()  # rows hold no cycles; looking for some while they pile up would double the time
        try:
            for cloud_id, house in zip(shop.cloud_ids, menu.HOUSES, strict=True):
                furnish.furnish(shop, cloud_id, house, days)
                life.live_through(shop, cloud_id, days, orders_per_day)
        finally:
            if collecting:
                gc.enable()
        for _, _, table in shop.tables():
            table.forget()
        shop._start_clock(now, ticking)
        return shop

    def _start_clock(self, now: datetime | None, ticking: bool) -> None:
        if now is None:
            self.set_to_real_time()
        self._lived_until = self.now()
        self.ticking = ticking

    def advance(self, seconds: float) -> None:
        """Move the clock on. In a lively shop, guests come and go in the time that passes.

        Each event gets a version date between the clock's old and new time, so that nothing appears behind the back
        of a reader who has read up to the old time.

        :param seconds: by how much.
        """
        with self.lock:
            before = self.now()
            super().advance(seconds)
            if self.lively:
                after = self.now()
                life.live(self, self._lived_until, before, after, self.orders_per_day)
                self._lived_until = after

    def list(
        self,
        cloud_id: int,
        entity: str,
        params: Mapping[str, str] | None = None,
        behaviour: Behaviour = BEST_KNOWN,
        headers: Mapping[str, str] | None = None,
        **placeholders: int,
    ) -> tuple[int, bytes]:
        """Return the status and body of the answer to a list request.

        :param cloud_id: the cloud.
        :param entity: the list.
        :param params: the query parameters, decoded.
        :param behaviour: how the API behaves where it is unknown.
        :param headers: request headers; only ``Allow-Version`` matters.
        :param placeholders: the id of the entity's parent, such as ``warehouse_id``.
        """
        try:
            page = lists.page(self, cloud_id, entity, params or {}, behaviour, headers or {}, None, **placeholders)
        except RefusedError as refusal:
            return refusal.status, refusal.body()
        return page.status, page.body
