"""Chains of snapshots of what changes all the time: what was removed is told once, and nothing else is."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.sandbox import Behaviour, Sandbox
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator
from airflow_provider_dotypos.transfers.engine import Engine
from airflow_provider_dotypos.transfers.files.committed_set import read_manifest
from airflow_provider_dotypos.transfers.files.snapshots import removed_ids
from tests.api.walking import Drift, empty_shop
from tests.examples import examples
from tests.transfers.storms import Wind


class Chain:
    """Snapshots of one entity, one after the other, while it changes."""

    def __init__(self, api: Sandbox, name: str, rate: float, seed: int, lake: str) -> None:
        self.api = api
        self.name = name
        self.shop = api.shop = empty_shop()
        self.cloud = self.shop.cloud_ids[0]
        self.drift = Drift(self.shop, name, seed, rate)
        self.lake = lake
        api.faults[:] = [Wind(self.drift, api)]

    def alive(self) -> set[int]:
        return {row["id"] for row in self.shop.rows(self.cloud, self.name)}

    def visible(self) -> set[int]:
        """Return the ids that a request would show: a row that was made just now may need some seconds."""
        edge = self.shop.now() - round(self.api.behaviour.commit_lag * 1000)
        table = self.shop.table(self.cloud, self.name)
        return {row["id"] for row in table.rows.values() if table.state_at(row, edge) is not None}

    def insert(self, rows: int) -> None:
        for _ in range(rows):
            self.shop.insert(self.cloud, self.name, {})

    def change(self, rows: int) -> None:
        """Change some rows, at one instant or nearly so."""
        for id in self.drift.random.sample(sorted(self.alive()), min(rows, len(self.alive()))):
            self.shop.update(self.cloud, self.name, id, {})
            self.shop.advance(self.drift.random.choice([0, 0.001]))

    def snapshot(self, concurrency: int = 1) -> str:
        """Take a snapshot, and check that it holds whatever existed all the time."""
        before = self.visible()
        channel.forget_tokens()
        operator = DotyposToObjectStorageOperator(
            task_id="x", entity=self.name, destination=self.lake, snapshot=True, concurrency=concurrency,
            until=datetime.fromtimestamp(self.shop.now() // 1000 - 60, timezone.utc),
        )  # fmt: skip
        path: str = operator.execute({})["manifest"]  # type: ignore[typeddict-item]
        lost = (before & self.alive()) - ids(path)
        assert not lost, f"{len(lost)} rows that exist are in no part"
        return path


def ids(path: str) -> set[int]:
    return {int(json.loads(line)["id"]) for file in read_manifest(path).files for line in file.read_text().splitlines()}


@pytest.fixture(scope="module")
def api() -> Iterator[Sandbox]:
    with Sandbox(empty_shop()) as sandbox:
        yield sandbox


@contextmanager
def connected(api: Sandbox) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as lake:
        patch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(api.connection(api.cloud_ids[0])))
        yield f"file://{Path(lake)}"


#: Picks one of some values.
Pick = Callable[[Sequence[Any]], Any]

#: Entities that are walked in different ways.
NAMES = ("tables", "tags", "customer-accounts")


def check_removals(api: Sandbox, name: str, pick: Pick) -> None:
    """Take three snapshots of an entity that changes all the time, and check what they tell of removed rows."""
    api.behaviour = Behaviour(commit_lag=pick([0.0, 2.0, 7.0]), timestamp_precision=pick(["ms", "s"]))
    with connected(api) as lake:
        chain = Chain(api, name, pick([0.0, 0.5, 3.0]), pick(range(1000)), lake)
        chain.insert(pick(range(1, 251)))
        chain.shop.advance(3600)
        paths: list[str] = []
        alive: list[tuple[set[int], set[int]]] = []  # as each begins, and as it ends
        for _ in range(3):
            chain.change(pick([0, 1, 30, 250]))
            for _ in range(pick(range(7))):
                chain.drift.happen()
            chain.shop.advance(pick([1, 10, 59, 61, 600]))
            before = chain.visible()
            paths.append(chain.snapshot(pick([1, 3])))
            alive.append((before, chain.alive()))

        told: Counter[int] = Counter()
        for number in (1, 2):
            removed = list(removed_ids(paths[number - 1], paths[number]))
            assert not set(removed) & alive[number][1], "what still exists was told to be removed"
            told.update(removed)
        seen = (alive[0][0] & alive[0][1]) | (alive[1][0] & alive[1][1])
        removed_for_good = seen - alive[2][0]
        assert {id: told[id] for id in removed_for_good if told[id] != 1} == {}


@settings(
    max_examples=examples(3),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
@pytest.mark.parametrize("name", NAMES)
def test_every_removal_is_told_once(api: Sandbox, name: str, data: st.DataObject) -> None:
    check_removals(api, name, lambda values: data.draw(st.sampled_from(values)))


def test_a_row_that_changes_just_before_a_snapshot_and_is_gone_before_the_next(api: Sandbox) -> None:
    """It was in neither comparison."""
    api.behaviour = Behaviour()
    with connected(api) as lake:
        chain = Chain(api, "tables", 0.0, 1, lake)
        chain.insert(5)
        chain.shop.advance(3600)
        first = chain.snapshot()
        row = min(chain.alive())
        chain.shop.update(chain.cloud, "tables", row, {})
        chain.shop.advance(5)
        second = chain.snapshot()
        chain.shop.remove(chain.cloud, "tables", row)
        chain.shop.advance(3600)
        third = chain.snapshot()
        assert [list(removed_ids(first, second)), list(removed_ids(second, third))] == [[], [row]]


@pytest.mark.parametrize(
    ("name", "changed", "requests"),
    [("tables", 0, 1), ("tables", 250, 3), ("tags", 0, 2), ("customer-accounts", 0, 2), ("customer-accounts", 99, 2)],
)
def test_what_the_last_pass_costs(
    api: Sandbox, monkeypatch: pytest.MonkeyPatch, name: str, changed: int, requests: int
) -> None:
    """A request for each stream (two where ranges are halved), and pages only of what has changed just now."""
    api.behaviour = Behaviour(allow_version="honoured")
    made: list[int] = []
    walk_on = Engine._walk_to_the_open_end

    def counted(engine: Engine, start: int) -> None:
        before = engine._reader.requests
        walk_on(engine, start)
        made.append(engine._reader.requests - before)

    monkeypatch.setattr(Engine, "_walk_to_the_open_end", counted)
    with connected(api) as lake:
        chain = Chain(api, name, 0.0, 1, lake)
        chain.insert(300)
        chain.shop.advance(3600)
        chain.change(changed)
        chain.snapshot()
    assert made == [requests]
