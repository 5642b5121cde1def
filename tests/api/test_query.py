"""Filters, sorts and includes: which of them the API allows, and how they are written (`query`, `names`)."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.paths import encode
from airflow_provider_dotypos.api.query import conditions, filter_text, list_params

ORDERS = find_entity("orders")


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (("paid", "eq", True), "paid|eq|true"),
        (("_branchId", "in", [1, "2"]), "_branchId|in|1,2"),
        (("_branchId", "in", [1, None]), "_branchId|in|1,null"),
        (("externalId", "eq", None), "externalId|eq|null"),
        (("created", "gteq", datetime(2026, 1, 1, tzinfo=timezone.utc)), "created|gteq|1767225600000"),
        (
            ("created", "lt", datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))),
            "created|lt|1767225600000",
        ),
        (("points", "eq", Decimal("41.3223140495868")), "points|eq|41.3223140495868"),
        (("note", "like", "sýr, šunka"), "note|like|sýr, šunka"),
    ],
)
def test_triples_are_written_in_the_apis_grammar(condition: Any, text: str) -> None:
    assert filter_text(conditions(ORDERS, [condition])) == text
    assert filter_text(conditions(ORDERS, text)) == text


@pytest.mark.parametrize(
    ("filter", "message"),
    [
        ("created|gte|1", "did you mean 'gteq'"),
        ("creatd|gteq|1", "did you mean 'created'"),
        ("paid|gteq|1", "not allowed on orders.paid; allowed: eq, ne, in, notin"),
        ("currency|eq|CZK", "documents no filter"),
        ("note|like|a;b", "can't hold"),
        ("note|like|a|b", "can't hold"),
        ([("note", "like", "a;b")], "can't hold"),
        ([("note", "like", "a|b")], "can't hold"),
        ([("tags", "in", ["a,b"])], "comma"),
        ([("paid", "eq", [True])], "a list goes with in or notin"),
        ([("created", "gteq", datetime(2026, 1, 1))], "no time zone"),
        ([("created", "gteq", None)], "null goes with"),
        ([("note", "like", "")], "empty"),
        ([("paid", "eq", {})], "can't send a dict"),
        ([("paid", "eq")], "is \\(field, operator, value\\)"),
        ("paid", "field\\|operator\\|value"),
    ],
    ids=str,
)
def test_what_the_api_would_not_understand_is_refused(filter: Any, message: str) -> None:
    with pytest.raises(DotyposInputError, match=message):
        conditions(ORDERS, filter)


def test_null_is_no_value_of_deleted() -> None:
    with pytest.raises(DotyposInputError, match="not deleted"):
        conditions(find_entity("products"), "deleted|eq|null")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"limit": 101}, "1 to 100"),
        ({"limit": 0}, "1 to 100"),
        ({"limit": True}, "1 to 100"),
        ({"page": 0}, "page"),
        ({"sort": "id"}, "can't be sorted by 'id'"),
        ({"sort": "-note"}, "can't be sorted by 'note'"),
        ({"include": "orderitems"}, "did you mean 'orderItems'"),
    ],
    ids=str,
)
def test_lists_are_asked_for_only_as_the_api_documents(arguments: Any, message: str) -> None:
    with pytest.raises(DotyposInputError, match=message):
        list_params(ORDERS, **arguments)


def test_an_unknown_entity_names_the_nearest() -> None:
    for wrong, right in (("order", "orders"), ("orderitems", "order-items"), ("Products", "products")):
        with pytest.raises(DotyposInputError, match=f"did you mean '{right}'"):
            find_entity(wrong)


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8"))))
def test_every_value_survives_encoding_once(params: dict[str, str]) -> None:
    encoded = encode(params)
    assert dict(parse_qsl(encoded, keep_blank_values=True)) == params
    assert not set("|;+ ") & set(encoded)
