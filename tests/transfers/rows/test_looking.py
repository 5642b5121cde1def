"""A few rows of every page are looked at: what is news is seen, and what is usual isn't."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.sandbox import Behaviour, Shop
from airflow_provider_dotypos.sandbox.api import lists
from airflow_provider_dotypos.transfers.rows.columns import columns_of
from airflow_provider_dotypos.transfers.rows.looking import Looking
from airflow_provider_dotypos.transfers.rows.new_fields import NewField, NewFields

SHOP = Shop.generate(days=1, orders_per_day=30)
CLOUD = SHOP.cloud_ids[0]


def rows_of(behaviour: Behaviour, **params: str) -> list[msgspec.Raw]:
    page = lists.page(SHOP, CLOUD, "orders", {"limit": "30", **params}, behaviour, {})
    answer = msgspec.json.decode(page.body, type=dict[str, msgspec.Raw])
    return msgspec.json.decode(answer["data"], type=list[msgspec.Raw])


def look(
    rows: list[msgspec.Raw], *, first: bool = False, values: bool = True, include: tuple[str, ...] = (), **chosen: Any
) -> tuple[dict[str, NewField], dict[str, int]]:
    looking = Looking(columns_of(find_entity("orders"), include, **chosen), values=values)
    new_fields, misfits = NewFields(exact=False), Counter[str]()
    looking.look(rows, new_fields, misfits, first=first)
    return new_fields.fields, dict(+misfits)


@pytest.mark.parametrize("numbers", ["text", "number"])
@pytest.mark.parametrize("nulls", ["null", "omitted"])
@pytest.mark.parametrize("zone", ["Z", "+0000", "+01:00"])
def test_what_is_usual_is_no_news(numbers: str, nulls: str, zone: str) -> None:
    behaviour = Behaviour(numbers=numbers, nulls=nulls, timestamp_zone=zone)
    rows = rows_of(behaviour, include="orderItems,moneyLogs")
    assert look(rows, first=True, include=("orderItems", "moneyLogs")) == ({}, {})
    assert look(rows[:1], first=True) == ({}, {})  # child lists that come although nobody asked for them
    assert look([]) == ({}, {})


def test_a_field_of_all_rows_is_seen_on_any_page_and_in_children() -> None:
    behaviour = Behaviour(added_fields=("orders.loyaltyTier", "order-items.course2"))
    fields, misfits = look(rows_of(behaviour, include="orderItems"), include=("orderItems",))
    assert fields["loyaltyTier"] == NewField(("text",), 2, exact=False)  # the first row and the last one
    assert fields["orderItems.course2"].kinds == ("text",)
    assert misfits == {}


@pytest.mark.parametrize("chosen", [{"columns": "id,note"}, {"exclude": "note"}, {"personal_data": False}])
def test_fields_that_are_not_wanted_are_no_news_and_new_ones_are(chosen: dict[str, Any]) -> None:
    rows = rows_of(Behaviour(added_fields=("orders.loyaltyTier",)))
    assert list(look(rows, values=False, **chosen)[0]) == ["loyaltyTier"]


def test_a_changed_type_is_seen_on_any_page_and_an_odd_text_in_a_part_s_first_row() -> None:
    behaviour = Behaviour(changed_types=("orders.created", "orders.paid"))
    assert look(rows_of(behaviour)) == ({}, {"created": 2, "paid": 2})
    odd = [msgspec.Raw(bytes(row).replace(b'"itemCount":"', b'"itemCount":"about ')) for row in rows_of(Behaviour())]
    assert look(odd, first=True) == ({}, {"itemCount": 1})
    assert look(odd) == ({}, {})
    assert look(rows_of(behaviour), values=False) == ({}, {})


def test_odd_bytes_and_rows_are_nobody_s_failure() -> None:
    row = bytes(rows_of(Behaviour())[0])
    odd = [
        msgspec.Raw(row.replace(b'"note":', b'"no\xffte":"x","note":"\xfe",  "n":')),
        msgspec.Raw(row[:-1] + b',"orderItems":["Jana",{"name":5}]}'),
    ]
    fields, misfits = look(odd, first=True, include=("orderItems",))
    assert set(fields) == {"no\ufffdte", "n"}
    assert misfits == {"orderItems": 1}
