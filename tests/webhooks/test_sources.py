"""Which connections deliveries name: asked for seldom, whatever is sent."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from airflow.models.connection import Connection
from airflow.utils.session import create_session

from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.webhooks import sources as module
from airflow_provider_dotypos.webhooks.sources import (
    DOUBT,
    LIFE,
    LOOK_UPS,
    MOST_KNOWN,
    MOST_UNKNOWN,
    REST,
    LookUpError,
    Source,
    Sources,
    find_source,
)
from tests.patience import PATIENCE

SOURCE = Source(Settings("https://api.dotykacka.cz", "secret"))


class Airflow:
    """What is asked for connections."""

    def __init__(self, *conn_ids: str) -> None:
        self.sources: dict[str, Source] = dict.fromkeys(conn_ids, SOURCE)
        self.asked: Counter[str] = Counter()
        self.now = 0.0
        self.down = False
        self.hangs: asyncio.Event | None = None

    async def look_up(self, conn_id: str) -> Source | None:
        self.asked[conn_id] += 1
        await asyncio.sleep(0)
        if self.hangs is not None:
            await self.hangs.wait()
        if self.down:
            raise OSError
        return self.sources.get(conn_id)

    def clock(self) -> float:
        return self.now


def with_sources(airflow: Airflow, use: Callable[[Sources], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        await use(Sources(airflow.look_up, airflow.clock))

    asyncio.run(run())


def test_an_answer_is_remembered_for_its_life() -> None:
    airflow = Airflow("shop")

    async def use(sources: Sources) -> None:
        for _ in range(100):
            assert await sources.find("shop") is SOURCE
            assert await sources.find("nothing") is None
        assert airflow.asked == {"shop": 1, "nothing": 1}
        airflow.now = LIFE
        del airflow.sources["shop"]
        assert await sources.find("shop") is None
        airflow.sources["nothing"] = SOURCE
        assert await sources.find("nothing") is SOURCE

    with_sources(airflow, use)


def test_those_who_ask_at_once_share_a_look_up() -> None:
    airflow = Airflow("shop")

    async def use(sources: Sources) -> None:
        assert await asyncio.gather(*(sources.find("shop") for _ in range(200))) == [SOURCE] * 200
        assert airflow.asked == {"shop": 1}

    with_sources(airflow, use)


def test_one_who_leaves_takes_the_look_up_from_nobody() -> None:
    airflow = Airflow("shop")

    async def use(sources: Sources) -> None:
        first, second = (asyncio.create_task(sources.find("shop")) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert await second is SOURCE

    with_sources(airflow, use)


def test_a_flood_of_made_up_ids_is_not_looked_up() -> None:
    airflow = Airflow("shop")

    async def use(sources: Sources) -> None:
        assert await sources.find("shop") is SOURCE
        for number in range(10_000):
            assert await sources.find(f"made-up-{number}") is None
        assert len(airflow.asked) == LOOK_UPS
        airflow.now = 30.0
        for number in range(10_000):
            assert await sources.find(f"made-up-{number}") is None
        assert await sources.find("shop") is SOURCE
        airflow.now = LIFE
        for number in range(10_000):
            await sources.find(f"made-up-{number}")
        # The flood has used up what may be asked, and yet a known connection is read anew.
        assert await sources.find("shop") is SOURCE
        assert airflow.asked["shop"] == 2
        assert sum(airflow.asked.values()) <= LOOK_UPS + LIFE + 2
        assert len(sources._unknown) <= MOST_UNKNOWN

    with_sources(airflow, use)


def test_memory_has_a_bound() -> None:
    airflow = Airflow(*(str(number) for number in range(MOST_KNOWN + 10)))

    async def use(sources: Sources) -> None:
        for number in range(MOST_KNOWN + 10):
            airflow.now += 1
            await sources.find(str(number))
        assert len(sources._known) == MOST_KNOWN

    with_sources(airflow, use)


def test_a_doubtful_answer_is_looked_up_again_before_its_life_ends() -> None:
    airflow = Airflow("shop")
    newer = Source(Settings("https://api.dotykacka.cz", "another secret"))

    async def use(sources: Sources) -> None:
        await sources.find("shop")
        airflow.sources["shop"] = newer
        for _ in range(100):
            assert await sources.find("shop", life=DOUBT) is SOURCE
        airflow.now = DOUBT
        for _ in range(100):
            assert await sources.find("shop", life=DOUBT) is newer
        assert airflow.asked == {"shop": 2}

    with_sources(airflow, use)


def test_without_a_database_the_known_stay_known_and_others_wait() -> None:
    airflow = Airflow("shop", "other")

    async def use(sources: Sources) -> None:
        await sources.find("shop")
        airflow.down, airflow.now = True, LIFE
        for number in range(1000):
            assert await sources.find("shop") is SOURCE
            with pytest.raises(LookUpError):
                await sources.find(f"other-{number}")
        assert sum(airflow.asked.values()) == 2
        airflow.down, airflow.now = False, LIFE + REST
        assert await sources.find("other") is SOURCE

    with_sources(airflow, use)


def test_nobody_waits_for_a_database_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection to a host that has gone without a word takes minutes to fail."""
    airflow = Airflow("shop")

    async def use(sources: Sources) -> None:
        await sources.find("shop")
        monkeypatch.setattr(module, "PATIENCE", 0.01)
        airflow.hangs, airflow.now = asyncio.Event(), LIFE
        assert await sources.find("shop") is SOURCE
        for number in range(100):
            with pytest.raises(LookUpError):
                await sources.find(f"other-{number}")
        assert sum(airflow.asked.values()) == 2

        airflow.hangs.set()
        await asyncio.sleep(0)
        airflow.now += REST
        monkeypatch.setattr(module, "PATIENCE", PATIENCE)
        assert await sources.find("other-0") is None

    with_sources(airflow, use)


