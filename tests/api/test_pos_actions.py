"""The table of POS actions, what is checked of their fields, and the table of result codes (`api/pos_codes.py`)."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_dotypos.api.pos_actions import ACTIONS, TRANSITIONS, Evidence, checked_fields, find_action
from airflow_provider_dotypos.api.pos_codes import CODES, Means, code_of
from airflow_provider_dotypos.exceptions import DotyposInputError
from airflow_provider_dotypos.sandbox.api import pos

ORDER = {"order-id": 5}


def sent(action: str, /, **fields: Any) -> dict[str, Any]:
    return checked_fields(find_action(action), {name.replace("_", "-"): value for name, value in fields.items()})


def test_every_documented_action_is_in_the_table() -> None:
    names = "hello create update add-item split issue pay create-issue create-issue-pay split-issue split-issue-pay"
    names += " issue-and-pay cancel perform-status-transition list change-item-course prepare-next-course"
    names += " set-item-takeaway sk/print-last-document"
    assert set(ACTIONS) == {f"order/{name}" for name in names.split()}


def test_the_sandbox_knows_the_same_actions_and_transitions() -> None:
    assert pos._ACTIONS.keys() | pos._NOT_MODELLED == set(ACTIONS)
    assert {name: after for name, (_, after) in pos._TRANSITIONS.items()} == TRANSITIONS


def test_what_issues_a_document_is_fiscal_and_what_makes_an_order_is_found_by_its_external_id() -> None:
    assert {name for name, action in ACTIONS.items() if action.fiscal} == {name for name in ACTIONS if "issue" in name}
    makes = {name for name in ACTIONS if re.search("create|split", name)}
    assert {name for name, action in ACTIONS.items() if action.evidence is Evidence.EXTERNAL_ID} == makes
    assert all("external-id" in ACTIONS[name].fields for name in makes)


def test_what_a_repeat_is_answered_by_are_codes_of_the_table() -> None:
    by_code = [action for action in ACTIONS.values() if action.evidence is Evidence.CODE]
    assert all(action.done_by <= CODES.keys() for action in by_code)
    assert all(action.done_by for action in by_code)
    assert not any(action.done_by for action in ACTIONS.values() if action not in by_code)


def test_ids_and_numbers_are_sent_as_numbers_and_null_stays_null() -> None:
    item = {"id": "1000000000000001", "qty": Decimal("1.5"), "manual-price": "0.1", "customizations": []}
    fields = sent("order/create", external_id="x", items=(item,), table_id=None, user_id=0, lock=True)
    expected = {"id": 1000000000000001, "qty": 1.5, "manual-price": 0.1, "customizations": []}
    assert fields == {"external-id": "x", "items": [expected], "table-id": None, "user-id": 0, "lock": True}
    assert type(fields["items"][0]["id"]) is int


@pytest.mark.parametrize("name", ["order/paye", "pay", "", None, 5, ["order/pay"]], ids=repr)
def test_an_unknown_action_is_refused_with_the_nearest(name: Any) -> None:
    with pytest.raises(DotyposInputError, match="action must be a POS action") as caught:
        find_action(name)
    assert ("did you mean 'order/pay'" in str(caught.value)) == (name == "order/paye")


@pytest.mark.parametrize(
    ("action", "fields", "message"),
    [
        ("order/create", {}, "external-id is missing: it is what keeps a repeat from making a second order"),
        ("order/create", {"external_id": ""}, "external-id must not be empty"),
        ("order/create", {"external_id": "null"}, "external-id must not be empty"),
        ("order/pay", {"order_id": "1_000", "payment_method_id": " 5"}, "order-id must be.*payment-method-id must be"),
        ("order/create", {"external_id": "NULL"}, "external-id must not be empty"),
        ("order/create", {"external_id": "None"}, "external-id must not be empty"),
        ("order/create", {"external_id": "a;b"}, "external-id must not hold , ; | or"),
        ("order/create", {"external_id": "a\\b"}, "external-id must not hold , ; | or"),
        ("order/create", {"external_id": "a "}, "external-id must not begin or end with a blank"),
        ("order/create", {"external_id": 5}, "external-id must be text, not a value of type int"),
        ("order/pay", ORDER, "payment-method-id is missing"),
        ("order/pay", {"order_id": None, "payment_method_id": 1}, "order-id must be an id"),
        ("order/pay", {"order_id": 5.0, "payment_method_id": True}, "order-id must be an id.*payment-method-id must"),
        ("order/cancel", ORDER | {"notes": "x"}, "notes isn't a field of it"),
        ("order/update", ORDER | {"guest_counts": 1}, "guest-counts isn't a field of it .did you mean 'guest-count'"),
        ("order/update", ORDER | {"discount_percent": float("nan")}, "discount-percent must be a number"),
        ("order/update", ORDER | {"discount_percent": Decimal("sNaN")}, "discount-percent must be a number"),
        ("order/update", ORDER | {"lock": "yes"}, "lock must be True or False"),
        ("order/add-item", ORDER | {"items": {"id": 1}}, "items must be a list of objects"),
        ("order/add-item", ORDER | {"items": [5]}, r"items\[0\] must be an object"),
        ("order/add-item", ORDER | {"items": [{"id": 1}, {"qty": 1}]}, r"items\[1\].id is missing"),
        ("order/add-item", ORDER | {"items": [{"id": 1, "tags": "a"}]}, r"items\[0\].tags must be a list of texts"),
        (
            "order/add-item",
            ORDER | {"items": [{"id": 1, "customizations": [{"product-id": 1}]}]},
            r"items\[0\].customizations\[0\].product-customization-id is missing",
        ),
        ("order/issue", ORDER | {"print_config": "narrow"}, "print-config must be an object"),
        ("order/hello", {"validity": 1}, "validity can't be given: it is set by the till's clock"),
        ("order/hello", {"webhook": "https://x"}, "webhook can't be given: the result is returned here"),
        ("order/hello", {"idempotency_key": "k"}, "idempotency-key can't be given"),
        ("order/hello", {"action": "order/pay"}, "action can't be given"),
    ],
    ids=str,
)
def test_wrong_fields_are_named(action: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(DotyposInputError, match=f"^{action} can't be sent: .*{message}"):
        sent(action, **fields)


def test_all_that_is_wrong_is_in_one_error_and_no_value_of_a_field() -> None:
    with pytest.raises(DotyposInputError) as caught:
        sent("order/create", note=["for Ada Lovelace"], guest_count="two", items=[{"id": "Ada"}], colour="red")
    message = str(caught.value)
    assert message.count(";") == 4
    assert not re.search("Ada|two|red", message)


@pytest.mark.parametrize("fields", [None, "order-id", [("order-id", 5)]], ids=repr)
def test_fields_must_be_a_dict(fields: Any) -> None:
    with pytest.raises(DotyposInputError, match="fields must be a dict"):
        checked_fields(find_action("order/cancel"), fields)


def test_codes_say_what_to_do_in_sentences() -> None:
    for number, code in CODES.items():
        assert code_of(number) is code
        assert code.meaning
        assert not code.meaning.endswith(".")
        assert code.cure == "" or code.cure.endswith(".")
    assert code_of(4711).means is Means.UNSURE
