"""Options that several commands share, as data for ``argparse`` and for Airflow's own parser."""

from __future__ import annotations

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
