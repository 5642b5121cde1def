"""The fleet's own parts, without its processes: its DAGs, its arguments, and that it would notice a loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_dotypos._compat import has_state_store
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.transfers.manifest import CommittedSet, read_manifest
from tests.fleet import command, services
from tests.fleet.comparison import Figures, chains, compare
from tests.fleet.recorded_limit import RecordedLimit
from tests.fleet.report import Report
from tests.fleet.settings import DAGS
from tests.transfers.conftest import HOUR_MS, SINCE_MS
from tests.transfers.conftest import connection as connection
from tests.transfers.conftest import extract as extract
from tests.transfers.conftest import orders as orders

Extract = Callable[..., dict[str, Any]]


@pytest.fixture
def committed(extract: Extract, orders: list[str]) -> CommittedSet:
    return read_manifest(extract()["manifest"])


def test_what_was_extracted_whole_is_right(committed: CommittedSet, sandbox: Sandbox, orders: list[str]) -> None:
    (sets,) = chains([committed, committed]).values()
    figures = compare(sandbox.shop, sets)
    assert figures == Figures(sets=1, rows=len(orders))
    report = Report()
    report.add("orders", figures)
    assert report.right


def test_a_row_that_is_missing_or_old_is_lost(committed: CommittedSet, sandbox: Sandbox, orders: list[str]) -> None:
    cloud = sandbox.cloud_ids[0]
    sandbox.shop.insert(cloud, "orders", {"versionDate": SINCE_MS})
    sandbox.shop.update(cloud, "orders", int(orders[0]), {"note": "other", "versionDate": SINCE_MS + HOUR_MS})
    figures = compare(sandbox.shop, [committed])
    assert (figures.lost, figures.doubled, figures.unknown) == (2, 0, 0)
    report = Report()
    report.add("orders", figures)
    assert not report.right


def test_a_row_that_came_twice_is_doubled(committed: CommittedSet, sandbox: Sandbox, orders: list[str]) -> None:
    assert compare(sandbox.shop, [committed, committed]).doubled == len(orders)


def test_a_row_that_the_shop_does_not_hold_is_unknown(committed: CommittedSet, sandbox: Sandbox) -> None:
    sandbox.shop.remove(sandbox.cloud_ids[0], "orders", sandbox.shop.rows(sandbox.cloud_ids[0], "orders")[0]["id"])
    assert compare(sandbox.shop, [committed]).unknown == 1


def test_a_report_of_nothing_is_not_right() -> None:
    assert not Report().right


@pytest.mark.skipif(not has_state_store(), reason="the fleet runs on the newest Airflow only")
def test_the_dags_are_right() -> None:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(DAGS)
    assert not bag.import_errors
    assert set(bag.dags) == {"fleet_everything", "fleet_windows"}


def test_the_limit_knows_its_fullest_window() -> None:
    limit = RecordedLimit(3, 10)
    now = 0.0
    limit.clock = lambda: now
    let_in = []
    for now in (0.0, 6.0, 9.0, 9.5, 10.0, 30.0):  # noqa: B007 (the clock reads it)
        let_in.append(limit.admit("a cloud") is None)
    limit.admit("another")
    assert let_in == [True, True, True, False, True, True]
    assert limit.fullest == 3


def test_its_arguments() -> None:
    asked = command.parse(["--windows", "3", "--limit", "10/60"])
    assert (asked.windows, asked.limit.requests, asked.limit.seconds) == (3, 10, 60.0)


def test_it_says_what_is_to_be_installed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(services, "program", lambda name: None)
    assert command.main([]) == 1
    assert "apt-get install postgresql redis-server" in capsys.readouterr().err
