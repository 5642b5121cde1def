"""Which way a plan is written, and why."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from airflow_provider_dotypos.api.budget import Budget
from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.exceptions import DotyposInputError
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.writes.applying.applying import apply_plan
from airflow_provider_dotypos.writes.applying.methods import choose
from airflow_provider_dotypos.writes.applying.options import ApplyOptions, Create, Method
from airflow_provider_dotypos.writes.price import price
from tests.conftest import NewClient
from tests.writes.planned import create_of, product, row_of, update_of
from tests.writes.plans import Plans
from tests.writes.storms import NEW_PRODUCT

PRODUCTS, WEBHOOKS = find_entity("products"), find_entity("webhooks")


def test_a_large_plan_goes_by_lists_and_a_small_one_row_by_row(
    sandbox: Sandbox, new_client: NewClient, tmp_path: Path
) -> None:
    client = new_client()
    client.sign_in()
    before, after = {"name": "Tea"}, {"name": "Green tea"}
    ids = [product(sandbox, vat=1.21) for _ in range(131)]
    with ExitStack() as stack:
        plans = Plans(tmp_path, sandbox, stack)
        large = plans(*(update_of(id, before, after, row) for row, id in enumerate(ids, 1)))
        assert apply_plan(client, large, ApplyOptions()).requests == 2 + 2 * 2
        assert apply_plan(client, large, ApplyOptions()).counts == {"applied": 131}
        small = plans(*(update_of(id, after, before, row) for row, id in enumerate(ids[:5], 1)))
        assert apply_plan(client, small, ApplyOptions()).requests == 5 * 2
    methods = [write.method for write in sandbox.writes]
    assert methods == ["PUT"] * 131 + ["PATCH"] * 5


def test_updates_and_creates_share_the_budget(sandbox: Sandbox, new_client: NewClient, tmp_path: Path) -> None:
    client = new_client(request_budget="40/30min")
    ids = [product(sandbox, vat=1.21) for _ in range(6)]
    category = {"_categoryId": str(row_of(sandbox, ids[0])["_categoryId"])}
    updates = [update_of(id, {"name": "Tea"}, {"name": "Green tea"}, row) for row, id in enumerate(ids, 1)]
    creates = [
        create_of(7_000_000_000_000_000 + row, NEW_PRODUCT | category | {"name": f"New {row}"}, row)
        for row in range(7, 19)
    ]
    with ExitStack() as stack:
        plan = Plans(tmp_path, sandbox, stack)(*updates, *creates)
        # Either would take less than half of the budget row by row, and both together take more.
        applied = apply_plan(client, plan, ApplyOptions())
    assert applied.counts == {"applied": 18}
    assert applied.requests - 1 == price(PRODUCTS, {"update": 6, "create": 12})["put"] == 6  # and a sign-in


@pytest.mark.parametrize("create", ["put", "post"])
@pytest.mark.parametrize("method", ["patch", "put"])
def test_a_plan_costs_what_it_says(
    sandbox: Sandbox, new_client: NewClient, tmp_path: Path, method: Method, create: Create
) -> None:
    client = new_client()
    client.sign_in()
    ids = [product(sandbox, vat=1.21) for _ in range(3)]
    category = {"_categoryId": str(row_of(sandbox, ids[0])["_categoryId"])}
    rows = [update_of(id, {"name": "Tea"}, {"name": "Green tea"}, row) for row, id in enumerate(ids, 1)]
    for row in (4, 5):
        planned = create_of(
            7_000_000_000_000_000 + row, NEW_PRODUCT | category | {"name": "New", "externalId": f"N-{row}"}, row
        )
        rows.append(msgspec.structs.replace(planned, key=(f"N-{row}",)))
    with ExitStack() as stack:
        plan = Plans(tmp_path, sandbox, stack)(*rows, match=("externalId",))
        applied = apply_plan(client, plan, ApplyOptions(method=method, create=create))
    assert applied.requests == price(PRODUCTS, {"update": 3, "create": 2}, create)[method]


@pytest.mark.parametrize(
    ("patch", "put", "budget", "way"),
    [
        (74, 4, None, "patch"),
        (76, 4, None, "put"),
        (600, 8, Budget(150, 1800), "put"),
        (600, 8, Budget(10_000, 3600), "patch"),
        (8, 4, Budget(10, 60), "put"),
        (2, 4, Budget(10, 60), "patch"),
        (100, 100, Budget(10, 60), "patch"),
        (0, 0, None, "patch"),
    ],
)
def test_lists_are_for_plans_that_would_take_most_of_the_budget(
    patch: int, put: int, budget: Budget | None, way: str
) -> None:
    assert choose("auto", PRODUCTS, {"patch": patch, "put": put}, budget).way == way


def test_a_choice_says_why() -> None:
    requests = {"patch": 600, "put": 8}
    known = "the limit that the API is known to have, 150/30min"
    assert choose("auto", PRODUCTS, requests, None).why == f"row by row takes more than half of {known}"
    assert choose("auto", PRODUCTS, requests, Budget(150, 1800)).why == (
        "row by row takes more than half of the request budget, 150/30min"
    )
    few = choose("auto", PRODUCTS, {"patch": 1, "put": 1}, None)
    assert few.why == f"that takes at most half of {known}"
    same = choose("auto", PRODUCTS, {"patch": 100, "put": 100}, None)
    assert same == ("patch", "lists would take as many requests")
    assert choose("patch", PRODUCTS, requests, None) == ("patch", "method is 'patch'")
    assert choose("put", PRODUCTS, {"patch": 2, "put": 4}, None) == ("put", "method is 'put'")


def test_what_has_no_lists_goes_row_by_row() -> None:
    assert choose("auto", WEBHOOKS, {"patch": 600, "put": 600}, None).why == "the API takes no lists of webhooks"
    with pytest.raises(DotyposInputError, match="takes no lists of webhooks; use method='patch' or 'auto'"):
        choose("put", WEBHOOKS, {"patch": 600, "put": 600}, None)


def test_a_wrong_method_is_an_error_that_names_the_others() -> None:
    with pytest.raises(DotyposInputError, match="one of auto, patch, put, not 'PUT'"):
        choose("PUT", PRODUCTS, {"patch": 1, "put": 1}, None)
