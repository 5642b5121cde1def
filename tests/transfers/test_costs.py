"""What a quiet hour costs: requests of an incremental run that finds nothing new, entity by entity.

The API allows about 150 requests per 30 minutes, so these numbers must not rise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_dotypos.api.entities import cloud_lists, find_entity
from airflow_provider_dotypos.sandbox import Behaviour, Sandbox

#: Requests of a list without the sign-in, where two requests don't do. The cloud is always one of them.
DEARER = {
    **dict.fromkeys(["attendances", "money-logs", "reservations", "tables", "warehouse-branches"], 3),
    **dict.fromkeys(["orders", "order-items", "customer-accounts", "customer-account-logs", "portions", "webhooks"], 2),
    "warehouse-products": 13,  # the cloud, its warehouses (live, deleted), and ten streams of the one there is
}
#: The cloud; live and deleted rows, with a cursor and without.
USUAL = 5


@pytest.mark.parametrize("name", cloud_lists())
def test_a_quiet_hour_costs_no_more_requests_than_it_did(
    extract: Callable[..., dict[str, Any]], sandbox: Sandbox, name: str
) -> None:
    window = {} if find_entity(name).cursors else {"since": None}

    result = extract(entity=name, **window)

    assert result["rows"] == len(sandbox.shop.rows(sandbox.cloud_ids[0], name)) * (not find_entity(name).cursors)
    paths = Counter(request.path for request in sandbox.requests)
    assert paths.pop("/v2/signin/token") == 1
    assert sum(paths.values()) == DEARER.get(name, USUAL)


def test_a_quiet_hour_costs_more_where_an_empty_list_is_a_404(
    extract: Callable[..., dict[str, Any]], sandbox: Sandbox
) -> None:
    """Each empty 404 is confirmed: the cloud is asked for, and the list once more."""
    sandbox.behaviour = Behaviour(allow_version="ignored")

    extract(entity="orders")

    assert len(sandbox.requests) == 1 + 1 + 3  # the sign-in, the cloud, the list confirmed
