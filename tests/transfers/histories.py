"""Histories from nested lists over a shop in which guests and waiters change things between any two requests."""

from __future__ import annotations

import functools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.page import timestamp
from airflow_provider_dotypos.api.reading import Reader
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox, Shop
from airflow_provider_dotypos.transfers.arguments import HISTORY_LISTS
from airflow_provider_dotypos.transfers.crew import Crew
from airflow_provider_dotypos.transfers.engine import extract
from airflow_provider_dotypos.transfers.files.committed_set import read_manifest
from airflow_provider_dotypos.transfers.files.formats.file_format import FileFormat
from airflow_provider_dotypos.transfers.files.manifest import Committed
from airflow_provider_dotypos.transfers.files.sink import FileSink, set_folder
from airflow_provider_dotypos.transfers.history import HistoryList, NestedHistory
from airflow_provider_dotypos.transfers.selection import Selection
from tests.api.walking import HOUR, NOW_MS, empty_shop
from tests.transfers.storms import Wind

Row = dict[str, Any]

MINUTE = 60_000


#: So late that a walk of the nested orders waits until another minute has passed.
UNTIL = NOW_MS - MINUTE - 1000


@dataclass
class Service:
    """What guests and waiters do between any two requests: they change and add orders, items and payments."""

    shop: Shop
    chance: random.Random
    rate: float

    def __call__(self) -> None:
        self.shop.advance(self.chance.choice([0.2, 1, 7]))
        for _ in range(int(self.rate) + (self.chance.random() < self.rate % 1)):
            self.happen()

    def happen(self) -> None:
        kind = self.chance.choice(["order", "order", "order-items", "money-logs", "item", "payment", "new"])
        orders = self.rows("orders")
        if kind == "new" or not orders:
            self.open_order(self.shop.now())
            return
        order = self.chance.choice(orders)["id"]
        if kind == "order":
            self.shop.update(self.cloud, "orders", order, {"note": str(self.shop.now())})
        elif kind == "item":
            self.shop.insert(self.cloud, "order-items", {"_orderId": order})
        elif kind == "payment":
            self.shop.insert(self.cloud, "money-logs", self.payment(order))
        elif rows := self.rows(kind):
            self.shop.update(self.cloud, kind, self.chance.choice(rows)["id"], {"tags": [str(self.shop.now())]})

    def open_order(self, moment: int) -> None:
        """Insert an order, whose items may be dated up to a minute before it, and may have changed since."""
        order = self.shop.insert(self.cloud, "orders", {"versionDate": moment})["id"]
        for entity, most in (("order-items", 6), ("money-logs", 2)):
            for _ in range(self.chance.randrange(most)):
                later = self.chance.choice([0, 0, -55_000, 3, HOUR // 2])
                version = min(moment + later, self.shop.now())
                row = {"_orderId": order, "versionDate": version}
                self.shop.insert(self.cloud, entity, row | (self.payment(order) if entity == "money-logs" else {}))

    def payment(self, order: int) -> Row:
        return {"_orderId": order, "transactionType": self.chance.choice(["SALE", "SALE", "REFUND", "CASH_IN_OUT"])}

    def fill(self, orders: int) -> None:
        for _ in range(orders):
            self.open_order(NOW_MS - self.chance.choice([0, 0, 2 * MINUTE, HOUR]) - self.chance.randrange(2 * MINUTE))
        for _ in range(orders // 20):
            moment = self.chance.choice([None, NOW_MS - self.chance.randrange(HOUR)])
            kind = self.chance.choice(["REGISTER_OPEN", "REGISTER_CLOSE", "SALE"])
            order = 0 if kind != "SALE" else self.chance.choice(self.rows("orders"))["id"]
            row = {"transactionType": kind, "versionDate": moment, "_orderId": order}
            self.shop.insert(self.cloud, "money-logs", row)

    @property
    def cloud(self) -> int:
        cloud: int = self.shop.cloud_ids[0]
        return cloud

    def rows(self, entity: str) -> list[Row]:
        rows: list[Row] = self.shop.rows(self.cloud, entity)
        return rows


class Client(DotyposClient):
    """A client whose waits are as long as the shop's clock says, and take no time."""

    def __init__(self, settings: Settings, shop: Shop) -> None:
        super().__init__(settings)
        self._shop = shop

    def sleep(self, seconds: float) -> None:
        super().sleep(0)
        self._shop.advance(max(0.0, seconds))


class Extraction:
    """Extracts orders, items and payments of a sandbox to a folder."""

    def __init__(self, api: Sandbox, lake: Path, behaviour: Behaviour, *, concurrency: int = 1) -> None:
        channel.forget_tokens()
        self.api = api
        self.lake = ObjectStoragePath(f"file://{lake}")
        api.shop = empty_shop()
        api.behaviour = behaviour
        api.faults.clear()
        self.cloud = api.cloud_ids[0]
        extra = {"refresh_token": api.refresh_token, "cloud_id": self.cloud, "max_concurrency": concurrency}
        self._settings = Settings.from_fields(host=api.url, extra=extra)
        self.names = HISTORY_LISTS
        self.file_format = FileFormat()

    def serve(self, seed: int, rate: float) -> Service:
        """Let things happen between requests."""
        service = Service(self.api.shop, random.Random(seed), rate)
        self.api.faults[:] = [Wind(service, self.api)]  # type: ignore[arg-type]
        return service

    def history(self) -> NestedHistory:
        return NestedHistory(self.names, Window(None, UNTIL), self._reader(), self.lake)

    def extract(self) -> dict[str, Committed | BaseException]:
        history = self.history()
        crew = Crew(self._settings.max_concurrency)
        lists = {
            name: HistoryList(selection, self._reader(), self._begin(selection, Window(None, UNTIL)))
            for name, selection in self._selections()
        }
        extractions = {name: functools.partial(history.extract, each, crew) for name, each in lists.items()}
        outcomes = crew.run(extractions, lambda: None)
        return {name: outcome.exception() or outcome.result() for name, outcome in outcomes}

    def increment(self, until: int, since: int | None = UNTIL) -> dict[str, Committed]:
        window = Window(since, until)
        return {
            name: extract(selection, window, self._reader(), self._begin(selection, window)())
            for name, selection in self._selections()
        }

    def list_calls(self) -> Counter[str]:
        return Counter(request.path.rsplit("/", 1)[-1] for request in self.api.requests)

    def _selections(self) -> list[tuple[str, Selection]]:
        return [(name, Selection.of(name, cloud_id=self.cloud)) for name in self.names]

    def _begin(self, selection: Selection, window: Window) -> Callable[[], FileSink]:
        folder = self.lake / set_folder(selection, window, self.file_format)
        return lambda: FileSink.begin(folder, selection, window, self.file_format)

    def _reader(self) -> Reader:
        return Reader(Client(self._settings, self.api.shop))


def committed(outcomes: dict[str, Committed | BaseException]) -> dict[str, Committed]:
    for outcome in outcomes.values():
        if isinstance(outcome, BaseException):
            raise outcome
    return outcomes  # type: ignore[return-value]


def rows_of(outcome: Committed) -> list[Row]:
    return list(read_manifest(outcome.path).rows())


def moment_of(row: Row) -> int | None:
    return timestamp(row["versionDate"]) if row.get("versionDate") else None


def check_union(service: Service, behaviour: Behaviour, history: list[Row], later: list[Row], name: str) -> None:
    """Each row is there as it is now; one that is older than the window's end, once, and in the history alone."""
    tick = 1000 if behaviour.timestamp_precision == "s" else 1
    before, after = (Counter(str(row["id"]) for row in rows) for rows in (history, later))
    newest: dict[str, Row] = {}
    for row in [*history, *later]:
        known = newest.get(str(row["id"]))
        if known is None or (moment_of(row) or 0) >= (moment_of(known) or 0):
            newest[str(row["id"])] = row
    for row in service.rows(name):
        id, moment = str(row["id"]), row["versionDate"]
        assert id in newest, f"{name}: lost"
        if moment is None:
            continue
        assert moment_of(newest[id]) == moment - moment % tick, f"{name}: an old version wins"
        assert (newest[id].get("tags") or []) == (row["tags"] or [])
        if moment < UNTIL:
            assert (before[id], after[id]) == (1, 0), f"{name}: doubled"
    assert set(newest) == {str(row["id"]) for row in service.rows(name)}


@dataclass
class Case:
    """A history, and what happens meanwhile.

    :param rate: changes per request. :param orders: of the shop. :param names: the lists that are extracted.
    :param limited: for each attempt that meets the limit: the requests that it makes before.
    """

    behaviour: Behaviour
    seed: int
    rate: float
    orders: int
    names: tuple[str, ...]
    limited: list[int]
    concurrency: int


def check_case(api: Sandbox, case: Case, lake: Path) -> int:
    """Read a history and the next window; check what is promised of both. Return how many rows the shop holds."""
    extraction = Extraction(api, lake, case.behaviour, concurrency=case.concurrency)
    extraction.names = case.names
    service = extraction.serve(case.seed, case.rate)
    service.fill(case.orders)
    for requests in case.limited:
        api.faults.append(Fault("429", retry_after="3600", skip=requests, times=10**6))
        extraction.extract()
        api.faults.pop()
    history = committed(extraction.extract())
    if case.behaviour.nested_lists is None:  # no false alarm, so that this checks what came nested
        for name in case.names:
            parts = history[name].manifest.parts
            streams = {range.stream for part in parts for range in part.ranges}
            assert streams <= {"nested", "without-order-rows", "rows-null"}, name
    service.rate = 0
    api.shop.advance(1)
    until = api.shop.now()
    api.shop.advance(60)
    later = extraction.increment(until)
    for name in case.names:
        check_union(service, case.behaviour, rows_of(history[name]), rows_of(later[name]), name)
    return sum(len(service.rows(name)) for name in case.names)
