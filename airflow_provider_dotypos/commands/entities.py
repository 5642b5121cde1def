"""``airflow dotypos entities``: what there is to extract, from the entity table, without any request."""

from __future__ import annotations

import argparse

from airflow_provider_dotypos.api.entities import Entity, entities
from airflow_provider_dotypos.commands.options import OUTPUT, Option
from airflow_provider_dotypos.commands.output import Report, tell

#: What the API's write calls do, by their methods.
_CHANGES = {"POST": "create", "PUT": "change", "PATCH": "change", "DELETE": "delete"}


def options() -> list[Option]:
    """Return the command's options."""
    return [OUTPUT]


def run(args: argparse.Namespace) -> int:
    """Print the entities and return the exit code."""
    return tell(args, _report)


def _report() -> Report:
    return Report([_row(entity) for entity in entities().values()], narrow=("entity", "read by", "deleted", "writes"))


def _row(entity: Entity) -> dict[str, str]:
    changes = dict.fromkeys(_CHANGES[method] for method in (*entity.writes.list_methods, *entity.writes.row_methods))
    return {
        "entity": entity.name,
        "read by": " ".join(entity.cursors) or ("(snapshot)" if entity.listed else "(one object)"),
        "deleted": "marked" if entity.deleted_filterable else "",
        "writes": " ".join(changes),
        "include": " ".join(entity.includes),
        "path": entity.path,
    }
