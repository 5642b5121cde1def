"""``airflow dotypos drift``: fields that this package doesn't know, and values that didn't fit, since when."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from airflow_provider_dotypos.api.entities import find_list
from airflow_provider_dotypos.api.window import instant
from airflow_provider_dotypos.commands.options import (
    DATABASE_CONN_ID,
    DESTINATION_CONN_ID,
    LIST,
    OF_CLOUD,
    OUTPUT,
    SCHEMA,
    TIMEZONE,
    Option,
)
from airflow_provider_dotypos.commands.output import ATTENTION, WELL, Report, WrongUsageError, note, tell
from airflow_provider_dotypos.commands.upkeep import store_path
from airflow_provider_dotypos.transfers.news import beginning
from airflow_provider_dotypos.transfers.wording import count

if TYPE_CHECKING:
    from airflow_provider_dotypos.lake.drift import Drift, Drifts

#: What a table shows where a terminal has no room for all.
_NARROW = ("table", "field", "what", "kind", "since", "rows")


def options() -> list[Option]:
    """Return the command's options."""
    destination = "folder below which sets lie, as an extraction was given it"
    since = "look only at windows that end after this moment, such as 2026-01-01T00:00:00Z (default: all)"
    return [
        (("destination",), {"metavar": "DESTINATION", "nargs": "?", "help": destination}),
        # Errors call the list by the last of these two, so ENTITY comes behind.
        (("--entity",), {"dest": "of_list", "metavar": "ENTITY", "help": "the same, for --database-conn-id alone"}),
        LIST,
        DATABASE_CONN_ID,
        SCHEMA,
        OF_CLOUD,
        (("--since",), {"help": since}),
        TIMEZONE,
        DESTINATION_CONN_ID,
        OUTPUT,
    ]


def run(args: argparse.Namespace) -> int:
    """Print what has drifted and return the exit code: 3 if there is something."""
    return tell(args, lambda: _report(args))


def _report(args: argparse.Namespace) -> Report:
    if not args.destination and not args.database_conn_id:
        raise WrongUsageError("Give DESTINATION, the folder of sets, or --database-conn-id, or both.")
    if args.schema and not args.database_conn_id:
        raise WrongUsageError("--schema is of a database: give --database-conn-id, too.")
    if args.entity and args.of_list:
        raise WrongUsageError("Give ENTITY or --entity, and not both: they are the same.")
    entity = args.entity or args.of_list
    which: dict[str, Any] = {
        "cloud_id": args.cloud_id,
        "entity": find_list(entity).name if entity else None,
        "since": instant(args.since, "--since", args.timezone) if args.since else None,
    }
    several = [
        *([_of_files(args, which)] if args.destination else []),
        *([_of_tables(args, which)] if args.database_conn_id else []),
    ]
    rows = [_row(drift) for drifts in several for drift in drifts]
    if not rows:
        note("Nothing has drifted.")
    return Report(rows, ATTENTION if rows else WELL, narrow=_NARROW, empty="")


def _of_files(args: argparse.Namespace, which: dict[str, Any]) -> Drifts:
    from airflow_provider_dotypos.lake.drift import drift_of_files

    drifts = drift_of_files(store_path(args, args.destination), **which)
    note(f"Looked at {count(drifts.looked, 'sets')}.")
    if drifts.unlooked:
        note(f"{drifts.unlooked:,} of them were written by earlier versions, which didn't look for new fields.")
    return drifts


def _of_tables(args: argparse.Namespace, which: dict[str, Any]) -> Drifts:
    from airflow_provider_dotypos.lake.drift import drift_of_tables

    drifts = drift_of_tables(args.database_conn_id, args.schema, **which)
    note(f"Looked at {count(drifts.looked, 'loads')}. Loads of earlier versions say nothing of new fields.")
    return drifts


def _row(drift: Drift) -> dict[str, Any]:
    subject = drift.subject
    return {
        "cloud": str(subject.cloud_id),
        "entity": subject.entity,
        "table": subject.table,
        "field": subject.name,
        "what": "new field" if subject.news else "misfit",
        "kind": " or ".join(sorted(drift.kinds)),
        "since": beginning(drift.since),
        "last": beginning(drift.last),
        "sets": str(drift.sets),
        "rows": str(drift.rows) if drift.exact else f"{drift.rows} or more",
        "advice": _advice(drift),
    }


def _advice(drift: Drift) -> str:
    place = drift.subject.place
    if not drift.subject.news:
        where = "in the rows as they came" if place == "rows" else "in the column _unknown"
        return f"The values are {where}. Upgrade airflow-provider-dotypos; it may know the new type."
    where = "in the rows as they came" if place == "rows" else "in the column _unknown, if fields were wanted all"
    if drift.known:
        again = "" if place == "rows" else " Read these windows again to have a column."
        return f"This version knows it. Earlier values are {where}.{again}"
    return f"Its values are {where}. Upgrade airflow-provider-dotypos to have a column."
