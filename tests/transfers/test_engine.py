"""The engine with a sink in memory: nothing is lost or repeated in any storm, kept ranges aren't walked again.

This tests `transfers.engine`, `piece_writer` and the protocol of `transfers.sink`; `files.sink` has storms of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, example, given, settings

from airflow_provider_dotypos.api import pieces
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.errors import DotyposCancelledError, DotyposRateLimitError
from airflow_provider_dotypos.api.page import timestamp
from airflow_provider_dotypos.api.reading import Reader
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.streams import Piece
from airflow_provider_dotypos.api.window import Window, iso
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from airflow_provider_dotypos.transfers.engine import extract
from airflow_provider_dotypos.transfers.selection import Selection
from tests.api.walking import HOUR, empty_shop
from tests.examples import examples
from tests.transfers.conftest import SINCE_MS
from tests.transfers.memory_sink import Loaded, MemorySink, Place, StoredPart, overlaps
from tests.transfers.storms import QUIET, Burst, Plan, Row, Storm, Weather, check_promises, check_set
from tests.transfers.test_storms import CALM, plans, weathers
from tests.transfers.test_together import fill, list_calls
from tests.transfers.turns import Death, Try, by_turns

DAY = Window(SINCE_MS, SINCE_MS + 24 * HOUR)


class MemoryTry(Try):
    """A try that keeps rows in memory."""

    def __init__(self, *arguments: Any, place: Place, part_bytes: int, **further: Any) -> None:
        super().__init__(*arguments, **further)
        self._place = place
        self._part_bytes = part_bytes

    def sink(self) -> MemorySink:
        def operation(done: bool) -> None:
            if done:
                self.done()
            else:
                self.step(operation=True)

        return MemorySink(self.window, self._place, self._part_bytes, operation)


class MemoryStorm(Storm):
    """A storm over extractions into memory."""

    def __init__(self, api: Sandbox, weather: Weather) -> None:
        super().__init__(api, weather, Path())
        self._places: dict[Window, Place] = {}

    def new_try(self, plan: Plan, *arguments: Any, **further: Any) -> MemoryTry:
        place = self._places.setdefault(arguments[3], Place())
        return MemoryTry(*arguments, place=place, part_bytes=plan.part_bytes, **further)

    def finish(self, window: Window, plans: list[Plan]) -> list[Row]:
        before = len(self._tries)
        self.run(window, [replace(plan, overwrite=False, rot=False) for plan in plans])
        self.run(window, [QUIET])
        for tried in self._tries[before:]:
            self._check_end(tried)
        loaded: Loaded = self._tries[-1].result
        assert all(tried.error is not None or tried.result is loaded for tried in self._tries[before:])
        assert not overlaps(loaded.parts)
        rows = [self._read(row) for row in loaded.rows]
        tail = loaded.walked.tail
        check_set(
            self,
            SimpleNamespace(  # type: ignore[arg-type]
                since=window.since and iso(window.since),
                until=iso(window.until),
                tail_until=tail and iso(tail.until),
            ),
            rows,
        )
        return rows

    def _read(self, row: Row) -> Row:
        moment = row.get(self.cursor)
        return {
            "id": str(row["id"]),
            self.cursor: timestamp(moment) if moment else None,
            "deleted": row.get("deleted") in (True, "true"),
        }


@pytest.fixture(scope="module")
def api() -> Iterator[Sandbox]:
    with Sandbox(empty_shop()) as running:
        yield running


@given(weather=weathers, plans=plans)
# One is throttled, the next is killed, and a zombie gives way to the last.
@example(
    replace(CALM, bursts=[Burst(1000, 340, 0), Burst(2000, 900, HOUR)]),
    [
        replace(QUIET, part_bytes=1, stall=9),
        replace(QUIET, concurrency=4, part_bytes=1, death=Death("throttled", 20)),
        replace(QUIET, part_bytes=1, death=Death("crash", 12)),
    ],
)
@settings(
    max_examples=examples(10), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
def test_no_row_is_lost_or_repeated_in_any_storm(api: Sandbox, weather: Weather, plans: list[Plan]) -> None:
    with by_turns(), patch.object(pieces, "WORTH_SPLITTING", weather.worth_splitting):
        check_promises(MemoryStorm(api, weather), plans)


@pytest.fixture
def reader(sandbox: Sandbox) -> Iterator[Callable[[int], Reader]]:
    """Make readers of the sandbox's first cloud, each with a client of its own."""
    cloud = sandbox.cloud_ids[0]
    clients = []

    def new(concurrency: int) -> Reader:
        extra = {"refresh_token": sandbox.refresh_token, "cloud_id": cloud, "max_concurrency": concurrency}
        clients.append(DotyposClient(Settings.from_fields(host=sandbox.url, extra=extra)))
        return Reader(clients[-1])

    yield new
    for client in clients:
        client.close()


@pytest.fixture
def selection(sandbox: Sandbox) -> Selection:
    return Selection.of("orders", cloud_id=sandbox.cloud_ids[0])


