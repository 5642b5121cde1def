"""What runs find out of null deletion markers, keep beside the watermark, and make of it (`api.markers`)."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_dotypos import _compat
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox
from airflow_provider_dotypos.transfers.manifest import read_manifest
from tests.transfers.test_without_a_window import KINDS, Runs, ids


class Taxes:
    """Runs of a task that extracts taxes, whose deletion markers are false, true or null."""

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self.sandbox = runs.sandbox
        self.cloud = runs.sandbox.cloud_ids[0]
        self.now = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(days=1)
        self.number = 0
        self.before = len(self.sandbox.shop.rows(self.cloud, "taxes"))

    def insert(self, deleted: bool | None, **fields: Any) -> str:
        self.now += timedelta(minutes=1)
        moment = int(self.now.timestamp() * 1000)
        fields = {"versionDate": moment, "deleted": deleted, **fields}
        return str(self.sandbox.shop.insert(self.cloud, "taxes", fields)["id"])

    def run(self, **arguments: Any) -> dict[str, Any]:
        self.number += 1
        self.now += timedelta(minutes=5)
        return self.runs.run(f"run {self.number}", self.now, **{"entity": "taxes", **arguments})

    def lists(self, **arguments: Any) -> tuple[int, list[str]]:
        """Run the task; return how often it asked for the list, and the ids in its newest set."""
        before = len(self.sandbox.requests)
        result = self.run(**arguments)
        asked = [request for request in self.sandbox.requests[before:] if not request.path.endswith("/token")]
        return len(asked), ids(result | {"manifests": [result["manifest"]]})

    @property
    def finding(self) -> Any:
        return self.runs.kept.get(f"dotypos/{self.cloud}/taxes/null-markers")


@pytest.fixture(params=KINDS)
def taxes(
    connection: None, sandbox: Sandbox, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Taxes:
    monkeypatch.setattr(_compat, "has_state_store", lambda: request.param == "airflow")
    return Taxes(Runs(sandbox, f"file://{tmp_path}/lake", request.param))


def assumed(result: dict[str, Any]) -> tuple[str | None, bool | None]:
    manifest = read_manifest(result["manifest"]).manifest
    return manifest.deleted_filter, manifest.undated_rows


def test_a_list_without_null_markers_costs_one_request_from_its_second_run_on(taxes: Taxes) -> None:
    taxes.insert(False)
    taxes.insert(True)
    first = taxes.run()
    assert assumed(first) == ("two", True)
    assert taxes.finding == "no_null"

    new = [taxes.insert(False), taxes.insert(True)]
    assert taxes.lists() == (1, new)
    assert assumed(taxes.run()) == ("one", False)


@pytest.mark.parametrize(
    ("deleted_null", "finding", "requests"), [("live", "shows_null", 1), ("excluded", "hides_null", 2)]
)
def test_a_null_marker_shows_what_one_filter_does_with_it(
    taxes: Taxes, deleted_null: str, finding: str, requests: int
) -> None:
    taxes.sandbox.behaviour = Behaviour(deleted_null=deleted_null)
    taxes.insert(None)
    taxes.run()
    assert taxes.finding == finding

    new = {taxes.insert(None), taxes.insert(False), taxes.insert(True)}
    asked, read = taxes.lists()
    assert (asked, set(read)) == (requests, new)


def test_a_null_that_a_window_shows_is_enough(taxes: Taxes) -> None:
    start = taxes.now.isoformat()
    taxes.insert(None)
    assert taxes.lists(start=start)[0] == 3  # two streams, and the row by the filter for both
    assert taxes.finding == "shows_null"
    assert taxes.lists()[0] == 1


def test_a_null_that_appears_after_the_finding_comes_with_the_next_read_from_the_beginning(
    taxes: Taxes, caplog: pytest.LogCaptureFixture
) -> None:
    """The limit of ``no_null``, as the documents say it."""
    taxes.sandbox.behaviour = Behaviour(deleted_null="excluded")
    taxes.run()
    late = taxes.insert(None)
    assert taxes.lists() == (1, [])

    taxes.runs.set_watermark(None)
    _, read = taxes.lists()

    assert late in read
    assert taxes.finding == "hides_null"
    assert "has rows without a deletion marker now" in caplog.text
    again = taxes.insert(None)
    assert taxes.lists() == (2, [again])


def test_rows_that_an_earlier_attempt_has_read_are_no_evidence(taxes: Taxes) -> None:
    for second in range(150):
        taxes.insert(False, versionDate=int(taxes.now.timestamp() * 1000) + second)
    taxes.sandbox.faults.append(Fault("429", retry_after="3600", path="/taxes", skip=1))
    at = taxes.now + timedelta(minutes=5)
    with pytest.raises(_compat._exception("AirflowRescheduleException")):
        taxes.runs.run("first", at, entity="taxes", concurrency=1)  # so that the page that comes is of live rows
    taxes.sandbox.faults.clear()
    result = taxes.runs.run("first", at, entity="taxes")

    assert len(set(ids(result))) == taxes.before + 150
    assert taxes.finding is None


@pytest.mark.parametrize("filter", ["deleted|eq|0", "deleted|in|0,1"])
def test_a_filter_that_names_deleted_decides_itself_and_shows_nothing(taxes: Taxes, filter: str) -> None:
    taxes.insert(None)
    result = taxes.run(filter=filter)
    assert assumed(result) == (None, True)
    assert taxes.finding is None


def test_another_filter_is_no_evidence_that_no_marker_is_null(taxes: Taxes) -> None:
    taxes.insert(False)
    taxes.run(filter="name|like|x")
    assert taxes.finding is None


def test_the_parameter_has_the_last_word(taxes: Taxes) -> None:
    taxes.sandbox.behaviour = Behaviour(deleted_null="excluded")
    taxes.insert(None)
    result = taxes.run(deleted_filter="one")
    assert (assumed(result), result["rows"], taxes.finding) == (("one", True), taxes.before, None)
    result = taxes.run(deleted_filter="two")
    assert (assumed(result), taxes.finding) == (("two", False), None)


def test_products_are_read_by_two_whatever_is_known(taxes: Taxes) -> None:
    taxes.run(entity="products")
    taxes.runs.kept.set(f"dotypos/{taxes.cloud}/products/null-markers", "shows_null")
    taxes.run(entity="products")
    assert taxes.lists(entity="products")[0] == 2


@pytest.mark.parametrize(("known", "requests"), [("shows_null", 1), ("hides_null", 2)])
def test_the_connection_says_what_holds_where_nothing_else_is_known(
    taxes: Taxes, monkeypatch: pytest.MonkeyPatch, known: str, requests: int
) -> None:
    given = taxes.sandbox.connection(taxes.cloud)
    given["extra"]["deleted_filter"] = known
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(given))
    start = taxes.now.isoformat()
    assert taxes.lists(start=start)[0] == requests


def test_a_window_of_its_own_spends_no_request_on_what_nothing_keeps(taxes: Taxes) -> None:
    taxes.insert(None)
    assert taxes.lists(since="2026-01-01T00:00:00Z", until=taxes.now + timedelta(minutes=1))[0] == 2


def test_a_finding_that_somebody_has_set_to_something_else_is_none(taxes: Taxes) -> None:
    taxes.run()
    taxes.runs.kept.set(f"dotypos/{taxes.cloud}/taxes/null-markers", "perhaps")
    assert taxes.lists()[0] == 2


@pytest.mark.parametrize(("undated_rows", "rows"), [("full", [1, 0]), ("always", [1, 1])])
def test_rows_without_a_change_date_come_with_full_reads_or_with_each(
    taxes: Taxes, undated_rows: str, rows: list[int]
) -> None:
    taxes.insert(False, versionDate=None)
    results = [taxes.run(undated_rows=undated_rows) for _ in range(2)]
    assert [result["rows"] for result in results] == [taxes.before + rows[0], rows[1]]
    assert [assumed(result)[1] for result in results] == [True, undated_rows == "always"]
    assert taxes.run(since=None, until=taxes.now, snapshot=True, undated_rows=undated_rows)["rows"] == taxes.before + 1


def test_warehouses_are_read_by_one_request_once_none_of_them_has_a_null_marker(taxes: Taxes) -> None:
    def run() -> list[str]:
        before = len(taxes.sandbox.requests)
        taxes.run(entity="warehouse-products")
        return [request.path.rsplit("/", 1)[-1] for request in taxes.sandbox.requests[before:]]

    assert run().count("warehouses") == 2 + 1  # and once more for the tail
    assert run().count("warehouses") == 1
