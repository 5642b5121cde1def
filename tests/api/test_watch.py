"""The promise of watchers (`watch`, `polls`): each change once, or again under the same key, and none lost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from airflow_provider_dotypos.api.entities import cloud_lists, find_entity
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.page import SECOND
from airflow_provider_dotypos.api.polls import DELETED_EVERY
from airflow_provider_dotypos.api.watch import (
    LONGEST_STATE,
    MOST_IDS,
    MOST_SEEN,
    Change,
    ShownRow,
    Snapshot,
    State,
    StreamRows,
    Watch,
    digest,
    key_of,
    step,
)
from airflow_provider_dotypos.sandbox import Behaviour
from tests.api.polling import Poller, ShopExchange
from tests.api.walking import empty_shop

NOW = 1_800_000_000_000


def row(id: int, cursor: int, deleted: bool | None = None, parent: str | None = None, **values: Any) -> ShownRow:
    return ShownRow(str(id), cursor, deleted, msgspec.Raw(json.dumps({"id": str(id)} | values).encode()), parent)


def snapshot(*rows: ShownRow, since: int = NOW, now: int = NOW + 30_000, stream: str = "rows") -> Snapshot:
    return Snapshot({stream: StreamRows(since, now, rows)}, (stream,), now)


ORDERS = Watch.of("orders")

MARKERS = (True, False, None)

#: The fields that changes of each entity write a number of their own into; of two cursors, each moves with one.
STAMPS = {
    "orders": ("note",),
    "products": ("subtitle",),
    "customers": ("note",),
    "courses": ("name",),
    "customer-accounts": ("balance",),
    "warehouse-products": ("stockQuantityStatus", "subtitle"),
}


@dataclass
class Subscriber:
    """A watcher: its state, the one that was kept last, and what came in events since it began.

    :ivar cursors: of the rows that came.
    :ivar forgotten: a state couldn't hold the marks of rows with cursors up to here (epoch ms), which may come again.
    """

    watch: Watch
    begun: int
    state: State
    kept: State
    seen: Counter[tuple[str, ...]] = field(default_factory=Counter)
    seen_when_kept: Counter[tuple[str, ...]] = field(default_factory=Counter)
    events: list[Change] = field(default_factory=list)
    cursors: dict[tuple[str, ...], set[int]] = field(default_factory=dict)
    forgotten: int = 0

    def may_come_again(self, row: tuple[str, ...]) -> bool:
        """Return whether a row comes again as its mark was forgotten, or as it couldn't be listed."""
        cursors = self.cursors[row]
        return min(cursors) <= self.forgotten or any(map(self.is_in_a_window, cursors))

    def is_in_a_window(self, moment: int) -> bool:
        """Return whether an event of rows that couldn't be listed covers a cursor."""
        return any(event.since <= moment < event.until for event in self.events if event.count is None)


@contextmanager
def rows_of_events() -> Iterator[list[ShownRow]]:
    """Collect the fresh rows that events are made of."""
    rows: list[ShownRow] = []
    made = Change.of

    def of(fresh: list[ShownRow]) -> Change:
        rows.extend(fresh)
        return made(fresh)

    with patch.object(Change, "of", of):
        yield rows


