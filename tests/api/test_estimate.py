"""Counting lists by few requests: against lists of every length, and the sandbox's furnished cloud."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos.api.entities import Entity, cloud_lists, find_entity
from airflow_provider_dotypos.api.errors import DotyposError
from airflow_provider_dotypos.api.estimate import (
    MOST_REQUESTS,
    Counted,
    ListCounter,
    Look,
    Rows,
    count,
    count_children,
)
from airflow_provider_dotypos.api.page import EMPTY, Page
from airflow_provider_dotypos.api.reading import Reader
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.sandbox import Behaviour, Sandbox
from tests.conftest import NewClient

ROW = msgspec.Raw(b"{}")


def show(look: Look, rows: int, *, total: bool, capped: int = 100) -> Page:
    """Return the page of a list of so many rows."""
    size = min(look.limit, capped)
    shown = max(0, min(size, rows - (look.page - 1) * size))
    if not shown:
        return EMPTY
    return Page(
        [ROW] * shown, ["1"] * shown, [None] * shown, [False] * shown, per_page=size, total=rows if total else None
    )


def counted(entity: Entity, rows: int, *, total: bool = False, capped: int = 100, **allowed: int) -> tuple[Rows, int]:
    """Count a list, and return the result and the number of pages looked at."""
    counting = count(entity, **allowed)
    look, looks = next(counting), 0
    while True:
        looks += 1
        try:
            look = counting.send(show(look, rows, total=total, capped=capped))
        except StopIteration as end:
            return end.value, looks


@pytest.mark.parametrize("rows", [0, 1, 100, 12_345_678])
def test_a_list_with_totals_takes_one_request(rows: int) -> None:
    assert counted(find_entity("products"), rows, total=True) == (Rows(rows, rows), 1)


@given(rows=st.integers(0, 3_000_000), capped=st.sampled_from([100, 50]))
def test_a_list_without_totals_takes_twelve_at_most_and_the_truth_lies_between(rows: int, capped: int) -> None:
    result, looks = counted(find_entity("orders"), rows, capped=capped)

    assert looks <= 12
    assert result.least <= rows
    assert result.most is not None
    assert rows <= result.most
    assert result.most - result.least <= 0.03 * rows


@given(rows=st.integers(0, 10_000))
def test_a_list_of_a_hundred_pages_is_counted_exactly(rows: int) -> None:
    assert counted(find_entity("orders"), rows)[0] == Rows(rows, rows)


def test_without_a_total_where_one_is_documented_page_numbers_do() -> None:
    result, looks = counted(find_entity("products"), 12_345)
    assert result == Rows(12_345, 12_345)
    assert looks <= 12


def test_a_list_without_pages_is_counted_by_its_one_answer() -> None:
    assert counted(find_entity("webhooks"), 7) == (Rows(7, 7), 1)


def test_an_estimate_that_may_not_ask_more_says_at_least() -> None:
    result, looks = counted(find_entity("orders"), 5_000, allowed=2)
    assert (result, looks) == (Rows(1_600, None), 2)
    assert (result.likely, result.precision) == (1_600, "at least")


def orders_with(items: list[int]) -> Page:
    rows = [msgspec.Raw(msgspec.json.encode({"id": "1", "orderItems": [{}] * number})) for number in items]
    return Page(rows, ["1"] * len(rows), [None] * len(rows), [False] * len(rows))


def test_children_are_estimated_with_the_error_of_the_sample() -> None:
    result = count_children(Rows(10_000, 10_000), orders_with([2, 4] * 50), "orderItems")

    assert result.likely == pytest.approx(30_000, abs=1)
    assert result.precision == "± 7 %"  # twice the standard error of 100 orders, 0.1, beside 3


def test_children_of_all_rows_are_counted() -> None:
    assert count_children(Rows(3, 3), orders_with([2, 4, 0]), "orderItems") == Rows(6, 6)


def test_children_of_a_page_that_has_emptied_are_not_known() -> None:
    assert count_children(Rows(5_000, 5_000), orders_with([]), "orderItems") == Rows(0, None)


class EndlessCloud:
    """A reader of a cloud whose lists are long and never say how many rows they have."""

    def __init__(self, parents: int) -> None:
        self.requests = 0
        self._parents = [str(id) for id in range(parents)]

    def page(self, entity: Entity, conditions: object, number: int = 1, limit: int = 100, **_: object) -> Page:
        self.requests += 1
        if entity.name == "warehouses":
            return replace(show(Look(1, 100), len(self._parents), total=False), ids=self._parents)
        return show(Look(number, limit), 77_777, total=False)


def test_all_lists_take_sixty_requests_whatever_the_answers_say() -> None:
    cloud = EndlessCloud(parents=40)
    results = [*ListCounter(cast("Reader", cloud)).lists(find_entity(name) for name in cloud_lists())]

    assert len(results) == len(cloud_lists())
    assert cloud.requests <= MOST_REQUESTS - 2  # the sign-in, and a check of the cloud


def test_many_warehouses_are_taken_to_be_like_the_first_ones(sandbox: Sandbox, new_client: NewClient) -> None:
    cloud = sandbox.cloud_ids[0]
    own = [row["id"] for row in sandbox.shop.rows(cloud, "warehouses")]
    ids = own + [sandbox.shop.insert(cloud, "warehouses", {"name": str(i)})["id"] for i in range(8 - len(own))]
    for id in ids:
        for _ in range(3):
            sandbox.shop.insert(cloud, "warehouse-products", {"_warehouseId": id})
    reader = Reader(new_client())

    ((_, result),) = ListCounter(reader, shows_null=True).lists([find_entity("warehouse-products")])

    assert isinstance(result, Counted)
    assert (result.rows, result.lists) == (Rows(24, 24), 8)
    assert reader.requests == 1 + 5


@pytest.mark.parametrize("deleted_null", ["live", "excluded"])
def test_where_nulls_were_seen_only_a_filter_that_shows_them_counts_deleted_rows(
    sandbox: Sandbox, new_client: NewClient, deleted_null: str
) -> None:
    sandbox.behaviour = Behaviour(deleted_null=deleted_null)
    for deleted in (None, None, None, False, True):
        sandbox.shop.insert(sandbox.cloud_ids[0], "products", {"deleted": deleted})

    def counted(*, shows_null: bool) -> Rows:
        ((_, result),) = ListCounter(Reader(new_client()), shows_null=shows_null).lists([find_entity("products")])
        assert isinstance(result, Counted)
        return result.rows

    assert counted(shows_null=False) == Rows(4, None)
    if deleted_null == "live":
        assert counted(shows_null=True) == Rows(5, 5)


def test_a_window_counts_its_own_rows(sandbox: Sandbox, new_client: NewClient) -> None:
    cloud = sandbox.cloud_ids[0]
    for moment in (1_000, 2_000, 2_500, 3_000):
        sandbox.shop.insert(cloud, "customers", {"versionDate": moment, "deleted": moment == 2_500})

    ((_, result),) = ListCounter(Reader(new_client()), Window(2_000, 3_000)).lists([find_entity("customers")])

    assert isinstance(result, Counted)
    assert result.rows == Rows(2, 2)


def test_a_wrong_cloud_is_not_an_empty_list(sandbox: Sandbox, new_client: NewClient) -> None:
    sandbox.behaviour = Behaviour(allow_version="ignored")
    with pytest.raises(DotyposError):
        next(ListCounter(Reader(new_client(cloud_id=sandbox.shop.foreign_cloud_id))).lists([find_entity("tags")]))
