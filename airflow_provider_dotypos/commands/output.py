"""What a command prints: its rows alone on stdout; everything else on stderr, where a failure takes one line."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

from airflow_provider_dotypos import _airflow, _compat
from airflow_provider_dotypos.api.errors import DotyposError
from airflow_provider_dotypos.commands.naming import with_options

#: Exit codes; 2, wrong usage, is argparse's.
WELL, BROKEN, ATTENTION = 0, 1, 3

#: Wrong usage, as of argparse.
MISUSED = 2

#: Least columns of a terminal on which each of the tables has room.
_WIDE = 160

#: The longest cell of a table whose columns must fit, and what stands between two columns.
_CELL, _BETWEEN = 32, " | "

#: Cells that say nothing.
_NOTHING = ("", "[]", "{}")

_LOGGER = "airflow_provider_dotypos"


@dataclass(frozen=True)
class Report:
    """The result of a command.

    :param rows: rows with the same columns. Values are text, or what JSON has.
    :param code: the exit code.
    :param narrow: the columns to show on a terminal without room for all. Defaults to all.
    :param fit: whether a table omits empty columns, and those that the terminal has no room for.
    :param tables: what people see in place of the rows: in forms that can't hold several tables, the rows are all.
    :param empty: what people see if there are no rows; nothing, if a note has said it.
    """

    rows: Sequence[Mapping[str, Any]]
    code: int = WELL
    narrow: Sequence[str] = ()
    fit: bool = False
    tables: Sequence[Report] = ()
    empty: str = "No rows."


class WrongUsageError(Exception):
    """Options are missing, or contradict each other."""


def tell(args: argparse.Namespace, work: Callable[[], Report], *, with_log: bool = False) -> int:
    """Do a command's work, print its report as ``--output`` asks, and return the exit code.

    Connections are found where Airflow's own commands find them, those of databases and object stores, too.

    :param with_log: whether the person at the terminal reads this package's log meanwhile.
    """
    try:
        with _stdout_kept_clean(), _log_as_notes(with_log), _airflow.stored_connections():
            report = work()
            _airflow.console()  # its modules may log when they are imported
    except DotyposError as error:
        note(with_options(str(error), getattr(args, "options", ())))
        return BROKEN
    except OSError as error:  # of a file or a store; stdout isn't in use yet
        note(str(error))
        return BROKEN
    except WrongUsageError as error:
        note(str(error))
        return MISUSED
    except _compat.missing_connection() as error:
        note(f"{error}. Create it under Admin > Connections or by `airflow connections add`, or correct its id.")
        return BROKEN
    # Made only now: it decides about colors by where stdout leads.
    _print(_airflow.console(), report, args.output)
    return report.code


def note(text: str) -> None:
    """Print a line for the person at the terminal, beside the result."""
    print(_printable(text), file=sys.stderr)


def fields_below_each_other(row: Mapping[str, Any]) -> Report:
    """Return a table of one row that people can read, a line for each field."""
    return Report([{"what": name, "value": value} for name, value in row.items()])


def _print(console: Any, report: Report, form: str) -> None:
    for_people = form in ("table", "plain")
    if for_people and report.tables:
        for table in report.tables:
            _print(console, table, form)
        return
    if for_people and not report.rows:
        # Airflow would print "No data found", which sounds as if nothing had been looked at.
        if report.empty:
            note(report.empty)
        return
    columns = [*report.rows[0]] if report.rows else []
    rows: list[dict[str, Any]] = [
        {name: _text(row[name]) if for_people else _value(row[name]) for name in columns} for row in report.rows
    ]
    if form == "table":
        if report.narrow and console.width < _WIDE:
            columns = [*report.narrow]
        elif report.fit:
            columns = _fitting(rows, console.width)
        rows = [{name: _cut(row[name]) if report.fit else row[name] for name in columns} for row in rows]
    console.print_as(rows, form)


def _fitting(rows: list[dict[str, Any]], width: int) -> list[str]:
    """Return the columns that have values, as many as fit on a terminal; at least one."""
    columns = [name for name in (rows[0] if rows else ()) if any(row[name] not in _NOTHING for row in rows)]
    fitting: list[str] = []
    room = width + len(_BETWEEN)
    for name in columns:
        room -= max(len(_cut(text)) for text in (name, *(row[name] for row in rows))) + len(_BETWEEN)
        if fitting and room < 0:
            break
        fitting.append(name)
    if len(fitting) < len(columns):
        note(f"{len(fitting)} of {len(columns)} fields fit here. Name others with --columns, or print all as JSON.")
    return fitting


def _cut(text: str) -> str:
    return text if len(text) <= _CELL else f"{text[: _CELL - 1]}…"


def _text(value: Any) -> str:
    """Return a value as people read it in a table."""
    if value is None:
        return ""
    return _printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _value(value: Any) -> Any:
    """Return a value as Airflow's printer takes it for JSON and YAML: it makes text of what is in lists and objects."""
    if isinstance(value, Mapping):
        return {str(name): _value(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_value(item) for item in value]
    return None if value is None else _text(value)


@contextmanager
def _stdout_kept_clean() -> Iterator[None]:
    """Send everything printed or logged meanwhile to stderr, and log nothing below a warning.

    Airflow logs to stdout or to stderr, depending on its version and on how it was started.
    """
    stdout, level = sys.stdout, logging.root.manager.disable
    handlers = [h for h in logging.root.handlers if isinstance(h, logging.StreamHandler) and h.stream is stdout]
    logging.disable(logging.INFO)
    for handler in handlers:
        handler.setStream(sys.stderr)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        for handler in handlers:
            handler.setStream(stdout)
        logging.disable(level)


@contextmanager
def _log_as_notes(wanted: bool) -> Iterator[None]:
    """Print this package's log as notes, if it is wanted, and of other logs what is a warning or more."""
    if not wanted:
        yield
        return
    logger, handler = logging.getLogger(_LOGGER), _Notes()
    level, propagate = logger.level, logger.propagate
    others = logging.root.handlers[:]
    for other in others:
        other.addFilter(_is_warning)
    logging.disable(logging.DEBUG)  # which `_stdout_kept_clean` puts back
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        for other in others:
            other.removeFilter(_is_warning)
        logger.removeHandler(handler)
        logger.propagate = propagate
        logger.setLevel(level)


def _is_warning(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING


class _Notes(logging.Handler):
    """Prints what is logged as notes."""

    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage())


def _printable(text: str) -> str:
    """Return a text without characters that would control a terminal: names come from outside."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
