"""How far an extraction is, as a bar on a terminal."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager

from rich.console import Console
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from airflow_provider_dotypos.api.pieces import Pieces
from airflow_provider_dotypos.transfers.progress import Progress

#: Seconds between two looks at what is left: a look takes a lock that the walk's threads need.
_PACE = 0.2


class ProgressBar(AbstractContextManager["ProgressBar"]):
    """A bar on stderr, which goes away in the end. Call it to begin: it makes what `extract` reports to."""

    def __init__(self) -> None:
        share = TaskProgressColumn("{task.percentage:>3.0f} %", markup=False)
        rows = TextColumn("{task.completed:,.0f} rows", markup=False)
        name = TextColumn("{task.description}", markup=False)
        self._bars = Bars(
            name, BarColumn(), share, rows, TimeElapsedColumn(), TimeRemainingColumn(),
            console=Console(stderr=True), transient=True,
        )  # fmt: skip

    def __enter__(self) -> ProgressBar:
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    def __call__(self, name: str, kept: int = 0) -> Progress:
        """Return the progress of an extraction, which moves the bar.

        :param kept: rows that an earlier attempt has left.
        """
        return _BarProgress(self._bars, self._bars.add_task(name, total=None), name, kept)


class _BarProgress(Progress):
    def __init__(self, bars: Bars, task: TaskID, name: str, kept: int) -> None:
        super().__init__(name, kept)
        self._bars, self._task = bars, task
        self._done = kept
        self._counting = threading.Lock()
        self._due = 0.0

    def report(self, rows: int, requests: int, pieces: Pieces) -> None:
        """Count rows that were delivered, and move the bar."""
        with self._counting:
            self._done += rows
            done, now = self._done, time.monotonic()
            if now < self._due:
                return
            self._due = now + _PACE
        left = pieces.rows_left
        self._bars.update(self._task, completed=done, total=None if left is None else done + left)
