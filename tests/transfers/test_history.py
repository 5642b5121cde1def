"""A history from nested lists: no row lost, none doubled, whatever changes meanwhile; and what it costs.

Tests `transfers/history` and `transfers/files/nested`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import pytest
from airflow.sdk import ObjectStoragePath
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from airflow_provider_dotypos.api.errors import DotyposInputError, DotyposRateLimitError
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox
from airflow_provider_dotypos.sandbox.api import lists
from airflow_provider_dotypos.sandbox.errors import RefusedError
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers import history as histories
from airflow_provider_dotypos.transfers.arguments import HISTORY_LISTS
from airflow_provider_dotypos.transfers.files.committed_set import read_manifest
from airflow_provider_dotypos.transfers.files.formats.file_format import FileFormat
from airflow_provider_dotypos.transfers.files.manifest import Committed
from airflow_provider_dotypos.transfers.history import NESTED_FOLDER, why_not_nested
from tests.api.walking import HOUR, empty_shop
from tests.examples import examples
from tests.transfers.histories import (
    UNTIL,
    Case,
    Extraction,
    Row,
    Service,
    check_case,
    committed,
    moment_of,
    rows_of,
)
from tests.transfers.test_dotypos_entities_to_object_storage import (
    DotyposEntitiesToObjectStorageOperator,
    Lake,
    PutOff,
    Refuse,
    ids,
)
from tests.transfers.turns import Killed


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
    nested_lists=st.sampled_from([None, None, None, None, 0, 3]),
    commit_lag=st.sampled_from([0.0, 50.0]),
    timestamp_precision=st.sampled_from(["ms", "s"]),
    numbers=st.sampled_from(["text", "number"]),
    nulls=st.sampled_from(["null", "omitted"]),
    ties=st.sampled_from(["stable", "shuffled"]),
    allow_version=st.sampled_from(["honoured", "ignored"]),
)


@given(
    case=st.builds(
        Case,
        behaviour=behaviours,
        seed=st.integers(0, 2**32),
        rate=st.sampled_from([0.0, 2.0, 8.0, 8.0]),
        orders=st.sampled_from([0, 40, 230, 230]),
        names=st.sampled_from([HISTORY_LISTS, HISTORY_LISTS, HISTORY_LISTS[:2], (HISTORY_LISTS[0], HISTORY_LISTS[2])]),
        limited=st.lists(st.integers(0, 14), max_size=2),
        concurrency=st.sampled_from([1, 1, 4]),
    )
)
@settings(max_examples=examples(5), deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_with_the_next_window_every_row_is_there_and_none_is_doubled(api: Sandbox, case: Case) -> None:
    with a_lake() as lake:
        check_case(api, case, lake)


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
        def operate(*arguments: Any, **options: Any) -> Any:
            self.operations += 1
            if self.operations >= self.at:
                raise Killed
            return operation(*arguments, **options)

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
    at, died = -4, True
    while died:
        at += 5  # parts and their sidecars alternate
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


def test_a_try_that_another_overtakes_takes_the_others_sets(
    api: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extraction = Extraction(api, tmp_path, Behaviour())
    service = small_shop(extraction)
    faster: list[dict[str, Committed]] = []
    overtaken = histories.NestedHistory._write

    def is_overtaken(*arguments: Any) -> Any:
        monkeypatch.undo()
        faster.append(committed(extraction.extract()))
        extraction.history().clean_up()
        return overtaken(*arguments)

    monkeypatch.setattr(histories.NestedHistory, "_write", is_overtaken)
    history = committed(extraction.extract())
    check_history(service, history)
    assert [outcome.path for outcome in history.values()] == [outcome.path for outcome in faster[0].values()]


def test_nested_orders_that_are_damaged_are_walked_again(api: Sandbox, tmp_path: Path) -> None:
    extraction = Extraction(api, tmp_path, Behaviour(nested_lists=0))
    service = small_shop(extraction)
    api.faults.append(Fault("429", retry_after="3600", path="order-items", times=9))
    api.faults.append(Fault("429", retry_after="3600", path="money-logs", times=9))
    extraction.extract()
    api.faults[1:] = []
    api.behaviour = Behaviour()
    part = next((tmp_path / NESTED_FOLDER).rglob("g0001-rows-*.gz"))
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    outcomes = extraction.extract()
    assert [str(type(outcome).__name__) for outcome in outcomes.values()] == ["Committed", *["DamagedSetError"] * 2]
    history = committed(extraction.extract())
    check_history(service, history)
    assert {part.stream for part in history["order-items"].manifest.parts} == {"nested"}


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
        (Behaviour(nested_lists=8), "Orders with many order-items, or without any, don't nest all of them"),
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


@pytest.mark.parametrize("kind", ["404-empty", "empty"])
@pytest.mark.parametrize("skip", [0, 1])
def test_an_empty_answer_of_a_gateway_hides_no_cut(api: Sandbox, tmp_path: Path, kind: str, skip: int) -> None:
    extraction = Extraction(api, tmp_path, Behaviour(nested_lists=8))
    service = small_shop(extraction, 20)
    large = service.shop.insert(service.cloud, "orders", {"versionDate": UNTIL - 10 * HOUR})["id"]
    for _ in range(9):
        service.shop.insert(service.cloud, "order-items", {"_orderId": large, "versionDate": UNTIL - 10 * HOUR})
    api.faults.append(Fault(kind, path="order-items", skip=skip))
    check_history(service, committed(extraction.extract()))


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


def test_orders_that_nest_nothing_are_looked_up(
    api: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An API may nest nothing in an order that was cancelled, say, and still list its items."""

    def without_items_of_cancelled_orders(*arguments: Any) -> Row:
        row = nested(*arguments)
        return row | {"orderItems": []} if row["note"] == "cancelled" else row

    nested = lists.with_children
    monkeypatch.setattr(lists, "with_children", without_items_of_cancelled_orders)
    extraction = Extraction(api, tmp_path, Behaviour())
    service = small_shop(extraction, 60)
    early = {"versionDate": UNTIL - 10 * HOUR}
    order = service.shop.insert(service.cloud, "orders", {"note": "cancelled", **early})["id"]
    service.shop.insert(service.cloud, "order-items", {"_orderId": order, **early})
    check_history(service, committed(extraction.extract()))
    assert "So order items are read by themselves" in caplog.text


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
        ({name: Window(0, UNTIL) for name in HISTORY_LISTS}, "items may change whose order doesn't"),
        ({"orders": Window(None, UNTIL), "order-items": Window(0, UNTIL)}, "items may change whose order doesn't"),
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

    def test_whose_task_dies_is_returned_by_a_retry_without_requests_and_by_the_next_run(self, lake: Lake) -> None:
        first = self.run(lake, "first", dies=True)
        lake.asked()
        assert self.run(lake, "first", dies=True) == first
        assert not lake.asked()
        self.open_order(lake)
        second = self.run(lake, "second")
        for name in HISTORY_LISTS:
            assert second["entities"][name]["manifests"][0] == first["entities"][name]["manifest"]

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

    def test_that_replaces_sets_uses_nothing_that_another_run_has_left(
        self, lake: Lake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        until = (lake.now + timedelta(minutes=1)).replace(microsecond=0)
        asked = []
        for run, dies in [("first", True), ("second", True), ("second", False)]:
            with monkeypatch.context() as patched, suppress(Killed):
                if dies:
                    patched.setattr(histories._NestedCheck, "check", Mock(side_effect=Killed))
                self.run(lake, run, until=until, overwrite=run == "second")
            asked.append(lake.asked()["orders"] > 0)
        assert asked == [True, True, False]

    def test_that_is_put_off_keeps_what_it_has_read(self, lake: Lake) -> None:
        lake.sandbox.faults.append(Fault("429", retry_after="3600", path="order-items", times=9))
        with pytest.raises(PutOff):
            self.run(lake, "first")
        lake.sandbox.faults.clear()
        assert lake.asked()["orders"] > 0
        assert self.streams(self.run(lake, "first")) == {"nested"}
        assert lake.asked()["orders"] == 0

    def test_is_left_to_lists_of_their_own_where_one_has_a_watermark(
        self, lake: Lake, caplog: pytest.LogCaptureFixture
    ) -> None:
        lake.one("before", "order-items")
        self.open_order(lake)
        result = self.run(lake, "first")
        assert self.streams(result) <= {"rows"}
        assert "read one by one: not all of them begin at the beginning" in caplog.text

    def test_is_left_to_lists_of_their_own_where_there_is_a_start(self, lake: Lake) -> None:
        assert self.streams(self.run(lake, "first", start="2020-01-01T00:00:00Z")) == {"rows"}

    @pytest.mark.parametrize("arguments", [{"personal_data": False}, {"file_format": "parquet"}])
    def test_is_of_the_shape_that_is_asked_for(self, lake: Lake, arguments: dict[str, Any]) -> None:
        until = (lake.now + timedelta(minutes=1)).replace(microsecond=0)
        nested = self.run(lake, "first", until=until, **arguments)
        assert self.streams(nested) == {"nested"}
        assert self.run(lake, "second", until=until, history="streams", **arguments) == nested
        for each in nested["entities"].values():
            (row, *_) = read_manifest(each["manifest"]).rows()
            assert ("note" in row) == ("personal_data" not in arguments) or each["entity"] == "orders"

    def test_leaves_nothing_of_the_nested_orders_in_an_object_store(self, lake: Lake, bucket: str) -> None:
        lake.destination = bucket
        result = self.run(lake, "first", until="2026-11-01T00:00:00Z")
        assert self.streams(result) <= {"nested"}
        place = ObjectStoragePath(bucket)
        assert not [path for path in place.rglob("*") if NESTED_FOLDER in str(path)]
        assert len(list(place.rglob("_manifest-*.json"))) == 3

    def test_can_end_at_a_given_time(self, lake: Lake) -> None:
        result = self.run(lake, "first", until=(lake.now + timedelta(minutes=1)).replace(microsecond=0))
        assert self.streams(result) == {"nested"}

    def test_leaves_no_nested_orders_if_a_list_is_skipped(self, lake: Lake, refuse: Refuse) -> None:
        refuse("order-items", RefusedError(403, "AUTHORIZATION_FAILED", "no"))
        result = self.run(lake, "first", until="2026-11-01T00:00:00Z")
        assert result["skipped"] == ["order-items"]
        assert self.streams(result) <= {"nested"}
        assert not list(Path(lake.destination.removeprefix("file://")).rglob(f"{NESTED_FOLDER}*"))

    def test_keeps_nested_orders_for_a_retry_if_a_forbidden_list_fails_the_task(
        self, lake: Lake, refuse: Refuse
    ) -> None:
        refuse("order-items", RefusedError(403, "AUTHORIZATION_FAILED", "no"))
        with pytest.raises(Exception, match="order-items"):
            self.run(lake, "first", until="2026-11-01T00:00:00Z", on_forbidden="fail")
        assert list(Path(lake.destination.removeprefix("file://")).rglob(f"{NESTED_FOLDER}/*"))

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