class Watching(RuleBasedStateMachine):
    """Watchers of one list, in a shop where anything may happen, are polled, killed and restarted.

    Between two polls the clock of the shop moves by any time. What a poll shows is late by up to 59 s.
    """

    @initialize(
        name=st.sampled_from(sorted(STAMPS)),
        precision=st.sampled_from(["ms", "s"]),
        allow_version=st.sampled_from(["honoured", "ignored"]),
        ties=st.sampled_from(["stable", "shuffled"]),
        nulls=st.sampled_from(["null", "omitted"]),
        shows_null=st.booleans(),
        skew=st.sampled_from([0.0, -30.0, 300.0]),
    )
    def open(
        self, name: str, precision: str, allow_version: str, ties: str, nulls: str, shows_null: bool, skew: float
    ) -> None:
        self.name, self.entity, self.shop = name, find_entity(name), empty_shop()
        self.cloud = self.shop.cloud_ids[0]
        null = "live" if shows_null else "excluded"
        self.behaviour = Behaviour(
            timestamp_precision=precision, allow_version=allow_version, ties=ties, nulls=nulls, deleted_null=null
        )
        self.exchange = ShopExchange(self.shop, self.behaviour, "shows_null" if shows_null else "hides_null")
        self.exchange.skew = skew
        self.poller = Poller(self.exchange)
        self.warehouses = [self.shop.insert(self.cloud, "warehouses", {})["id"] for _ in range(2)]
        self.stamps = 0
        self.shown_up_to = self.shop.now()
        self.subscribers: list[Subscriber] = []
        self.join(deleted=True)

    # What happens in the shop

    def stamp(self, which: int = 0) -> dict[str, Any]:
        self.stamps += 1
        name = STAMPS[self.name][which % len(STAMPS[self.name])]
        return {name: self.stamps if name in ("balance", "stockQuantityStatus") else f"change {self.stamps}"}

    @rule(count=st.sampled_from([1, 1, 2, 5, 99, 100, 130]), warehouse=st.integers(0, 9))
    def add(self, count: int, warehouse: int) -> None:
        for _ in range(count):
            place = {}
            if self.entity.parent:
                place = {"_warehouseId": self.warehouses[warehouse % len(self.warehouses)], "id": self.shop.new_id()}
            self.shop.insert(self.cloud, self.name, self.stamp() | place)

    @precondition(lambda self: self.rows())
    @rule(which=st.integers(0, 10**6), cursor=st.integers(0, 1))
    def change(self, which: int, cursor: int) -> None:
        self.update(which, self.stamp(cursor))

    @precondition(lambda self: self.rows())
    @rule(which=st.integers(0, 10**6), deleted=st.sampled_from([True, True, False, None]))
    def mark(self, which: int, deleted: bool | None) -> None:
        if self.entity.has_deleted:
            self.update(which, self.stamp(1) | {"deleted": deleted})

    @precondition(lambda self: self.rows())
    @rule(share=st.sampled_from([1, 2, 3]))
    def change_many_at_once(self, share: int) -> None:
        for which in range(0, len(self.rows()), share):
            self.update(which, self.stamp())

    @precondition(lambda self: self.entity.parent)
    @rule()
    def open_warehouse(self) -> None:
        self.warehouses.append(self.shop.insert(self.cloud, "warehouses", {})["id"])
        self.add(1, len(self.warehouses) - 1)

    @rule(seconds=st.sampled_from([0.001, 0.4, 20.0, 61.0, 2000.0]))
    def wait(self, seconds: float) -> None:
        self.shop.advance(seconds)

    # What happens to watchers

    @rule(deleted=st.booleans())
    def join(self, deleted: bool) -> None:
        if len(self.subscribers) < 3:
            begun = self.shop.now()
            local = begun + round(min(self.exchange.skew, 0) * 1000)
            state = State.begin(local)
            self.subscribers.append(Subscriber(Watch.of(self.name, deleted=deleted), begun, state, state))

    @rule(
        pause=st.sampled_from([0.3, 2.0, 25.0, 60.0]),
        lag=st.sampled_from([0.0, 0.5, 10.0, 30.0, 59.0]),
        keep=st.booleans(),
        who=st.sampled_from([{0, 1, 2}, {0, 1, 2}, {0}, {1, 2}]),
    )
    def poll(self, pause: float, lag: float, keep: bool, who: set[int]) -> None:
        self.shop.advance(pause)
        subscribers = [each for number, each in enumerate(self.subscribers) if number in who] or self.subscribers[:1]
        lag = min(lag, (self.shop.now() - self.shown_up_to) / 1000)  # what has shown goes on showing
        self.shown_up_to = self.shop.now() - round(lag * 1000)
        self.exchange.behaviour = replace(self.behaviour, commit_lag=lag)
        deleted = any(each.watch.deleted for each in subscribers)
        shown = self.poller.poll(subscribers[0].watch, *(each.state for each in subscribers), deleted=deleted)
        for each in self.subscribers:  # those that have joined meanwhile get the snapshot, too
            with rows_of_events() as rows:
                each.state, event = step(each.state, shown, each.watch)
            assert event is not None or not rows
            each.seen.update(self.told(row) for row in rows)
            for row in rows:
                each.cursors.setdefault(self.told(row), set()).add(row.cursor)
            if len(each.state.seen) >= MOST_SEEN:
                each.forgotten = max(each.forgotten, min(each.state.seen.values()) + SECOND)
            if event:
                each.events.append(event)
                assert all(event.since <= row.cursor < event.until for row in rows)
                assert event.count in (None, len({row.place for row in rows}))
            if keep:
                each.kept, each.seen_when_kept = self.travelled(each.state), each.seen.copy()

    @rule(which=st.integers(0, 2))
    def kill(self, which: int) -> None:
        each = self.subscribers[which % len(self.subscribers)]
        each.state, each.seen = each.kept, each.seen_when_kept.copy()

    @rule()
    def restart_the_poller(self) -> None:
        self.poller = Poller(self.exchange)

    def teardown(self) -> None:
        if not hasattr(self, "subscribers"):
            return
        self.check_that_nothing_is_lost()
        self.check_that_nothing_comes_again()

    def check_that_nothing_comes_again(self) -> None:
        for each in self.subscribers:
            again = [row for row, count in each.seen.items() if count > len(self.entity.cursors)]
            assert [row for row in again if not each.may_come_again(row)] == []

    def check_that_nothing_is_lost(self) -> None:
        for _ in range(DELETED_EVERY + 1):  # the warehouses are listed again, and deleted rows are asked for
            self.shop.advance(1900)
            self.poll(0.0, 0.0, True, {0, 1, 2})
        for each in self.subscribers:
            lost = [row for row in self.rows() if self.is_due(each, row) and self.told_of(row) not in each.seen]
            assert [row for row in lost if not each.is_in_a_window(max(self.moments(each, row)))] == []

    # Helpers

    def rows(self) -> list[dict[str, Any]]:
        return self.shop.rows(self.cloud, self.name)

    def update(self, which: int, changes: dict[str, Any]) -> None:
        rows = self.rows()
        row = rows[which % len(rows)]
        place = {"warehouse_id": row["_warehouseId"]} if self.entity.parent else {}
        self.shop.update(self.cloud, self.name, row["id"], changes, **place)

    def moments(self, each: Subscriber, row: dict[str, Any]) -> list[int]:
        """Return the cursors of a row that have moved since a watcher began."""
        return [row[cursor] for cursor in self.entity.cursors if (row[cursor] or 0) >= each.begun]

    def is_due(self, each: Subscriber, row: dict[str, Any]) -> bool:
        return bool(self.moments(each, row)) and (each.watch.deleted or not row.get("deleted"))

    def told(self, row: ShownRow) -> tuple[str, ...]:
        return (row.parent or "", row.id, *(_plain(row.values.get(name)) for name in STAMPS[self.name]))

    def told_of(self, row: dict[str, Any]) -> tuple[str, ...]:
        parent = str(row["_warehouseId"]) if self.entity.parent else ""
        return (parent, str(row["id"]), *(_plain(row[name]) for name in STAMPS[self.name]))

    @staticmethod
    def travelled(state: State) -> State:
        """Return the state as a state store gives it back."""
        text = state.encode()
        assert len(text) <= LONGEST_STATE
        decoded = State.decode(text)
        assert decoded is not None
        return decoded


