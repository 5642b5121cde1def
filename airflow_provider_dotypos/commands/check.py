"""``airflow dotypos check``: whether a connection works, and for what; with ``--probe``, how its API behaves."""

from __future__ import annotations

import argparse

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api.errors import DotyposConfigurationError
from airflow_provider_dotypos.commands.options import CLOUD_ID, CONN_ID, OUTPUT, Option
from airflow_provider_dotypos.commands.output import ATTENTION, WELL, Report, note, tell


def options() -> list[Option]:
    """Return the command's options."""
    probe = "find out, by reading only, how this cloud's API behaves where its documentation leaves it open"
    return [CONN_ID, CLOUD_ID, (("--probe",), {"action": "store_true", "help": probe}), OUTPUT]


def run(args: argparse.Namespace) -> int:
    """Print the checks, or the report of the probes, and return the exit code."""
    return tell(args, lambda: _report(args))


def _report(args: argparse.Namespace) -> Report:
    from airflow_provider_dotypos.api.check import check
    from airflow_provider_dotypos.commands.connection import new_client, read_settings

    settings = read_settings(args.conn_id, args.cloud_id)
    verdict = check(lambda: settings, _airflow.mask_secret)
    if not verdict.works:
        raise DotyposConfigurationError(f"Connection {args.conn_id!r}: {verdict.message}")
    if args.probe:
        from airflow_provider_dotypos.commands.probes import examine

        note("Asking about 100 small questions, only reading; this may take a minute.")
        return Report(examine(settings))

    from airflow_provider_dotypos.api.access import check_access

    note("Reading a row of every list.")
    checks = check_access(new_client(settings), verdict.message)
    off = [result.check for result in checks if result.needs_attention]
    if off:
        note(f"The connection works, but look at: {', '.join(off)}.")
    return Report([result.row() for result in checks], ATTENTION if off else WELL)
