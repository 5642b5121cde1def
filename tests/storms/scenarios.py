"""The scenarios: each makes a storm of a seed, and checks what is promised."""

from __future__ import annotations

import functools
import io
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api import channel, pieces
from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.markers import DELETED_FILTERS, UNDATED_ROWS
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.lake.compaction import ListFolder, compact_list
from airflow_provider_dotypos.lake.pruning import prune_list
from airflow_provider_dotypos.sandbox import Behaviour, Sandbox, Shop
from airflow_provider_dotypos.sandbox.behaviour import CHOICES, WRITE_CHOICES
from airflow_provider_dotypos.transfers.arguments import HISTORY_LISTS
from airflow_provider_dotypos.transfers.files.committed_set import read_manifest
from airflow_provider_dotypos.transfers.files.formats.file_format import FileFormat
from airflow_provider_dotypos.transfers.sql import database
from airflow_provider_dotypos.writes.applying.options import Create
from demo import children
from tests.api.test_walk import KINDS, WINDOW, fill, inside
from tests.api.test_watch import STAMPS, Watching
from tests.api.walking import HOUR, UNTIL, Drift, drive, drive_together, empty_shop
from tests.lake.lakes import CLOUD, Rows, commit_set, product
from tests.lake.lakes import FORMATS as LAKE_FORMATS
from tests.transfers import limits
from tests.transfers.files.test_snapshots import NAMES, check_removals
from tests.transfers.histories import Case, check_case
from tests.transfers.sql.databases import embedded
from tests.transfers.sql.tries import SqlStorm
from tests.transfers.storms import QUIET, Burst, Plan, Storm, Weather, check_promises
from tests.transfers.test_storms import Reaper, apart
from tests.transfers.turns import Death, by_turns
from tests.writes.forks import Appliers
from tests.writes.shelf import Shelf
from tests.writes.stock_storm import book_in_a_storm
from tests.writes.storms import Weather as PlanWeather
from tests.writes.storms import kill, weather_through

FORMATS = (FileFormat(), FileFormat(gzip_level=1), FileFormat("parquet"), FileFormat("csv"))
FAULTS = ("429", "500", "reset", "short-body", "cut-json")
DEATHS = ("crash", "crash", "crash", "error", "late", "cancel")


@dataclass
class Figures:
    """What one storm came to.

    :param rows: rows that the shop held in the end.
    :param requests: requests that were made.
    :param lost: rows that should have come and didn't.
    :param doubled: rows that came more than once.
    """

    rows: int = 0
    requests: int = 0
    lost: int = 0
    doubled: int = 0

    def __iadd__(self, other: Figures) -> Figures:
        self.rows += other.rows
        self.requests += other.requests
        self.lost += other.lost
        self.doubled += other.doubled
        return self


#: Makes a storm of a seed, against a sandbox of its own. Raises if a promise is broken in a way that has no count.
Scenario = Callable[[int, Sandbox], Figures]


def walk_storm(seed: int, api: Sandbox) -> Figures:
    """Walk a window, by one worker or several, while the shop changes between the requests."""
    chance = random.Random(seed)
    name = chance.choice(KINDS)
    tied = [chance.choice([1, 2, 60, 99, 100, 101, 350]) for _ in range(chance.randrange(5))]
    behaviour = any_behaviour(chance, lags=[0.0, 5.0])
    shop = empty_shop()
    fill(shop, name, tied, chance.choice([0, 30, 150, 260, 900, 2500]), seed)
    cursor = find_entity(name).cursors[0]
    before = inside(shop, name)
    repeatable = {str(row["id"]) for row in shop.rows(shop.cloud_ids[0], name) if row[cursor] is None}
    drift = Drift(shop, name, seed, chance.choice([0.0, 0.5, 5.0]))
    workers = chance.randint(1, 9)
    one = behaviour.deleted_null == "live" and chance.random() < 0.5
    if workers == 1:
        walked = drive(shop, name, WINDOW, behaviour, between=drift, one_filter=one)
    else:
        walked = drive_together(
            shop, name, WINDOW, behaviour, workers=workers, chance=chance, between=drift, one_filter=one
        )
    unchanged = before - drift.touched
    lost = {id for id in unchanged if walked.counts[id] == 0}
    doubled = {id for id in unchanged - repeatable if walked.counts[id] > 1}
    shop.advance(60)
    later = drive(shop, name, Window(UNTIL, shop.now()), behaviour)
    lost |= before - drift.gone - set(walked.ids) - set(later.ids)
    requests = len(walked.queries) + len(later.queries)
    return Figures(len(shop.rows(shop.cloud_ids[0], name)), requests, len(lost), len(doubled))


