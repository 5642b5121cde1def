"""Unknown fields: their names are few, short and printable, and nothing of their values is kept."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dotypos.transfers.rows.new_fields import (
    LONGEST_NAME,
    MOST_FIELDS,
    OTHERS,
    NewField,
    NewFields,
    short_form,
    sum_new_fields,
)

#: A value of each kind, and what is kept of it.
VALUES = {"secret": "text", 12: "number", True: "boolean", None: "null"}


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def collect(*rows: dict[str, object], exact: bool = True) -> dict[str, NewField]:
    fields = NewFields(exact=exact)
    for row in rows:
        for name, value in row.items():
            fields.note(name, raw(value))
    return fields.fields


def test_kinds_and_rows_are_kept_and_no_value() -> None:
    rows: list[dict[str, object]] = [{"a": value, "b": None} for value in VALUES]
    fields = collect(*rows, {"a": ["secret"]}, {"a": {"secret": 1}})
    assert fields["a"] == NewField(("boolean", "list", "number", "object", "text"), 6)
    assert fields["b"] == NewField(("null",), 4)
    assert b"secret" not in msgspec.json.encode(fields)
    assert short_form({"orders": {"b": fields["b"]}}) == {"orders": {"b": "null"}}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.text(max_size=100), max_size=50), max_size=4))
def test_names_are_bounded_and_printable_whatever_comes(parts: list[list[str]]) -> None:
    collected = [{"orders": collect(dict.fromkeys(names, "v"))} for names in parts]
    for tables in [*collected, sum_new_fields(collected)]:
        for fields in tables.values():
            assert len(fields) <= MOST_FIELDS + 1
            assert all(len(name) <= LONGEST_NAME and name.isprintable() for name in fields)
    rows = sum(field.rows for tables in collected for field in tables["orders"].values())
    summed = sum_new_fields(collected)
    assert sum(field.rows for field in summed.get("orders", {}).values()) == rows


def test_fields_that_are_too_many_count_together() -> None:
    many: dict[str, object] = {f"field{number:02}": 1 for number in range(MOST_FIELDS + 5)}
    fields = collect(many, many)
    assert fields[OTHERS] == NewField(("number",), 10)
    assert fields["field00"].rows == 2


def test_a_sum_is_exact_only_if_all_are() -> None:
    one, few = collect({"a": 1}), collect({"a": None}, {"a": "x"}, exact=False)
    assert sum_new_fields([{"orders": one}, {"orders": few}, {}]) == {
        "orders": {"a": NewField(("number", "text"), 3, exact=False)}
    }
    assert sum_new_fields([{"orders": {}}]) == {}