def _plain(value: Any) -> str:
    return "" if value is None else str(value).removesuffix(".0")


TestWatching = Watching.TestCase
TestWatching.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


# One step


def test_a_row_that_shows_late_is_in_one_event_and_only_in_one() -> None:
    state = State.begin(NOW)
    state, event = step(state, snapshot(row(1, NOW + 29_000), since=NOW, now=NOW + 30_000), ORDERS)
    assert event is not None
    late = row(2, NOW + 5_000)  # 55 s late at the next poll
    for _ in range(2):
        shown = snapshot(late, row(1, NOW + 29_000), since=state.start("rows"), now=NOW + 60_000)
        state, event = step(state, shown, ORDERS)
        assert (event.ids if event else None) in (("2",), None)
    assert event is None


def test_a_row_before_a_watchers_own_position_is_not_fresh_for_it() -> None:
    behind, ahead = State.begin(NOW), State(NOW, {"rows": NOW + 20_000})
    shown = snapshot(row(1, NOW + 10_500), row(2, NOW + 20_500), since=NOW, now=NOW + 30_000)
    assert [event and event.ids for _, event in (step(behind, shown, ORDERS), step(ahead, shown, ORDERS))] == [
        ("1", "2"),
        ("2",),
    ]


@pytest.mark.parametrize(
    ("shown", "watch"),
    [
        (snapshot(row(1, NOW + 500), since=NOW + 1000), ORDERS),
        (replace(snapshot(row(1, NOW + 500), stream="live"), deleted=False), Watch.of("products")),
    ],
)
def test_a_snapshot_that_was_asked_for_others_leaves_the_state_as_it_is(shown: Snapshot, watch: Watch) -> None:
    state = State.begin(NOW)
    assert step(state, shown, watch) == (state, None)