@pytest.mark.parametrize("concurrency", [1, 4])
def test_what_an_attempt_has_read_is_not_read_again(
    sandbox: Sandbox, reader: Callable[[int], Reader], selection: Selection, concurrency: int
) -> None:
    orders = fill(sandbox, 3000)
    sandbox.faults.append(Fault("429", retry_after="3600", path="/orders", skip=15, times=100))
    place = Place()
    first = MemorySink(DAY, place)
    with pytest.raises(DotyposRateLimitError):
        extract(selection, DAY, reader(concurrency), first)
    kept = first.written
    assert kept >= 800
    sandbox.faults.clear()
    sandbox.requests.clear()

    second = MemorySink(DAY, place)
    loaded = extract(selection, DAY, reader(concurrency), second)

    assert sorted(str(row["id"]) for row in loaded.rows) == sorted(orders)
    assert list_calls(sandbox) <= (3000 - kept) / 100 * 1.25 + 3 * concurrency
    assert loaded.walked.requests == list_calls(sandbox)
    for piece in second.opened:
        for part in first.mine:
            assert part.stream != piece.name or piece.hi <= (part.low or 0) or (piece.start or 0) >= (part.high or 0)


def test_parts_of_streams_that_the_version_before_had_are_read_again_and_not_taken(
    sandbox: Sandbox, reader: Callable[[int], Reader]
) -> None:
    cloud = sandbox.cloud_ids[0]
    warehouse = sandbox.shop.rows(cloud, "warehouses")[0]["id"]
    inside, before = DAY.until - HOUR, SINCE_MS - HOUR
    ids = {}
    for name, stock, product in [("stock", inside, before), ("product", before, inside), ("both", inside, inside)]:
        row = {"_warehouseId": warehouse, "stockStatusVersiondate": stock, "versionDate": product, "deleted": False}
        ids[name] = sandbox.shop.insert(cloud, "warehouse-products", row)["id"]

    def left(stream: str, *names: str) -> StoredPart:
        rows = tuple({"id": str(ids[name])} for name in names)
        return StoredPart(f"{warehouse}-{stream}", DAY.since, DAY.until, rows)

    place = Place([left("live", "stock", "both"), left("live-versionDate-0", "product"), left("live-versionDate-1")])
    selection = Selection.of("warehouse-products", cloud_id=cloud)
    loaded = extract(selection, DAY, reader(1), MemorySink(DAY, place))

    assert sorted(str(row["id"]) for row in loaded.rows) == sorted(map(str, ids.values()))
    sorts = [request.query.get("sort") for request in sandbox.requests if request.path.endswith("/products")]
    assert sorts == ["versionDate", "stockStatusVersiondate", "versionDate"]  # of live rows, the first stream was kept


def test_what_is_committed_is_returned_without_asking_the_api(
    sandbox: Sandbox, reader: Callable[[int], Reader], selection: Selection
) -> None:
    fill(sandbox, 10)
    place = Place()
    loaded = extract(selection, DAY, reader(1), MemorySink(DAY, place))
    sandbox.requests.clear()
    assert extract(selection, DAY, reader(1), MemorySink(DAY, place)) is loaded
    assert not sandbox.requests


def test_an_attempt_gives_way_to_one_that_has_committed(
    sandbox: Sandbox, reader: Callable[[int], Reader], selection: Selection
) -> None:
    fill(sandbox, 500)
    place = Place()

    class Overtaken(MemorySink):
        def commit(self, walked: Any, check_cancelled: Any) -> Loaded:
            pytest.fail("its parts were refused")

        def open(self, piece: Any) -> Any:
            if self.place.committed is None:
                extract(selection, DAY, reader(1), MemorySink(DAY, place))
            return super().open(piece)

    loaded = extract(selection, DAY, reader(1), Overtaken(DAY, place))
    assert loaded is place.committed
    assert len(loaded.rows) == 500


def test_a_finished_sink_is_closed_too(sandbox: Sandbox, reader: Callable[[int], Reader], selection: Selection) -> None:
    fill(sandbox, 10)
    place = Place()
    extract(selection, DAY, reader(1), MemorySink(DAY, place))
    closed = []

    class Connected(MemorySink):
        def __exit__(self, *exception: object) -> None:
            closed.append(self)

    sink = Connected(DAY, place)
    extract(selection, DAY, reader(1), sink)
    assert closed == [sink]


def test_after_a_kill_nothing_kept_is_read_any_more(
    sandbox: Sandbox, reader: Callable[[int], Reader], selection: Selection
) -> None:
    killed = reader(1)

    class Killed(MemorySink):
        asked = 0

        def kept(self, piece: Piece) -> Iterator[StoredPart]:
            self.asked += 1
            yield StoredPart(piece.name, piece.lo, piece.hi, ())
            killed.cancel()

    sink = Killed(DAY, Place())
    with pytest.raises(DotyposCancelledError):
        extract(selection, Window(None, DAY.until), killed, sink)
    assert sink.asked == 1
