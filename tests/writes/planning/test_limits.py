from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos.api.entities import entities, find_entity
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.writes.errors import DotyposLimitError, DotyposPlanError
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.planning.limits import ALWAYS, LIMITS, PRICES, Limits
from tests.conftest import NewClient
from tests.writes.made_plans import plan

PRODUCTS = find_entity("products")


def check(before: Any, after: Any, **limits: Any) -> str | None:
    """Return what limits say about a price that changes."""
    row = PlannedRow("update", ("a",), 7, "5", {"priceWithVat": before}, {"name": "x", "priceWithVat": after})
    problems = [*Limits.of(limits).check_row(PRODUCTS, row)]
    assert all((problem.row, problem.field) == (7, "priceWithVat") for problem in problems)
    return problems[0].what if problems else None


@pytest.mark.parametrize(
    ("before", "after"), [("100", "130"), ("100", "70"), ("0", "50"), (None, "50"), (285.0, "300")]
)
def test_prices_that_move_little_or_were_none_may_change(before: Any, after: Any) -> None:
    assert check(before, after) is None


@pytest.mark.parametrize(("before", "after"), [("100", "130.01"), ("100", "69.99")])
def test_a_price_that_moves_far_is_stopped(before: str, after: str) -> None:
    assert check(before, after) == "a price would move by more than 30%. If it is right, raise limits={'price_move': …}"
    assert check(before, after, price_move=0.31) is None
    assert check(before, after, price_move=None) is None


@pytest.mark.parametrize(("before", "after"), [("100", "1000.1"), ("100", "9.99"), ("28.50", "2850")])
def test_a_lost_decimal_point_is_stopped_however_far_prices_may_move(before: str, after: str) -> None:
    assert "more than a factor of 10, as if a decimal point were lost" in str(check(before, after, price_move=None))
    assert check(before, after, price_move=None, price_factor=100.5) is None
    assert check(before, after, price_move=None, price_factor=None) is None


@pytest.mark.parametrize("after", ["0", "-1", "0.00", None])
def test_no_price_becomes_zero_negative_or_null(after: str | None) -> None:
    assert "would be zero, negative or null" in str(check("100", after, price_move=None))
    assert "would be zero, negative or null" in str(check(None, after))
    assert check("100", after, zero_prices=True) is None


def test_a_row_has_one_problem_though_several_prices_move() -> None:
    after = dict.fromkeys(("priceWithVat", "priceWithoutVat"), "1")
    row = PlannedRow("update", ("a",), 1, "5", dict.fromkeys(after, "5"), after)
    assert len([*Limits().check_row(PRODUCTS, row)]) == 1


def test_prices_are_fields_of_their_entities() -> None:
    for name, fields in PRICES.items():
        assert {entities()[name].fields[field].type for field in fields} <= {"double", "decimal"}


@pytest.mark.parametrize(
    ("counts", "total", "stopped"),
    [
        ({"update": ALWAYS}, 50, False),
        ({"update": ALWAYS + 1}, 50, True),
        ({"update": 100, "create": 100}, 1000, False),
        ({"update": 100, "create": 101}, 1000, True),
        ({"update": 51, "unchanged": 5000, "conflict": 900}, None, True),
    ],
)
def test_no_more_than_a_share_of_all_rows_changes(counts: Mapping[str, int], total: int | None, stopped: bool) -> None:
    assert bool([*Limits().check_counts(counts, total)]) is stopped
    assert [*Limits.of({"changes": None}).check_counts(counts, total)] == []
    assert Limits().needs_total(counts) is (counts != {"update": ALWAYS})
    assert not Limits.of({"changes": None}).needs_total(counts)


def test_what_is_too_much_is_said_with_its_cure() -> None:
    (problem,) = Limits().check_counts({"update": 350}, 1000)
    assert problem == (
        None,
        None,
        "350 rows would change of 1,000 (35%), and limits={'changes': 0.2} allows 20% or 50 rows. If the source is "
        "right, set limits={'changes': 0.35} for this run",
    )
    (problem,) = Limits.of({"changes": 1.0}).check_counts({"create": 130}, 0)
    assert "130 rows would change of 0, and limits={'changes': 1.0} allows 100% or 50 rows" in problem.what
    assert "set limits={'changes': None} for this run" in problem.what


