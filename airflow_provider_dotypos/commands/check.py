"""``airflow dotypos check``: whether a connection works, and for what; with ``--probe``, how its API behaves."""

from __future__ import annotations

import argparse
import getpass

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api.errors import DotyposConfigurationError, DotyposInputError
from airflow_provider_dotypos.commands.options import CLOUD_ID, CONN_ID, OUTPUT, Option
from airflow_provider_dotypos.commands.output import ATTENTION, WELL, Report, note, tell
from airflow_provider_dotypos.connections.errors import ConnectError


def options() -> list[Option]:
    """Return the command's options."""
    probe = "find out, by reading only, how this cloud's API behaves where its documentation leaves it open"
    save = "with --probe: write into the connection what was found out about deleted rows, which halves the requests"
    return [
        CONN_ID,
        CLOUD_ID,
        (("--probe",), {"action": "store_true", "help": probe}),
        (("--save",), {"action": "store_true", "help": save}),
        OUTPUT,
    ]


def run(args: argparse.Namespace) -> int:
    """Print the checks, or the report of the probes, and return the exit code."""
    return tell(args, lambda: _report(args))


def _report(args: argparse.Namespace) -> Report:
    from airflow_provider_dotypos.api.check import check
    from airflow_provider_dotypos.commands.connection import new_client, read_settings

    settings = read_settings(args.conn_id, args.cloud_id)
    if args.save:
        _check_save(args)
    verdict = check(lambda: settings, _airflow.mask_secret)
    if not verdict.works:
        raise DotyposConfigurationError(f"Connection {args.conn_id!r}: {verdict.message}")
    if args.probe:
        from airflow_provider_dotypos.commands.probes import examine
        from airflow_provider_dotypos.commands.probes.asking import ProbedCloud

        note("Asking about 120 small questions, only reading; this may take a minute.")
        cloud = ProbedCloud(settings)
        rows = examine(cloud)
        if args.save:
            _save(args.conn_id, cloud.null_markers)
        return Report(rows)

    from airflow_provider_dotypos.api.access import check_access

    note("Reading a row of every list.")
    checks = check_access(new_client(settings), verdict.message)
    off = [result.check for result in checks if result.needs_attention]
    if off:
        note(f"The connection works, but look at: {', '.join(off)}.")
    return Report([result.row() for result in checks], ATTENTION if off else WELL)


def _check_save(args: argparse.Namespace) -> None:
    """Raise if what is found out couldn't be written into the connection.

    :raises DotyposError: if it couldn't.
    """
    from airflow_provider_dotypos.connections.lookup import look_up

    if not args.probe:
        raise DotyposInputError("--save goes with --probe, which finds out what is saved")
    if args.cloud_id is not None:
        raise DotyposInputError("--save goes with the connection's own cloud: omit --cloud-id")
    connection = look_up(args.conn_id)
    if connection is not None and not connection.writable:
        raise DotyposConfigurationError(
            f"Connection {args.conn_id!r} is held in {connection.held_in}, which this command can't write to: run it "
            "without --save, and add deleted_filter to the connection's extra there (shows_null if the probe deleted "
            "null says there, hides_null if it says left out)"
        )


def _save(conn_id: str, finding: str | None) -> None:
    """Write into a connection what one filter for live and deleted rows does with null markers, if that was seen."""
    if finding is None:
        note("Nothing was saved: no row with a null deletion marker was seen, or the probe couldn't tell.")
        return
    from airflow_provider_dotypos.connections import stored

    try:
        stored.update(conn_id, extra={"deleted_filter": finding}, user=getpass.getuser())
    except ConnectError as error:  # somebody has changed it meanwhile
        raise DotyposConfigurationError(f"Nothing was saved: {error}") from None
    note(f"Saved in the connection {conn_id}: Deleted filter is {finding}.")