def test_a_stream_that_was_not_asked_for_stays_where_it_is_and_new_ones_begin_no_later() -> None:
    state = State.begin(NOW)
    later = NOW + 600_000
    shown = Snapshot({"live": StreamRows(NOW, later, ())}, ("live", "deleted"), later)
    state, _ = step(state, shown, Watch.of("products"))
    assert state.reached == {"live": later - 60_000, "deleted": NOW}
    assert state.start("another") == NOW


def test_new_streams_begin_before_the_time_at_which_parents_were_listed() -> None:
    state, watch = State.begin(NOW), Watch.of("warehouse-products")
    later = NOW + 600_000
    shown = Snapshot({"1-live": StreamRows(NOW, later, ())}, ("1-live",), NOW + 120_000)
    state, _ = step(state, shown, watch)
    assert state.start("2-live") == NOW + 60_000


def test_streams_that_are_cut_differently_bring_no_row_again() -> None:
    state, watch = State.begin(NOW), Watch.of("customers", deleted=False)
    state, event = step(state, snapshot(row(1, NOW + 10_500, False), stream="live"), watch)
    assert event is not None
    for stream in ("both", "live"):
        empty = Snapshot({}, (stream,), NOW + 31_000)  # an empty 404
        state, event = step(state, empty, watch)
        assert event is None
        again = snapshot(row(1, NOW + 10_500, False), since=state.since, stream=stream, now=NOW + 32_000)
        state, event = step(state, again, watch)
        assert event is None


def test_what_a_later_answer_does_not_show_is_still_known_afterwards() -> None:
    """A row that lies behind the end of a walk, as our clock is behind the server's."""
    state = State.begin(NOW)
    state, event = step(state, snapshot(row(1, NOW + 29_500)), ORDERS)
    assert event is not None
    state, event = step(state, snapshot(row(2, NOW + 20_500), now=NOW + 33_000), ORDERS)
    assert event is not None
    state, event = step(state, snapshot(row(1, NOW + 29_500), row(2, NOW + 20_500), now=NOW + 60_000), ORDERS)
    assert event is None


def test_a_list_below_warehouses_that_is_cut_differently_brings_no_row_again() -> None:
    """The new stream begins where the warehouses were listed, long before the former one's position."""
    state, watch = State.begin(NOW), Watch.of("warehouse-products")
    shown = row(7, NOW + 10_500, None, "1")
    told = []
    for stream, now in (("1-live", NOW + 30_000), ("1-live", NOW + 600_000), ("1-both", NOW + 700_000)):
        rows = [shown] if state.start(stream) <= shown.cursor else []
        polled = Snapshot({stream: StreamRows(state.start(stream), now, rows)}, (stream,), NOW)
        state, event = step(State.decode(state.encode()) or state, polled, watch)
        told.append((len(rows), event and event.count))
    assert told == [(1, 1), (1, None), (1, None)]


def test_a_moment_in_the_future_was_taken_from_a_wrong_clock() -> None:
    ahead = State(NOW + 3_600_000, {"rows": NOW + 3_600_000})
    state, _ = step(ahead, snapshot(since=NOW, now=NOW + 90_000), ORDERS)
    assert state == State(NOW + 30_000, {"rows": NOW + 30_000})


