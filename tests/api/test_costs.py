"""What a read is said to cost (`costs`), beside what it does cost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

import pytest

from airflow_provider_dotypos.api.budget import Budget
from airflow_provider_dotypos.api.costs import list_requests, seconds_needed, stream_requests
from airflow_provider_dotypos.api.entities import cloud_lists, find_entity
from airflow_provider_dotypos.api.reading import Reader
from airflow_provider_dotypos.api.streams import streams
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.sandbox import Sandbox, Shop
from tests.conftest import NewClient

NOW = datetime(2026, 3, 2, 12, tzinfo=timezone.utc)
UNTIL = int(NOW.timestamp() * 1000)
YEAR = Window(UNTIL - 365 * 86_400_000, UNTIL)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Shop.generate(days=10, orders_per_day=60, now=NOW)) as running:
        yield running


@pytest.mark.parametrize("name", cloud_lists())
def test_a_list_costs_what_is_said(name: str, sandbox: Sandbox, new_client: NewClient) -> None:
    sandbox.requests.clear()
    reader = Reader(new_client())
    entity = find_entity(name)

    rows = list(reader.changes(name, YEAR))

    parents = len(sandbox.shop.rows(sandbox.cloud_ids[0], "warehouses")) if entity.parent else 1
    said = list_requests(entity, YEAR, len(rows), one_filter=False, lists=parents)
    made = sum(not request.path.endswith(("token", str(sandbox.cloud_ids[0]))) for request in sandbox.requests)
    assert said == pytest.approx(made, abs=1, rel=0.05)


@pytest.mark.parametrize(("rows", "requests"), [(0, 1), (99, 1), (100, 2), (198, 2), (199, 3), (10_000, 102)])
def test_a_page_in_order_brings_99_rows(rows: int, requests: int) -> None:
    orders = find_entity("orders")
    (stream,) = streams(orders, YEAR)
    assert stream_requests(orders, stream, rows) == requests


@pytest.mark.parametrize(("requests", "seconds"), [(0, 0), (150, 0), (151, 1800), (300, 1800), (475, 5400)])
def test_a_budget_lets_all_of_it_go_at_once_and_then_again_in_each_window(requests: int, seconds: float) -> None:
    assert seconds_needed(requests, Budget(150, 1800)) == seconds