def watch_storm(seed: int, api: Sandbox) -> Figures:
    """Poll a list for up to three watchers, which join and are killed, while the shop changes and shows that late."""
    chance = random.Random(seed)
    world = Watching()
    world.open(
        name=chance.choice(sorted(STAMPS)),
        precision=chance.choice(["ms", "s"]),
        allow_version=chance.choice(["honoured", "ignored"]),
        ties=chance.choice(["stable", "shuffled"]),
        nulls=chance.choice(["null", "omitted"]),
        shows_null=chance.random() < 0.5,
        skew=chance.choice([0.0, -30.0, 300.0]),
    )
    happenings: list[Callable[[], None]] = [
        lambda: world.add(chance.choice([1, 1, 2, 5, 99, 100, 130, 400]), chance.randrange(9)),
        lambda: world.change(chance.randrange(10**6), chance.randrange(2)),
        lambda: world.mark(chance.randrange(10**6), chance.choice([True, True, False, None])),
        lambda: world.change_many_at_once(chance.randint(1, 3)),
        lambda: world.wait(chance.choice([0.001, 0.4, 20.0, 61.0, 2000.0])),
        lambda: world.join(chance.random() < 0.5),
        lambda: world.kill(chance.randrange(3)),
        world.restart_the_poller,
    ]
    if world.entity.parent:
        happenings.append(world.open_warehouse)
    world.add(1, 0)
    for _ in range(chance.randint(10, 80)):
        chance.choice(happenings)()
        if chance.random() < 0.4:
            who = chance.choice([{0, 1, 2}, {0, 1, 2}, {0}, {1, 2}])
            world.poll(chance.uniform(0, 70), chance.uniform(0, 59), chance.random() < 0.5, who)
    world.check_that_nothing_is_lost()
    world.check_that_nothing_comes_again()
    return Figures(len(world.rows()), len(world.exchange.asked))


def sink_storm(seed: int, api: Sandbox) -> Figures:
    """Extract by several tries that fail, crash, stall and overtake each other."""
    chance = random.Random(seed)
    weather = any_weather(chance, seed)
    plans = [any_plan(chance) for _ in range(chance.randint(2, 4))]
    with lake() as folder, by_turns(), patch.object(pieces, "WORTH_SPLITTING", weather.worth_splitting):
        before = len(api.requests)
        storm = Storm(api, weather, folder)
        check_promises(storm, plans)
        return Figures(len(storm.rows()), len(api.requests) - before)


def sql_storm(seed: int, api: Sandbox) -> Figures:
    """Load into tables by several tries that fail, crash, stall and overtake each other."""
    chance = random.Random(seed)
    weather = any_weather(chance, seed)
    plans = [any_plan(chance) for _ in range(chance.randint(2, 4))]
    with (
        lake() as folder,
        by_turns(),
        pytest.MonkeyPatch.context() as monkeypatch,
        patch.object(pieces, "WORTH_SPLITTING", weather.worth_splitting),
        patch.multiple(database, LOST_AT_MOST=0.0, BUSY_AT_MOST=0.0),
    ):
        warehouse = embedded("sqlite", folder)
        warehouse.store(monkeypatch)
        before = len(api.requests)
        storm = SqlStorm(api, weather, warehouse, chance.choice(["upsert", "append"]))
        check_promises(storm, plans)
        return Figures(len(storm.rows()), len(api.requests) - before)


def kill_storm(seed: int, api: Sandbox) -> Figures:
    """Kill a process in the midst of a request (``kill -9``), and let later tries finish."""
    chance = random.Random(seed)
    weather = any_weather(chance, seed)
    weather.faults = []
    weather.file_format = chance.choice([FileFormat(), FileFormat("parquet"), FileFormat("csv")])
    weather.bursts.append(Burst(1000, 1400, HOUR))
    weather.edge = 0
    plan = Plan(chance.randint(1, 8), chance.choice([1, 30_000]), None, None, None, rot=False)
    with lake() as folder, by_turns():
        before = len(api.requests)
        storm = Storm(api, weather, folder)
        process = apart(api, storm, plan)
        api.faults.append(Reaper(process, chance.randint(2, 40)))
        assert process.wait() in (0, -signal.SIGKILL)
        del api.faults[-1]
        for manifest in storm.folder(storm.window).glob("_manifest-*"):  # it had ended before
            storm.check_commit(manifest)
        check_promises(storm, [plan, QUIET])
        return Figures(len(storm.rows()), len(api.requests) - before)