def test_a_failure_after_everybody_has_left_is_no_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    airflow = Airflow()
    monkeypatch.setattr(module, "PATIENCE", 0.01)

    async def use(sources: Sources) -> None:
        airflow.hangs, airflow.down = asyncio.Event(), True
        with pytest.raises(LookUpError):
            await sources.find("shop")
        airflow.hangs.set()
        while sources._asked:
            await asyncio.sleep(0)
        gc.collect()

    with_sources(airflow, use)
    assert caplog.messages == []


@pytest.fixture
def stored(database: Path) -> Callable[..., None]:
    def store(conn_id: str, conn_type: str = "dotypos", **more: Any) -> None:
        with create_session() as session:
            session.add(Connection(conn_id=conn_id, conn_type=conn_type, **more))

    return store


def test_a_connection_is_found_where_airflow_holds_it(
    stored: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored("shop", host="https://api.dotykacka.cz", extra='{"refresh_token": "secret"}')
    monkeypatch.setenv("AIRFLOW_CONN_KIOSK", '{"conn_type": "dotypos", "extra": {"refresh_token": "other"}}')

    assert find_source("shop") == Source(Settings("https://api.dotykacka.cz", "secret"))
    kiosk = find_source("kiosk")
    assert kiosk is not None
    assert kiosk.settings.refresh_token == "other"


def test_a_connection_that_has_no_deliveries_is_none(stored: Callable[..., None]) -> None:
    stored("unconnected")
    stored("unusable", host="ftp://api.dotykacka.cz", extra='{"refresh_token": "secret"}')
    stored("web", conn_type="http", extra='{"refresh_token": "secret"}')

    assert [find_source(conn_id) for conn_id in ("unconnected", "unusable", "web", "nothing", " ")] == [None] * 5


def test_a_connection_belongs_to_its_team_where_there_are_teams(
    stored: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored("shop", extra='{"refresh_token": "secret"}')
    monkeypatch.setattr(module, "has_teams", lambda: True)
    teams = {"shop": None}
    monkeypatch.setattr(module.stored, "find_team", lambda conn_id: teams[conn_id])

    shared = find_source("shop")
    teams["shop"] = "north"
    norths = find_source("shop")
    assert (shared and shared.teams, norths and norths.teams) == (frozenset(), frozenset({"north"}))