def test_two_changes_of_a_second_are_two_where_answers_show_seconds() -> None:
    state = State.begin(NOW)
    state, first = step(state, snapshot(row(1, NOW, note="a")), ORDERS)
    state, again = step(state, snapshot(row(1, NOW, note="a")), ORDERS)
    state, second = step(state, snapshot(row(1, NOW, note="b")), ORDERS)
    assert first is not None
    assert again is None
    assert second is not None
    assert first.key != second.key


def test_an_equal_repeat_after_a_lost_state_has_the_same_key() -> None:
    kept = State.begin(NOW)
    rows = [row(number, NOW + 10_000 + number) for number in range(1, 300)]
    _, first = step(kept, snapshot(*rows), ORDERS)
    _, again = step(kept, snapshot(*reversed(rows), now=NOW + 50_000), ORDERS)
    assert first == again


def test_a_webhooks_event_has_the_key_of_the_polls() -> None:
    rows = [row(1, NOW + 10_500), row(2, NOW + 10_600)]
    _, event = step(State.begin(NOW), snapshot(*rows), ORDERS)
    assert event is not None
    assert event.key == key_of([digest("2", NOW + 10_600), digest("1", NOW + 10_500)])


def test_rows_of_two_warehouses_are_two_although_id_and_cursor_are_the_same() -> None:
    watch = Watch.of("warehouse-products")
    streams = {
        name: StreamRows(NOW, NOW + 30_000, (row(7, NOW + 10_500, parent=name[0]),))
        for name in ("1-live", "1-live-versionDate", "2-live-versionDate")
    }
    _, event = step(State.begin(NOW), Snapshot(streams, tuple(streams), NOW), watch)
    assert event is not None
    assert (event.count, event.ids) == (2, ("7",))


def test_what_was_seen_of_one_warehouse_hides_nothing_of_another() -> None:
    watch, state = Watch.of("warehouse-products"), State.begin(NOW)
    told = []
    for parents in ("1", "12", "12"):
        streams = {}
        for parent in parents:
            shown = row(7, NOW + 10_500, None, parent)
            streams[f"{parent}-live"] = StreamRows(state.start(f"{parent}-live"), NOW + 30_000, (shown,))
        state, event = step(state, Snapshot(streams, ("1-live", "2-live"), NOW), watch)
        told.append(event and event.count)
    assert told == [1, 1, None]


def test_beyond_what_a_state_holds_the_earliest_come_again_and_none_is_lost() -> None:
    rows = [row(number, NOW + 1 + number) for number in range(MOST_SEEN + 500)]
    state, event = step(State.begin(NOW), snapshot(*rows), ORDERS)
    assert event is not None
    assert (event.count, event.ids) == (MOST_SEEN + 500, None)
    state, event = step(state, snapshot(*rows), ORDERS)
    assert event is not None
    assert (event.count, event.newest) == (500, NOW + 500)
    assert len(state.encode()) <= LONGEST_STATE


def test_a_filter_decides_what_is_fresh_and_what_is_remembered() -> None:
    watch = Watch.of("orders", "paid|eq|true")
    rows = [row(1, NOW + 500, paid=True), row(2, NOW + 500, paid=False)]
    state, event = step(State.begin(NOW), snapshot(*rows), watch)
    assert event is not None
    assert event.ids == ("1",)
    state, event = step(state, snapshot(row(1, NOW + 900, paid=False), row(2, NOW + 900, paid=True)), watch)
    assert event is not None
    assert event.ids == ("2",)


def test_rows_that_cannot_be_listed_are_in_the_events_window() -> None:
    rows = StreamRows(NOW, NOW + 30_000, (row(1, NOW + 500),), whole=False, unlisted_until=NOW + 29_500)
    _, event = step(State.begin(NOW), Snapshot({"rows": rows}, ("rows",), NOW), ORDERS)
    assert event is not None
    assert (event.since, event.until, event.count, event.ids, event.newest) == (NOW, NOW + 30_000, None, None, None)


# What is asked for, and what is stored


