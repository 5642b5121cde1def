"""The demo's own Airflow and its own Dotypos: their folders below ``.demo/``, and Airflow's configuration."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, time, timedelta, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from children import Child

from airflow_provider_dotypos.sandbox import Shop

CHECKOUT = Path(__file__).resolve().parent.parent
PRAGUE = ZoneInfo("Europe/Prague")


def shop(days: int) -> Shop:
    """Return two bistros with a history up to midnight. It is the same all day long, so a second run keeps the files.

    The history ends where the DAG's window ends: at midnight in Prague of the date in UTC (``ds`` is a date in UTC).
    """
    midnight = datetime.combine(datetime.now(timezone.utc).date(), time(), tzinfo=PRAGUE)
    return Shop.generate(days=days, now=midnight + timedelta(minutes=10))


class House:
    """An Airflow home in a folder of its own.

    :param folder: holds everything.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.airflow = folder / f"airflow-{version('apache-airflow-core')}"
        # Tomorrow's history is a different one.
        self.files = folder / f"files-{datetime.now(PRAGUE):%Y-%m-%d}"
        self.database = self.files / "warehouse.duckdb"
        self.airflow.mkdir(parents=True, exist_ok=True)
        self.files.mkdir(exist_ok=True)
        for old in set(folder.glob("files-*")) - {self.files}:
            shutil.rmtree(old)

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of Airflow's processes, without the settings of the user's own Airflow."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
        return inherited | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "NO_PROXY": "127.0.0.1,localhost",
            "AIRFLOW_HOME": str(self.airflow),
            "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "example_dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW_VAR_DOTYPOS_DESTINATION": f"file://{self.files}",
            "AIRFLOW_VAR_DOTYPOS_PLANS": f"file://{self.files / 'plans'}",
            "AIRFLOW_CONN_WAREHOUSE": connection({"conn_type": "duckdb", "host": str(self.database)}),
            **more,
        }

    @property
    def has_duckdb(self) -> bool:
        """Whether Airflow's provider for DuckDB is installed. It needs Python 3.11."""
        try:
            return bool(version("apache-airflow-providers-duckdb"))
        except PackageNotFoundError:
            return False

    def migrate(self) -> bool:
        """Create Airflow's database, once; return whether it had to be created."""
        done = self.airflow / ".migrated"
        if done.exists():
            return False
        self.run(["db", "migrate"], self.environment())
        done.touch()
        return True

    def run(self, command: list[str], environment: Mapping[str, str]) -> Path:
        """Run an Airflow command and return the log that it wrote.

        :raises CommandError: it failed.
        """
        with self.start(command, environment) as running:
            return running.finish()

    def start(self, command: list[str], environment: Mapping[str, str]) -> Running:
        """Start an Airflow command. It ends with the block."""
        log = self.folder / f"{'-'.join(command[:3])}.log"
        return Running(command, log, dict(environment), self.folder)

    def shown(self, path: Path) -> str:
        """Return a path as a person in the checkout would type it."""
        return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


class Running(Child):
    """An Airflow command that runs.

    :param log: what it writes.
    """

    def __init__(self, command: list[str], log: Path, environment: dict[str, str], folder: Path) -> None:
        self._command = command
        self._log = log
        argv = [sys.executable, "-m", "airflow", *command]
        with log.open("wb") as output:
            super().__init__(argv, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def finish(self) -> Path:
        """Wait until it has ended, and return the log that it wrote.

        :raises CommandError: it failed.
        """
        if status := self.wait():
            raise CommandError(self._command, status, self._log)
        return self._log


class CommandError(Exception):
    """An Airflow command failed. The message names it, and ends with its last output."""

    def __init__(self, command: list[str], status: int, log: Path) -> None:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-40:])
        super().__init__(f"{last}\n\n`airflow {' '.join(command)}` failed ({status}); the whole log: {log}")


def connection(of: Mapping[str, Any]) -> str:
    """Return a connection as Airflow reads it from its environment."""
    return json.dumps(of)
