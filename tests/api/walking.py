"""Walks over a shop in memory, without sockets, while the shop changes between any two requests."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone

import msgspec

from airflow_provider_dotypos.api.entities import entity
from airflow_provider_dotypos.api.page import EMPTY, Page, read_page
from airflow_provider_dotypos.api.query import Filter, filter_text
from airflow_provider_dotypos.api.walk import Query, streams, walk
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.sandbox import Behaviour, Shop

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=timezone.utc)
NOW_MS = int(NOW.timestamp() * 1000)
HOUR = 3_600_000

#: The window that walks read: an hour, ended well before now.
UNTIL = NOW_MS - HOUR
SINCE = UNTIL - HOUR


@dataclass
class Walked:
    ids: list[str] = field(default_factory=list)
    queries: list[Query] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)

    @property
    def counts(self) -> Counter[str]:
        return Counter(self.ids)


def empty_shop() -> Shop:
    shop = Shop.empty(now=NOW)
    shop.ticking = False
    return shop


def drive(
    shop: Shop,
    name: str,
    window: Window,
    behaviour: Behaviour | None = None,
    *,
    between: Callable[[], None] = lambda: None,
    filter: Filter = None,
    **placeholders: int,
) -> Walked:
    """Walk every stream of an entity against the shop's own lists; `between` is called before each request."""
    found = entity(name)
    walked = Walked()

    def answer(query: Query, cursor: str | None) -> Page:
        between()
        params = {"limit": "100", "page": str(query.page)} if found.paged else {}
        if query.conditions:
            params["filter"] = filter_text(query.conditions)
        if query.sort:
            params["sort"] = ",".join(query.sort)
        walked.queries.append(query)
        walked.lengths.append(len(params.get("filter", "")))
        headers = {"Allow-Version": "BC1"}
        status, body = shop.list(shop.cloud_ids[0], name, params, behaviour or Behaviour(), headers, **placeholders)
        if status == 404 and not body:
            return EMPTY
        assert status == 200, body
        return read_page(body, cursor)

    for stream in streams(found, window, filter):
        steps = walk(found, stream, window)
        step = next(steps, None)
        while step is not None:
            if isinstance(step, Query):
                step = steps.send(answer(step, stream.cursor))
            else:
                walked.ids += step.ids
                assert [str(msgspec.json.decode(row)["id"]) for row in step.rows] == list(step.ids)
                step = next(steps, None)
    return walked


class Drift:
    """A shop that changes between requests: rows are updated, added, deleted softly and for good."""

    def __init__(self, shop: Shop, name: str, seed: int, rate: float) -> None:
        self.shop = shop
        self.name = name
        self.rate = rate
        self.random = random.Random(seed)
        self.cloud = shop.cloud_ids[0]
        self.touched: set[str] = set()
        self.gone: set[str] = set()

    def __call__(self) -> None:
        self.shop.advance(0.5)
        for _ in range(int(self.rate) + (self.random.random() < self.rate % 1)):
            self.happen()

    def happen(self) -> None:
        rows = self.shop.rows(self.cloud, self.name)
        kind = self.random.choice(["update", "update", "insert", "delete", "remove"])
        if kind == "insert" or not rows:
            self.touched.add(str(self.shop.insert(self.cloud, self.name, {})["id"]))
            return
        row = rows[self.random.randrange(len(rows))]
        self.touched.add(str(row["id"]))
        if kind == "update":
            self.shop.update(self.cloud, self.name, row["id"], {})
        elif kind == "delete" and entity(self.name).has_deleted:
            self.shop.delete(self.cloud, self.name, row["id"])
        else:
            self.shop.remove(self.cloud, self.name, row["id"])
            self.gone.add(str(row["id"]))
