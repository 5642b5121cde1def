"""Options that several commands share, as data for ``argparse`` and for Airflow's own parser."""

from __future__ import annotations

import os
from typing import Any

#: One option: its flags, and the arguments of ``add_argument``.
Option = tuple[tuple[str, ...], dict[str, Any]]

_FORMATS = ("table", "json", "yaml", "plain")

CONN_ID: Option = (
    ("--conn-id",),
    {"default": "dotypos_default", "help": "the Airflow connection (default: dotypos_default)"},
)
CLOUD_ID: Option = (
    ("--cloud-id",),
    {"type": int, "help": "the cloud to look at, in place of the connection's own"},
)
ENTITY: Option = (("entity",), {"metavar": "ENTITY", "help": "what to read, such as orders; see the command entities"})
FILTER: Option = (
    ("--filter",),
    {"help": "conditions in the API's grammar, such as 'paid|eq|true;created|gteq|2026-01-01T00:00:00Z'"},
)
WAREHOUSE_ID: Option = (("--warehouse-id",), {"type": int, "help": "for warehouse-products: the warehouse to read"})
DESTINATION_CONN_ID: Option = (
    ("--destination-conn-id",),
    {"help": "the Airflow connection of the object store, if its address doesn't name one"},
)
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
    """Return the address of a folder or a file. A relative path begins at the current directory."""
    return path if "://" in path else os.path.abspath(path)