def test_a_payload_holds_ids_and_times_and_no_row() -> None:
    _, event = step(State.begin(NOW), snapshot(row(1, NOW + 500, note="Jana Nováková")), ORDERS)
    assert event is not None
    assert event.payload(5, "orders") == {
        "version": 1,
        "cloud_id": 5,
        "entity": "orders",
        "key": event.key,
        "since": "2027-01-15T08:00:00.000Z",
        "until": "2027-01-15T08:00:01.000Z",
        "count": 1,
        "ids": ["1"],
        "newest": "2027-01-15T08:00:00.500Z",
        "source": "poll",
    }
    assert len(event.key) == 16


def test_the_largest_payload_takes_less_than_4_kb() -> None:
    rows = [row(-(2**63) + number, NOW + 500) for number in range(MOST_IDS)]
    _, event = step(State.begin(NOW), snapshot(*rows), ORDERS)
    assert event is not None
    assert event.ids is not None
    assert len(json.dumps(event.payload(2**31 - 1, "customer-account-logs"))) < 4096


def test_a_list_can_be_watched_if_its_rows_say_when_they_changed() -> None:
    for name in cloud_lists():
        if name in ("portions", "webhooks"):
            with pytest.raises(DotyposInputError, match=r"Lists that can: .*orders"):
                Watch.of(name)
        else:
            assert Watch.of(name).entity.cursors


@pytest.mark.parametrize(
    ("entity", "filter", "deleted", "why"),
    [
        ("clouds", None, True, "can't be watched"),
        ("manifest", None, True, "one object"),
        ("order", None, True, "no entity"),
        ("orders", "versionDate|gteq|5", True, "cursor"),
        ("orders", "tags|in|a", True, "compares a list"),
        ("orders", "note|eq|a", True, "not allowed|no filter"),
        ("orders", None, "yes", "deleted must be True or False"),
    ],
)
def test_what_cannot_be_watched_is_refused_when_a_dag_is_parsed(
    entity: str, filter: str | None, deleted: Any, why: str
) -> None:
    with pytest.raises(DotyposInputError, match=why):
        Watch.of(entity, filter, deleted=deleted)


@pytest.mark.parametrize(
    ("filter", "wants"), [("deleted|eq|1", True), ("deleted|eq|0", False), ("deleted|ne|1", False)]
)
def test_a_filter_on_deleted_decides_whether_deleted_rows_are_asked_for(filter: str, wants: bool) -> None:
    for deleted in (True, False):
        watch = Watch.of("products", filter, deleted=deleted)
        assert watch.deleted is wants
        rows = [ShownRow("1", 5, marker, msgspec.Raw(msgspec.json.encode({"deleted": marker}))) for marker in MARKERS]
        assert [watch.wants(row) for row in rows] == [wants, not wants, not wants]


def test_a_state_of_many_streams_begins_again_where_all_of_them_have_been_read_and_repeats_nothing() -> None:
    reached = {f"{10**15 + number}-live-versionDate": NOW + number for number in range(1000)}
    seen = {digest("1", NOW + 500): NOW}
    assert State.decode(State(NOW, reached, seen).encode()) == State(NOW, {}, seen)


def test_a_state_whose_marks_are_too_long_begins_again() -> None:
    seen = {digest(str(number), NOW): NOW + number * 10**12 for number in range(MOST_SEEN)}
    assert State.decode(State(NOW, {}, seen).encode()) == State(NOW)


def test_a_full_state_takes_less_than_48_kb() -> None:
    seen = {digest(str(number), NOW): NOW + number * 1000 for number in range(MOST_SEEN)}
    reached = {f"{10**15 + number}-deleted-versionDate": NOW for number in range(100)}
    state = State(NOW, reached, seen)
    assert len(state.encode()) <= LONGEST_STATE
    assert State.decode(state.encode()) == state


@pytest.mark.parametrize(
    "text",
    [
        None,
        5,
        "",
        "null",
        "[]",
        "{}",
        b"\xff",
        '{"version":2,"since":1,"reached":{},"seen":{}}',
        '{"version":1,"since":1,"reached":{"rows":"x"},"seen":{}}',
        '{"version":1,"since":5,"reached":{"rows":4},"seen":{}}',
    ],
)
def test_what_holds_no_state_is_none(text: object) -> None:
    assert State.decode(text) is None
