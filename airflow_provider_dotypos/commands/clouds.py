"""``airflow dotypos clouds``: the clouds that the connection's refresh token may use."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from airflow_provider_dotypos.commands.options import CONN_ID, OUTPUT, Option
from airflow_provider_dotypos.commands.output import Report, tell

if TYPE_CHECKING:
    from airflow_provider_dotypos.api.reading import Row


def options() -> list[Option]:
    """Return the command's options."""
    return [CONN_ID, OUTPUT]


def run(args: argparse.Namespace) -> int:
    """Print the clouds and return the exit code."""
    return tell(args, lambda: _report(args))


def _report(args: argparse.Namespace) -> Report:
    from airflow_provider_dotypos.api.reading import Reader
    from airflow_provider_dotypos.commands.connection import new_client, read_settings

    settings = read_settings(args.conn_id)
    clouds = Reader(new_client(settings)).clouds()
    return Report([_row(cloud, own=str(cloud.get("id")) == str(settings.cloud_id)) for cloud in clouds])


def _row(cloud: Row, *, own: bool) -> dict[str, str]:
    marks = [mark for mark in ("expired", "restricted", "deleted") if cloud.get(mark) is True]
    return {
        "id": str(cloud.get("id")),
        "name": str(cloud.get("name") or ""),
        "country": str(cloud.get("country") or ""),
        "segment": str(cloud.get("segment") or ""),
        "marked": " ".join(marks),
        "connection": "this one" if own else "",
    }
