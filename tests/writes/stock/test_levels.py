"""What levels say of a booking whose answer was lost (`stock/levels.py`)."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos.api.page import timestamp
from airflow_provider_dotypos.writes.stock.levels import Evidence, Level, sum_up

BEFORE, AFTER = "2026-03-01T12:00:00.000Z", "2026-03-01T12:00:05.000Z"


def evidence(
    *quantities: str, before: str = "10", price: str | None = None, since: str = "2026-03-01T12:00:00.000Z"
) -> Evidence:
    products = [str(number) for number in range(len(quantities))]
    return Evidence(
        {"5": dict.fromkeys(products, Level(before, "2026-03-01T12:00:00.000Z", "1.5"))},
        {"5": {product: Decimal(quantity) for product, quantity in zip(products, quantities, strict=True)}},
        {} if price is None else dict.fromkeys(products, Decimal(price)),
        timestamp(since),
    )


def after(*quantities: str | None, version: str = "2026-03-01T12:00:05.000Z", price: str = "1.5") -> dict[str, Level]:
    """Return levels; ``None`` for one that hasn't moved."""
    return {
        str(number): Level("10", "2026-03-01T12:00:00.000Z", "1.5")
        if quantity is None
        else Level(quantity, version, price)
        for number, quantity in enumerate(quantities)
    }


@pytest.mark.parametrize(
    ("booked", "now", "verdict"),
    [
        (evidence("2", "4"), after("12", "14"), "applied"),
        (evidence("2", "4"), after(None, None), "not-applied"),
        (evidence("2", "4"), after("12", None), "uncertain"),  # a part of it, or a till
        (evidence("2", "4"), after("11", "14"), "uncertain"),
        (evidence("-2"), after("8"), "applied"),
        (evidence("2"), after("10"), "uncertain"),  # something went in and out
        (evidence("2.5", before="57.59"), after("60.09000000000001"), "applied"),
        (evidence("0.001", before="57.59"), after("57.59"), "uncertain"),
        # The API shows whole seconds, and it moved within one.
        (evidence("2"), after("12", version="2026-03-01T12:00:00Z"), "applied"),
        # It moved before the levels were read, and shows only now.
        (evidence("2", since="2026-03-01T12:00:05.500Z"), after("12", version="2026-03-01T12:00:05.120Z"), "uncertain"),
        (evidence("2", since="2026-03-01T12:00:05.000Z"), after("12"), "applied"),
        (evidence("2", since="2026-03-01T12:00:05.900Z"), after("12", version="2026-03-01T12:00:05Z"), "applied"),
        # A till has sold one, and no sale sets a purchase price.
        (evidence("2", price="41.3223140495868"), after("11", price="41.3223140495868"), "applied"),
        (evidence("2", price="41.3223140495868"), after("11", price="41.32"), "uncertain"),
        (evidence("2", price="1.5"), after("11"), "uncertain"),  # it had the price before
    ],
)
def test_levels_decide(booked: Evidence, now: dict[str, Level], verdict: str) -> None:
    assert booked.weigh({"5": now}) == verdict


def test_two_copies_show() -> None:
    assert evidence("2", "-4").shows_twice({"5": after("14", "2")})
    assert not evidence("2", "-4").shows_twice({"5": after("12", "6")})
    assert not evidence("2", "-4").shows_twice({"5": after("14", "6")})
    assert not evidence("2", "-4").shows_twice({"5": after(None, None)})


def test_a_product_that_the_warehouse_never_held_counts_as_none() -> None:
    new = Evidence({"5": {}}, {"5": {"1": Decimal(3)}})
    assert new.weigh({"5": {}}) == "not-applied"
    assert new.weigh({"5": {"1": Level("3", "2026-03-01T12:00:00.000Z")}}) == "applied"
    assert new.weigh({"5": {"1": Level("2", "2026-03-01T12:00:00.000Z")}}) == "uncertain"


def test_of_a_transfer_both_warehouses_must_agree() -> None:
    levels = {"1": Level("10", BEFORE)}
    moved = Evidence({"5": levels, "6": levels}, {"5": {"1": Decimal(3)}, "6": {"1": Decimal(-3)}})
    assert moved.weigh({"5": {"1": Level("13", AFTER)}, "6": {"1": Level("7", AFTER)}}) == "applied"
    assert moved.weigh({"5": {"1": Level("13", AFTER)}, "6": levels}) == "uncertain"


@given(st.data())
def test_the_verdict_is_never_wrong_whatever_tills_do(data: st.DataObject) -> None:
    """Only somebody who moves each product by exactly its quantity could be taken for the booking."""
    moves = data.draw(st.lists(st.integers(-9, 9).filter(bool), min_size=1, max_size=4))
    is_booked = data.draw(st.booleans())
    tills = data.draw(st.lists(st.integers(-9, 9), min_size=len(moves), max_size=len(moves)))
    now = {}
    for number, (move, till) in enumerate(zip(moves, tills, strict=True)):
        changed = is_booked or till != 0
        now[str(number)] = Level(str(10 + is_booked * move + till), AFTER if changed else BEFORE)
    before = {str(number): Level("10", BEFORE) for number in range(len(moves))}
    verdict = Evidence({"5": before}, {"5": {str(n): Decimal(move) for n, move in enumerate(moves)}}).weigh({"5": now})
    if not any(tills):
        assert verdict == ("applied" if is_booked else "not-applied")
    elif is_booked or tills != moves:
        assert verdict == "uncertain"


def test_evidence_travels_through_the_journal() -> None:
    sent = evidence("2.5", "4", price="41.3223140495868")
    assert msgspec.json.decode(msgspec.json.encode(sent), type=Evidence) == sent
    assert sent.describe({"5": after("12.5", None)})[0] == {
        "_warehouseId": "5",
        "_productId": "0",
        "quantity": "2.5",
        "before": "10",
        "after": "12.5",
        "changed": "2026-03-01T12:00:05.000Z",
    }


def test_quantities_of_a_product_add_up() -> None:
    assert sum_up([("1", Decimal("0.1")), ("2", Decimal(1)), ("1", Decimal("0.2"))]) == {
        "1": Decimal("0.3"),
        "2": Decimal(1),
    }