@given(st.integers(ALWAYS + 1, 10**6), st.integers(0, 10**6))
def test_the_cure_that_is_said_is_enough(changed: int, total: int) -> None:
    for problem in Limits.of({"changes": 0}).check_counts({"create": changed}, total):
        limits = ast.literal_eval(problem.what.rpartition("set limits=")[2].removesuffix(" for this run"))
        assert [*Limits.of(limits).check_counts({"create": changed}, total)] == []


def test_a_limit_may_be_the_text_that_a_template_makes() -> None:
    assert Limits.of({"changes": "0.5", "deletes": "7", "zero_prices": "True", "price_move": " None "}) == Limits(
        changes=0.5, deletes=7, zero_prices=True, price_move=None
    )


def test_rates_of_vat_are_those_of_the_cloud() -> None:
    rates = [Decimal("21"), Decimal("12")]
    for vat in ("1.21", "1.12", "1", "1.0"):
        assert [*Limits().check_vat(1, vat, rates)] == []
    (problem,) = Limits().check_vat(3, "1.15", rates)
    assert (problem.row, problem.field) == (3, "vat")
    assert "which are as multipliers: 1.12, 1.21" in problem.what


@pytest.mark.parametrize("name", LIMITS)
def test_each_limit_is_a_parameter_and_refuses_what_it_cannot_be(name: str) -> None:
    assert set(LIMITS) == set(Limits.__struct_fields__)
    for value in ("all", -1, math.nan, [], "{{ x }}"):
        with pytest.raises(DotyposInputError, match=f"limits: {name} must be"):
            Limits.of({name: value})
    if LIMITS[name] != "truth":
        assert getattr(Limits.of({name: None}), name) is None
        with pytest.raises(DotyposInputError, match="or None for no limit"):
            Limits.of({name: True})


@given(st.dictionaries(st.text() | st.sampled_from([*LIMITS]), st.none() | st.text() | st.floats() | st.integers()))
def test_limits_are_taken_or_refused_with_a_message(limits: dict[str, Any]) -> None:
    refusal = ""
    try:
        Limits.of(limits)
    except DotyposInputError as error:
        refusal = str(error)
    assert refusal == "" or refusal.startswith("limits: ")
    assert refusal or limits.keys() <= LIMITS.keys()


@pytest.mark.parametrize(
    ("source", "arguments", "message"),
    [
        ([], {}, "the source has no rows"),
        ([{"externalId": "P-1", "priceWithVat": "500"}], {}, "move by more than 30%"),
        ([{"externalId": "P-1", "priceWithVat": "0"}], {}, "zero, negative or null"),
        ([{"externalId": "P-1"}], {"actions": "delete"}, "would be deleted"),
        ([{"externalId": f"P-{n}", "name": "new"} for n in range(51)], {}, r"51 rows would change of 60 \(85%\)"),
    ],
)
def test_a_plan_that_exceeds_a_limit_is_not_kept(
    source: Any, arguments: dict[str, Any], message: str, sandbox: Sandbox, new_client: NewClient, tmp_path: Path
) -> None:
    for n in range(60):
        sandbox.shop.insert(sandbox.cloud_ids[0], "products", {"externalId": f"P-{n}", "priceWithVat": 100.0})
    with pytest.raises(DotyposLimitError, match=message):
        plan(new_client(), tmp_path / "plans", source, **arguments)
    assert not (tmp_path / "plans").exists()
    assert all(request.method == "GET" or "signin" in request.path for request in sandbox.requests)


def test_an_empty_source_may_be_allowed(new_client: NewClient, tmp_path: Path) -> None:
    made = plan(new_client(), tmp_path, [], limits={"empty_source": True})
    assert made.header.counts == {"rows": 0}
    assert made.summary.endswith(": nothing to do for products.")


def test_a_rate_that_the_cloud_does_not_have_is_a_problem_of_the_row(
    sandbox: Sandbox, new_client: NewClient, tmp_path: Path
) -> None:
    sandbox.shop.insert(sandbox.cloud_ids[0], "products", {"externalId": "a", "priceWithVat": 100.0, "vat": 1.21})
    source = [{"externalId": "a", "vat": "1.15"}]
    with pytest.raises(DotyposPlanError, match="vat: isn't one of the cloud's rates") as error:
        plan(new_client(), tmp_path, source)
    assert not isinstance(error.value, DotyposLimitError)
    assert sum(request.path.endswith("/taxes") for request in sandbox.requests) == 1
    assert plan(new_client(), tmp_path, source, limits={"any_vat": True}).header.counts["update"] == 1
