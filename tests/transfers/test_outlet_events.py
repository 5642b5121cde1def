"""Asset events of outlets: what the operators put into them. ``tests/example_dags`` shows what Airflow makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset, AssetAlias
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator
from tests.transfers.conftest import SINCE, UNTIL

ORDERS, OTHERS = Asset("orders"), Asset("others")

Run = Callable[..., tuple[dict[str, Any], OutletEventAccessors]]


@pytest.fixture
def run(connection: None, tmp_path: Path) -> Run:
    """Run the operator; return its result, and what Airflow makes events of."""

    def run(
        outlets: list[Any], events: OutletEventAccessors | None = None, **arguments: Any
    ) -> tuple[dict[str, Any], OutletEventAccessors]:
        given = {"entity": "orders", "destination": f"file://{tmp_path}/lake", "since": SINCE, "until": UNTIL}
        operator = DotyposToObjectStorageOperator(task_id="extract", outlets=outlets, **given | arguments)
        events = OutletEventAccessors() if events is None else events
        context: Any = {
            "ti": SimpleNamespace(try_number=1),
            "dag_run": SimpleNamespace(run_after=UNTIL),
            "outlet_events": events,
        }
        return operator.execute(context), events

    return run


def test_the_event_of_each_outlet_holds_the_result(run: Run, orders: list[str], sandbox: Sandbox) -> None:
    result, events = run([ORDERS, OTHERS])
    assert events[ORDERS].extra == events[OTHERS].extra == result
    assert result["rows"] == len(orders)
    assert sandbox.refresh_token not in json.dumps(events[ORDERS].extra)


def test_a_kept_window_has_the_same_event_again(run: Run, orders: list[str]) -> None:
    assert run([ORDERS])[1][ORDERS].extra == run([ORDERS])[1][ORDERS].extra


def test_a_run_without_rows_says_so(run: Run) -> None:
    _, events = run([ORDERS])
    assert (events[ORDERS].extra["rows"], events[ORDERS].extra["files"]) == (0, 0)
    assert len(events[ORDERS].extra["manifests"]) == 1  # of the set that says so


def test_what_the_author_has_put_into_the_event_stays(run: Run) -> None:
    events = OutletEventAccessors()
    events[ORDERS].extra["shift"] = "early"  # as a hook before the task does
    result, _ = run([ORDERS], events)
    assert events[ORDERS].extra == {"shift": "early", **result}


def test_an_alias_gets_an_event_of_the_asset_that_was_written(run: Run, tmp_path: Path) -> None:
    alias = AssetAlias("whatever was written")
    result, events = run([alias])
    (event,) = events[alias].asset_alias_events
    assert (event.dest_asset_key.uri, event.extra) == (f"file://{tmp_path}/lake/orders", result)


def test_an_outlet_of_another_kind_is_left_alone(run: Run) -> None:
    _, events = run([{"uri": "file:///lake"}, ORDERS])
    assert list(events) == [ORDERS]


def test_a_unit_test_of_a_dag_needs_no_events(run: Run, tmp_path: Path) -> None:
    given = {"entity": "orders", "destination": f"file://{tmp_path}/lake", "since": SINCE, "until": UNTIL}
    operator = DotyposToObjectStorageOperator(task_id="extract", outlets=[ORDERS], **given)
    assert operator.execute({})["rows"] == 0  # type: ignore[arg-type]
