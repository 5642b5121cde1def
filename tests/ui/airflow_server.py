"""A real Airflow of the tests' own: a fresh home with a migrated SQLite, the command line, and the API server."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import requests
from airflow import settings

from demo import children
from tests.patience import PATIENCE


@dataclass(frozen=True)
class AirflowHome:
    """A home of Airflow: where commands run, with nothing of the caller's own Airflow in their environment.

    :param interpreter: the Python that runs them. Defaults to this one.
    :param directory: where they run, with nothing of this process's `PYTHONPATH`. Defaults to where this process runs,
        whose modules they find.
    """

    path: Path
    interpreter: str = sys.executable
    directory: Path | None = None

    def environment(self, **more: str) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        without_proxies = {name: value for name, value in own.items() if not name.lower().endswith("_proxy")}
        if self.directory:
            without_proxies.pop("PYTHONPATH", None)
        return {
            **without_proxies,
            "AIRFLOW_HOME": str(self.path),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
            "PYTHONWARNINGS": "ignore",
            **more,
        }

    def cli(self, *arguments: str, **environment: str) -> str:
        """Run ``airflow …`` and return what it prints."""
        return self.python("-m", "airflow", *arguments, **environment)

    def python(self, *arguments: str, **environment: str) -> str:
        done = children.run(
            [self.interpreter, *arguments],
            env=self.environment(**environment),
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout


@cache
def empty_database(own: Path) -> Path:
    """Return a metadata database that nobody has used, to be copied. To make one takes 10 s, so one worker does.

    :param own: the folder of this worker's temporary files.
    """
    home = AirflowHome((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "empty")
    home.path.mkdir(exist_ok=True)
    made = home.path / "made.db"
    with (home.path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            home.cli("db", "migrate")
            (home.path / "airflow.db").rename(made)
    return made


@cache
def airflow_home(own: Path, name: str = "airflow") -> AirflowHome:
    """Return a home of Airflow with a migrated database, the same one for each name.

    :param own: see `empty_database`.
    """
    home, empty = AirflowHome(own / name), empty_database(own)
    home.path.mkdir()
    shutil.copy(empty, home.path / "airflow.db")
    # With its secrets, which Airflow's commands write, and others expect.
    configuration = (empty.parent / "airflow.cfg").read_text().replace(str(empty.parent), str(home.path))
    (home.path / "airflow.cfg").write_text(configuration)
    return home


@contextmanager
def database_like_new(own: Path, folder: Path) -> Iterator[Path]:
    """Let this process use a metadata database that nobody else uses.

    :param own: see `empty_database`.
    :param folder: where it is to be.
    """
    path = folder / "airflow.db"
    shutil.copy(empty_database(own), path)
    with database_in_use(path):
        yield path


@contextmanager
def database_in_use(path: Path) -> Iterator[None]:
    """Let this process use a metadata database."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{path}")
        _use_configured_database()
        yield
    _use_configured_database()


def _use_configured_database() -> None:
    settings.dispose_orm(do_log=False)
    settings.configure_vars()
    settings.configure_orm()


@dataclass(frozen=True)
class AirflowServer:
    """A running API server.

    :param url: with the path prefix. :param session: signed in. :param log: what the server writes.
    """

    url: str
    session: requests.Session
    log: Path
    pid: int

    def press_test(self, connection: dict[str, object]) -> tuple[bool, str]:
        """Test a connection through the endpoint that the UI's button uses."""
        body = {"connection_id": "pressed", "conn_type": "dotypos", **connection}
        extra = body.get("extra")
        body["extra"] = json.dumps(extra) if isinstance(extra, dict) else extra
        answer = self.session.post(f"{self.url}/api/v2/connections/test", json=body, timeout=PATIENCE)
        assert answer.status_code == 200, answer.text
        return answer.json()["status"], answer.json()["message"]


@contextmanager
def serve(
    home: AirflowHome,
    *,
    workers: int = 1,
    prefix: str = "",
    users: Mapping[str, str] | None = None,
    **environment: str,
) -> Iterator[AirflowServer]:
    """Run an API server on a free port of loopback until the block ends.

    :param prefix: the path below which people reach it, such as ``/team/airflow``.
    :param users: names and their roles; the session is the first one's. Without users, everybody is an admin.
    """
    port = _free_port()
    url = f"http://127.0.0.1:{port}{prefix}"
    log = home.path / f"api-server-{port}.log"
    if users:
        roles = ",".join(f"{name}:{role}" for name, role in users.items())
        passwords = home.path / "passwords.json"
        passwords.write_text(json.dumps({name: password_of(name) for name in users}))
        environment |= {
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": roles,
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        }
    place = ["--host", "127.0.0.1", "--port", str(port), f"--workers={workers}"]
    with log.open("wb") as output:
        process = children.Child(
            [home.interpreter, "-m", "airflow", "api-server", *place],
            env=home.environment(AIRFLOW__API__BASE_URL=url, **environment),
            cwd=home.directory,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        with requests.Session() as session:
            session.trust_env = False
            _wait_until_healthy(session, url, process, log)
            session.headers["Authorization"] = f"Bearer {sign_in(url, next(iter(users or ()), None))}"
            yield AirflowServer(url, session, log, process.pid)
    finally:
        process.end()
        process.wait()


def password_of(user: str) -> str:
    """Return the password that `serve` gives a user."""
    return f"{user}'s password"


def sign_in(url: str, user: str | None) -> str:
    """Return what a user is known by to the API server: the value of its cookie, and a bearer token."""
    with requests.Session() as session:
        session.trust_env = False
        if user is None:
            answer = session.get(f"{url}/auth/token", timeout=PATIENCE)
        else:
            credentials = {"username": user, "password": password_of(user)}
            answer = session.post(f"{url}/auth/token", json=credentials, timeout=PATIENCE)
    assert answer.status_code == 201, answer.text
    token: str = answer.json()["access_token"]
    return token


def _wait_until_healthy(session: requests.Session, url: str, process: children.Child, log: Path) -> None:
    while True:
        # Nobody listens yet: that is what is waited for.
        with suppress(requests.RequestException):
            if session.get(f"{url}/api/v2/monitor/health", timeout=PATIENCE).ok:
                return
        if process.poll() is not None:
            raise RuntimeError(f"Airflow's API server did not start:\n{log.read_text()[-4000:]}")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
