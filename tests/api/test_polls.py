"""What polls ask for, and how often: in a shop, and over sockets by both readers (`polls`, `areading`, `listing`)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.api.aclient import AsyncDotyposClient
from airflow_provider_dotypos.api.areading import AsyncReader
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.entities import cloud_lists, find_entity
from airflow_provider_dotypos.api.errors import DotyposConfigurationError, DotyposNotFoundError
from airflow_provider_dotypos.api.polls import DELETED_EVERY, MOST_WALKED, PARENTS_AGE, requests_per_poll
from airflow_provider_dotypos.api.reading import Reader
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.watch import Change, Snapshot, State, Watch, step
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox, Shop
from tests.api.polling import Poller, ShopExchange
from tests.api.walking import empty_shop


class World:
    """A shop, and one watcher that polls it."""

    def __init__(self, watch: Watch, behaviour: Behaviour | None = None, deleted_filter: str | None = None) -> None:
        self.watch = watch
        self.shop = empty_shop()
        for warehouse in self.shop.rows(self.shop.cloud_ids[0], "warehouses"):
            self.shop.remove(self.shop.cloud_ids[0], "warehouses", warehouse["id"])
        self.cloud = self.shop.cloud_ids[0]
        self.exchange = ShopExchange(self.shop, behaviour, deleted_filter)
        self.poller = Poller(self.exchange)
        self.state = State.begin(self.shop.now())

    def insert(self, name: str | None = None, **fields: Any) -> dict[str, Any]:
        return self.shop.insert(self.cloud, name or self.watch.entity.name, fields)

    def poll(self, seconds: float = 60.0) -> Change | None:
        self.shop.advance(seconds)
        self.snapshot = self.poller.poll(self.watch, self.state)
        self.state, event = step(self.state, self.snapshot, self.watch)
        return event

    @property
    def requests(self) -> int:
        """Requests since this was asked last."""
        count = len(self.exchange.asked)
        self.exchange.asked.clear()
        return count


EMPTY_LISTS = pytest.mark.parametrize("allow_version", ["honoured", "ignored"])


@EMPTY_LISTS
@pytest.mark.parametrize(
    ("name", "deleted", "finding", "requests"),
    [
        ("orders", True, None, 20),
        ("courses", True, None, 20),
        ("customers", True, None, 20),
        ("customers", False, None, 20),
        ("customers", True, "hides_null", 24),
        ("products", True, None, 24),
        ("products", True, "shows_null", 20),
        ("products", False, None, 20),
        ("warehouse-products", True, None, 2 * 48 + 1),  # two warehouses, two cursors, and the list of warehouses
        ("warehouse-products", True, "shows_null", 2 * 40 + 1),
        ("warehouse-products", False, None, 2 * 40 + 1),
    ],
)
def test_a_quiet_list_costs_one_request_a_stream_and_poll(
    name: str, deleted: bool, finding: str | None, requests: int, allow_version: str
) -> None:
    world = World(Watch.of(name, deleted=deleted), Behaviour(allow_version=allow_version), finding)
    if name == "warehouse-products":
        for _ in range(2):
            world.insert("warehouses")
    polls = 20
    for _ in range(polls):
        assert world.poll() is None
    assert world.requests == requests == world.poller.polls.requests
    average = (requests - bool(world.watch.entity.parent)) / polls
    assert world.poller.polls.cost(world.watch.entity, deleted=deleted) == pytest.approx(average)


def test_every_list_that_can_be_watched_costs_what_is_said() -> None:
    dear = {
        name: cost for name in cloud_lists() if (cost := requests_per_poll(find_entity(name), one_filter=True)) != 1
    }
    # Portions and webhooks have no cursor, and can't be watched.
    assert dear == {"portions": 0, "webhooks": 0, "warehouse-products": 2}


def test_polls_ask_from_the_oldest_watcher_on_for_one_sorted_page() -> None:
    world = World(Watch.of("orders"))
    world.poller.poll(world.watch, State(5_000), State(9_000, {"rows": 3_000}), State(4_000, {"rows": 8_000}))
    ((_, _, params),) = world.exchange.asked
    assert params == {"limit": "100", "page": "1", "filter": "versionDate|gteq|3000", "sort": "versionDate"}


def test_lists_that_cannot_be_sorted_are_asked_without_an_order() -> None:
    world = World(Watch.of("courses"))
    world.poll()
    ((_, _, params),) = world.exchange.asked
    assert "sort" not in params


@pytest.mark.parametrize(
    ("name", "deleted", "filters"),
    [("customers", True, "deleted|in|0,1;versionDate|gteq|0"), ("customers", False, "versionDate|gteq|0")],
)
def test_deleted_rows_are_asked_for_where_they_count(name: str, deleted: bool, filters: str) -> None:
    world = World(Watch.of(name, deleted=deleted))
    world.poller.poll(world.watch, State(0))
    assert [params["filter"] for _, _, params in world.exchange.asked] == [filters]


@pytest.mark.parametrize(
    ("name", "filter", "asked"),
    [
        ("orders", "paid|eq|true", ["paid|eq|true;versionDate|gteq|0"]),
        ("products", "deleted|eq|1", ["deleted|eq|1;versionDate|gteq|0"]),
    ],
)
def test_a_filter_of_one_watcher_goes_to_the_server(name: str, filter: str, asked: list[str]) -> None:
    world = World(Watch.of(name, filter))
    flow = world.poller.polls.poll(
        world.watch.entity, [State(0)], deleted=world.watch.deleted, conditions=world.watch.conditions
    )
    world.poller.run(flow)
    assert [params["filter"] for _, _, params in world.exchange.asked] == asked


@pytest.mark.parametrize("name", ["orders", "products", "customers", "courses", "customer-accounts"])
@pytest.mark.parametrize("count", [1, 99, 100, 101, 300])
def test_a_bulk_change_of_one_instant_is_one_event(name: str, count: int) -> None:
    world = World(Watch.of(name))
    world.poll()
    world.shop.advance(59)
    ids = {str(world.insert()["id"]) for _ in range(count)}
    event = world.poll(1)
    assert event is not None
    assert event.count == count
    assert event.ids is None if count > 100 else set(event.ids or ()) == ids
    assert world.poll() is None
    assert world.poll() is None


def test_a_bulk_change_costs_its_pages_and_one_request_more() -> None:
    world = World(Watch.of("orders"))
    for number in range(1000):
        world.insert(versionDate=world.shop.now() + 5 * number)
    assert world.requests == 0
    event = world.poll()
    assert event is not None
    assert event.count == 1000
    assert world.requests == 1 + 11


def test_more_changes_than_the_api_would_show_in_one_go_are_a_window_and_the_watcher_goes_on() -> None:
    world = World(Watch.of("orders"))
    began = world.shop.now()
    for number in range(4000):
        world.insert(versionDate=began + 1000 * number)
    event = world.poll(4000)
    assert event is not None
    assert world.requests == 1 + MOST_WALKED
    assert (event.count, event.ids, event.newest) == (None, None, None)
    assert event.since <= began
    assert world.shop.now() - 60_000 < event.until
    world.poll()
    row = world.insert()
    event = world.poll()
    assert event is not None
    assert event.ids == (str(row["id"]),)


def test_a_watcher_that_is_far_behind_wakes_no_other_one() -> None:
    world = World(Watch.of("orders"))
    began = world.state
    for number in range(4000):
        world.insert(versionDate=world.shop.now() + 1000 * number)
    world.shop.advance(5000)
    recent = State.begin(world.shop.now() - 60_000)
    row = world.insert(note="for the other one")
    other = Watch.of("orders", "note|like|nothing")

    snapshot = world.poller.poll(world.watch, began, recent)
    late, event = step(began, snapshot, world.watch)
    assert event is not None
    assert (event.since, event.count) == (began.since, None)
    assert event.until > world.shop.now()
    assert step(recent, snapshot, other)[1] is None
    event = step(recent, snapshot, world.watch)[1]
    assert event is not None
    assert event.ids == (str(row["id"]),)
    assert world.requests == 1 + MOST_WALKED + 1
    assert step(late, world.poller.poll(world.watch, late, recent), world.watch)[1] is None


def test_the_streams_of_a_poll_share_what_it_may_walk() -> None:
    world = World(Watch.of("warehouse-products"))
    for _ in range(2):
        warehouse = world.insert("warehouses")
        for number in range(2000):
            moment = world.shop.now() + 1000 * number
            world.insert(
                _warehouseId=warehouse["id"],
                id=world.shop.new_id(),
                stockStatusVersiondate=moment,
                versionDate=moment,
            )
    event = world.poll(2000)
    assert event is not None
    assert event.count is None
    assert world.requests <= 1 + 2 * 4 + MOST_WALKED  # the warehouses, and four streams of each


def test_a_clock_behind_the_servers_holds_no_bulk_change_back() -> None:
    world = World(Watch.of("orders"))
    world.exchange.skew = -300.0
    world.poll()
    for _ in range(150):
        world.insert()
    event = world.poll(1)
    assert event is not None
    assert event.count == 150


def test_what_changes_during_a_walk_is_in_the_next_event() -> None:
    world = World(Watch.of("orders"))
    rows = [world.insert() for _ in range(250)]

    def change(entity: str, parent: str | None) -> None:
        world.shop.advance(1)
        world.shop.update(world.cloud, "orders", rows[-1]["id"], {"note": "changed"})
        world.exchange.before = lambda *_: None

    world.exchange.before = lambda *_: setattr(world.exchange, "before", change)
    events = [world.poll(), world.poll()]
    assert [event and event.count for event in events] == [249, 1]
    assert events[1] is not None
    assert events[1].ids == (str(rows[-1]["id"]),)


def test_rows_that_cannot_be_listed_are_an_event_without_a_count_and_the_watcher_goes_on() -> None:
    world = World(Watch.of("customers"), Behaviour(ties="shuffled"))
    world.poll()
    world.shop.advance(30)
    for _ in range(800):
        world.insert()
    event = world.poll(30)
    assert event is not None
    assert world.requests < 60  # it doesn't wait for another order for long
    assert (event.count, event.ids) == (None, None)
    assert event.since <= world.shop.now() - 30_000 < event.until
    world.poll()
    assert world.poll() is None
    row = world.insert()
    event = world.poll()
    assert event is not None
    assert event.ids == (str(row["id"]),)


class TestDeletedRows:
    """Rows that are deleted are in another stream, and restored ones come back."""

    def test_each_change_of_the_marker_is_a_change(self) -> None:
        world = World(Watch.of("products"))
        row = world.insert(deleted=None)
        told: Counter[str] = Counter()
        for deleted in (True, False, True, None):
            world.shop.update(world.cloud, "products", row["id"], {"deleted": deleted})
            for _ in range(DELETED_EVERY):
                event = world.poll()
                told.update(event.ids or () if event else ())
        assert told == {str(row["id"]): 4}

    def test_a_watcher_of_live_rows_sees_a_row_that_is_restored(self) -> None:
        world = World(Watch.of("customers", deleted=False))
        row = world.insert(deleted=True)
        assert world.poll() is None
        world.shop.update(world.cloud, "customers", row["id"], {"deleted": False})
        assert world.poll() is not None


class TestWarehouses:
    """Lists below a parent: one for each that isn't deleted."""

    @pytest.fixture
    def world(self) -> World:
        world = World(Watch.of("warehouse-products"))
        self.warehouses = [world.insert("warehouses") for _ in range(2)]
        world.poll()
        return world

    def put(self, world: World, warehouse: dict[str, Any], **fields: Any) -> dict[str, Any]:
        return world.insert(_warehouseId=warehouse["id"], id=world.shop.new_id(), **fields)

    @pytest.mark.parametrize("cursor", ["stockStatusVersiondate", "versionDate"])
    def test_a_change_moves_either_cursor(self, world: World, cursor: str) -> None:
        now = world.shop.now()
        row = self.put(world, self.warehouses[1], **{"stockStatusVersiondate": None, "versionDate": None, cursor: now})
        event = world.poll()
        assert event is not None
        assert (event.count, event.ids) == (1, (str(row["id"]),))

    def test_a_new_warehouse_is_watched_from_its_beginning_on(self, world: World) -> None:
        world.shop.advance(60)
        row = self.put(world, world.insert("warehouses"))
        events = [world.poll(PARENTS_AGE / 3) for _ in range(3)]
        assert [event and event.ids for event in events] == [None, None, (str(row["id"]),)]

    @pytest.mark.parametrize("gone", ["deleted", "removed"])
    def test_a_warehouse_that_is_gone_holds_nothing_back(self, world: World, gone: str) -> None:
        if gone == "deleted":
            world.shop.update(world.cloud, "warehouses", self.warehouses[0]["id"], {"deleted": True})
            world.poll(PARENTS_AGE)
        else:
            world.shop.remove(world.cloud, "warehouses", self.warehouses[0]["id"])
        row = self.put(world, self.warehouses[1])
        event = world.poll()
        assert event is not None
        assert event.ids == (str(row["id"]),)
        world.requests  # noqa: B018
        world.poll()
        assert {parent for _, parent, _ in world.exchange.asked} == {str(self.warehouses[1]["id"])}

    def test_a_listed_warehouse_without_a_list_is_an_error(self, world: World) -> None:
        def remove(entity: str, parent: str | None) -> None:
            if entity == "warehouse-products":
                world.shop.table(world.cloud, "warehouses").rows.clear()
            else:
                for warehouse in self.warehouses:
                    world.shop.table(world.cloud, "warehouses").put(warehouse)

        world.exchange.before = remove
        with pytest.raises(DotyposNotFoundError):
            world.poll()

    def test_without_a_warehouse_there_is_nothing_to_ask_for(self) -> None:
        world = World(Watch.of("warehouse-products"))
        assert world.poll() is None
        assert world.snapshot.streams == {}


