"""A customer whose every personal field holds a mark, for tests that look for it afterwards."""

from __future__ import annotations

from typing import Any

from airflow_provider_dotypos.api.entities import Field, find_entity

HER, OTHER = "4000000000000007", "4000000000000008"

#: A text in every personal field of hers. Times and numbers have marks of their own.
MARK, MARKED_TIME, MARKED_NUMBER = "Žofie-Marková-77", "1977-07-07T07:07:07.077Z", "49.777777"


def marked_row(entity: str, **given: Any) -> dict[str, Any]:
    """Return a row with all fields of an entity, in the API's form, whose personal fields hold a mark.

    :param given: values of some fields.
    """
    fields = find_entity(entity).fields
    return {"id": HER, **{name: _value(field) for name, field in fields.items() if name != "id"}, **given}


def plain_row(entity: str, **given: Any) -> dict[str, Any]:
    """Return the same without personal data: its personal fields hold what stays."""
    row = marked_row(entity, **given)
    for name, field in find_entity(entity).fields.items():
        if field.personal and name not in given:
            row[name] = _kept(field)
    return row


def _value(field: Field) -> Any:
    if not field.personal:
        return _kept(field)
    if field.type == "timestamp":
        return MARKED_TIME
    if field.type in ("double", "decimal"):
        return MARKED_NUMBER
    return [f"{MARK} {field.name}", MARK] if field.type.endswith("[]") else f"{MARK}, {field.name}"


def _kept(field: Field) -> Any:
    if field.references:
        return None
    if field.type == "timestamp":
        return "2026-03-01T10:00:00.000Z"
    if field.type == "boolean":
        return False
    if field.type in ("string", "enum"):
        return f"kept {field.name}"
    if field.type == "string[]":
        return ["kept", field.name]
    if field.type == "object[]":
        return [{"name": "kept"}]
    return "7.5" if field.type in ("double", "decimal") else "7"
