"""``airflow dotypos show``: what a committed set of files holds, and its first rows."""

from __future__ import annotations

import argparse
from itertools import islice

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.commands.options import DESTINATION_CONN_ID, OUTPUT, Option, address, whole_number
from airflow_provider_dotypos.commands.output import Report, tell
from airflow_provider_dotypos.commands.rows import COLUMNS, PERSONAL, rows_report

_ROWS = whole_number(0, 1_000_000)


def options() -> list[Option]:
    """Return the command's options."""
    manifest = "path of a manifest, as a task returns it, or of the folder of a window"
    table = "show the first rows of this table, such as order-items (default: the entity's own)"
    verify = "also read every file and compare its checksum"
    return [
        (("manifest",), {"metavar": "MANIFEST", "help": manifest}),
        (("--table",), {"metavar": "ENTITY", "help": table}),
        (("--limit",), {"type": _ROWS, "default": 5, "metavar": "ROWS", "help": "rows to show (default: 5)"}),
        COLUMNS,
        PERSONAL,
        (("--verify",), {"action": "store_true", "help": verify}),
        DESTINATION_CONN_ID,
        OUTPUT,
    ]


def run(args: argparse.Namespace) -> int:
    """Print what the set holds and return the exit code."""
    return tell(args, lambda: _report(args))


def _report(args: argparse.Namespace) -> Report:
    from airflow_provider_dotypos.commands.sets import set_report
    from airflow_provider_dotypos.transfers.manifest import read_manifest

    committed = read_manifest(address(args.manifest), args.destination_conn_id, verify=args.verify)
    table = args.table or committed.manifest.entity
    rows = islice(committed.rows(table), args.limit)
    return set_report(committed, {table: rows_report(find_entity(table), rows, args.columns, args.personal)})
