"""Options that several commands share, as data for ``argparse`` and for Airflow's own parser."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any

#: One option: its flags, and the arguments of ``add_argument``.
Option = tuple[tuple[str, ...], dict[str, Any]]

_FORMATS = ("table", "json", "yaml", "plain")


def number(least: float, most: float) -> Callable[[str], float]:
    """Return what reads an option's number and refuses it outside of its limits."""
    return lambda text: _read(text, float, "a number", least, most)


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Return what reads an option's whole number and refuses it outside of its limits."""
    return lambda text: int(_read(text, int, "a whole number", least, most))


def _read(text: str, convert: Callable[[str], float], kind: str, least: float, most: float) -> float:
    try:
        value = convert(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"must be {kind} from {least} to {most}, not {text[:40]!r}")
    return value


#: Cloud ids are 32-bit integers. `api.overrides` says so as well, but options must not load what it loads.
cloud_id = whole_number(1, 2**31 - 1)
port = whole_number(0, 65535)

CONN_ID: Option = (
    ("--conn-id",),
    {"default": "dotypos_default", "help": "the Airflow connection (default: dotypos_default)"},
)
CLOUD_ID: Option = (
    ("--cloud-id",),
    {"type": cloud_id, "help": "the cloud to use, in place of the connection's own"},
)
OF_CLOUD: Option = (("--cloud-id",), {"type": cloud_id, "help": "one cloud alone (default: all)"})
ENTITY: Option = (("entity",), {"metavar": "ENTITY", "help": "what to read, such as orders; see the command entities"})
FILTER: Option = (
    ("--filter",),
    {"help": "conditions in the API's grammar, such as 'paid|eq|true;created|gteq|2026-01-01T00:00:00Z'"},
)
WAREHOUSE_ID: Option = (
    ("--warehouse-id",),
    {"type": whole_number(1, 2**63 - 1), "help": "for warehouse-products: the warehouse to read"},
)
SINCE: Option = (
    ("--since",),
    {"help": "first instant of the window, such as 2026-01-01T00:00:00Z (default: the beginning)"},
)
UNTIL: Option = (
    ("--until",),
    {"help": "first instant after the window (default: the latest changes that have settled)"},
)
TIMEZONE: Option = (
    ("--timezone",),
    {"help": "time zone of bare dates, such as Europe/Prague"},
)
DESTINATION_CONN_ID: Option = (
    ("--destination-conn-id",),
    {"help": "the Airflow connection of the object store, if its address doesn't name one"},
)
DATABASE_CONN_ID: Option = (
    ("--database-conn-id",),
    {"help": "the Airflow connection of a database that loads have filled"},
)
SCHEMA: Option = (
    ("--schema",),
    {"help": "schema that loads have as staging_schema, or else as schema (default: the connection's own)"},
)
DESTINATION: Option = (("destination",), {"metavar": "DESTINATION", "help": "folder or address that tasks write below"})
LIST: Option = (
    ("entity",),
    {"nargs": "?", "metavar": "ENTITY", "help": "one list alone, such as orders (default: all)"},
)
YES: Option = (("--yes",), {"action": "store_true", "help": "do it; without it, the command shows what it would do"})
#: The same as in Airflow's own commands.
OUTPUT: Option = (
    ("-o", "--output"),
    {
        "choices": _FORMATS,
        "default": "table",
        "metavar": f"({', '.join(_FORMATS)})",
        "help": "how to print the result: table, json, yaml or plain (default: table)",
    },
)


def address(path: str) -> str:
    """Return the address of a folder or a file. A relative path begins at the current directory.

    An empty text stays one, and is refused later: a script's variable without a value isn't the current directory.
    """
    return path if "://" in path or not path.strip() else os.path.abspath(path)
