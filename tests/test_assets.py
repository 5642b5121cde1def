"""Assets of a cloud's lists, as Airflow makes them, and their URIs (`api/list_uri.py`)."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset

from airflow_provider_dotypos.api.list_uri import list_uri
from airflow_provider_dotypos.assets import changed_window, create_asset
from airflow_provider_dotypos.exceptions import DotyposInputError
from demo import children

ORDERS = "dotypos://api.dotykacka.cz/123/orders"


@pytest.mark.parametrize(
    "written",
    [ORDERS, f"{ORDERS}/", "DOTYPOS://API.dotykacka.cz/123/orders", "dotypos://api.dotykacka.cz:443/123/orders"],
)
def test_airflow_gives_a_list_one_address(written: str) -> None:
    assert Asset(uri=written).normalized_uri == ORDERS


@pytest.mark.parametrize(
    "written",
    [
        "dotypos:///123/orders",
        "dotypos://api.dotykacka.cz",
        "dotypos://api.dotykacka.cz/orders",
        "dotypos://api.dotykacka.cz/123/",
        "dotypos://api.dotykacka.cz/x/orders",
        "dotypos://api.dotykacka.cz/123/orders/5",
    ],
)
def test_an_address_that_is_no_lists_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="must name host, cloud and list"):
        Asset(uri=written)


def test_an_asset_is_made_of_its_parts() -> None:
    asset = create_asset(host="api.dotykacka.cz", cloud_id=123, entity="orders", extra={"team": "sales"})
    assert (asset.uri, asset.extra) == (ORDERS, {"team": "sales"})
    assert create_asset(host="127.0.0.1:8080", cloud_id="1", entity="order-items").uri == (
        list_uri("http://127.0.0.1:8080/api", 1, "order-items")
    )


def event(**payload: str) -> Any:
    return SimpleNamespace(extra={"from_trigger": True, "payload": payload})


def test_a_run_reads_from_a_minute_before_its_first_change_up_to_now() -> None:
    early = event(since="2026-01-01T12:00:00.500Z", until="2026-01-01T12:00:41.513Z")
    late = event(since="2026-01-01T12:10:00.000Z", until="2026-01-01T12:10:00.001Z")
    others = [SimpleNamespace(extra={}), SimpleNamespace(extra={"payload": "a queue's message"})]
    before = datetime.now(timezone.utc) - timedelta(milliseconds=1)

    window = changed_window({Asset(uri=ORDERS): [late, early], Asset("others"): others})

    assert window["since"] == "2026-01-01T11:59:00.500Z"
    until = datetime.fromisoformat(window["until"].replace("Z", "+00:00"))
    assert before <= until <= datetime.now(timezone.utc)


def test_a_worker_whose_clock_is_behind_reads_the_change_that_woke_it() -> None:
    ahead = datetime.now(timezone.utc) + timedelta(seconds=30)
    until = f"{ahead:%Y-%m-%dT%H:%M:%S}.123Z"
    assert changed_window({Asset(uri=ORDERS): [event(since="2026-01-01T12:00:00.000Z", until=until)]})["until"] == until


@pytest.mark.parametrize("events", [None, {}, {Asset("others"): [SimpleNamespace(extra={})]}])
def test_a_run_that_no_change_has_started_has_no_window(events: Any) -> None:
    with pytest.raises(DotyposInputError, match="triggered by hand"):
        changed_window(events)


def test_openlineage_knows_it_by_host_and_path() -> None:
    utils = pytest.importorskip("airflow.providers.common.compat.openlineage.utils.utils")
    dataset = utils.translate_airflow_asset(Asset(uri=ORDERS), None)
    assert (dataset.namespace, dataset.name) == ("dotypos://api.dotykacka.cz", "123/orders")


def test_importing_it_loads_the_standard_library_alone() -> None:
    code = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import airflow_provider_dotypos.assets\n"
        "print(*(set(sys.modules) - before))"
    )
    added = children.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert {name.split(".")[0] for name in added} <= {"airflow_provider_dotypos"} | set(sys.stdlib_module_names)
