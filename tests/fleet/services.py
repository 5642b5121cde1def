"""What Airflow and the lake stand on: PostgreSQL, Redis and an S3 server, on free ports of loopback."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from glob import glob
from pathlib import Path

from demo import children

#: Seconds within which a process must serve. Only a fault takes so long.
SERVES_WITHIN = 180.0

#: The user that PostgreSQL runs as if this process is root's, as whom it refuses to run.
DATABASE_USER = "postgres"

#: The bucket that all sets are written to.
BUCKET = "lake"

_DEBIANS_POSTGRESQL = "/usr/lib/postgresql/*/bin"


class FleetError(Exception):
    """The fleet can't run. The message says why, and what to do."""


class Processes:
    """Processes that end together, each with a log of its own.

    :param folder: where the logs lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[children.Child] = []

    def start(self, name: str, command: Sequence[str | Path], environment: Mapping[str, str]) -> children.Child:
        """Start a process in the folder, which logs to ``NAME.log``."""
        with self.log(name).open("ab") as output:
            process = children.Child(
                command,
                env=dict(environment),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._started.append(process)
        return process

    def log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def wait(self, name: str, process: children.Child, serves: Callable[[], bool]) -> None:
        """Wait until a process serves.

        :raises FleetError: it has ended, or doesn't serve in time.
        """
        deadline = time.monotonic() + SERVES_WITHIN
        while not serves():
            if process.poll() is not None or time.monotonic() > deadline:
                last = "\n".join(self.log(name).read_text(errors="replace").splitlines()[-20:])
                raise FleetError(f"{last}\n\n{name} doesn't serve; its whole log: {self.log(name)}")
            time.sleep(0.2)

    def end(self) -> None:
        """End all of them, and wait until they have ended."""
        for process in self._started:
            process.end()
        for process in self._started:
            process.wait()


@contextmanager
def processes(folder: Path) -> Iterator[Processes]:
    """End the processes that are started in this block with it."""
    running = Processes(folder)
    try:
        yield running
    finally:
        running.end()


def check_programs() -> None:
    """Raise unless PostgreSQL and Redis are installed.

    :raises FleetError: one is missing. The message says how to install it.
    """
    needed = {"postgres": "postgresql", "redis-server": "redis-server"}
    if missing := [package for name, package in needed.items() if program(name) is None]:
        raise FleetError(
            f"make fleet needs {' and '.join(missing)}. On Debian: apt-get install {' '.join(missing)}. The services "
            "that these packages start aren't used, and can be stopped"
        )


def program(name: str) -> Path | None:
    """Return where a program lies: on the path, or where Debian has PostgreSQL's, which aren't on it."""
    folders = [os.environ.get("PATH", os.defpath), *sorted(glob(_DEBIANS_POSTGRESQL), reverse=True)]
    path = shutil.which(name, path=os.pathsep.join(folders))
    return None if path is None else Path(path)


def start_postgresql(running: Processes, folder: Path) -> str:
    """Start a PostgreSQL of the fleet's own, and return its address, without scheme and driver.

    :param folder: where its data lie. It mustn't exist.
    :raises FleetError: it can't be started.
    """
    folder.mkdir(mode=0o700)
    password, port = secrets.token_urlsafe(), free_port()
    password_file = folder / "password"
    password_file.write_text(password)
    prefix: list[str] = []
    if os.geteuid() == 0:
        prefix = ["setpriv", f"--reuid={DATABASE_USER}", f"--regid={DATABASE_USER}", "--clear-groups"]
        for path in (folder, password_file):
            shutil.chown(path, DATABASE_USER, DATABASE_USER)
        if children.run([*prefix, "test", "-w", folder]).returncode:
            raise FleetError(
                f"PostgreSQL doesn't run as root, and its user {DATABASE_USER} can't reach {folder}: run make fleet as "
                "another user, or in a checkout whose folders everybody may enter"
            )
    programs = _programs_of_postgresql()
    environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
    form = ["--username=airflow", "--auth=scram-sha-256", f"--pwfile={password_file}", "--encoding=UTF8", "--no-sync"]
    made = children.run(
        [*prefix, programs / "initdb", f"--pgdata={folder / 'data'}", *form],
        capture_output=True,
        cwd=folder,
        env=environment,
    )
    if made.returncode:
        raise FleetError(f"{made.stderr.decode(errors='replace')}\nPostgreSQL's initdb failed")
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": "200",  # each of Airflow's processes keeps a pool of its own
        "fsync": "off",  # the data end with the run
    }
    options = [f"--{name}={value}" for name, value in settings.items()]
    process = running.start(
        "postgresql", [*prefix, programs / "postgres", "-D", folder / "data", *options], environment
    )
    ready: list[str | Path] = [programs / "pg_isready", "--quiet", "--host=127.0.0.1", f"--port={port}"]
    running.wait("postgresql", process, lambda: children.run(ready).returncode == 0)
    return f"airflow:{password}@127.0.0.1:{port}/postgres"


def _programs_of_postgresql() -> Path:
    """Return the folder of its programs. Some systems link single ones of them to the path."""
    postgres = program("postgres")
    assert postgres is not None
    return postgres.resolve().parent


def start_redis(running: Processes, folder: Path) -> str:
    """Start a Redis, and return its address.

    :param folder: where its settings lie. It mustn't exist.
    :raises FleetError: it can't be started.
    """
    folder.mkdir(mode=0o700)
    password, port = secrets.token_urlsafe(), free_port()
    settings = folder / "redis.conf"
    settings.write_text(f'bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir {folder}\nsave ""\nappendonly no\n')
    process = running.start("redis", ["redis-server", settings], {"PATH": os.defpath})
    running.wait("redis", process, lambda: listens(port))
    return f"redis://:{password}@127.0.0.1:{port}/0"


def start_s3(running: Processes) -> str:
    """Start an S3 server (moto's) with the bucket, and return its address.

    :raises FleetError: it can't be started.
    """
    import boto3

    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = running.start("s3", command, {"PATH": os.defpath})
    running.wait("s3", process, lambda: listens(port))
    url = f"http://127.0.0.1:{port}"
    keys = {"aws_access_key_id": "fleet", "aws_secret_access_key": "fleet"}  # any: the server doesn't ask
    boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys).create_bucket(Bucket=BUCKET)
    return url


def listens(port: int) -> bool:
    """Return whether somebody listens on a port of loopback."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """Return a free port of loopback."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
