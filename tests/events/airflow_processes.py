"""Airflow's processes on a home of the tests' own: API server, scheduler, DAG processor and triggerer."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from demo import children
from tests.fleet.services import Processes, processes
from tests.patience import PATIENCE
from tests.ui.airflow_server import AirflowHome, AirflowServer, serve

#: What Airflow does every some seconds by default, it does at once here.
QUICK = {
    "AIRFLOW__CORE__PARALLELISM": "2",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "1",
    "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",  # see `parse_again`
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    # And what a busy machine needs long for doesn't fail.
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
}

#: With the options that keep processes from serving logs, for which there is one port for all.
COMMANDS = {
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}


class AssetEvent(NamedTuple):
    """An event as Airflow's database has it.

    :param extra: what it holds.
    :param stored: when it was stored, in epoch seconds.
    """

    asset: str
    extra: dict[str, Any]
    stored: float


class RunningAirflow:
    """Airflow's processes, which can be killed and started one by one.

    :ivar settings: what all of them find in their environment.
    """

    def __init__(self, home: AirflowHome, running: Processes, settings: Mapping[str, str]) -> None:
        self.home = home
        self.dags = home.path / "dags"
        # Airflow's processes write to one SQLite file. By default each waits five seconds for the others.
        database = f"sqlite:///{home.path / 'airflow.db'}?timeout=120"
        own = {"AIRFLOW__CORE__DAGS_FOLDER": str(self.dags), "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database}
        self.settings = {**QUICK, **own, **settings}
        self._running = running
        self._processes: dict[str, children.Child] = {}
        self.dags.mkdir()

    @contextmanager
    def serving(self) -> Iterator[AirflowServer]:
        """Run the API server, which tasks need, until the block ends."""
        with serve(self.home, **self.settings) as server:
            self.settings["AIRFLOW__API__BASE_URL"] = server.url
            self.settings["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] = f"{server.url}/execution/"
            yield server

    def start(self, name: str, **more: str) -> None:
        """Start one of `COMMANDS`.

        :param more: settings of this process alone.
        """
        environment = self.home.environment(**self.settings, **more)
        command = [sys.executable, "-m", "airflow", *COMMANDS[name]]
        self._processes[name] = self._running.start(name, command, environment)

    def kill(self, *names: str) -> None:
        """Kill processes and their children, as a machine that fails does."""
        for name in names or self._processes:
            if self._processes[name].poll() is None:
                os.killpg(self._processes[name].pid, signal.SIGKILL)
            self._processes[name].wait(PATIENCE)

    def wait_until_killed(self, name: str) -> None:
        """Wait until a process has died by itself."""
        self._processes[name].wait(PATIENCE)

    def forget_triggerers(self) -> None:
        """Have Airflow know of dead triggerers at once, and not after ``triggerer_health_check_threshold``."""
        with self._database() as database:
            database.execute("UPDATE job SET end_date = latest_heartbeat WHERE job_type = 'TriggererJob'")

    def log(self, name: str) -> str:
        """Return what a process has written."""
        return self._running.log(name).read_text(errors="replace")

    def events(self, asset: str | None = None) -> list[AssetEvent]:
        """Return the events of an asset, or of all."""
        rows = self._ask(
            "SELECT asset.name, asset_event.extra, asset_event.timestamp FROM asset_event "
            "JOIN asset ON asset.id = asset_event.asset_id ORDER BY asset_event.id"
        )
        events = [AssetEvent(name, json.loads(extra), _seconds(stored)) for name, extra, stored in rows]
        return [event for event in events if asset in (None, event.asset)]

    def triggers(self) -> dict[str, list[int]]:
        """Return the ids of the watchers' triggers by the names of their assets."""
        tables = {name for (name,) in self._ask("SELECT name FROM sqlite_master")}
        table = "asset_watcher" if "asset_watcher" in tables else "asset_trigger"  # 3.1
        ids: dict[str, list[int]] = {}
        for name, trigger in self._ask(
            f"SELECT asset.name, trigger_id FROM {table} JOIN asset ON asset.id = {table}.asset_id ORDER BY trigger_id"
        ):
            ids.setdefault(name, []).append(trigger)
        return ids

    def all_triggers_run(self) -> bool:
        """Return whether the triggerer that was started last has all triggers."""
        (newest,) = self._ask("SELECT max(id) FROM job WHERE job_type = 'TriggererJob' AND end_date IS NULL")
        return {newest} == set(self._ask("SELECT triggerer_id FROM trigger"))

    def parse_again(self, *names: str) -> None:
        """Have Airflow read DAG files once more.

        :param names: those of DAGs that are in them.
        """
        before = self._times_parsed()
        touched = float("-inf")

        def parsed() -> bool:
            nonlocal touched
            # Airflow passes over a file that has changed before the end of its last parsing was noted.
            if time.monotonic() > touched + 5:
                touched = time.monotonic()
                for name in names:
                    (self.dags / f"{name}.py").touch()
            return all(self._times_parsed()[name] > before[name] for name in names)

        self.wait_for("the files to be parsed", parsed)

    def _times_parsed(self) -> dict[str, str]:
        return dict(self._ask("SELECT dag_id, last_parsed_time FROM dag"))

    def task_state(self, dag_id: str, task_id: str) -> str | None:
        """Return the state of a task in the DAG's last run."""
        rows = self._ask(
            "SELECT task_instance.state FROM task_instance JOIN dag_run USING (dag_id, run_id) "
            "WHERE dag_id = ? AND task_id = ? ORDER BY dag_run.id DESC",
            dag_id,
            task_id,
        )
        return rows[0][0] if rows else None

    def runs(self, dag_id: str) -> list[tuple[str, float]]:
        """Return states of a DAG's runs, and when they were queued (epoch seconds)."""
        rows = self._ask("SELECT state, queued_at FROM dag_run WHERE dag_id = ? ORDER BY id", dag_id)
        return [(state, _seconds(queued)) for state, queued in rows]

    def results(self, dag_id: str, task_id: str) -> list[Any]:
        """Return what a task has returned, by the DAG's runs."""
        rows = self._ask(
            "SELECT value FROM xcom WHERE dag_id = ? AND task_id = ? AND key = 'return_value' ORDER BY dag_run_id",
            dag_id,
            task_id,
        )
        return [json.loads(value) for (value,) in rows]

    def wait_for(self, what: str, look: Callable[[], Any], within: float = PATIENCE) -> Any:
        """Wait until `look` returns something true, and return that."""
        deadline = time.monotonic() + within
        while not (seen := look()):
            if time.monotonic() > deadline:
                logs = "\n".join(f"== {name}\n{self.log(name)[-2000:]}" for name in self._processes)
                raise AssertionError(f"waited {within:g} seconds in vain for {what}\n{logs}")
            time.sleep(0.05)
        return seen

    def _ask(self, query: str, *values: object) -> list[Any]:
        with self._database() as database:
            return database.execute(query, values).fetchall()

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.home.path / "airflow.db", timeout=30)) as database, database:
            yield database


def _seconds(stored: str) -> float:
    return datetime.fromisoformat(stored).astimezone().timestamp()


@contextmanager
def airflow_processes(home: AirflowHome, **settings: str) -> Iterator[RunningAirflow]:
    """Return what starts Airflow's processes. They are killed when the block ends.

    :param settings: what all of them find in their environment.
    """
    with processes(home.path) as running:
        airflow = RunningAirflow(home, running, settings)
        try:
            yield airflow
        finally:
            airflow.kill()  # nobody uses their home again, and to end well takes them many seconds
