"""``airflow dotypos watermark``: how far runs without a window have read each list; set it, or forget it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Set
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_dotypos import _compat
from airflow_provider_dotypos.api.entities import find_list
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.window import SETTLE, duration, instant, iso
from airflow_provider_dotypos.commands.options import (
    DATABASE_CONN_ID,
    DESTINATION_CONN_ID,
    LIST,
    OF_CLOUD,
    OUTPUT,
    SCHEMA,
    TIMEZONE,
    YES,
    Option,
)
from airflow_provider_dotypos.commands.output import Report, WrongUsageError, note, tell
from airflow_provider_dotypos.commands.upkeep import note_unchanged, store_path

if TYPE_CHECKING:
    from airflow_provider_dotypos._airflow import TaskInstanceKey
    from airflow_provider_dotypos.lake.watermarks import ListWatermark

ResultT = TypeVar("ResultT")

#: What a task does that runs meanwhile.
_RUNNING = (
    "A task that runs now reads the window that it has begun. It moves no watermark that was set back behind that "
    "window, or forgotten."
)


#: Where a watermark comes from.
_MADE = "a task without since and until makes it when it first runs; tasks with a window make none, nor does extract"

#: Options that choose among the watermarks of a place, by their names among the arguments.
_CHOOSING = ("entity", "cloud_id", "shape", "asset", "table")


def options() -> list[Option]:
    """Return the command's options."""
    action = "show where watermarks are; set them to a time; or reset, so that the next run begins at its start"
    destination = "folder or address that tasks write below; for tables --database-conn-id instead"
    return [
        (("action",), {"choices": ("show", "set", "reset"), "metavar": "ACTION", "help": action}),
        (("destination",), {"nargs": "?", "metavar": "DESTINATION", "help": destination}),
        LIST,
        OF_CLOUD,
        (("--shape",), {"help": "one shape of sets alone: the end of their folders' names"}),
        (("--asset",), {"help": "the watermarks of one asset alone, by its name"}),
        DESTINATION_CONN_ID,
        DATABASE_CONN_ID,
        SCHEMA,
        (("--table",), {"help": "the watermarks of one table alone"}),
        (("--to",), {"metavar": "TIME", "help": "where to set it, such as 2026-01-15T00:00:00Z"}),
        TIMEZONE,
        YES,
        OUTPUT,
    ]


def run(args: argparse.Namespace) -> int:
    """Print watermarks, or what became of them, and return the exit code."""
    return tell(args, lambda: _report(args))


def _report(args: argparse.Namespace) -> Report:
    _check_usage(args)
    if args.entity is not None:
        args.entity = find_list(args.entity).name
    to = None if args.to is None else _settled_time(args)
    with _watermarks(args) as marks:
        if not marks:
            raise DotyposInputError(f"no such watermark: {_MADE}. {_elsewhere(args)}")
        return _shown(marks) if args.action == "show" else _changed(args, marks, to)


def _check_usage(args: argparse.Namespace) -> None:
    """Raise if options are missing or contradict each other.

    :raises WrongUsageError: if so.
    """
    of_files, of_tables = (args.shape, args.asset, args.destination_conn_id), (args.schema, args.table)
    if (args.destination is None) == (args.database_conn_id is None):
        raise WrongUsageError("Give a destination or --database-conn-id, and not both.")
    if any(of_files if args.database_conn_id is not None else of_tables):
        raise WrongUsageError(
            "--shape, --asset and --destination-conn-id are for files; --schema and --table are for tables."
        )
    if (args.action == "set") != (args.to is not None):
        raise WrongUsageError("--to TIME says where to set a watermark: give it with set, and with nothing else.")
    if args.yes and args.action == "show":
        raise WrongUsageError("--yes is for set and reset: show changes nothing.")


def _elsewhere(args: argparse.Namespace) -> str:
    """Return where to look if no watermark is found."""
    if any(getattr(args, name) is not None for name in _CHOOSING):
        return "See what exists: airflow dotypos watermark show, with nothing but the destination or --database-conn-id"
    if args.database_conn_id is not None:
        return "If loads have a staging_schema or a schema, give it by --schema"
    return "If tasks have run here, look whether this is their Airflow, and the destination as they write it"


@contextmanager
def _watermarks(args: argparse.Namespace) -> Iterator[list[ListWatermark]]:
    """Give the watermarks that are asked for."""
    if args.database_conn_id is None:
        yield [mark for mark in _of_files(args) if _is_meant(args, mark)]
        return
    from airflow_provider_dotypos.lake.table_watermarks import table_watermarks
    from airflow_provider_dotypos.transfers.sql.database import Database

    with closing(Database.of(args.database_conn_id, 1)) as database:
        marks = table_watermarks(database, args.schema or None)
        yield [mark for mark in marks if _is_meant(args, mark)]


