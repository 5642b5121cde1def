"""Merges in any order and at once: tables hold what was read last, whatever changed meanwhile."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import count, permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect
from airflow_provider_dotypos.transfers.sql.dialects.postgres import Postgres
from airflow_provider_dotypos.transfers.sql.merge import Merge, Mode
from airflow_provider_dotypos.transfers.sql.tables import Deletes
from tests.transfers.sql.databases import Warehouse
from tests.transfers.sql.merging import Place, Row, items, orders

#: What may happen to an order. None of it brings back what was said before under the same cursor: that is the one
#: exception to the order of versions.
EVENTS = ["changes", "changes quietly", "is deleted or restored", "vanishes or comes", "has an item less or more"]
EVENTS += [
    "has an item that changes",
    "has an item that changes quietly",
    "is read",
    "is read",
    "is read",
    "all are read",
]

WINDOWS = 4


@dataclass
class Load:
    """What a window has read: orders, each with its items."""

    mode: Mode = "upsert"
    begun: int = 0
    rows: list[Row] = field(default_factory=list)
    items: list[Row] = field(default_factory=list)


@dataclass
class World:
    """Orders and their items, which change as time goes by, and what windows have read of them.

    :ivar loads: windows, and then walks over all orders.
    """

    cloud: int
    now: int = 0
    orders: dict[int, Row] = field(default_factory=dict)
    items: dict[int, Row] = field(default_factory=dict)
    loads: list[Load] = field(default_factory=lambda: [Load() for _ in range(WINDOWS)])

    def happen(self, event: str, id: int, item: int) -> None:
        """Let something happen to an order or to one of its items, or read it into one of the windows."""
        self.now += 1
        order, new = self.orders.get(id), Row(id, f"at {self.now}", self.now, cloud=self.cloud)
        item_id = 10 * id + item
        if event == "all are read":
            self.loads.append(Load("replace", self.now))
            for each in self.orders:
                self.read(each, self.loads[-1])
        elif event == "vanishes or comes":
            if self.orders.pop(id, None) is None:
                self.orders[id] = new
            self.items = {number: row for number, row in self.items.items() if row.below != id}
        elif order is None:
            return
        elif event == "is read":
            self.read(id, self.loads[item % WINDOWS])
        elif event == "has an item less or more":
            if self.items.pop(item_id, None) is None:
                self.items[item_id] = replace(new, id=item_id, below=id)
        elif event.startswith("has an item that changes"):
            if (row := self.items.get(item_id)) is not None:
                self.items[item_id] = replace(row, says=new.says, at=row.at if "quietly" in event else self.now)
        else:
            deleted = order.deleted is not (event == "is deleted or restored")
            self.orders[id] = replace(new, at=order.at if "quietly" in event else self.now, deleted=deleted)

    def read(self, id: int, load: Load) -> None:
        """Read an order with its items."""
        load.rows.append(replace(self.orders[id], read=self.now))
        load.items += (replace(row, read=self.now) for row in self.items.values() if row.below == id)

    def last(self, deletes: Deletes) -> tuple[dict[int, Any], dict[int, Any]]:
        """Return what living orders and their items said when they were read last."""
        walked = max((load.begun for load in self.loads), default=0)
        newest: dict[int, Row] = {}
        for row in sorted((row for load in self.loads for row in load.rows), key=lambda row: row.read):
            newest[row.id] = row
        living = {
            row.id: row for row in newest.values() if row.read >= walked and not (row.deleted and deletes != "keep")
        }
        below = {
            row.id: row.says
            for load in self.loads
            for row in load.items
            if (parent := living.get(row.below or 0)) is not None and parent.read == row.read
        }
        return {row.id: row.says for row in living.values()}, below


class Merges:
    """Merges what worlds have read into tables, and checks what these hold then."""

    def __init__(self, warehouse: Warehouse, deletes: Deletes) -> None:
        own = orders(deletes=deletes)
        self.place = Place(warehouse, [own, items(own)], deletes)
        self.clouds = count(1)

    def load(self, load: Load, cloud: int) -> Any:
        place = self.place
        merged = place.load(load.rows, load.items, mode=load.mode, begun=load.begun, allow_empty=True, cloud=cloud)
        orphans = place.rows(
            "SELECT 1 FROM order_items c LEFT JOIN orders p ON p.cloud_id = c.cloud_id AND p.id = c.order_id "
            f"WHERE c.cloud_id = {cloud} AND p.id IS NULL"
        )
        assert not orphans
        return merged

    def check(self, world: World) -> None:
        """Raise if tables don't hold what was read last, or if another merge of something would touch them."""
        living, below = world.last(self.place.deletes)
        assert held(self.place, world.cloud) == (living, below)
        touched = "SELECT id, _read_at, _load_id FROM {} ORDER BY cloud_id, id"
        before = [self.place.rows(touched.format(name)) for name in ("orders", "order_items")]
        for load in world.loads[1::2]:
            merged = self.load(load, world.cloud)
            assert (merged.inserted, merged.updated, merged.removed) == (0, 0, 0)
        assert [self.place.rows(touched.format(name)) for name in ("orders", "order_items")] == before


