"""Assets of a cloud's lists, as Airflow makes them, and their URIs (`api/list_uri.py`)."""

from __future__ import annotations

import sys

import pytest
from airflow.sdk import Asset

from airflow_provider_dotypos.api.list_uri import list_uri
from airflow_provider_dotypos.assets import create_asset
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
