"""A history from nested lists: no row lost, none doubled, whatever changes meanwhile; and what it costs.

Tests `transfers/history` and `transfers/files/nested`.
"""

from __future__ import annotations

import functools
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from airflow.sdk import ObjectStoragePath
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.errors import DotyposInputError, DotyposRateLimitError
from airflow_provider_dotypos.api.page import timestamp
from airflow_provider_dotypos.api.reading import Reader
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox, Shop
from airflow_provider_dotypos.sandbox.api import lists
from airflow_provider_dotypos.sandbox.errors import RefusedError
from airflow_provider_dotypos.transfers import history as histories
from airflow_provider_dotypos.transfers.arguments import HISTORY_LISTS
from airflow_provider_dotypos.transfers.crew import Crew
from airflow_provider_dotypos.transfers.engine import extract
from airflow_provider_dotypos.transfers.files.formats.file_format import FileFormat
from airflow_provider_dotypos.transfers.files.manifest import Committed, read_manifest
from airflow_provider_dotypos.transfers.files.sink import FileSink, set_folder
from airflow_provider_dotypos.transfers.files.store import Store
from airflow_provider_dotypos.transfers.history import NESTED_FOLDER, HistoryList, NestedHistory, why_not_nested
from airflow_provider_dotypos.transfers.selection import Selection
from tests.api.walking import HOUR, NOW_MS, empty_shop
from tests.transfers.storms import Wind
from tests.transfers.test_dotypos_entities_to_object_storage import (
    DotyposEntitiesToObjectStorageOperator,
    Lake,
    PutOff,
    Refuse,
    ids,
    needs_state,
)
from tests.transfers.turns import Killed

Row = dict[str, Any]

MINUTE = 60_000


#: So late that a minute and another one have passed since then, and hardly more.
UNTIL = NOW_MS - 2 * MINUTE - 1000


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


@pytest.fixture(scope="module")
def api() -> Iterator[Sandbox]:
    with Sandbox(empty_shop()) as running:
        yield running


@contextmanager
def a_lake() -> Iterator[Path]:
    lake = Path(tempfile.mkdtemp(prefix="history-"))
    try:
        yield lake
    finally:
        shutil.rmtree(lake)


behaviours = st.builds(
    Behaviour,
    order_version_moves_with_items=st.booleans(),
    nested_lists=st.sampled_from([None, None, None, 0, 2, 4]),
    commit_lag=st.sampled_from([0.0, 50.0]),
    timestamp_precision=st.sampled_from(["ms", "s"]),
    numbers=st.sampled_from(["text", "number"]),
    nulls=st.sampled_from(["null", "omitted"]),
    ties=st.sampled_from(["stable", "shuffled"]),
    allow_version=st.sampled_from(["honoured", "ignored"]),
)


@given(
    behaviour=behaviours,
    seed=st.integers(0, 2**32),
    rate=st.sampled_from([0.0, 0.5, 4.0]),
    orders=st.sampled_from([0, 40, 230]),
    names=st.sampled_from([HISTORY_LISTS, HISTORY_LISTS, HISTORY_LISTS[:2], (HISTORY_LISTS[0], HISTORY_LISTS[2])]),
    limited=st.lists(st.integers(0, 14), max_size=2),
    concurrency=st.sampled_from([1, 1, 4]),
)
@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_with_the_next_window_every_row_is_there_and_none_is_doubled(
    api: Sandbox,
    behaviour: Behaviour,
    seed: int,
    rate: float,
    orders: int,
    names: tuple[str, ...],
    limited: list[int],
    concurrency: int,
) -> None:
    with a_lake() as lake:
        extraction = Extraction(api, lake, behaviour, concurrency=concurrency)
        extraction.names = names
        service = extraction.serve(seed, rate)
        service.fill(orders)
        for requests in limited:  # each of these attempts meets the limit
            api.faults.append(Fault("429", retry_after="3600", skip=requests, times=10**6))
            extraction.extract()
            api.faults.pop()
        history = committed(extraction.extract())
        service.rate = 0
        api.shop.advance(1)
        until = api.shop.now()
        api.shop.advance(60)
        later = extraction.increment(until)
        for name in names:
            check_union(service, behaviour, rows_of(history[name]), rows_of(later[name]), name)


