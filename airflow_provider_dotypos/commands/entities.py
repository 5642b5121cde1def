"""``airflow dotypos entities``: what there is to extract, from the entity table, without any request."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from airflow_provider_dotypos.api.entities import Entity, entities, find_entity
from airflow_provider_dotypos.commands.options import OUTPUT, Option
from airflow_provider_dotypos.commands.output import Report, note, tell

#: What the API's write calls do, by their methods.
_CHANGES = {"POST": "create", "PUT": "change", "PATCH": "change", "DELETE": "delete"}


def options() -> list[Option]:
    """Return the command's options."""
    help = "show the fields of this entity, such as orders (default: list all entities)"
    return [(("entity",), {"nargs": "?", "metavar": "ENTITY", "help": help}), OUTPUT]


def run(args: argparse.Namespace) -> int:
    """Print the entities, or the fields of one, and return the exit code."""
    return tell(args, _report if args.entity is None else lambda: _fields(args.entity))


def field_rows(entity: Entity) -> Iterator[dict[str, str]]:
    """Yield what the API allows on each field of an entity, and which of them are personal data, as texts."""
    for field in entity.fields.values():
        yield {
            "field": field.name,
            "type": field.type,
            "operators": " ".join(field.operators),
            "sortable": _yes(field.sortable),
            "personal": _yes(field.personal),
            "references": field.references or "",
            "required": _yes(field.required),
            "read only": _yes(field.read_only and bool(entity.writes)),
            "max length": "" if field.max_length is None else str(field.max_length),
        }


def _report() -> Report:
    return Report([_row(entity) for entity in entities().values()], narrow=("entity", "read by", "deleted", "writes"))


def _fields(name: str) -> Report:
    entity = find_entity(name)
    note(f"{name} is read by: {_read_by(entity)}. It can include: {' '.join(entity.includes) or 'nothing'}.")
    note(f"The API's page: {entity.docs}")
    return Report([*field_rows(entity)], narrow=("field", "type", "operators", "sortable", "personal", "references"))


def _row(entity: Entity) -> dict[str, str]:
    changes = dict.fromkeys(_CHANGES[method] for method in (*entity.writes.list_methods, *entity.writes.row_methods))
    return {
        "entity": entity.name,
        "read by": _read_by(entity),
        "deleted": "marked" if entity.deleted_filterable else "",
        "writes": " ".join(changes),
        "include": " ".join(entity.includes),
        "path": entity.path,
    }


def _read_by(entity: Entity) -> str:
    return " ".join(entity.cursors) or ("(snapshot)" if entity.listed else "(one object)")


def _yes(answer: bool) -> str:
    return "yes" if answer else ""
