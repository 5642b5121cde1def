"""``airflow dotypos estimate``: what an extraction will cost, before it is run."""

from __future__ import annotations

import argparse

from airflow_provider_dotypos.commands.options import CLOUD_ID, CONN_ID, OUTPUT, SINCE, TIMEZONE, UNTIL, Option
from airflow_provider_dotypos.commands.output import Report, tell

_ENTITIES = "what to estimate, such as orders products (default: all lists of the cloud)"
_HISTORY = "read orders with their items and payments, as a history does (default lists: these three)"


def options() -> list[Option]:
    """Return the command's options."""
    return [
        (("entities",), {"nargs": "*", "metavar": "ENTITY", "help": _ENTITIES}),
        SINCE,
        UNTIL,
        TIMEZONE,
        (("--history",), {"action": "store_true", "help": _HISTORY}),
        CONN_ID,
        CLOUD_ID,
        OUTPUT,
    ]


def run(args: argparse.Namespace) -> int:
    """Print the estimate and return the exit code."""
    return tell(args, lambda: _report(args))


def _report(args: argparse.Namespace) -> Report:
    from airflow_provider_dotypos.commands.estimation import estimate_report

    return estimate_report(args)