def held(place: Place, cloud: int) -> tuple[dict[int, Any], dict[int, Any]]:
    """Return what living orders and their items say in the tables."""
    living = place.living(cloud)
    rows = place.rows(f"SELECT id, says, order_id FROM order_items WHERE cloud_id = {cloud}")
    return living, {id: says for id, says, parent in rows if parent in living}


EVENT = st.tuples(st.sampled_from(EVENTS), st.integers(1, 2), st.integers(0, 3))
TWO_ORDERS = [("vanishes or comes", 1, 0), ("vanishes or comes", 2, 0), ("has an item less or more", 1, 1)]


@pytest.mark.parametrize(
    ("kind", "deletes", "examples"),
    [
        ("sqlite", "keep", 10),
        ("sqlite", "remove", 15),
        ("sqlite", "mark", 10),
        ("duckdb", "remove", 2),
        ("postgres", "remove", 5),
        ("postgres 16", "mark", 4),
        ("mysql", "remove", 2),
    ],
)
def test_tables_hold_what_was_read_last(
    kind: str,
    deletes: Deletes,
    examples: int,
    warehouse_of: Callable[[str], Warehouse],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if kind == "postgres 16":
        monkeypatch.setattr(Postgres, "has_merge", Dialect.has_merge)
    merges = Merges(warehouse_of(kind.split()[0]), deletes)

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(events=st.lists(EVENT, min_size=8, max_size=25), order=st.randoms(use_true_random=False))
    def hold(events: list[tuple[str, int, int]], order: random.Random) -> None:
        world = World(next(merges.clouds))
        for event in (*TWO_ORDERS, *events):
            world.happen(*event)
        shuffled = [*world.loads]
        order.shuffle(shuffled)
        for load in shuffled:
            merges.load(load, world.cloud)
        merges.check(world)

    hold()
    merges.place.close()


def test_in_every_order_of_four_windows_the_newest_wins(warehouse: Warehouse) -> None:
    """Each order of them has rows of its own: so four merges try all 24."""
    place = Place(warehouse, [orders()])
    # By cursor and time of reading; two of them are of one cursor, and one has none.
    versions = [Row(0, "1", at=1, read=9), Row(0, "2", at=2, read=1), Row(0, "3", at=2, read=2), Row(0, "4", at=None)]
    every = list(permutations(versions))
    for step in zip(*every, strict=True):
        place.load(replace(version, id=id) for id, version in enumerate(step))
    assert place.contents() == dict.fromkeys(range(len(every)), "3")
    place.close()


@pytest.mark.parametrize("kind", ["postgres", "mysql", "sqlite"])
def test_many_merges_at_once_end_without_a_deadlock(kind: str, warehouse_of: Callable[[str], Warehouse]) -> None:
    merges = 200 if kind == "postgres" else 40
    own = orders(deletes="remove")
    place = Place(warehouse_of(kind), [own, items(own)], "remove")
    chance = random.Random(7)
    world = World(1, loads=[Load() for _ in range(merges)])
    while not all(load.rows for load in world.loads):
        world.happen(chance.choice(EVENTS[:-1]), chance.randrange(12), chance.randrange(3))
        for id in chance.sample([*world.orders], min(3, len(world.orders))):
            world.now += 1
            world.read(id, chance.choice(world.loads))
    whats = [place.what(number, cloud=1) for number in range(merges)]
    for what, load in zip(whats, world.loads, strict=True):
        with place.database.transaction() as transaction:
            place.stage(transaction, what, load.rows, load.items)

    def merge(what: Merge) -> None:
        with place.database.transaction() as transaction:  # it isn't tried again
            place.merge(transaction, what)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(merge, whats))
    assert held(place, 1) == world.last("remove")
    place.close()


def test_a_merge_that_changes_nothing_leaves_rows_as_they_are(postgres: Warehouse) -> None:
    place = Place(postgres, [orders()])
    rows = [Row(id, at=id) for id in range(20)]
    place.load(rows)
    system_columns = "SELECT id, xmin::text, xmax::text, ctid::text FROM orders ORDER BY id"
    before = place.rows(system_columns)
    place.load(replace(row, read=9) for row in rows)
    assert place.rows(system_columns) == before
    place.close()


@pytest.mark.parametrize("kind", ["postgres", "mysql", "sqlite"])
def test_no_reader_sees_a_table_in_between(kind: str, warehouse_of: Callable[[str], Warehouse]) -> None:
    place = Place(warehouse_of(kind), [orders()])
    place.load(Row(id, "old", read=1) for id in range(50))
    merged = threading.Event()
    seen: list[Any] = []

    def read() -> None:
        with closing(place.warehouse.connect()) as connection:
            while not (seen and merged.is_set()):
                cursor = connection.cursor()
                cursor.execute("SELECT says, COUNT(*) FROM orders GROUP BY says ORDER BY says")
                seen.append(tuple(map(tuple, cursor.fetchall())))

    reader = threading.Thread(target=read)
    reader.start()
    for round in range(2, 8):
        place.load(
            (Row(id, str(round), at=round, read=10 * round) for id in range(round, 50)),
            mode="replace",
            begun=10 * round,
        )
    merged.set()
    reader.join()
    assert set(seen) <= {(("old", 50),), *(((str(round), 50 - round),) for round in range(2, 8))}
    place.close()
