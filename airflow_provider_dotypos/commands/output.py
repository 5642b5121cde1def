"""What a command prints: its rows alone on stdout; everything else on stderr, where a failure takes one line."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api.errors import DotyposError

#: Exit codes; 2, wrong usage, is argparse's.
WELL, BROKEN, ATTENTION = 0, 1, 3

#: Least columns of a terminal on which each of the tables has room.
_WIDE = 160


@dataclass(frozen=True)
class Report:
    """The result of a command.

    :param rows: rows with the same columns.
    :param code: the exit code.
    :param narrow: the columns to show on a terminal without room for all. Defaults to all.
    """

    rows: Sequence[dict[str, str]]
    code: int = WELL
    narrow: Sequence[str] = ()


def tell(args: argparse.Namespace, work: Callable[[], Report]) -> int:
    """Do a command's work, print its report as ``--output`` asks, and return the exit code."""
    try:
        with _stdout_kept_clean():
            report = work()
            console = _airflow.console()
    except DotyposError as error:
        note(str(error))
        return BROKEN
    narrow = args.output == "table" and console.width < _WIDE
    columns = (report.narrow if narrow else ()) or [*report.rows[0]] if report.rows else []
    rows = [{name: _printable(row[name]) for name in columns} for row in report.rows]
    console.print_as(rows, args.output)
    return report.code


def note(text: str) -> None:
    """Print a line for the person at the terminal, beside the result."""
    print(_printable(text), file=sys.stderr)


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


def _printable(text: str) -> str:
    """Return a text without characters that would control a terminal: names come from outside."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
