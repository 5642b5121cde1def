"""``airflow dotypos peek``: a few rows of an entity, by one request."""

from __future__ import annotations

import argparse
from itertools import islice

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.commands.options import (
    CLOUD_ID,
    CONN_ID,
    ENTITY,
    FILTER,
    OUTPUT,
    WAREHOUSE_ID,
    Option,
    whole_number,
)
from airflow_provider_dotypos.commands.output import Report, tell
from airflow_provider_dotypos.commands.rows import COLUMNS, PERSONAL, check_columns, rows_report

_LIMIT = "rows to read, 1 to 100 (default: 5)"


def options() -> list[Option]:
    """Return the command's options."""
    sort = "sort by these fields, comma-separated, - in front for descending: --sort=-versionDate"
    return [
        ENTITY,
        (("--limit",), {"type": whole_number(1, 100), "default": 5, "metavar": "ROWS", "help": _LIMIT}),
        FILTER,
        (("--sort",), {"metavar": "FIELDS", "help": sort}),
        COLUMNS,
        PERSONAL,
        WAREHOUSE_ID,
        CONN_ID,
        CLOUD_ID,
        OUTPUT,
    ]


def run(args: argparse.Namespace) -> int:
    """Print the rows and return the exit code."""
    return tell(args, lambda: _report(args))


def _report(args: argparse.Namespace) -> Report:
    from airflow_provider_dotypos.api.reading import Reader
    from airflow_provider_dotypos.commands.connection import new_client, read_settings

    entity = find_entity(args.entity)
    check_columns(entity, args.columns)  # before anything is asked for
    place = {} if args.warehouse_id is None else {"warehouse_id": args.warehouse_id}
    reader = Reader(new_client(read_settings(args.conn_id, args.cloud_id)))
    rows = reader.rows(entity.name, filter=args.filter, sort=args.sort, limit=args.limit, **place)
    return rows_report(entity, islice(rows, args.limit), args.columns, args.personal)
