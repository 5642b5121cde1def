"""What happens to workers: one loses its power, and a task stands still until it has been given up."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from typing import Any

import psutil

from demo import guard
from tests.fleet.airflow_fleet import Worker


def worker_of(process: int, workers: Iterable[Worker]) -> Worker | None:
    """Return the worker that a process belongs to."""
    session = guard.session_of(process)
    return next((worker for worker in workers if worker.process.pid == session), None)


def cut_power(worker: Worker) -> int:
    """End all processes of a worker by SIGKILL, its tasks' too; return how many there were."""
    processes = len(guard.members_of(worker.process.pid))
    guard.end(worker.process.pid, signal.SIGKILL)
    worker.process.wait()
    return processes


class StoppedTask:
    """A task that stands still with its supervisor, as on a machine that is suspended.

    :param task: the running task instance.
    """

    def __init__(self, task: dict[str, Any]) -> None:
        self.task = task
        self._process: int = task["pid"]
        self._supervisor = psutil.Process(self._process).ppid()
        os.kill(self._supervisor, signal.SIGSTOP)
        os.kill(self._process, signal.SIGSTOP)

    def continue_task(self) -> None:
        """Let the task go on. It doesn't know that another try runs: its supervisor, which would ask, still stands."""
        os.kill(self._process, signal.SIGCONT)

    def continue_supervisor(self) -> None:
        """Let its supervisor go on, which learns from the next heartbeat that the task was given up, and ends it."""
        os.kill(self._supervisor, signal.SIGCONT)

    def has_ended(self) -> bool | None:
        """Return whether the task's process has ended; None until then."""
        try:
            return psutil.Process(self._process).status() == psutil.STATUS_ZOMBIE or None
        except psutil.NoSuchProcess:
            return True