def _of_files(args: argparse.Namespace) -> Iterator[ListWatermark]:
    from airflow_provider_dotypos.lake.sets import require_destination
    from airflow_provider_dotypos.lake.watermarks import watermarks_below

    destination = store_path(args, args.destination)
    require_destination(destination)
    states = _asking_airflow(lambda: _compat.asset_states("dotypos/"))
    return watermarks_below(destination, states, _Successes())


class _Successes:
    """Says which task instances have succeeded; ``None`` if Airflow can't say, which people hear once."""

    def __init__(self) -> None:
        self._silent = False

    def __call__(self, runs: set[TaskInstanceKey]) -> Set[TaskInstanceKey] | None:
        from airflow_provider_dotypos.lake.task_instances import succeeded

        if self._silent:
            return None
        try:
            return _asking_airflow(lambda: succeeded(runs))
        except DotyposInputError as error:
            note(f"Which sets are pending isn't known: {error}")
            self._silent = True
            return None


def _asking_airflow(ask: Callable[[], ResultT]) -> ResultT:
    """Ask Airflow's database.

    :raises DotyposInputError: if it doesn't answer.
    """
    from airflow_provider_dotypos.connections.lookup import airflow_home, describe

    try:
        return ask()
    except DotyposInputError:
        raise
    except Exception as error:  # of whatever driver the database has
        raise DotyposInputError(
            f"Airflow's database can't be asked ({describe(error)}). Run this command where Airflow's own commands "
            f"reach it, such as where the scheduler runs. AIRFLOW_HOME is {airflow_home()}"
        ) from error


def _is_meant(args: argparse.Namespace, mark: ListWatermark) -> bool:
    owner = args.asset if args.database_conn_id is None else args.table
    wanted = (
        (args.cloud_id, mark.cloud_id),
        (args.entity, mark.entity),
        (args.shape, mark.shape),
        (owner, mark.owner),
    )
    return all(asked is None or asked == has for asked, has in wanted)


def _shown(marks: list[ListWatermark]) -> Report:
    now = _now()
    narrow = ("entity", "watermark", "lag", "pending")
    return Report([_facts(mark) | _state(mark, now) for mark in marks], narrow=("cloud", *narrow))


def _facts(mark: ListWatermark) -> dict[str, Any]:
    """Return which watermark it is."""
    return {
        "cloud": str(mark.cloud_id),
        "entity": mark.entity,
        "of": mark.owner,
        "shape": mark.shape,
    }


def _state(mark: ListWatermark, now: int) -> dict[str, Any]:
    """Return where a watermark is."""
    reached = mark.reached
    return {
        "watermark": _place(mark),
        "lag": "" if reached is None else duration(max(0, now - reached) / 1000),
        "moved": mark.moved_at or "",
        "by": mark.moved_by,
        "pending": str(len(mark.pending)) if mark.pending_known else f"up to {len(mark.pending)}",
        "pending since": mark.pending_since or "",
        "kept in": mark.place,
        "key": mark.key,
    }


def _place(mark: ListWatermark) -> str:
    if mark.value is None:
        return "none"
    return iso(mark.reached) if mark.reached is not None else "no time"


def _changed(args: argparse.Namespace, marks: list[ListWatermark], to: int | None) -> Report:
    """Set watermarks or forget them, if that is wanted, and say what follows."""
    value = None if to is None else iso(to)
    rows = []
    for mark in marks:
        facts = {"from": _place(mark), "to": value or "none", "what follows": _consequence(mark, to)}
        if args.yes and (mark.value is not None or to is not None) and (to is None or to != mark.reached):
            mark.change(value)
        rows.append(_facts(mark) | facts | {"done": args.yes, "key": mark.key})
    if args.yes:
        note(_RUNNING)
    else:
        note_unchanged()
    return Report(rows, narrow=("cloud", "entity", "from", "to", "what follows"))


def _settled_time(args: argparse.Namespace) -> int:
    """Return the time to set a watermark to.

    :raises DotyposInputError: if changes before it may not show yet.
    """
    to, latest = instant(args.to, "--to", args.timezone), _now() - round(SETTLE * 1000)
    if to > latest:
        raise DotyposInputError(
            f"--to {iso(to)} is later than {iso(latest)}: changes after that may not show yet, and no run would read "
            "them. Give an earlier time"
        )
    return to


def _consequence(mark: ListWatermark, to: int | None) -> str:
    """Return what the next runs do then."""
    reached = mark.reached
    if to is None:
        return "the next run reads from its start again" if mark.value is not None else "nothing: it has none"
    if reached is None:
        return f"the next run reads from {iso(to)} on, and nothing before it"
    if to == reached:
        return "nothing: it is there"
    between = duration(abs(to - reached) / 1000)
    if to < reached:
        return f"{between} are read again, from {iso(to)} to {iso(reached)}"
    return f"{between} are skipped: no run without a window reads from {iso(reached)} to {iso(to)}"


def _now() -> int:
    return round(datetime.now(timezone.utc).timestamp() * 1000)
