"""What the commands share that look after what extractions have written: they show first, and do it with ``--yes``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_dotypos.commands.options import (
    DESTINATION,
    DESTINATION_CONN_ID,
    LIST,
    OF_CLOUD,
    OUTPUT,
    YES,
    Option,
    address,
)
from airflow_provider_dotypos.commands.output import note

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_dotypos.lake.compaction import ListFolder

ItemT = TypeVar("ItemT")


def list_options(*own: Option) -> list[Option]:
    """Return the options of a command that goes through the lists below a destination.

    :param own: those that it has besides.
    """
    return [DESTINATION, LIST, OF_CLOUD, *own, DESTINATION_CONN_ID, YES, OUTPUT]


def store_path(args: argparse.Namespace, path: str, argument: str = "destination") -> ObjectStoragePath:
    """Return a place in the store that a command was given.

    :param argument: what it is called.
    """
    from airflow_provider_dotypos.storage.store import object_path

    return object_path(address(path), args.destination_conn_id, argument)


def over_lists(args: argparse.Namespace, work: Callable[[ListFolder], Iterable[ItemT]]) -> list[ItemT]:
    """Return what work yields for each list that a command is to go through."""
    from airflow_provider_dotypos.lake.upkeep import ALL, read_entities, select_lists

    lists = select_lists(store_path(args, args.destination), read_entities(args.entity or ALL), args.cloud_id)
    return [item for folder in lists for item in work(folder)]


def note_unchanged() -> None:
    """Print that a command has only shown what it would do."""
    note("Nothing was changed. The same command with --yes does it.")
