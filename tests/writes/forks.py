"""Attempts to apply a plan, each in a process of its own: forked from one that has everything imported.

python -m tests.writes.forks        # reads a job a line, and says the pid of its process, and how it ended
"""

# ruff: noqa: T201 (it speaks through pipes)

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from airflow_provider_dotypos.sandbox import Fault
from demo import children

ROOT = Path(__file__).parents[2]


class Appliers:
    """Starts processes that apply plans, and says how they ended."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "tests.writes.forks"]
        self._process = children.Child(command, stdin=pipe, stdout=pipe, cwd=ROOT, env=environment, text=True)

    def __enter__(self) -> Appliers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.__exit__(kind, error, trace)

    def fork(self, plan: str, fields: dict[str, Any], options: dict[str, Any]) -> int:
        """Make a process that is to apply a plan, and return its pid.

        :param fields: of the connection.
        """
        return int(self._say(json.dumps({"plan": plan, "fields": fields, "options": options})))

    def run(self) -> int:
        """Let it apply the plan, and return its exit code, below 0 if a signal has ended it."""
        return int(self._say(""))

    def _say(self, line: str) -> str:
        print(line, file=self._process.stdin, flush=True)
        answer: str = self._process.stdout.readline()
        return answer


class Reaper(Fault):
    """Kills a process in the midst of one of its requests, which is carried out nevertheless."""

    def __init__(self, pid: int, requests: int) -> None:
        super().__init__("500", skip=requests)
        self.pid = pid

    def strikes(self, method: str, path: str) -> bool:
        if super().strikes(method, path):
            os.kill(self.pid, signal.SIGKILL)
        return False


def apply(job: dict[str, Any]) -> None:
    """Apply a plan, which leaves a report."""
    from airflow_provider_dotypos.api.client import DotyposClient
    from airflow_provider_dotypos.api.settings import Settings
    from airflow_provider_dotypos.writes.applying.applying import apply_plan
    from airflow_provider_dotypos.writes.applying.options import ApplyOptions
    from airflow_provider_dotypos.writes.plan_file import open_plan

    client = DotyposClient(Settings.from_fields(**job["fields"]))
    with open_plan(job["plan"]) as plan:
        apply_plan(client, plan, ApplyOptions(**job["options"]))


def main() -> None:
    import airflow_provider_dotypos.writes.applying.applying  # noqa: F401 (once, for all processes)

    logging.disable(logging.CRITICAL)
    for line in sys.stdin:
        if line.strip():
            waits, starts = os.pipe()
            pid = os.fork()
            if pid == 0:
                try:
                    os.close(starts)
                    os.read(waits, 1)
                    apply(json.loads(line))
                finally:
                    os._exit(0)
            os.close(waits)
            print(pid, flush=True)
        else:
            os.close(starts)
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
