"""Which personal data a row still holds, and what they are replaced by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_dotypos.api.blanks import NOBODY, blank_of, is_blank
from airflow_provider_dotypos.api.entities import Entity, Field

_NAMES = ("firstName", "lastName", "companyName")


def personal_left(entity: Entity, row: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """Return the fields of a row that hold personal data.

    What it is replaced by isn't documented. So a field that holds another value than before holds none.

    :param before: the row as it was before it was anonymized, if that is known.
    """
    return tuple(
        field.name
        for field in _personal(entity)
        if not is_blank(row.get(field.name)) and (before is None or row.get(field.name) == before.get(field.name))
    )


def blanks(entity: Entity, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes that leave a customer's row without personal data."""
    changes = {field.name: blank_of(field) for field in _personal(entity) if not is_blank(row.get(field.name))}
    if all(is_blank(changes.get(name, row.get(name))) for name in _NAMES):
        changes["lastName"] = NOBODY
    return changes


def _personal(entity: Entity) -> list[Field]:
    """Return the fields with personal data. Who has changed a row is an employee, and no write sets it."""
    return [field for field in entity.fields.values() if field.personal and not field.read_only]
