"""Filters evaluated on rows mean the same as the server's, or are refused (`matching`)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dotypos.api.entities import entities, find_entity
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.matching import matcher
from airflow_provider_dotypos.api.query import conditions
from airflow_provider_dotypos.sandbox import Behaviour
from airflow_provider_dotypos.sandbox.api import query, wire
from airflow_provider_dotypos.sandbox.behaviour import CHOICES

FIELDS = [
    (entity, field)
    for entity in entities().values()
    if entity.cursors
    for field in entity.fields.values()
    if field.operators
]
behaviours = st.builds(Behaviour, **{name: st.sampled_from(positions) for name, positions in CHOICES.items()})

#: Values as the shop stores them, by type.
STORED: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "short": st.integers(-9, 9),
    "int": st.integers(-9, 9) | st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-9, 9) | st.integers(-(2**63), 2**63 - 1),
    "double": st.sampled_from([0.0, 1.0, 1.21, 41.3223140495868, -3.5, 1e21, 1e-7]) | st.floats(-100, 100),
    "decimal": st.decimals(-100, 100, places=2),
    "timestamp": st.integers(1_700_000_000, 1_700_000_009).map(lambda second: second * 1000)
    | st.integers(1_700_000_000_000, 1_700_000_009_999),
    "enum": st.sampled_from(["Piece", "piece", "NEW", "DELIVERY_NOTE"]),
    "string": st.sampled_from(["", "a", "A", "Káva", "KÁVA s mlékem", "7", "007", " a"]),
}


def value_text(stored: Any, kind: str, form: int) -> str:
    """Return a value as a filter may write it: numbers plain, booleans in two forms and times in three."""
    if isinstance(stored, bool):
        return str(int(stored)) if form else str(stored).lower()
    if kind == "timestamp":
        zone = ("Z", "+01:00")[form % 2]
        return str(stored) if form == 2 else wire.write_time(stored, Behaviour(timestamp_zone=zone))
    return stored if isinstance(stored, str) else wire.write_number(stored)


@pytest.mark.parametrize("kind", sorted({field.type for _, field in FIELDS if not field.type.endswith("[]")}))
@given(data=st.data(), behaviour=behaviours)
@settings(max_examples=40)
def test_a_condition_holds_for_the_rows_for_which_it_holds_on_the_server(
    kind: str, data: st.DataObject, behaviour: Behaviour
) -> None:
    entity, field = data.draw(st.sampled_from([place for place in FIELDS if place[1].type == kind]))
    action = data.draw(st.sampled_from(field.operators))
    values = data.draw(st.lists(STORED[kind], min_size=1, max_size=3 if action in ("in", "notin") else 1))
    if kind == "timestamp":
        values = [value - value % 1000 for value in values]
    texts = [value_text(value, kind, data.draw(st.integers(0, 2))) for value in values]
    if action in ("eq", "ne", "in", "notin") and field.name != "deleted":
        texts += data.draw(st.sampled_from([[], ["null"], ["notnull"]]))
        texts = texts if action in ("in", "notin") else texts[-1:]
    condition = (field.name, action, ",".join(texts))
    try:
        matches = matcher(entity, condition)
    except DotyposInputError:
        return
    server = query._condition(entity, "|".join(condition), behaviour)
    for stored in [*data.draw(st.lists(STORED[kind], max_size=5)), *values, None]:
        shown = wire.write_value(field.name, stored, behaviour)
        assert matches(shown) == server.matches(stored), (condition, stored)


REFUSED = [
    ("products", "tags|in|sale", "compares a list"),
    ("products", "ean|eq|859", "compares a list"),
    ("products", "externalId|ne|42", "notin|42,null"),
    ("products", "_supplierId|notin|42,43", "notin|42,43,null"),
    ("products", "deleted|in|0,1", "deleted=True"),
    ("products", "deleted|notin|1", "deleted|eq|0"),
    ("products", "name|like|50%", "wildcards"),
    ("products", "name|like|a_b", "wildcards"),
    ("products", "name|like|a\\b", "wildcards"),
    ("orders", "created|gt|2026-01-15T12:00:00.000Z", "gteq or lt with a whole second"),
    ("orders", "created|lteq|1764072000000", "gteq or lt with a whole second"),
    ("orders", "created|gteq|2026-01-15T12:00:00.500Z", "gteq or lt with a whole second"),
    ("orders", "created|eq|2026-01-15T12:00:00.000Z", "gteq and lt with whole seconds"),
    ("orders", "created|gteq|2026-01-15T12:00", "ISO 8601"),
    ("orders", "created|gteq|2026-13-15T12:00:00Z", "calendar"),
    ("orders", "created|gteq|2026-01-15T12:00:00.0001Z", "ISO 8601"),
    ("orders", "paid|eq|yes", "0, 1, false or true"),
    ("products", "vat|eq|1.21e0", "exponent"),
    ("products", "vat|eq|nan", "exponent"),
    ("orders", "_branchId|in|1,,2", "whole number"),
    ("orders", "_branchId|eq|1.0", "whole number"),
    ("products", "externalId|in|a,,b", "empty"),
    ("orders", "flags|bin|x", "whole number"),
]


@pytest.mark.parametrize(("name", "filter", "why"), REFUSED, ids=[text for _, text, _ in REFUSED])
def test_a_condition_of_no_certain_meaning_is_refused_with_a_cure(name: str, filter: str, why: str) -> None:
    entity = find_entity(name)
    (condition,) = conditions(entity, filter)
    with pytest.raises(DotyposInputError, match="can't be evaluated on rows of") as refused:
        matcher(entity, condition)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("filter", "shown", "expected"),
    [
        ("externalId|notin|42,null", None, False),
        ("externalId|notin|42,null", "42", False),
        ("externalId|notin|42,null", "43", True),
        ("externalId|in|42,null", None, True),
        ("externalId|eq|notnull", None, False),
        ("externalId|eq|notnull", "x", True),
        ("externalId|ne|null", "x", True),
        ("priceWithVat|in|50,60.50", "60.5", True),
        ("priceWithVat|in|50,60.50", 60.5, True),
        ("_categoryId|in|-201,5", "-201", True),
        ("deleted|eq|0", None, True),
        ("deleted|eq|false", None, True),
        ("deleted|ne|1", None, True),
        ("deleted|eq|1", "1", True),
        ("deleted|eq|1", False, False),
        ("onSale|in|0,1", True, True),
        ("flags|bin|6", "-2", True),
        ("flags|bin|6", "4", False),
        ("flags|bex|6", "8", True),
        ("flags|bex|6", "-1", False),
        ("name|like|káva", "Velká KÁVA", True),
        ("versionDate|gteq|1764072000000", "2025-11-25T13:00:00+0100", True),
        ("versionDate|lt|2025-11-25T13:00:00.000+01:00", "2025-11-25T11:59:59.999Z", True),
        ("versionDate|lt|2025-11-25T13:00:00.000+01:00", "2025-11-25T12:00:00.000Z", False),
    ],
)
def test_values_are_compared_by_their_type(filter: str, shown: object, expected: bool) -> None:
    entity = find_entity("products")
    (condition,) = conditions(entity, filter)
    assert matcher(entity, condition)(shown) is expected


@pytest.mark.parametrize("shown", ["many", "1e400x", {"a": 1}, []])
@pytest.mark.parametrize(
    "filter", ["_categoryId|eq|5", "priceWithVat|eq|5", "onSale|eq|1", "versionDate|gteq|0", "flags|bin|1"]
)
def test_a_value_that_cannot_be_read_matches(filter: str, shown: object) -> None:
    entity = find_entity("products")
    (condition,) = conditions(entity, filter)
    assert matcher(entity, condition)(shown)


def test_every_type_that_can_be_filtered_is_evaluated_or_refused() -> None:
    kinds = {field.type for _, field in FIELDS if not field.type.endswith("[]")}
    assert kinds == STORED.keys()