class Crash:
    """Kills an attempt at one of its operations on the store; a dead one does no more.

    :ivar operations: how many there were.
    """

    OPERATIONS = ("put", "put_bytes", "create", "delete", "remove")

    def __init__(self, at: int) -> None:
        self.at = at
        self.operations = 0

    def __enter__(self) -> Crash:
        self._patches = [patch.object(Store, name, self._deadly(getattr(Store, name))) for name in self.OPERATIONS]
        for each in self._patches:
            each.start()
        return self

    def __exit__(self, *exception: object) -> None:
        for each in self._patches:
            each.stop()

    def _deadly(self, operation: Any) -> Any:
        def operate(*arguments: Any) -> Any:
            self.operations += 1
            if self.operations >= self.at:
                raise Killed
            return operation(*arguments)

        return operate


def small_shop(extraction: Extraction, orders: int = 5) -> Service:
    """Fill a shop that stays as it is."""
    service = extraction.serve(1, 0.0)
    service.fill(orders)
    service.shop.insert(service.cloud, "money-logs", {"transactionType": "REGISTER_OPEN", "versionDate": UNTIL - HOUR})
    return service


def check_history(service: Service, history: dict[str, Committed]) -> None:
    for name, outcome in history.items():
        ids = Counter(str(row["id"]) for row in rows_of(outcome))
        rows = service.rows(name)
        assert not ids - Counter(str(row["id"]) for row in rows)
        assert all(ids[str(row["id"])] == 1 for row in rows if row["versionDate"] is None or row["versionDate"] < UNTIL)


def nested_manifests(lake: Path) -> list[Path]:
    return list((lake / NESTED_FOLDER).rglob("_manifest-*.json"))


def test_a_crash_anywhere_costs_no_row_and_no_second_walk(api: Sandbox) -> None:
    at, died = -2, True
    while died:
        at += 3  # parts and their sidecars alternate
        with a_lake() as lake:
            extraction = Extraction(api, lake, Behaviour())
            service = small_shop(extraction)
            with Crash(at) as crash:
                try:
                    history = committed(extraction.extract())
                    extraction.history().clean_up()
                    died = crash.operations >= at
                except Killed:
                    pass
            is_walked = bool(nested_manifests(lake))
            done = [path for path in lake.rglob("_manifest-*.json") if NESTED_FOLDER not in path.parts]
            api.requests.clear()
            history = committed(extraction.extract())
            check_history(service, history)
            if is_walked or len(done) == len(HISTORY_LISTS):
                assert extraction.list_calls()["orders"] == 0
            assert all(
                str(path) in {outcome.path.removeprefix("file://") for outcome in history.values()} for path in done
            )
            extraction.history().clean_up()
            assert not (lake / NESTED_FOLDER).exists()
            if len(done) == len(HISTORY_LISTS):
                assert not extraction.list_calls()
    assert at > 15


@pytest.mark.parametrize("orders", [0, 260])
def test_an_attempt_that_the_limit_ends_is_gone_on_with(api: Sandbox, tmp_path: Path, orders: int) -> None:
    extraction = Extraction(api, tmp_path, Behaviour())
    service = small_shop(extraction, orders)
    walked = []
    for _ in range(12):
        api.requests.clear()
        api.faults.append(Fault("429", retry_after="3600", skip=4, times=10**6))
        outcomes = extraction.extract()
        api.faults.pop()
        walked.append(extraction.list_calls()["orders"])
        if not any(isinstance(outcome, BaseException) for outcome in outcomes.values()):
            break
        assert all(isinstance(outcome, Committed | DotyposRateLimitError) for outcome in outcomes.values())
    check_history(service, committed(outcomes))
    assert walked[-1] == 0  # the walk had been committed before
    assert sum(walked) <= 12 + len(walked)


