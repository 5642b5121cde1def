"""``airflow dotypos show``: what a committed set of files holds, or the current table of a list over all its sets."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_provider_dotypos.api.entities import find_entity, find_list
from airflow_provider_dotypos.commands.options import (
    CLOUD_ID,
    DESTINATION_CONN_ID,
    OUTPUT,
    TIMEZONE,
    Option,
    address,
    whole_number,
)
from airflow_provider_dotypos.commands.output import Report, WrongUsageError, tell
from airflow_provider_dotypos.commands.rows import COLUMNS, PERSONAL, rows_report
from airflow_provider_dotypos.commands.upkeep import store_path

if TYPE_CHECKING:
    from airflow_provider_dotypos.lake.current import CurrentTable

_ROWS = whole_number(0, 1_000_000)

#: Options that are of no account without an entity, by their names among the arguments.
_OF_LISTS = ("cloud_id", "since", "until", "timezone", "deleted", "shape")


def options() -> list[Option]:
    """Return the command's options."""
    place = (
        "path of a manifest, as a task returns it, or of the folder of a window; with an ENTITY, the folder that "
        "extractions were given as their destination"
    )
    entity = "show the current table of this list, such as orders, over all its sets below the destination"
    cloud = "the list's cloud (default: the only one below the destination)"
    since = "only versions that changed at this time or later, such as 2026-01-01T00:00:00Z (default: the beginning)"
    until = "only versions that changed before this time: the table as of then (default: now)"
    table = "show the first rows of this table, such as order-items (default: the entity's own)"
    shape = "the digest at the end of the sets' folders: which sets to read, if their rows differ in shape"
    verify = "also read every file of the set and compare its checksum"
    return [
        (("manifest",), {"metavar": "MANIFEST", "help": place}),
        (("entity",), {"metavar": "ENTITY", "nargs": "?", "help": entity}),
        (CLOUD_ID[0], {**CLOUD_ID[1], "help": cloud}),
        (("--since",), {"help": since}),
        (("--until",), {"help": until}),
        TIMEZONE,
        (("--deleted",), {"action": "store_true", "help": "also show rows that are marked as deleted"}),
        (("--shape",), {"metavar": "DIGEST", "help": shape}),
        (("--table",), {"metavar": "ENTITY", "help": table}),
        (("--limit",), {"type": _ROWS, "default": 5, "metavar": "ROWS", "help": "rows to show (default: 5)"}),
        COLUMNS,
        PERSONAL,
        (("--verify",), {"action": "store_true", "help": verify}),
        DESTINATION_CONN_ID,
        OUTPUT,
    ]


def run(args: argparse.Namespace) -> int:
    """Print what the set or the table holds and return the exit code."""
    return tell(args, lambda: _report(args) if args.entity is None else _current_report(args))


def _report(args: argparse.Namespace) -> Report:
    from airflow_provider_dotypos.commands.sets import set_report
    from airflow_provider_dotypos.transfers.manifest import read_manifest

    if given := [name for name in _OF_LISTS if getattr(args, name)]:
        raise WrongUsageError(
            f"--{given[0].replace('_', '-')} is for the current table of a list: name the list after the destination"
        )
    try:
        committed = read_manifest(address(args.manifest), args.destination_conn_id, verify=args.verify)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}{_lists_near(args)}") from None
    table = args.table or committed.manifest.entity
    return set_report(committed, {table: _first_rows(args, table, committed.rows(table))})


def _lists_near(args: argparse.Namespace) -> str:
    """Return what to name if a destination was named without a list, or a folder in it that isn't a window's."""
    from airflow_provider_dotypos.lake.sets import find_destination, lists_below

    place = find_destination(store_path(args, args.manifest))
    if place is None:
        return ""
    lists = sorted({entity for _, entity in lists_below(place)})
    return (
        f". Name the folder of a window, or a list after the destination: airflow dotypos show {place} {lists[0]}. "
        f"Lists there: {', '.join(lists)}"
    )


def _current_report(args: argparse.Namespace) -> Report:
    from airflow_provider_dotypos.commands.current import current_report

    if args.verify:
        raise WrongUsageError("--verify is for a single set: give the path of its manifest, and no list")
    current = _current(args)
    table = args.table or current.entity
    return current_report(current, {table: _first_rows(args, table, current.rows(table))})


def _first_rows(args: argparse.Namespace, table: str, rows: Iterator[Mapping[str, Any]]) -> Report:
    report = rows_report(find_entity(table), islice(rows, args.limit), args.columns, args.personal)
    return report if args.limit else replace(report, empty="")


def _current(args: argparse.Namespace) -> CurrentTable:
    from airflow_provider_dotypos.lake.current import read_entity
    from airflow_provider_dotypos.lake.sets import only_cloud

    place = store_path(args, args.manifest)
    find_list(args.entity)
    return read_entity(
        place,
        args.cloud_id or only_cloud(place, args.entity),
        args.entity,
        since=args.since,
        until=args.until,
        timezone=args.timezone,
        deleted=args.deleted,
        shape=args.shape,
    )