def limit_storm(seed: int, api: Sandbox) -> Figures:
    """Extract under 150 requests in half an hour, by attempts that give their slot back in between."""
    chance = random.Random(seed)
    case = limits.Case(
        chance.choice([1, 2, 4, 9, 16]),
        chance.choice([0.0, 0.03, 0.1]),
        chance.choice([True, False]),
        chance.choice(["fixed", "sliding"]),
        chance.choice([True, False]),
    )
    api.shop = empty_shop()
    orders = limits.fill(api, chance.randrange(20_000, 30_001))
    with lake() as folder, redirect_stdout(io.StringIO()):  # Airflow prints that no task runs this
        outcome = limits.Task(api, case, folder).run()
    limits.check(outcome, case, orders)
    return Figures(len(orders), sum(attempt.calls for attempt in outcome.attempts))


def snapshot_storm(seed: int, api: Sandbox) -> Figures:
    """Take snapshots of what changes all the time, and compare them."""
    chance = random.Random(seed)
    before = len(api.requests)
    check_removals(api, chance.choice(NAMES), chance.choice)
    api.faults.clear()
    return Figures(requests=len(api.requests) - before)


def history_storm(seed: int, api: Sandbox) -> Figures:
    """Read a history from nested lists by attempts that meet the limit, and the next window."""
    chance = random.Random(seed)
    behaviour = replace(any_behaviour(chance, lags=[0.0, 50.0]), nested_lists=chance.choice([None, None, 0, 2, 4]))
    names = chance.choice([HISTORY_LISTS, HISTORY_LISTS[:2], HISTORY_LISTS[::2]])
    limited = [chance.randrange(15) for _ in range(chance.randrange(3))]
    rate, orders = chance.choice([0.0, 1.0, 8.0]), chance.choice([0, 40, 230, 500])
    before = len(api.requests)
    with lake() as folder:
        rows = check_case(api, Case(behaviour, seed, rate, orders, names, limited, chance.choice([1, 1, 2, 5])), folder)
    api.faults.clear()
    return Figures(rows, len(api.requests) - before)


def write_storm(seed: int, api: Sandbox) -> Figures:
    """Apply a plan, row by row or by lists, while requests fail before, after and late, and a till edits."""
    chance = random.Random(seed)
    create: Create = chance.choice(["put", "put", "post"])
    weather = replace(
        any_plan_weather(chance, seed, create),
        failing=chance.choice([0.05, 0.2, 0.4]),
        late=create == "put" and chance.random() < 0.5,  # a POST that is carried out late creates its rows again
        edits=chance.choice([0.0, 1.0, 10.0]),
        rough=chance.random() < 0.5,
        threads=chance.choice([1, 1, 4]),
        settle=chance.choice([15.0, 60.0]),
    )
    with lake() as folder:
        storm = weather_through(api, weather, folder)
        return Figures(len(storm.updates) + len(storm.creates), len(api.requests))


def killed_write_storm(seed: int, api: Sandbox) -> Figures:
    """Apply a plan by processes that are killed in the midst of a request (``kill -9``), until one ends."""
    chance = random.Random(seed)
    weather = replace(any_plan_weather(chance, seed, "put"), settle=0.2)
    weather = replace(weather, behaviour=replace(weather.behaviour, commit_lag=0.0))
    with lake() as folder:
        storm = kill(api, weather, folder, appliers(), kills=chance.randint(1, 6))
        return Figures(len(storm.updates) + len(storm.creates), len(api.requests))


def stock_storm(seed: int, api: Sandbox) -> Figures:
    """Book stock operations while answers get lost, tasks are killed and run again, and a till sells."""
    api.shop = Shop.empty()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        channel.forget_tokens()
        patch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(api.connection(api.cloud_ids[0])))
        book_in_a_storm(seed, api, Shelf(api, Path(folder)), documents=20)
    return Figures(rows=20, requests=len(api.requests))


def compact_storm(seed: int, api: Sandbox) -> Figures:
    """Compact and prune in processes that are killed (``kill -9``), two at once now and then, while windows come."""
    chance = random.Random(seed)
    shape = chance.choice(LAKE_FORMATS)
    newest: dict[int, int] = {}
    with lake() as place:
        destination = ObjectStoragePath(f"file://{place}")
        folder = ListFolder(destination, CLOUD, "products")
        kills = now = 0
        for _ in range(chance.randint(2, 5)):
            for _ in range(chance.randint(1, 4)):
                begin = max(0, now - chance.choice([0, 0, 0, 3]))
                now += chance.randint(1, 4)
                for id in chance.sample(range(20), 8):
                    newest[id] = now - 1
                rows = [product(id, at, name=f"{id} at {at}") for id, at in newest.items() if begin <= at < now]
                window = Window(begin, now)
                commit_set(destination, window, [Rows(begin, now, rows)], overwrite=True, **shape)
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            processes = [
                children.Child(
                    [sys.executable, "-m", "tests.lake.killed", f"file://{place}", what, str(chance.randint(0, 25))],
                    **quiet,
                )
                for what in chance.choice([["compact"], ["prune"], ["compact", "prune"], ["compact", "compact"]])
            ]
            codes = [process.wait() for process in processes]
            assert set(codes) <= {0, -signal.SIGKILL}
            kills += codes.count(-signal.SIGKILL)
            missing = _missing(folder, newest)
            if missing:
                return Figures(len(newest), kills, lost=missing)
        for _ in range(2):
            list(compact_list(folder, 10**13))
            list(prune_list(folder, grace=0))
        return Figures(len(newest), kills, lost=_missing(folder, newest))


