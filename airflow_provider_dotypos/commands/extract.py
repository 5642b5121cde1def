"""``airflow dotypos extract``: one window of one entity to files, as the operator writes them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from airflow_provider_dotypos.api.markers import DELETED_FILTERS, UNDATED_ROWS
from airflow_provider_dotypos.api.overrides import MOST_AT_ONCE
from airflow_provider_dotypos.api.window import LONGEST_SETTLE, SETTLE
from airflow_provider_dotypos.commands.options import (
    CLOUD_ID,
    CONN_ID,
    DESTINATION_CONN_ID,
    ENTITY,
    FILTER,
    OUTPUT,
    SINCE,
    TIMEZONE,
    UNTIL,
    WAREHOUSE_ID,
    Option,
    number,
    whole_number,
)
from airflow_provider_dotypos.commands.output import Report, tell
from airflow_provider_dotypos.transfers.files.formats.file_format import NAMES

_CONCURRENCY = f"threads, 1 to {MOST_AT_ONCE} (default: the connection's)"


def options() -> list[Option]:
    """Return the command's options: those of the operator that make sense for a single run."""
    return [
        ENTITY,
        _text("--destination", "folder to write below: a path or an address such as s3://bucket/data", required=True),
        SINCE,
        UNTIL,
        TIMEZONE,
        FILTER,
        _text("--include", "child lists to read with each row, comma-separated, such as orderItems,moneyLogs"),
        _switch("--flatten", "write the included child lists to files of their own"),
        _text("--columns", "only these fields, comma-separated, a child's as orderItems.name"),
        _text("--exclude", "all fields but these, comma-separated"),
        _switch("--no-personal-data", "omit fields that hold personal data, and unknown fields"),
        _switch("--snapshot", "write the ids of all rows that exist, and nothing else of them"),
        _choice("--undated-rows", UNDATED_ROWS, "when to read rows without a change date: with a full read or always"),
        _choice("--deleted-filter", DELETED_FILTERS, "how to ask for live and deleted rows: by one filter or by two"),
        WAREHOUSE_ID,
        (("--file-format",), {"choices": NAMES, "default": "jsonl", "help": "format of the files (default: jsonl)"}),
        (("--compression",), {"choices": ["gzip"], "help": "compress jsonl and csv"}),
        _switch("--overwrite", "replace the set of the window if there is one"),
        (
            ("--settle",),
            {
                "type": number(0, LONGEST_SETTLE),
                "default": SETTLE,
                "help": f"seconds until changes show in the API (default: {SETTLE:g})",
            },
        ),
        (("--concurrency",), {"type": whole_number(1, MOST_AT_ONCE), "help": _CONCURRENCY}),
        DESTINATION_CONN_ID,
        CONN_ID,
        CLOUD_ID,
        OUTPUT,
    ]


def run(args: argparse.Namespace) -> int:
    """Extract, print what the set holds, and return the exit code."""
    return tell(args, lambda: _report(args), with_log=True)


def _report(args: argparse.Namespace) -> Report:
    from airflow_provider_dotypos.commands.extraction import extract_window
    from airflow_provider_dotypos.commands.sets import set_report

    try:
        return set_report(extract_window(args))
    except OSError as error:  # of the destination: errors of the API's connections are this package's own
        raise OSError(f"{error}. Check --destination: you need the right to write there, and room.") from error


def _text(flag: str, help: str, **details: bool) -> Option:
    return (flag,), {"help": help, **details}


def _choice(flag: str, choices: Sequence[str], help: str) -> Option:
    return (flag,), {"choices": choices, "default": choices[0], "help": f"{help} (default: {choices[0]})"}


def _switch(flag: str, help: str) -> Option:
    return (flag,), {"action": "store_true", "help": help}
