"""Airflow's processes on a fleet, and its REST API."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from demo import children
from tests.fleet.services import FleetError, Processes
from tests.fleet.settings import machine

#: Seconds that one request to the API servers may take.
_ANSWERS_WITHIN = 60.0

_FINAL = ("success", "failed")


@dataclass(frozen=True)
class Worker:
    """A Celery worker. All its processes are in one session, which has the number of the first."""

    name: str
    process: children.Child


class Airflow:
    """Airflow on a fleet.

    :param folder: has a folder for each machine.
    :param shared: the settings that all machines share.
    """

    def __init__(self, running: Processes, folder: Path, shared: Mapping[str, str]) -> None:
        self._running = running
        self._folder = folder
        self._shared = shared
        self._central = machine(folder / "central", shared)
        self._url = f"{shared['AIRFLOW__API__BASE_URL']}"
        self._session = requests.Session()
        self._session.trust_env = False
        # On a busy machine an answer can take too long. Asking again does no harm: a retry is for what only reads.
        self._session.mount("http://", HTTPAdapter(max_retries=Retry(3, allowed_methods=["GET"])))
        self.workers: list[Worker] = []

    def migrate(self) -> None:
        """Make Airflow's tables."""
        self.run("db", "migrate")

    def start(self, workers: int) -> None:
        """Start all processes, and wait until Airflow is healthy and has the DAGs."""
        api_server = self._start("api-server", "api-server")
        for name in ("scheduler", "dag-processor", "triggerer"):
            self._start(name, name)
        for _ in range(workers):
            self.add_worker()
        self._running.wait("api-server", api_server, self._is_healthy)
        answer = self._session.get(f"{self._url}/auth/token", timeout=_ANSWERS_WITHIN)
        answer.raise_for_status()
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def add_worker(self) -> Worker:
        """Start another worker: on a machine of its own, as far as files are concerned."""
        name = f"worker-{len(self.workers) + 1}"
        environment = machine(self._folder / name, self._shared)
        command = ["celery", "worker", "--celery-hostname", f"{name}@%h", "--skip-serve-logs"]
        process = self._running.start(name, [sys.executable, "-m", "airflow", *command], environment)
        self.workers.append(Worker(name, process))
        return self.workers[-1]

    def run(self, *command: str) -> None:
        """Run a command of Airflow's.

        :raises FleetError: it failed.
        """
        done = children.run(
            [sys.executable, "-m", "airflow", *command], env=self._central, capture_output=True, cwd=self._folder
        )
        if done.returncode:
            said = (done.stdout + done.stderr).decode(errors="replace")[-3000:]
            raise FleetError(f"{said}\n\nairflow {' '.join(command)} failed")

    def call(self, method: str, path: str, **parameters: Any) -> Any:
        """Call the REST API, and return its answer.

        :param parameters: as requests takes them.
        """
        answer = self._session.request(method, f"{self._url}/api/v2/{path}", timeout=_ANSWERS_WITHIN, **parameters)
        if not answer.ok:
            raise FleetError(f"Airflow answered {answer.status_code} to {method} {path}: {answer.text[:1000]}")
        return answer.json()

    def trigger(self, dag: str) -> str:
        """Start a run of a DAG now, and return its id."""
        run: str = self.call("POST", f"dags/{dag}/dagRuns", json={"logical_date": None})["dag_run_id"]
        return run

    def tasks(self, dag: str, run: str = "~") -> list[dict[str, Any]]:
        """Return the task instances of a run, or of all runs of a DAG."""
        path = f"dags/{dag}/dagRuns/{run}/taskInstances"
        instances: list[dict[str, Any]] = []
        while True:
            page = self.call("GET", path, params={"limit": 100, "offset": len(instances)})
            instances += page["task_instances"]
            if not page["task_instances"] or len(instances) >= page["total_entries"]:
                return instances

    def task(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """Return a task instance as it is now."""
        path = f"dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}/taskInstances/{task['task_id']}"
        index = "" if task["map_index"] < 0 else f"/{task['map_index']}"
        now: dict[str, Any] = self.call("GET", f"{path}{index}")
        return now

    def has(self, dag: str) -> bool | None:
        """Return whether a DAG was parsed; None until then."""
        return any(each["dag_id"] == dag for each in self.call("GET", "dags")["dags"]) or None

    def states(self, dag: str) -> list[str]:
        """Return the states of a DAG's runs."""
        return [run["state"] for run in self.call("GET", f"dags/{dag}/dagRuns", params={"limit": 100})["dag_runs"]]

    def result(self, task: Mapping[str, Any]) -> Any:
        """Return what a task instance returned."""
        path = f"dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}/taskInstances/{task['task_id']}"
        parameters = {"map_index": task["map_index"], "deserialize": "true"}
        return self.call("GET", f"{path}/xcomEntries/return_value", params=parameters)["value"]

    def wait(self, dag: str, runs: int, within: float) -> None:
        """Wait until so many runs of a DAG have ended.

        :raises FleetError: they haven't within so many seconds.
        """
        self.wait_for(
            f"{runs} runs of {dag} to end",
            lambda: sum(state in _FINAL for state in self.states(dag)) >= runs or None,
            within,
        )

    def wait_for(self, what: str, look: Callable[[], Any], within: float, every: float = 1.0) -> Any:
        """Wait until `look` returns something, and return that.

        :raises FleetError: it returns None for so many seconds.
        """
        deadline = time.monotonic() + within
        while (seen := look()) is None:
            if time.monotonic() > deadline:
                raise FleetError(f"waited {within:g} seconds in vain for {what}; the logs: {self._folder}")
            time.sleep(every)
        return seen

    def _start(self, name: str, *command: str) -> children.Child:
        return self._running.start(name, [sys.executable, "-m", "airflow", *command], self._central)

    def _is_healthy(self) -> bool:
        # Nobody listens yet: that is what is waited for.
        with suppress(requests.RequestException):
            answer = self._session.get(f"{self._url}/api/v2/monitor/health", timeout=_ANSWERS_WITHIN)
            parts = answer.json() if answer.ok else {}
            names = ("metadatabase", "scheduler", "dag_processor", "triggerer")
            return all(parts.get(name, {}).get("status") == "healthy" for name in names)
        return False
