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
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.polls import DELETED_EVERY
from airflow_provider_dotypos.api.watch import (
    LONGEST_STATE,
    Change,
    ShownRow,
    Snapshot,
    State,
    StreamRows,
    Watch,
    step,
)
from airflow_provider_dotypos.sandbox import Behaviour
from tests.api.polling import Poller, ShopExchange
from tests.api.walking import empty_shop

SECOND = 1000
NOW = 1_800_000_000_000


def row(id: int, cursor: int, deleted: bool | None = None, parent: str | None = None, **values: Any) -> ShownRow:
    return ShownRow(str(id), cursor, deleted, msgspec.Raw(json.dumps({"id": str(id)} | values).encode()), parent)


def snapshot(*rows: ShownRow, since: int = NOW, now: int = NOW + 30_000, stream: str = "rows") -> Snapshot:
    return Snapshot({stream: StreamRows(since, now, rows)}, (stream,), now)


ORDERS = Watch.of("orders")

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
    """A watcher: its state, the one that was kept last, and what came in events since it began."""

    watch: Watch
    begun: int
    state: State
    kept: State
    seen: Counter[tuple[str, ...]] = field(default_factory=Counter)
    seen_when_kept: Counter[tuple[str, ...]] = field(default_factory=Counter)
    events: list[Change] = field(default_factory=list)


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

    @precondition(lambda self: self.entity.has_deleted and self.rows())
    @rule(which=st.integers(0, 10**6), deleted=st.sampled_from([True, True, False, None]))
    def mark(self, which: int, deleted: bool | None) -> None:
        if deleted is None and not (self.entity.null_markers or self.behaviour.deleted_null == "live"):
            return
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

    @rule(seconds=st.sampled_from([0.001, 0.4, 1.0, 20.0, 59.0, 61.0, 700.0, 2000.0]))
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

    @rule(lag=st.floats(0, 59), keep=st.booleans(), who=st.sets(st.integers(0, 2), min_size=1))
    def poll(self, lag: float, keep: bool, who: set[int]) -> None:
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
        for _ in range(DELETED_EVERY + 1):  # the warehouses are listed again, and deleted rows are asked for
            self.shop.advance(1900)
            self.poll(0.0, True, {0, 1, 2})
        for each in self.subscribers:
            lost = [
                row
                for row in self.rows()
                if any((row[cursor] or 0) >= each.begun for cursor in self.entity.cursors)
                and (each.watch.deleted or not row.get("deleted"))
                and self.told_of(row) not in each.seen
                and not self.is_in_a_window(each, row)
            ]
            assert lost == []
            again = {row: count for row, count in each.seen.items() if count > len(self.entity.cursors)}
            assert again == {}

    def is_in_a_window(self, each: Subscriber, row: dict[str, Any]) -> bool:
        """Return whether an event without a count covers each cursor of a row."""
        windows = [(event.since, event.until) for event in each.events if event.count is None]
        moments = [row[cursor] for cursor in self.entity.cursors if (row[cursor] or 0) >= each.begun]
        return all(any(since <= moment < until for since, until in windows) for moment in moments)

    # Helpers

    def rows(self) -> list[dict[str, Any]]:
        return self.shop.rows(self.cloud, self.name)

    def update(self, which: int, changes: dict[str, Any]) -> None:
        rows = self.rows()
        row = rows[which % len(rows)]
        place = {"warehouse_id": row["_warehouseId"]} if self.entity.parent else {}
        self.shop.update(self.cloud, self.name, row["id"], changes, **place)

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
