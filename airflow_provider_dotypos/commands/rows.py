"""Rows as a person looks at them: the telling fields first, personal data masked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airflow_provider_dotypos.api.entities import Entity, find_entity
from airflow_provider_dotypos.api.names import split_names
from airflow_provider_dotypos.commands.options import Option
from airflow_provider_dotypos.commands.output import Report

#: What stands in place of personal data.
MASK = "***"

COLUMNS: Option = (
    ("--columns",),
    {"metavar": "FIELDS", "help": "show only these fields, comma-separated (default: those that have a value and fit)"},
)
PERSONAL: Option = (
    ("--personal",),
    {"action": "store_true", "help": f"show personal data, which is {MASK} otherwise"},
)


def rows_report(entity: Entity, rows: Iterable[Mapping[str, Any]], columns: str | None, personal: bool) -> Report:
    """Return rows of an entity to print.

    :param columns: the fields to show, comma-separated. Defaults to all, of which a table shows those that fit.
    :param personal: whether to show personal data.
    :raises DotyposInputError: if there is no such field.
    """
    shown = list(rows) if personal else [masked(row, entity) for row in rows]
    names = check_columns(entity, columns) or _telling_first(shown, entity)
    return Report([{name: row.get(name) for name in names} for row in shown], fit=not columns)


def check_columns(entity: Entity, columns: str | None) -> list[str]:
    """Return the names of the fields to show.

    :raises DotyposInputError: if there is no such field.
    """
    return [name if name in entity.includes else entity.field(name).name for name in split_names(columns, "columns")]


def masked(row: Mapping[str, Any], entity: Entity) -> dict[str, Any]:
    """Return a row without personal data, and without fields that the entity table doesn't know."""
    return {name: _masked(name, value, entity) for name, value in row.items()}


def _masked(name: str, value: Any, entity: Entity) -> Any:
    if value in (None, "", []):
        return value
    if name in entity.includes and isinstance(value, list):
        child = find_entity(entity.includes[name].entity)
        return [masked(item, child) if isinstance(item, Mapping) else MASK for item in value]
    return value if name in entity.fields and not entity.fields[name].personal else MASK


def _telling_first(rows: Sequence[Mapping[str, Any]], entity: Entity) -> list[str]:
    """Return the names of all fields: the id and the cursor first, references to other rows and masks last."""
    names = dict.fromkeys(name for row in rows for name in row)
    masks = {name for name in names if all(row.get(name) in (None, "", MASK) for row in rows)}
    keys = ("id", *entity.cursors)
    return sorted(names, key=lambda name: (name not in keys, name in masks, name.startswith("_")))
