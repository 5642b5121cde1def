"""A few fields of one row, changed unless somebody else has changed them (`writes/applying/patch.py`)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_dotypos.api.http import Answer, Request
from airflow_provider_dotypos.api.transport import Transport
from airflow_provider_dotypos.exceptions import (
    DotyposInputError,
    DotyposPlanError,
    DotyposWritesFailedError,
)
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from tests.transfers.conftest import connection as connection
from tests.writes.planned import edit, product, row_of, sleep_by_the_shops_clock

pytestmark = pytest.mark.usefixtures("connection")

PRICE = {"priceWithVat": Decimal("48.00"), "priceWithoutVat": 40}


@pytest.fixture
def hook(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> DotyposHook:
    sleep_by_the_shops_clock(sandbox, monkeypatch)
    return DotyposHook()


def test_fields_are_changed_by_two_requests_and_the_row_comes_back(sandbox: Sandbox, hook: DotyposHook) -> None:
    id = product(sandbox)
    row = hook.patch("products", id, PRICE)
    assert (row["id"], row["priceWithVat"], row["name"]) == (str(id), "48", "Tea")
    assert [request.method for request in sandbox.requests if "products" in request.path] == ["GET", "PATCH"]
    hook.patch("products", f"0{id}", PRICE)
    assert len(sandbox.writes) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_answer_is_settled(sandbox: Sandbox, hook: DotyposHook, when: str) -> None:
    id = product(sandbox)
    sandbox.faults.append(Fault("reset", method="PATCH", when=when))
    assert hook.patch("products", id, PRICE)["priceWithVat"] == "48"
    assert len(sandbox.writes) == 1


def test_what_is_expected_must_hold(sandbox: Sandbox, hook: DotyposHook) -> None:
    id = product(sandbox)
    hook.patch("products", id, PRICE, expected={"priceWithVat": 45.0})
    edit(sandbox, id, priceWithVat=47.0)
    with pytest.raises(DotyposWritesFailedError, match=r"conflict: somebody changed it .* \(priceWithVat\)") as caught:
        hook.patch("products", id, PRICE, expected={"priceWithVat": "45"})
    assert caught.value.permanent
    assert row_of(sandbox, id)["priceWithVat"] == 47


def test_an_edit_between_read_and_write_is_not_overwritten(
    sandbox: Sandbox, hook: DotyposHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = product(sandbox)
    send = Transport.send

    def quicker(self: Transport, request: Request) -> Answer:
        if request.method == "PATCH":
            sandbox.shop.advance(1)
            edit(sandbox, id, priceWithVat=47.0)
        return send(self, request)

    monkeypatch.setattr(Transport, "send", quicker)
    with pytest.raises(DotyposWritesFailedError, match="conflict"):
        hook.patch("products", id, PRICE)
    assert row_of(sandbox, id)["priceWithVat"] == 47


def test_none_clears_a_field(sandbox: Sandbox, hook: DotyposHook) -> None:
    id = product(sandbox, description="hot")
    assert hook.patch("products", id, {"description": None})["description"] is None


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("products", 5, {"prize": 1}), DotyposPlanError, "changes: nothing is written, because of 1 problem"),
        (("products", 5, {"name": 1.5, "vat": "x"}), DotyposPlanError, "2 problems"),
        (("products", "five", PRICE), DotyposInputError, "products: an id is a whole number"),
        (("orders", 5, {"note": "x"}), DotyposInputError, "the API can't change fields of orders"),
        (("product", 5, PRICE), DotyposInputError, "did you mean 'products'"),
    ],
    ids=["unknown field", "all at once", "no id", "no PATCH", "no entity"],
)
def test_what_cannot_be_meant_is_refused(
    sandbox: Sandbox, hook: DotyposHook, arguments: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        hook.patch(*arguments)
    assert not sandbox.requests


def test_what_is_expected_is_among_the_changes(sandbox: Sandbox, hook: DotyposHook) -> None:
    with pytest.raises(DotyposInputError, match="expected names name, which changes doesn't"):
        hook.patch("products", 5, PRICE, expected={"name": "Tea"})


def test_a_missing_row_is_a_conflict(hook: DotyposHook) -> None:
    with pytest.raises(DotyposWritesFailedError, match="products 5: conflict: there is no such row"):
        hook.patch("products", 5, PRICE)
