"""What the answer to a write says: whether the row is as planned, and which other fields it changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.writes.judging import differing
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.values import same
from airflow_provider_dotypos.writes.verdicts import Verdict


def taken(entity: Entity, planned: PlannedRow, row: Mapping[str, Any]) -> Verdict:
    """Return whether the API took all that was written: *applied*, or *not taken* with the fields that it left alone.

    :param row: the row as the API answered the write.
    """
    left = tuple(differing(entity, planned.after, row))
    return Verdict("not taken", "the API accepted the write and left the field as it is", left) if left else _APPLIED


def foreign_changes(
    entity: Entity, planned: PlannedRow, before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return the fields that a write changed although the plan doesn't name them.

    Fields that the server sets don't count. A field that isn't documented counts if its value is gone: another value
    may be the server's own.

    :param before: the row as it was read before the write.
    :param after: the row as the API answered the write.
    """
    return tuple(
        name
        for name in dict.fromkeys((*before, *after))
        if name not in planned.after and _is_harmed(entity, name, before.get(name), after.get(name))
    )


def _is_harmed(entity: Entity, name: str, before: object, after: object) -> bool:
    field = entity.fields.get(name)
    if field is None:
        return before is not None and after is None
    return not field.read_only and not same(field, before, after)


_APPLIED = Verdict("applied")
