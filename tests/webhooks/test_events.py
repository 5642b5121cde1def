"""The event of deliveries in Airflow's database, and the DAG runs that its scheduler makes of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from airflow import settings
from airflow.models.asset import AssetActive, AssetDagRunQueue, AssetEvent, AssetModel
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.sdk import Asset
from airflow.utils.session import create_session
from sqlalchemy import event, select

from airflow_provider_dotypos import _compat
from airflow_provider_dotypos.api.watch import digest
from airflow_provider_dotypos.webhooks import events
from airflow_provider_dotypos.webhooks.bodies import DeliveredRow
from airflow_provider_dotypos.webhooks.deliveries import DeliveredList, Deliveries, Outcome
from airflow_provider_dotypos.webhooks.events import LATEST, store_event
from airflow_provider_dotypos.webhooks.notices import Notices
from tests.webhooks import dags

ORDERS = DeliveredList("dotypos://api.dotykacka.cz/1/orders", 1, "orders")
DAG_ID = "woken"
SINCE = 1_800_000_000_123


def delivered(*ids: int, changed: int = SINCE) -> Deliveries:
    """Return deliveries of rows that have changed at a time."""
    rows = [DeliveredRow(str(row), changed, digest(str(row), changed)) for row in ids]
    deliveries = Deliveries(changed)
    deliveries.add(rows, changed)
    return deliveries


def ping(received: int = SINCE) -> Deliveries:
    deliveries = Deliveries(received)
    deliveries.add([], received)
    return deliveries


def stored_extras() -> list[dict[str, Any]]:
    with create_session() as session:
        return list(session.scalars(select(AssetEvent.extra).order_by(AssetEvent.id)))


def stored_ids() -> list[list[str] | None]:
    return [extra["payload"]["ids"] for extra in stored_extras()]


@pytest.fixture
def woken(database: Path) -> None:
    """A DAG that the list's asset starts."""
    dags.write_dag(DAG_ID, Asset(ORDERS.uri), max_active_runs=1)


needs_state = pytest.mark.skipif(not _compat.has_state_store(), reason="Airflow keeps no state of assets")


@pytest.mark.usefixtures("woken")
class TestStoring:
    def test_makes_an_event_that_starts_a_dag_run(self):
        assert store_event(ORDERS, delivered(7, 5)) is Outcome.STORED

        dags.make_runs()
        ((extra,),) = dags.events_of_runs(DAG_ID)
        payload = extra["payload"]
        assert extra["from_webhook"] is True
        assert (payload["cloud_id"], payload["entity"], payload["source"]) == (1, "orders", "webhook")
        assert (payload["count"], payload["ids"]) == (2, ["5", "7"])
        assert len(json.dumps(extra)) < 4096

    def test_holds_at_most_4_kb(self):
        assert store_event(ORDERS, delivered(*range(10**18, 10**18 + 100))) is Outcome.STORED
        assert store_event(ORDERS, delivered(*range(1, 2001))) is Outcome.STORED

        assert [len(json.dumps(extra)) < 4096 for extra in stored_extras()] == [True, True]

    def test_passes_over_what_was_reported_before(self):
        store_event(ORDERS, delivered(1, 2))
        store_event(ORDERS, delivered(3))

        assert store_event(ORDERS, delivered(2)) is Outcome.REPEATED
        assert store_event(ORDERS, delivered(1, 2, 3)) is Outcome.REPEATED
        assert store_event(ORDERS, delivered(1, 4)) is Outcome.STORED
        assert store_event(ORDERS, delivered(1, changed=SINCE + 1)) is Outcome.STORED
        assert stored_ids() == [["1", "2"], ["3"], ["4"], ["1"]]

    def test_knows_a_repeat_of_many_rows_by_its_key(self):
        store_event(ORDERS, delivered(*range(1, 500)))
        assert store_event(ORDERS, delivered(*range(1, 500))) is Outcome.REPEATED

    def test_knows_what_a_watcher_has_reported(self):
        store_event(ORDERS, delivered(1))
        (extra,) = stored_extras()
        with create_session() as session:
            session.scalars(select(AssetEvent)).one().extra = {"from_trigger": True, "payload": extra["payload"]}

        assert store_event(ORDERS, delivered(1)) is Outcome.REPEATED

    def test_never_takes_a_ping_for_a_repeat(self):
        assert [store_event(ORDERS, ping()) for _ in range(2)] == [Outcome.STORED] * 2
        assert stored_ids() == [None, None]

    def test_looks_no_further_back_than_its_latest_events(self):
        store_event(ORDERS, delivered(1))
        for other in range(2, LATEST + 2):
            store_event(ORDERS, delivered(other))
        assert store_event(ORDERS, delivered(1)) is Outcome.STORED

    def test_reads_past_events_that_others_have_made(self):
        odd: list[Any] = [{}, {"payload": 5}, {"payload": {"key": ["x"]}, "rows": 7}, {"rows": {"a": 1}}]
        with create_session() as session:
            asset_id = session.scalars(select(AssetModel.id)).one()
            session.add_all([AssetEvent(asset_id=asset_id, extra=extra) for extra in odd])

        assert store_event(ORDERS, delivered(1)) is Outcome.STORED

    def test_of_two_servers_at_once_makes_one_event(self):
        """Each thread has a connection of its own to the database, as a server has."""
        with ThreadPoolExecutor(2) as servers:
            outcomes = list(servers.map(lambda _: store_event(ORDERS, delivered(1)), range(8)))
        assert sorted(outcome.name for outcome in outcomes) == ["REPEATED"] * 7 + ["STORED"]
        assert stored_ids() == [["1"]]


