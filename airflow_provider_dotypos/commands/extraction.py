"""An extraction from a shell, by the engine and the file sink that the operator uses."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from datetime import timezone

from airflow_provider_dotypos.api.reading import Reader
from airflow_provider_dotypos.api.retry import Patience
from airflow_provider_dotypos.api.window import Window, iso, time_zone
from airflow_provider_dotypos.commands.connection import new_client, read_settings
from airflow_provider_dotypos.commands.options import address
from airflow_provider_dotypos.commands.output import note
from airflow_provider_dotypos.commands.progress_bar import ProgressBar
from airflow_provider_dotypos.storage.store import object_path
from airflow_provider_dotypos.transfers.arguments import check_choice, check_since, check_times
from airflow_provider_dotypos.transfers.engine import extract
from airflow_provider_dotypos.transfers.files.formats.file_format import FileFormat
from airflow_provider_dotypos.transfers.files.sink import FileSink, set_folder
from airflow_provider_dotypos.transfers.manifest import CommittedSet, read_manifest
from airflow_provider_dotypos.transfers.progress import Progress
from airflow_provider_dotypos.transfers.selection import Selection
from airflow_provider_dotypos.transfers.wording import opening


def extract_window(args: argparse.Namespace) -> CommittedSet:
    """Extract a window as the options ask, and return the committed set.

    :raises DotyposError: if an option is wrong, or the extraction fails.
    """
    check_choice(
        since=args.since, include=args.include, columns=args.columns, exclude=args.exclude,
        flatten=args.flatten, snapshot=args.snapshot,
    )  # fmt: skip
    check_times({"since": args.since, "until": args.until, "timezone": args.timezone})
    destination = object_path(address(args.destination), args.destination_conn_id)
    file_format = FileFormat.of(args.file_format, args.compression)
    file_format.check()
    reader = Reader(new_client(read_settings(args.conn_id, args.cloud_id, args.concurrency), Patience()))
    selection = _selection(args, reader.cloud_id)
    check_since(selection.entity, args.since)
    window = _window(args, reader)
    zone = timezone.utc if args.timezone is None else time_zone(args.timezone)
    for line in opening(selection, reader.cloud, window, zone):
        note(line)
    folder = destination / set_folder(selection, window, file_format)
    sink = FileSink.begin(folder, selection, window, file_format, overwrite=args.overwrite)
    try:
        with ProgressBar() if sys.stderr.isatty() else nullcontext(Progress) as new_progress:
            committed = extract(selection, window, reader, sink, settle=args.settle, new_progress=new_progress)
    except BaseException:
        if sink.has_kept_rows and not args.overwrite:
            until = "" if args.until else f" with --until {iso(window.until)}"
            note(f"What was read is kept. The same command{until} reads only what is missing.")
        raise
    return read_manifest(committed.path, args.destination_conn_id)


def _selection(args: argparse.Namespace, cloud_id: int) -> Selection:
    return Selection.of(
        args.entity,
        cloud_id=cloud_id,
        filter=args.filter,
        include=args.include,
        warehouse_id=args.warehouse_id,
        columns=args.columns,
        exclude=args.exclude,
        personal_data=not args.no_personal_data,
        flatten=args.flatten,
        snapshot=args.snapshot,
        undated_rows=args.undated_rows,
        deleted_filter=args.deleted_filter,
    )


def _window(args: argparse.Namespace, reader: Reader) -> Window:
    """Return the window that the options ask for; without an end, up to what has settled."""
    if args.until is not None:
        return Window.of(args.since, args.until, timezone=args.timezone)
    reader.meet()  # which shows the server's clock
    return Window.of(args.since, iso(reader.settled(args.settle)), timezone=args.timezone)
