"""Assets of a cloud's lists, as Airflow and DAG files make them; their URIs (`api/list_uri.py`)."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.triggers.base import BaseEventTrigger

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.list_uri import list_uri
from airflow_provider_dotypos.assets import changed_window, create_asset, dotypos_asset
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
    return SimpleNamespace(extra={"from_trigger": True, "payload": {"cloud_id": 123, "entity": "orders", **payload}})


def test_a_run_reads_from_a_minute_before_its_first_change_up_to_now() -> None:
    early = event(since="2026-01-01T12:00:00.500Z", until="2026-01-01T12:00:41.513Z")
    late = event(since="2026-01-01T12:10:00.000Z", until="2026-01-01T12:10:00.001Z")
    others = [SimpleNamespace(extra={}), SimpleNamespace(extra={"payload": "a queue's message"})]
    before = datetime.now(timezone.utc) - timedelta(milliseconds=1)

    window = changed_window({ORDERS: [late, early], "others": others})

    assert window["since"] == "2026-01-01T11:59:00.500Z"
    until = datetime.fromisoformat(window["until"].replace("Z", "+00:00"))
    assert before <= until <= datetime.now(timezone.utc)


def test_a_worker_whose_clock_is_behind_reads_the_change_that_woke_it() -> None:
    ahead = datetime.now(timezone.utc) + timedelta(seconds=30)
    until = f"{ahead:%Y-%m-%dT%H:%M:%S}.123Z"
    assert changed_window({ORDERS: [event(since="2026-01-01T12:00:00.000Z", until=until)]})["until"] == until


def test_the_window_begins_as_early_as_the_watchers_overlap_says() -> None:
    """Of the events that come during a run the next gets the first, which may be of a later change than others."""
    events = {ORDERS: [event(since="2026-01-01T12:00:00.000Z", until="2026-01-01T12:00:01.000Z")]}
    assert changed_window(events, overlap=600)["since"] == "2026-01-01T11:50:00.000Z"


@pytest.mark.parametrize(
    "events",
    [
        None,
        {},
        {"others": [SimpleNamespace(extra={})]},
        {"others": [SimpleNamespace(extra={"from_trigger": True, "payload": {"body": "of another provider"}})]},
        {"others": [SimpleNamespace(extra={"from_trigger": True, "payload": "a text"})]},
    ],
)
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


def trigger_of(asset: Asset) -> tuple[str, dict[str, Any]]:
    """Return what Airflow knows a watcher's trigger by."""
    (watcher,) = asset.watchers
    classpath, arguments = watcher.trigger.serialize()
    return classpath, arguments


def identity_of(asset: Asset) -> int:
    """Return what Airflow compares triggers by, when it reads a DAG file again."""
    return BaseEventTrigger.hash(*trigger_of(asset))


def test_a_lists_asset_is_the_one_that_extractions_name_as_their_input() -> None:
    asset = dotypos_asset("orders", cloud_id=123)
    assert (asset.name, asset.uri, asset.watchers) == (ORDERS, ORDERS, [])
    assert asset == create_asset(host="api.dotykacka.cz", cloud_id=123, entity="orders")


def test_an_asset_is_the_same_wherever_it_is_named() -> None:
    """A file that names it otherwise would take the watcher from it, and the next one give it a new one."""
    written = [
        dotypos_asset("products", cloud_id=123, watch={"filter": "vat|eq|1.1", "poll_interval": 30}),
        dotypos_asset("products", cloud_id="123", watch={"poll_interval": 30.0, "filter": [("vat", "eq", 1.1)]}),
        dotypos_asset(
            "products",
            cloud_id=123,
            host="API.dotykacka.cz:443",
            dotypos_conn_id="dotypos_default",
            watch={"filter": " vat|eq|1.1;", "poll_interval": 30, "deleted": True},
        ),
    ]
    assert len({(asset.name, asset.uri) for asset in written}) == 1
    assert len({identity_of(asset) for asset in written}) == 1


def test_each_asset_has_a_trigger_of_its_own() -> None:
    """Airflow would let two assets share one trigger, and the trigger couldn't keep a state."""
    assets = [
        dotypos_asset("products", cloud_id=123, watch=True),
        dotypos_asset("products", cloud_id=123, watch=True, name="our products"),
        dotypos_asset("products", cloud_id=124, watch=True),
        dotypos_asset("orders", cloud_id=123, watch=True),
        dotypos_asset("products", cloud_id=123, watch={"deleted": False}),
        dotypos_asset("products", cloud_id=123, watch={"filter": "vat|eq|1.1"}),
    ]
    assert len({identity_of(asset) for asset in assets}) == len(assets)
    assert len({asset.name for asset in assets}) == len(assets)
    assert [trigger_of(asset)[1]["asset"] for asset in assets] == [asset.name for asset in assets]


def test_a_watch_of_some_rows_is_another_asset() -> None:
    """The list's asset would have two watchers otherwise, and DAGs scheduled on it would run for other rows."""
    asset = dotypos_asset("products", cloud_id=123, watch={"filter": "name|like|žlutý kůň & co", "deleted": False})
    assert asset.uri == (
        "dotypos://api.dotykacka.cz/123/products?deleted=false"
        "&filter=name%7Clike%7C%C5%BElut%C3%BD+k%C5%AF%C5%88+%26+co"
    )
    assert asset.name == asset.uri == Asset(uri=asset.uri).uri
    _, arguments = trigger_of(asset)
    assert (arguments["filter"], arguments["deleted"]) == ("name|like|žlutý kůň & co", False)


def test_an_asset_may_have_a_name() -> None:
    asset = dotypos_asset("orders", cloud_id=123, watch=True, name="orders of the bistro")
    assert (asset.name, asset.uri) == ("orders of the bistro", ORDERS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"entity": "orderz"}, "did you mean 'orders'"),
        ({"cloud_id": "{{ var.value.cloud }}"}, "cloud_id must be the cloud's number"),
        ({"cloud_id": None}, "cloud_id must be the cloud's number"),
        ({"host": "https://api.dotykacka.cz"}, "without https://"),
        ({"host": "{{ host }}"}, "not a template"),
        ({"host": None}, "host must be the host"),
        ({"watch": "yes"}, "watch must be True, False or a mapping, not a value of type str"),
        ({"watch": None}, "watch must be True, False or a mapping, not a value of type NoneType"),
        ({"watch": {"pol_interval": 5}}, "watch can't set 'pol_interval' .did you mean 'poll_interval'"),
        ({"watch": {"cloud_id": 5}}, "watch can't set 'cloud_id'; it can set: filter, deleted"),
        ({"watch": {"deleted": 0}}, "deleted must be True or False"),
        ({"watch": {"filter": "totl|gt|1"}}, "has no field 'totl'"),
        ({"watch": {"filter": f"note|like|{'x' * 1500}"}}, "compare with fewer values, or filter in the DAG"),
        ({"entity": "portions", "watch": True}, "can.t be watched"),
    ],
)
def test_what_cannot_be_an_asset_is_refused_when_the_file_is_parsed(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DotyposInputError, match=message):
        dotypos_asset(**{"entity": "orders", "cloud_id": 123, **arguments})
