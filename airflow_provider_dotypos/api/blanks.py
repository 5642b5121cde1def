"""What stands in place of a field's personal data, and which values hold none."""

from __future__ import annotations

from typing import Any

from airflow_provider_dotypos.api.entities import Field

#: The last name of a customer whose names would be blank otherwise: the API refuses that [D2].
NOBODY = "anonymized"


def blank_of(field: Field) -> Any:
    """Return the value of a field that holds no data: an empty list, null, or an empty text where null isn't one."""
    if field.type.endswith("[]"):
        return []
    return None if field.nullable else ""


def is_blank(value: object) -> bool:
    """Return whether a value of a field with personal data holds none."""
    return value in (None, "", [], NOBODY)