@pytest.mark.parametrize("name", ["orders", "courses"])
def test_an_empty_404_moves_nothing_so_that_a_gateways_loses_nothing(name: str) -> None:
    world = World(Watch.of(name))
    world.poll()
    row = world.insert()
    honest = world.exchange.shop
    world.exchange.shop, world.exchange.behaviour = empty_shop(), Behaviour(allow_version="ignored")
    world.exchange.shop.advance((honest.now() - world.exchange.shop.now()) / 1000 + 600)
    honest.advance(600)
    assert world.poll() is None
    world.exchange.shop, world.exchange.behaviour = honest, Behaviour()
    event = world.poll()
    assert event is not None
    assert event.ids == (str(row["id"]),)


def test_an_empty_404_in_a_walk_counts_if_it_comes_again() -> None:
    world = World(Watch.of("orders"))
    for number in range(250):
        world.insert(versionDate=world.shop.now() + number)
    answers = iter(range(10))

    def gateway(entity: str, parent: str | None) -> None:
        lost = next(answers) == 2
        world.exchange.shop = empty_shop() if lost else world.shop
        world.exchange.behaviour = Behaviour(allow_version="ignored" if lost else "honoured")

    world.exchange.before = gateway
    event = world.poll()
    assert event is not None
    assert event.count == 250


