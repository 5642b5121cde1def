"""What the audit log says of an edit."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos.connections.edits import describe_edits

NAMES = st.sampled_from(["client_id", "client_secret", "host", "port", "refresh_token", "cloud_id", "timeout", "other"])
VALUES = st.none() | st.integers() | st.text(max_size=40) | st.lists(st.integers(), max_size=3)
FIELDS = st.dictionaries(NAMES, VALUES)


@given(FIELDS, FIELDS)
def test_every_field_that_differs_is_named_and_no_other_one(
    before: dict[str, object], after: dict[str, object]
) -> None:
    described = describe_edits(before, after)

    assert described.keys() == {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    json.dumps(described)


@given(st.sampled_from(["client_secret", "refresh_token", "other"]), VALUES, VALUES)
def test_a_secret_is_never_in_it(name: str, old: object, new: object) -> None:
    assert set(describe_edits({name: old}, {name: new}).values()) <= {"set", "changed", "removed"}


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("https://api.dotykacka.cz", "https://api.dotykacka.cz"),
        ("https://me:5ecbe77e@api.example.com/x", "https://***@api.example.com/x"),
        ("me:5ecbe77e@api.example.com", "***@api.example.com"),
        ("https://api.example.com/?token=5ecbe77e5ecbe77e", "https://api.example.com/?token=***"),
        ("x" * 9000, "x" * 200),
    ],
    ids=lambda text: text[:30],
)
def test_an_address_is_shown_without_what_it_may_hide(host: str, shown: str) -> None:
    assert describe_edits({"host": None}, {"host": host}) == {"host": {"old": None, "new": shown}}
