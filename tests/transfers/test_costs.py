"""What a quiet hour costs: requests of an incremental run that finds nothing new, entity by entity.

The API allows about 150 requests per 30 minutes, so these numbers must not rise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_dotypos.api.entities import cloud_lists, find_entity
from airflow_provider_dotypos.api.markers import Findings
from airflow_provider_dotypos.sandbox import Behaviour, Sandbox

#: Requests of a list, where one request doesn't do. Null deletion markers were seen in both.
DEARER = {
    "products": 2,
    "warehouse-products": 1 + 2 * 4,  # the warehouses; of each of two, live and deleted rows by either cursor
}
#: Where an empty list is a 404, it is asked for once more. Webhooks never are a 404, and there are warehouses.
NEVER_EMPTY = {"webhooks": 1, "warehouse-products": 1 + 2 * 8}


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let earlier runs have found that no deletion marker is null."""
    monkeypatch.setattr(Findings, "get", lambda self, entity: "no_null")


def requests_of(extract: Callable[..., dict[str, Any]], sandbox: Sandbox, name: str) -> Counter[str]:
    """Extract a quiet hour of a list; return how often each path was asked for."""
    before = len(sandbox.requests)
    window = {} if find_entity(name).cursors else {"since": None}
    result = extract(entity=name, **window)
    assert result["rows"] == len(sandbox.shop.rows(sandbox.cloud_ids[0], name)) * (not find_entity(name).cursors)
    return Counter(request.path.rsplit("/", 1)[-1] for request in sandbox.requests[before:])


@pytest.mark.usefixtures("found")
@pytest.mark.parametrize(("allow_version", "most"), [("honoured", 40), ("ignored", 80)])
def test_a_quiet_hour_of_a_cloud_with_two_warehouses_costs_no_more_requests_than_it_did(
    extract: Callable[..., dict[str, Any]], sandbox: Sandbox, allow_version: str, most: int
) -> None:
    sandbox.behaviour = Behaviour(allow_version=allow_version)
    sandbox.shop.insert(sandbox.cloud_ids[0], "warehouses", {"name": "Cellar"})
    cloud = str(sandbox.cloud_ids[0])

    paths = {name: requests_of(extract, sandbox, name) for name in cloud_lists()}

    # All in one process: one sign-in, and the cloud is asked for once, where the first 404 leaves it in doubt.
    every = sum(paths.values(), Counter())
    assert (every["token"], every[cloud]) == (1, int(allow_version == "ignored"))
    costs = {name: sum(asked.values()) - asked["token"] - asked[cloud] for name, asked in paths.items()}
    usual = {name: DEARER.get(name, 1) for name in cloud_lists()}
    if allow_version == "ignored":
        usual = {name: NEVER_EMPTY.get(name, 2 * usual[name]) for name in usual}
    assert costs == usual
    assert every.total() <= most


@pytest.mark.usefixtures("connection")
def test_a_list_costs_two_requests_until_something_is_known_of_its_deletion_markers(
    extract: Callable[..., dict[str, Any]], sandbox: Sandbox
) -> None:
    assert requests_of(extract, sandbox, "taxes")["taxes"] == 2
