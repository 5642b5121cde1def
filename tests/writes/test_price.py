from __future__ import annotations

from collections.abc import Mapping

import pytest

from airflow_provider_dotypos.api.budget import Budget
from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.writes.price import price, spoken_price


@pytest.mark.parametrize(
    ("counts", "patch", "put"),
    [
        ({"update": 300}, 600, 8),
        ({"create": 300}, 300, 4),
        ({"update": 1}, 2, 2),
        ({"update": 101, "create": 1, "delete": 3}, 209, 11),
        ({"anonymize": 4}, 8, 8),
        ({"unchanged": 5000, "conflict": 7}, 0, 0),
    ],
)
def test_a_plan_has_a_price_of_each_way(counts: Mapping[str, int], patch: int, put: int) -> None:
    assert price(find_entity("products"), counts) == {"patch": patch, "put": put}


def test_where_lists_cannot_be_put_there_is_one_way() -> None:
    assert price(find_entity("webhooks"), {"update": 3, "delete": 2}) == {"patch": 10, "put": 10}


def test_a_create_by_post_costs_look_ups_as_well() -> None:
    products, counts = find_entity("products"), {"update": 2, "create": 150}
    assert price(products, counts, "post") == {"patch": 4 + 3 * 4, "put": 4 + 3 * 4}
    assert price(products, counts, "put") == price(products, counts) == {"patch": 154, "put": 4 + 3}
    accounts = {"create": 3}  # they can't be created otherwise, and have no deleted rows
    assert price(find_entity("customer-accounts"), accounts) == {"patch": 6, "put": 6}


@pytest.mark.parametrize(
    ("requests", "budget", "text"),
    [
        ({"patch": 600, "put": 8}, None, "600 requests by PATCH (2 hours at 150/30min), 8 by list PUT"),
        ({"patch": 600, "put": 8}, Budget(1000, 3600.0), "600 requests by PATCH, 8 by list PUT"),
        ({"patch": 150, "put": 5}, None, "150 requests by PATCH, 5 by list PUT"),
        ({"patch": 151, "put": 5}, None, "151 requests by PATCH (60 minutes at 150/30min), 5 by list PUT"),
        ({"patch": 2, "put": 2}, None, "2 requests"),
        ({"patch": 1, "put": 1}, None, "1 request"),
        ({"patch": 0, "put": 0}, None, "0 requests"),
        (
            {"patch": 60_000, "put": 602},
            None,
            "60,000 requests by PATCH (8 days at 150/30min), 602 by list PUT (2 hours at",
        ),
    ],
)
def test_people_read_requests_and_the_time_that_they_take(
    requests: Mapping[str, int], budget: Budget | None, text: str
) -> None:
    assert spoken_price(requests, budget).startswith(text)