@pytest.mark.usefixtures("woken")
class TestRunsToCome:
    def test_take_in_every_event_that_came_before_them(self):
        """By itself, Airflow's next run takes in the first event of those that come while one goes on."""
        store_event(ORDERS, delivered(1))
        dags.make_runs()
        for row in (2, 3, 4):
            store_event(ORDERS, delivered(row))
        with create_session() as session:
            session.scalars(select(DagRun)).one().state = "success"
            session.get(DagModel, DAG_ID).exceeds_max_non_backfill = False
        dags.make_runs()

        runs = [[extra["payload"]["ids"] for extra in run] for run in dags.events_of_runs(DAG_ID)]
        assert runs == [[["1"]], [["2"], ["3"], ["4"]]]


class TestWithoutAnAsset:
    def test_says_so_and_makes_nothing(self, database: Path, caplog: pytest.LogCaptureFixture):
        for row in range(1, 100):
            assert store_event(ORDERS, delivered(row)) is Outcome.UNNAMED

        assert stored_extras() == []
        lines = [record.message for record in caplog.records if "Webhooks" in record.message]
        assert len(lines) <= 1

    def test_of_which_another_has_the_same_end_makes_nothing(self, database: Path):
        dags.write_dag(DAG_ID, Asset(f"{ORDERS.uri}?deleted=false"))
        assert store_event(ORDERS, delivered(1)) is Outcome.UNNAMED


class TestAssets:
    def test_of_any_name_get_the_event(self, database: Path):
        dags.write_dag(DAG_ID, Asset(name="our sales", uri=ORDERS.uri))
        assert store_event(ORDERS, delivered(1)) is Outcome.STORED

    def test_that_are_active_come_first(self, database: Path):
        dags.write_dag(DAG_ID, Asset(name="named so now", uri=ORDERS.uri))
        with create_session() as session:
            session.add(AssetModel(name="a later name, given up", uri=ORDERS.uri))

        assert store_event(ORDERS, delivered(1)) is Outcome.STORED
        dags.make_runs()
        assert len(dags.events_of_runs(DAG_ID)) == 1

    @pytest.mark.usefixtures("woken")
    def test_that_no_dag_names_for_a_while_get_it_too(self):
        with create_session() as session:
            session.delete(session.scalars(select(AssetActive)).one())
        assert store_event(ORDERS, delivered(1)) is Outcome.STORED