def _missing(folder: ListFolder, newest: Mapping[int, int]) -> int:
    """Return of how many rows the newest version can't be read."""
    there = {row["name"] for found in folder.sets() for row in read_manifest(found.store.folder, verify=True).rows()}
    return sum(f"{id} at {at}" not in there for id, at in newest.items())


#: All scenarios, by name. They share the time alike.
SCENARIOS: dict[str, Scenario] = {
    "walk": walk_storm,
    "watch": watch_storm,
    "sink": sink_storm,
    "sql": sql_storm,
    "kill": kill_storm,
    "limit": limit_storm,
    "snapshot": snapshot_storm,
    "history": history_storm,
    "write": write_storm,
    "killed-write": killed_write_storm,
    "stock": stock_storm,
    "compact": compact_storm,
}


def any_behaviour(chance: random.Random, lags: list[float]) -> Behaviour:
    """Return the sandbox's switches in any position."""
    positions = {name: chance.choice(choices) for name, choices in CHOICES.items()}
    return Behaviour(**positions, commit_lag=chance.choice(lags))


def any_plan_weather(chance: random.Random, seed: int, create: Create) -> PlanWeather:
    """Return any plan, and the sandbox's switches that matter to writes in any position."""
    behaviour = any_behaviour(chance, lags=[0.0, 0.0, 10.0])
    for name in ("refused_lists", "violation_paths", "version_in_body", "price_coupling"):
        behaviour = replace(behaviour, **{name: chance.choice(WRITE_CHOICES[name])})
    return PlanWeather(
        seed,
        method=chance.choice(["patch", "put"]),
        create=create,
        updates=chance.choice([5, 40, 120]),
        creates=chance.choice([0, 5, 40]),
        behaviour=behaviour,
    )


@functools.cache
def appliers() -> Appliers:
    """Return what makes processes that apply plans. It ends with this process."""
    return Appliers()


def any_weather(chance: random.Random, seed: int) -> Weather:
    """Return any weather: ties and spreads of rows, faults, formats."""
    bursts = []
    for _ in range(chance.randint(1, 4)):
        if chance.random() < 0.5:
            size, spread = chance.choice([1, 60, 99, 100, 101, 230, 340]), chance.choice([0, 900])
        else:
            size, spread = chance.choice([30, 400, 1000]), chance.choice([120_000, HOUR])
        bursts.append(Burst(chance.randrange(3600), size, spread))
    return Weather(
        name=chance.choice(["orders", "products", "courses"]),
        behaviour=any_behaviour(chance, lags=[0.0, 0.0, 30.0]),
        bursts=bursts,
        grain=chance.choice([1, 1000]),
        rate=chance.choice([0.0, 0.3, 3.0]),
        faults=[
            (chance.choice(FAULTS), chance.randrange(41), chance.randint(1, 3)) for _ in range(chance.randrange(5))
        ],
        file_format=chance.choice(FORMATS),
        worth_splitting=chance.choice([0.3, 3.0]),
        seed=seed,
        edge=chance.choice([0, 500]),
        from_the_beginning=chance.random() < 0.5,
        undated_rows=chance.choice(UNDATED_ROWS),
    )


def any_plan(chance: random.Random) -> Plan:
    """Return any try: how it begins, stalls and ends."""
    return Plan(
        concurrency=chance.randint(1, 8),
        part_bytes=chance.choice([1, 1, 30_000, 10**9]),
        after=chance.choice([None, chance.randrange(71)]),
        stall=chance.choice([None, chance.randint(1, 40)]),
        death=chance.choice([None, Death(chance.choice(DEATHS), chance.randint(4, 70))]),
        rot=chance.random() < 0.5,
        overwrite=chance.random() < 0.33,
        origin=chance.choice("ab"),
        deleted_filter=chance.choice(DELETED_FILTERS),
    )


@contextmanager
def lake() -> Iterator[Path]:
    """Give a folder to extract to."""
    folder = Path(tempfile.mkdtemp(prefix="storm-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
