"""Polls of a shop in memory, without sockets: flows answered from the shop's own lists."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar, cast

from airflow_provider_dotypos.api.entities import entities
from airflow_provider_dotypos.api.errors import error_for
from airflow_provider_dotypos.api.exchange import Exchange
from airflow_provider_dotypos.api.http import Answer
from airflow_provider_dotypos.api.polls import Polls
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.steps import Flow, Sleep
from airflow_provider_dotypos.api.watch import Snapshot, State, Watch
from airflow_provider_dotypos.api.window import Clocks
from airflow_provider_dotypos.sandbox import Behaviour, Shop

T = TypeVar("T")


class ShopExchange:
    """Stands in for a client: its flows are answered by a shop, whose clock is the server's.

    :ivar skew: seconds by which the local clock is ahead of the server's.
    :ivar asked: the requests: the entity, its parent and the query's parameters.
    :ivar before: called before each request.
    """

    def __init__(self, shop: Shop, behaviour: Behaviour | None = None, deleted_filter: str | None = None) -> None:
        self.shop = shop
        self.behaviour = behaviour or Behaviour()
        extra = {"refresh_token": "r", "cloud_id": 1, "deleted_filter": deleted_filter}
        self.settings = Settings.from_fields(host="https://h", extra=extra)
        self.knows_cloud = True
        self.skew = 0.0
        self.asked: list[tuple[str, str | None, dict[str, Any]]] = []
        self.before: Callable[[str, str | None], None] = lambda entity, parent: None

    def clocks(self) -> Clocks:
        server = datetime.fromtimestamp(self.shop.now() / 1000, timezone.utc)
        return Clocks(server + timedelta(seconds=self.skew), server.replace(microsecond=0))

    def note_cloud(self) -> None:
        pass

    def flow(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        decode: Callable[[Answer], T],
    ) -> Generator[Any, Any, T]:
        name, parent, placeholders = _place(path)
        self.before(name, parent)
        given = {key: str(value) for key, value in (params or {}).items() if value is not None}
        self.asked.append((name, parent, given))
        cloud = self.shop.cloud_ids[0]
        status, body = self.shop.list(cloud, name, given, self.behaviour, dict(headers or {}), **placeholders)
        if status >= 400:
            raise error_for(method, path, status, {}, body)
        return decode(Answer(status, {}, body))
        yield


def _place(path: str) -> tuple[str, str | None, dict[str, int]]:
    for entity in entities().values():
        if entity.parent is None and entity.path == path:
            return entity.name, None, {}
        if entity.parent is not None:
            pattern = entity.path.replace(f"{{{entity.parent.argument}}}", r"(\d+)")
            if match := re.fullmatch(pattern, path):
                return entity.name, match[1], {entity.parent.argument: int(match[1])}
    raise AssertionError(path)


class Poller:
    """Polls a shop as a reader would."""

    def __init__(self, exchange: ShopExchange) -> None:
        self.exchange = exchange
        self.polls = Polls(cast("Exchange", exchange))

    def poll(self, watch: Watch, *states: State, deleted: bool | None = None) -> Snapshot:
        wanted = watch.deleted if deleted is None else deleted
        return self.run(self.polls.poll(watch.entity, states, deleted=wanted))

    def run(self, flow: Flow[T]) -> T:
        try:
            step = next(flow)
            while True:
                assert isinstance(step, Sleep)
                self.exchange.shop.advance(step.seconds)
                step = flow.send(None)
        except StopIteration as end:
            return cast("T", end.value)