class TestAFailedTransaction:
    @pytest.mark.usefixtures("woken")
    def test_stores_nothing(self, monkeypatch: pytest.MonkeyPatch):
        def fail(*args: Any) -> None:
            raise RuntimeError

        with monkeypatch.context() as patch:
            patch.setattr(events, "_wake", fail)
            assert store_event(ORDERS, delivered(1)) is Outcome.FAILED
        assert stored_extras() == []


@needs_state
class TestTeams:
    """Where Airflow keeps teams apart (3.3), a delivery starts what core's own POST of an event would start."""

    @pytest.mark.parametrize(("teams", "started"), [({"north"}, 1), ({"south"}, 0), (set(), 0)])
    @pytest.mark.usefixtures("woken")
    def test_start_the_dags_of_their_connections_team(
        self, teams: set[str], started: int, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
        dags.give_to_team("north")

        assert store_event(ORDERS._replace(teams=frozenset(teams)), delivered(1)) is Outcome.STORED
        with create_session() as session:
            assert len(session.scalars(select(AssetDagRunQueue)).all()) == started


@pytest.fixture
def impatient(database: Path) -> Iterator[None]:
    """Let this process wait for SQLite's lock for 50 ms, in place of 5 s."""

    def wait_briefly(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA busy_timeout = 50")

    settings.engine.dispose()
    event.listen(settings.engine, "connect", wait_briefly)
    yield
    event.remove(settings.engine, "connect", wait_briefly)


@pytest.mark.usefixtures("woken", "impatient")
class TestADatabase:
    def test_that_is_locked_stores_nothing_until_it_is_free(self, database: Path, caplog: pytest.LogCaptureFixture):
        with closing(sqlite3.connect(database)) as other:
            other.execute("BEGIN IMMEDIATE")
            outcomes = {store_event(ORDERS, delivered(1)) for _ in range(3)}
            other.rollback()

        assert outcomes == {Outcome.FAILED}
        assert stored_extras() == []
        assert len(caplog.messages) <= 1
        assert store_event(ORDERS, delivered(1)) is Outcome.STORED

    def test_that_is_gone_stores_nothing(self, database: Path):
        hidden = database.rename(database.with_name("hidden"))
        settings.engine.dispose()
        assert store_event(ORDERS, delivered(1)) is Outcome.FAILED
        hidden.replace(database)
        settings.engine.dispose()
        assert store_event(ORDERS, delivered(1)) is Outcome.STORED

    def test_that_fails_as_the_transaction_ends_has_stored_nothing(self, monkeypatch: pytest.MonkeyPatch):
        def fail(_: object) -> None:
            raise OSError

        event.listen(settings.engine, "commit", fail)
        assert store_event(ORDERS, delivered(1)) is Outcome.FAILED
        event.remove(settings.engine, "commit", fail)
        assert stored_extras() == []
        assert store_event(ORDERS, delivered(1)) is Outcome.STORED

    def test_in_which_an_asset_manager_makes_no_event_has_stored_nothing(self, monkeypatch: pytest.MonkeyPatch):
        """A deployment may have a manager of its own."""
        monkeypatch.setattr(events.asset_manager, "register_asset_change", lambda **_: None)
        assert store_event(ORDERS, delivered(1)) is Outcome.FAILED

    def test_is_named_in_a_line_without_what_a_statement_held(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(events, "notices", Notices())
        monkeypatch.setattr(events.asset_manager, "register_asset_change", broken)
        assert store_event(ORDERS, delivered(1)) is Outcome.FAILED
        (line,) = [message for message in caplog.messages if message.startswith("Webhooks:")]
        assert line == f"Webhooks: an event of {ORDERS.uri} couldn't be stored: RuntimeError"


def broken(**_: object) -> None:
    raise RuntimeError("what a statement held")