# Over real sockets


Polling = Callable[[Sandbox, Watch, int], tuple[list[Snapshot], int, int]]


def settings(sandbox: Sandbox) -> Settings:
    extra = {"refresh_token": sandbox.refresh_token, "cloud_id": sandbox.cloud_ids[0], "timeout": 5}
    return Settings.from_fields(host=sandbox.url, extra=extra)


def in_threads(sandbox: Sandbox, watch: Watch, polls: int) -> tuple[list[Snapshot], int, int]:
    client = DotyposClient(settings(sandbox))
    reader = Reader(client)
    now = reader.now()
    snapshots = [reader.poll(watch.entity, [State.begin(now)], deleted=watch.deleted) for _ in range(polls)]
    client.close()
    return snapshots, now, round(reader.poll_cost(watch.entity))


def on_a_loop(sandbox: Sandbox, watch: Watch, polls: int) -> tuple[list[Snapshot], int, int]:
    async def main() -> tuple[list[Snapshot], int, int]:
        client = AsyncDotyposClient(settings(sandbox))
        reader = AsyncReader(client)
        now = await reader.now()
        snapshots = [await reader.poll(watch.entity, [State.begin(now)], deleted=watch.deleted) for _ in range(polls)]
        assert reader.requests == polls
        await client.aclose()
        return snapshots, now, round(reader.poll_cost(watch.entity))

    return asyncio.run(main())


