from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos.api.entities import entities
from airflow_provider_dotypos.lake.erasure.person import Person, ids_of, reach_of, rows_in
from tests.lake.persons import HER, OTHER


def person(*rows: tuple[str, dict[str, Any]]) -> Person:
    """Return a person who was looked for in rows."""
    person = Person(HER)
    for entity, row in rows:
        person.note(entity, row)
    for entity, row in rows:
        if entity in person.reach.relating():
            person.note_related(entity, row)
    return person


def test_the_entity_table_says_who_can_hold_rows_of_a_customer() -> None:
    reach = reach_of()
    assert set(reach.entities) == {
        *("customers", "customer-accounts", "customer-account-logs", "reservations"),
        *("orders", "order-items", "money-logs"),
    }
    assert set(reach.noting()) == {"customer-accounts", "orders", "order-items", "reservations"}
    assert reach.relating() == ("orders",)
    assert reach.fields("money-logs") == ("id", "_orderId")


def test_every_list_with_personal_data_of_customers_is_reached() -> None:
    """An entity that isn't reached holds data of employees, suppliers or the business: not of customers."""
    marked = {name for name, entity in entities().items() if any(field.personal for field in entity.fields.values())}
    assert marked - set(reach_of().entities) == {
        *("categories", "daily-menu-products", "delivery-notes", "eet-subjects", "employees", "products"),
        *("sales-report", "suppliers", "warehouse-products"),
    }


def test_a_row_is_theirs_if_it_is_their_own_or_names_them() -> None:
    assert person().owns("customers", {"id": int(HER)})
    assert not person().owns("customers", {"id": OTHER})
    for entity in ("orders", "order-items", "reservations", "customer-accounts"):
        assert person().owns(entity, {"id": "1", "_customerId": HER})
        assert not person().owns(entity, {"id": "1", "_customerId": OTHER})
        assert not person().owns(entity, {"id": "1", "_customerId": None})


def test_a_row_is_theirs_if_it_refers_to_one_that_names_them() -> None:
    whose = person(("orders", {"id": "5", "_customerId": HER}), ("customer-accounts", {"id": 9, "_customerId": HER}))
    assert whose.owns("money-logs", {"id": "1", "_orderId": "5"})
    assert whose.owns("customer-account-logs", {"id": "1", "_customerAccountId": "9"})
    assert whose.owns("orders", {"id": "6", "_relatedOrderId": "5"})
    assert not whose.owns("orders", {"id": "6", "_relatedOrderId": "5", "_customerId": OTHER})
    assert not whose.owns("money-logs", {"id": "1", "_orderId": "6"})


def test_another_version_of_their_row_is_theirs_unless_it_names_somebody_else() -> None:
    whose = person(("orders", {"id": "5", "_customerId": HER}))
    assert whose.owns("orders", {"id": 5, "_customerId": None})
    assert whose.owns("orders", {"id": "5", "_customerId": "-1"})
    assert not whose.owns("orders", {"id": "5", "_customerId": OTHER})


def test_what_a_related_order_holds_is_theirs_whoever_it_names() -> None:
    related = {"id": "6", "_relatedOrderId": "5", "orderItems": [{"id": "61", "_customerId": OTHER}]}
    whose = person(("orders", related), ("orders", {"id": "5", "_customerId": HER}))
    assert whose.owns("order-items", {"id": "61", "_orderId": "6", "_customerId": OTHER})
    assert whose.owns("money-logs", {"id": "71", "_orderId": 6})
    assert whose.holds_any("orders", related)


def test_references_are_not_followed_from_account_to_account() -> None:
    """Somebody else paid her order from their account; the next entry of that account isn't hers."""
    whose = person(
        ("orders", {"id": "5", "_customerId": HER}),
        ("customer-account-logs", {"id": "31", "_orderId": "5", "_customerAccountId": "8"}),
    )
    assert whose.owns("customer-account-logs", {"id": "31", "_orderId": "5", "_customerAccountId": "8"})
    assert not whose.owns("customer-account-logs", {"id": "32", "_previousCustomerAccountLogId": "31"})
    assert not whose.owns("orders", {"id": "7", "_relatedOrderId": "6"})


def test_an_item_of_theirs_in_somebody_elses_order_is_theirs_alone() -> None:
    order = {"id": "5", "_customerId": OTHER, "orderItems": [{"id": "51", "_customerId": HER}, {"id": "52"}]}
    whose = person(("orders", order))
    assert whose.holds_any("orders", order)
    assert not whose.owns("orders", order)
    assert whose.owns("order-items", {"id": "51"})
    assert not whose.owns("order-items", {"id": "52"})


@pytest.mark.parametrize("odd", [None, "", "0", 0, True, "x", "1e999", {"id": HER}, ["x"], [None]], ids=str)
def test_what_is_no_id_leads_nowhere(odd: Any) -> None:
    assert ids_of(odd) == set()
    assert not person(("orders", {"id": odd, "_customerId": HER})).owns("money-logs", {"_orderId": odd})


@given(id=st.integers(1, 2**63 - 1))
def test_an_id_is_the_same_in_every_spelling(id: int) -> None:
    for spelled in (id, str(id), f"00{id}", f"{id}.0", f" {id} ", [str(id)], (id,)):
        assert ids_of(spelled) == {str(id)}


def test_nested_rows_come_with_what_they_are_nested_in() -> None:
    item, order = {"id": "51"}, {"id": "5", "orderItems": [{"id": "51"}, "odd", None], "moneyLogs": None}
    assert list(rows_in("orders", order)) == [("orders", order, None), ("order-items", item, order)]