@pytest.mark.parametrize(
    ("behaviour", "problem"),
    [
        (Behaviour(nested_lists=0), "Orders nest 0 of "),
        (Behaviour(nested_lists=3), "Orders nest "),
        # Orders on the page that is looked at nest all that they have: one with more shows it.
        (Behaviour(nested_lists=8), "Orders with many order-items don't nest all of them"),
    ],
)
def test_where_nested_lists_are_cut_lists_of_their_own_are_read(
    api: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture, behaviour: Behaviour, problem: str
) -> None:
    extraction = Extraction(api, tmp_path, behaviour)
    service = small_shop(extraction, 60)
    large = service.shop.insert(service.cloud, "orders", {"versionDate": UNTIL - 10 * HOUR})["id"]
    for _ in range(9):
        service.shop.insert(service.cloud, "order-items", {"_orderId": large, "versionDate": UNTIL - 10 * HOUR})
    check_history(service, committed(extraction.extract()))
    assert f"{problem}" in caplog.text
    assert "So order items are read by themselves" in caplog.text


def test_payments_that_no_order_nests_are_missed_by_the_count(
    api: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    extraction = Extraction(api, tmp_path, Behaviour())
    service = small_shop(extraction, 150)
    sale = {"_orderId": 0, "transactionType": "SALE", "versionDate": UNTIL - 1000}
    service.shop.insert(service.cloud, "money-logs", sale)
    check_history(service, committed(extraction.extract()))
    assert "So money logs are read by themselves" in caplog.text
    assert "So order items" not in caplog.text


def test_rows_that_differ_when_nested_are_read_by_a_list_of_their_own(
    api: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_names(*arguments: Any) -> Row:
        row = nested(*arguments)
        return row | {"orderItems": [{k: v for k, v in item.items() if k != "name"} for item in row["orderItems"]]}

    nested = lists.with_children
    monkeypatch.setattr(lists, "with_children", without_names)
    extraction = Extraction(api, tmp_path, Behaviour())
    service = small_shop(extraction)
    history = committed(extraction.extract())
    check_history(service, history)
    assert "A row of order-items isn't the same when an order nests it" in caplog.text
    assert all("name" in row for row in rows_of(history["order-items"]))


@pytest.mark.parametrize("status", [400, 403])
def test_where_the_api_refuses_to_nest_each_list_is_read_by_itself(
    api: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    def refuse(*_: Any) -> Row:
        raise RefusedError(status, reason="ACCESS_DENIED")

    extraction = Extraction(api, tmp_path, Behaviour())
    service = small_shop(extraction)
    monkeypatch.setattr(lists, "with_children", refuse)
    history = committed(extraction.extract())
    check_history(service, history)
    parts = [part for outcome in history.values() for part in outcome.manifest.parts]
    assert {range.stream for part in parts for range in part.ranges} <= {"rows", "rows-null"}


def test_sets_are_the_same_as_by_lists_of_their_own(api: Sandbox, tmp_path: Path) -> None:
    extraction = Extraction(api, tmp_path / "nested", Behaviour())
    extraction.file_format = FileFormat("csv")
    small_shop(extraction, 120)
    nested = committed(extraction.extract())
    extraction.lake = ObjectStoragePath(f"file://{tmp_path}/streams")
    streams = extraction.increment(UNTIL, None)
    for name, outcome in nested.items():
        assert outcome.folder == streams[name].folder
        mine, theirs = (
            sorted((row for row in rows_of(each[name]) if (moment_of(row) or 0) < UNTIL), key=lambda row: row["id"])
            for each in (nested, streams)
        )
        assert mine == theirs


def test_a_month_costs_little_more_than_its_orders(api: Sandbox, tmp_path: Path) -> None:
    """A fifth of three walks: 1,000 orders with 2,700 items and 1,050 payments are 11 + 28 + 11 pages."""
    extraction = Extraction(api, tmp_path, Behaviour())
    shop = api.shop
    for number in range(1000):
        dated = {"versionDate": UNTIL - 40_000 * number - 1}
        order = shop.insert(extraction.cloud, "orders", dated)["id"]
        for entity, children in (("order-items", 2 + (number % 10 < 7)), ("money-logs", 1 + (number % 20 == 0))):
            for _ in range(children):
                shop.insert(extraction.cloud, entity, {"_orderId": order, **dated})
    api.requests.clear()
    history = committed(extraction.extract())
    assert [outcome.manifest.rows for outcome in history.values()] == [1000, 2700, 1050]
    assert sum(extraction.list_calls().values()) <= 11 + 10


@pytest.mark.parametrize(
    ("windows", "why"),
    [
        ({name: Window(None, UNTIL) for name in HISTORY_LISTS}, None),
        ({name: Window(None, UNTIL) for name in HISTORY_LISTS[:2]}, None),
        ({name: Window(None, UNTIL) for name in (*HISTORY_LISTS, "products")}, None),
        ({name: Window(None, UNTIL) for name in HISTORY_LISTS[1:]}, "not all of them have something to read"),
        ({"orders": Window(None, UNTIL)}, "not all of them have something to read"),
        ({name: Window(0, UNTIL) for name in HISTORY_LISTS}, "belong to an order that didn't"),
        ({"orders": Window(None, UNTIL), "order-items": Window(0, UNTIL)}, "belong to an order that didn't"),
        ({"orders": Window(None, UNTIL), "order-items": Window(None, UNTIL - 1000)}, "their windows differ"),
        ({name: Window(None, UNTIL + 1) for name in HISTORY_LISTS}, "within a second"),
    ],
)
def test_only_what_is_read_from_the_beginning_can_be_nested(windows: dict[str, Window], why: str | None) -> None:
    reason = why_not_nested(windows)
    assert (reason is None) if why is None else why in str(reason)


class TestOfTheOperator:
    """The operator reads a history from nested lists, and what comes later from lists of their own."""

    @pytest.fixture
    def lake(self, connection: None, sandbox: Sandbox, tmp_path: Path) -> Lake:
        lake = Lake(sandbox, tmp_path)
        for _ in range(3):
            self.open_order(lake)
        return lake

    def open_order(self, lake: Lake) -> list[str]:
        (order,) = lake.insert("orders")
        shop, cloud = lake.sandbox.shop, lake.sandbox.cloud_ids[0]
        row = {"_orderId": int(order), "versionDate": int(lake.now.timestamp() * 1000)}
        return [order, *(str(shop.insert(cloud, name, dict(row))["id"]) for name in HISTORY_LISTS[1:])]

    def run(self, lake: Lake, run_id: str, entities: Any = HISTORY_LISTS, **arguments: Any) -> dict[str, Any]:
        arguments = {"history": "nested", "concurrency": 1, **arguments}
        result: dict[str, Any] = lake.many(run_id, list(entities), **arguments)
        return result

    def streams(self, result: dict[str, Any]) -> set[str]:
        manifests = [read_manifest(each["manifest"]).manifest for each in result["entities"].values()]
        return {range.stream for manifest in manifests for part in manifest.parts for range in part.ranges}

    @needs_state
    @pytest.mark.parametrize("concurrency", [1, 4])
    def test_reads_a_history_and_goes_on_by_lists_of_their_own(self, lake: Lake, concurrency: int) -> None:
        lake.now = lake.now.replace(microsecond=654_321)
        first = self.run(lake, "first", (*HISTORY_LISTS, "tags"), concurrency=concurrency)
        assert self.streams(first) == {"nested"}
        assert {name: first["entities"][name]["rows"] for name in HISTORY_LISTS} == dict.fromkeys(HISTORY_LISTS, 3)
        assert len({each["until"] for each in first["entities"].values()}) == 1
        assert not list(Path(lake.destination.removeprefix("file://")).rglob(f"{NESTED_FOLDER}*"))
        lake.asked()
        new = self.open_order(lake)
        second = self.run(lake, "second", (*HISTORY_LISTS, "tags"), concurrency=concurrency)
        assert [ids(second["entities"][name]) for name in HISTORY_LISTS] == [[id] for id in new]
        asked = lake.asked()
        assert (asked["orders"], asked["order-items"]) == (1, 1)

    @needs_state
    def test_whose_task_dies_is_returned_by_a_retry_without_requests_and_by_the_next_run(self, lake: Lake) -> None:
        first = self.run(lake, "first", dies=True)
        lake.asked()
        assert self.run(lake, "first", dies=True) == first
        assert not lake.asked()
        self.open_order(lake)
        second = self.run(lake, "second")
        for name in HISTORY_LISTS:
            assert second["entities"][name]["manifests"][0] == first["entities"][name]["manifest"]

    @needs_state
    def test_that_dies_between_two_lists_is_finished_by_a_retry(
        self, lake: Lake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def dies(check: Any, others: int) -> None:
            raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(histories._NestedCheck, "check", dies)
            with pytest.raises(Killed):
                self.run(lake, "first")
        assert lake.asked()["orders"] > 0
        result = self.run(lake, "first")
        assert self.streams(result) == {"nested"}
        assert lake.asked()["orders"] == 0

    @needs_state
    def test_that_is_put_off_keeps_what_it_has_read(self, lake: Lake) -> None:
        lake.sandbox.faults.append(Fault("429", retry_after="3600", path="order-items", times=9))
        with pytest.raises(PutOff):
            self.run(lake, "first")
        lake.sandbox.faults.clear()
        assert lake.asked()["orders"] > 0
        assert self.streams(self.run(lake, "first")) == {"nested"}
        assert lake.asked()["orders"] == 0

    @needs_state
    def test_is_left_to_lists_of_their_own_where_one_has_a_watermark(
        self, lake: Lake, caplog: pytest.LogCaptureFixture
    ) -> None:
        lake.one("before", "order-items")
        self.open_order(lake)
        result = self.run(lake, "first")
        assert self.streams(result) <= {"rows"}
        assert "read each by itself: not all of them begin at the beginning" in caplog.text

    @needs_state
    def test_is_left_to_lists_of_their_own_where_there_is_a_start(self, lake: Lake) -> None:
        assert self.streams(self.run(lake, "first", start="2020-01-01T00:00:00Z")) == {"rows"}

    def test_can_end_at_a_given_time(self, lake: Lake) -> None:
        result = self.run(lake, "first", until=(lake.now + timedelta(minutes=1)).replace(microsecond=0))
        assert self.streams(result) == {"nested"}

    def test_skips_a_list_that_the_token_may_not_read(
        self, lake: Lake, refuse: Refuse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse_to_nest(*_: Any) -> Row:
            raise RefusedError(403, "AUTHORIZATION_FAILED", "no")

        monkeypatch.setattr(lists, "with_children", refuse_to_nest)
        refuse("order-items", RefusedError(403, "AUTHORIZATION_FAILED", "no"))
        result = self.run(lake, "first", until="2026-11-01T00:00:00Z")
        assert result["skipped"] == ["order-items"]
        assert set(result["entities"]) == {"orders", "money-logs"}

    @pytest.mark.parametrize(
        ("arguments", "why"),
        [
            ({"history": "nest"}, "history must be one of streams, nested"),
            ({"entities": ["orders"]}, "entities must name orders and one of the others"),
            ({"entities": "order-items, money-logs"}, "entities must name orders and one of the others"),
            ({"settle": 50_000}, "settle must be at most 43200"),
        ],
    )
    def test_is_checked_when_the_dag_is_parsed(self, arguments: dict[str, Any], why: str) -> None:
        arguments = {"entities": "all", "history": "nested", **arguments}
        with pytest.raises(DotyposInputError, match=why):
            DotyposEntitiesToObjectStorageOperator(task_id="x", destination="/tmp/lake", **arguments)