@pytest.fixture(scope="module")
def till() -> Iterator[Sandbox]:
    with Sandbox(shop=Shop.empty()) as running:
        yield running


@pytest.mark.parametrize("reader", [in_threads, on_a_loop])
class TestReaders:
    @pytest.fixture(autouse=True)
    def clean(self, till: Sandbox) -> None:
        channel.forget_tokens()
        till.requests.clear()
        till.behaviour = Behaviour()

    def paths(self, sandbox: Sandbox) -> list[str]:
        return [request.path.rsplit("/", 1)[-1] for request in sandbox.requests]

    def test_a_poll_is_one_request_and_the_sign_in_shows_the_clock(self, reader: Polling, till: Sandbox) -> None:
        snapshots, now, cost = reader(till, Watch.of("orders"), 3)
        assert self.paths(till) == ["token", "orders", "orders", "orders"]
        assert all(shown.rows == [] for snapshot in snapshots for shown in snapshot.streams.values())
        assert abs(now - till.shop.now()) < 60_000
        assert cost == 1

    def test_rows_come_with_cursor_marker_and_contents(self, reader: Polling, till: Sandbox) -> None:
        for earlier in till.shop.rows(till.cloud_ids[0], "taxes"):
            till.shop.remove(till.cloud_ids[0], "taxes", earlier["id"])
        row = till.shop.insert(till.cloud_ids[0], "taxes", {"deleted": True, "versionDate": till.shop.now() + 9_000})
        (snapshot,), _, _ = reader(till, Watch.of("taxes"), 1)
        (shown,) = snapshot.streams["both"].rows
        assert (shown.id, shown.cursor, shown.deleted) == (str(row["id"]), row["versionDate"], True)
        assert shown.values["id"] == str(row["id"])

    def test_an_empty_404_asks_once_whether_the_cloud_exists(self, reader: Polling, till: Sandbox) -> None:
        till.behaviour = Behaviour(allow_version="ignored")
        snapshots, _, _ = reader(till, Watch.of("reservations"), 2)
        assert self.paths(till) == ["token", "reservations", str(till.cloud_ids[0]), "reservations"]
        assert [snapshot.streams for snapshot in snapshots] == [{}, {}]

    def test_a_failure_that_passes_is_tried_again(self, reader: Polling, till: Sandbox) -> None:
        till.faults.append(Fault("503", path="/orders"))
        snapshots, _, _ = reader(till, Watch.of("orders"), 1)
        assert self.paths(till) == ["token", "orders", "orders"]
        assert snapshots[0].size == 0


def test_without_a_cloud_nothing_can_be_polled(till: Sandbox) -> None:
    extra = {"refresh_token": till.refresh_token, "timeout": 5}
    client = DotyposClient(Settings.from_fields(host=till.url, extra=extra))
    with pytest.raises(DotyposConfigurationError):
        Reader(client).poll(find_entity("orders"), [State.begin(0)])
    client.close()
