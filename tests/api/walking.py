"""Walks over a shop in memory, without sockets, while the shop changes between any two requests."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone

import msgspec

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.errors import DotyposValidationError, error_for
from airflow_provider_dotypos.api.page import EMPTY, Page, check_page, read_page
from airflow_provider_dotypos.api.passes import Wait
from airflow_provider_dotypos.api.pieces import Pieces
from airflow_provider_dotypos.api.query import Filter, filter_text, window_conditions
from airflow_provider_dotypos.api.streams import Piece, streams
from airflow_provider_dotypos.api.walk import Batch, Query, Walk, walk
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
    waits: list[float] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def take(self, batch: Batch) -> None:
        assert [str(msgspec.json.decode(row)["id"]) for row in batch.rows] == list(batch.ids)
        self.ids += batch.ids
        self.counts.update(batch.ids)


def empty_shop() -> Shop:
    shop = Shop.empty(now=NOW)
    shop.ticking = False
    return shop


class Server:
    """Answers a walk's queries from a shop's own lists; `between` is called before each."""

    def __init__(
        self,
        shop: Shop,
        name: str,
        behaviour: Behaviour | Callable[[], Behaviour] | None = None,
        between: Callable[[], None] = lambda: None,
        **placeholders: int,
    ) -> None:
        self.shop = shop
        self.entity = find_entity(name)
        self.behaviour = behaviour or Behaviour()
        self.between = between
        self.placeholders = placeholders
        self.walked = Walked()

    def answer(self, query: Query, cursor: str | None) -> Page:
        self.between()
        params = {"limit": "100", "page": str(query.page)} if self.entity.paged else {}
        if query.conditions:
            params["filter"] = filter_text(query.conditions)
        if query.sort:
            params["sort"] = ",".join(query.sort)
        self.walked.queries.append(query)
        self.walked.lengths.append(len(params.get("filter", "")))
        headers = {"Allow-Version": "BC1"}
        cloud, name = self.shop.cloud_ids[0], self.entity.name
        behaviour = self.behaviour if isinstance(self.behaviour, Behaviour) else self.behaviour()
        status, body = self.shop.list(cloud, name, params, behaviour, headers, **self.placeholders)
        if status == 404 and not body:
            return EMPTY
        if status == 400:
            refusal = error_for("GET", name, status, {}, body)
            assert isinstance(refusal, DotyposValidationError)
            raise refusal
        assert status == 200, body
        cursors = self.entity.cursors
        return check_page(read_page(body, cursor, cursors[: cursors.index(cursor)] if cursor else ()), 100, query.page)


def drive(
    shop: Shop,
    name: str,
    window: Window,
    behaviour: Behaviour | Callable[[], Behaviour] | None = None,
    *,
    between: Callable[[], None] = lambda: None,
    filter: Filter = None,
    one_filter: bool = False,
    **placeholders: int,
) -> Walked:
    """Walk every stream of an entity against the shop's own lists; `between` is called before each request."""
    server = Server(shop, name, behaviour, between, **placeholders)
    for stream in streams(server.entity, window, window_conditions(server.entity, filter), one_filter):
        piece = Piece(stream, window.since, window.until)
        follow(server.walked, walk(server.entity, piece), stream.cursor, server.answer, shop.advance)
    return server.walked


def follow(
    walked: Walked,
    steps: Walk,
    cursor: str | None,
    answer: Callable[[Query, str | None], Page],
    sleep: Callable[[float], None] = lambda seconds: None,
) -> None:
    """Do what a walk wants, to its end."""
    step = next(steps, None)
    while step is not None:
        if isinstance(step, Query):
            try:
                page = answer(step, cursor)
            except DotyposValidationError as refusal:
                step = steps.throw(refusal)
            else:
                step = steps.send(page)
            continue
        if isinstance(step, Wait):
            walked.waits.append(step.seconds)
            sleep(step.seconds)
        else:
            walked.take(step)
        step = next(steps, None)


def drive_together(
    shop: Shop,
    name: str,
    window: Window,
    behaviour: Behaviour | None = None,
    *,
    workers: int,
    chance: random.Random,
    between: Callable[[], None] = lambda: None,
    one_filter: bool = False,
    **placeholders: int,
) -> Walked:
    """Walk an entity by several workers in a random order of events: a request answered, an answer arrived, a piece
    taken or split."""
    server = Server(shop, name, behaviour, between, **placeholders)
    parts = streams(server.entity, window, one_filter=one_filter)
    pieces = Pieces(Piece(stream, window.since, window.until) for stream in parts)
    crew = [Worker(server, pieces) for _ in range(workers)]
    while ready := [worker for worker in crew if worker.may_act()]:
        chance.choice(ready).act()
    return server.walked


class Worker:
    """One of several that walk together; each act is one event."""

    def __init__(self, server: Server, pieces: Pieces) -> None:
        self.server = server
        self.pieces = pieces
        self.piece: Piece | None = None
        self.query: Query | None = None
        self.page: Page | None = None

    def may_act(self) -> bool:
        if self.piece is None:
            self.piece = self.pieces.next()
            if self.piece is not None:
                self.steps = walk(self.server.entity, self.piece)
                self.go_on(next(self.steps, None))
        return self.piece is not None

    def act(self) -> None:
        """Have the server answer what was asked, or take in its answer."""
        assert self.piece is not None
        assert self.query is not None
        if self.page is None:
            self.page = self.server.answer(self.query, self.piece.stream.cursor)
        else:
            page, self.page = self.page, None
            self.go_on(self.steps.send(page))

    def go_on(self, step: Query | Batch | Wait | None) -> None:
        """Deliver what there is, up to the next query or the piece's end."""
        assert self.piece is not None
        while isinstance(step, Batch | Wait):
            if isinstance(step, Batch):
                self.server.walked.take(step)
            step = next(self.steps, None)
        self.query = step
        if step is None:
            self.pieces.done(self.piece)
            self.piece = None


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
        elif kind == "delete" and find_entity(self.name).has_deleted:
            self.shop.delete(self.cloud, self.name, row["id"])
        else:
            self.shop.remove(self.cloud, self.name, row["id"])
            self.gone.add(str(row["id"]))
