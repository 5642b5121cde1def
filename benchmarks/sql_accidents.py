"""Accidents of loads into PostgreSQL: killed workers, a server that stops at once, connections cut at ``COMMIT``.

After each of them the next try finishes the load. Then the table must equal the source in contents, nothing of the load
may be left over, and the requests of both tries are compared with those of one walk.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import random
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from statistics import median

from benchmarks.child import Job
from benchmarks.contenders import environment
from benchmarks.orders import even
from benchmarks.server import serving, told
from benchmarks.tables import connected, differences, ours, schema_of
from benchmarks.turns import keep
from tests.transfers.sql.databases import Postgres

#: What a task imports late. Once is enough for all processes.
_IMPORTED = (
    "airflow.providers.postgres.hooks.postgres",
    "airflow_provider_dotypos.transfers.dotypos_to_sql",
    "airflow_provider_dotypos.transfers.engine",
    "airflow_provider_dotypos.transfers.rows.arrow",
    "airflow_provider_dotypos.transfers.sql.sink",
)

_fork = multiprocessing.get_context("fork")

WORKERS = 8
MAKE = "other"  # rows that all differ
#: Rows, and the milliseconds of an answer, with which a walk takes more than 20 s.
ROWS, LATENCY_MS = 24_000, 800.0


@dataclass(frozen=True)
class Accident:
    """What an accident cost.

    :param at: when it happened, as a share of the time of an undisturbed load.
    :param requests: list calls of both tries, as a share of those of one walk.
    :param differing: rows of the table that differ from the source's, are missing, or are too many.
    :param left: staging tables and parts that are left.
    :param tries: how many tries it took.
    """

    at: float
    requests: float
    differing: int
    left: int
    tries: int


class Loads:
    """Loads of one window, each into a schema of its own.

    :ivar seconds: how long an undisturbed load takes. :ivar requests: its list calls.
    """

    def __init__(self, url: str, server: Postgres, folder: Path) -> None:
        self._url = url
        self._database = str(server.folder / "data")
        self._folder = folder
        self._moments = even(ROWS)
        self._number = 0
        self.seconds, self.requests = 0.0, 1
        self._job = self._next()
        started = time.perf_counter()
        self._wait(self._start(self._database))
        self.seconds = time.perf_counter() - started
        self.requests = len(told(url)["sent"])
        assert self._judge(1.0, 1).differing == 0

    def meet(self, accident: Callable[[BaseProcess, float], None], database: str | None = None) -> Accident:
        """Let an accident happen to a load, let further tries finish it, and count.

        :param accident: gets the process and the seconds after which it is to happen.
        :param database: where the first try finds the server. Defaults to where it is.
        """
        self._job = self._next()
        at = random.random()
        process = self._start(database or self._database)
        accident(process, at * self.seconds)
        tries = 1
        process.join()
        while process.exitcode != 0:
            process = self._start(self._database)
            process.join()
            tries += 1
            assert tries < 5
        return self._judge(at, tries)

    def _next(self) -> Job:
        self._number += 1
        return Job.first(ROWS, self._url, self._folder / str(self._number))

    def _start(self, database: str) -> BaseProcess:
        process = _fork.Process(target=_load, args=(self._job, database))
        process.start()
        return process

    def _wait(self, process: BaseProcess) -> None:
        process.join()
        if process.exitcode:
            raise RuntimeError(f"a load failed, with exit code {process.exitcode}")

    def _judge(self, at: float, tries: int) -> Accident:
        requests = len(told(self._url)["sent"])
        differing = differences(self._job, self._database, self._moments, MAKE)
        schema = schema_of(self._job)
        with connected(self._database) as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_tables WHERE schemaname = %s AND tablename LIKE '%%staging%%'", [schema]
            )
            left = cursor.fetchone()[0]
            cursor.execute(f"SELECT count(*) FROM {schema}._dotypos_parts")
            left += cursor.fetchone()[0]
            cursor.execute(f"DROP SCHEMA {schema} CASCADE")
        return Accident(at, requests / max(1, self.requests), differing, left, tries)


def _load(job: Job, database: str) -> None:
    """Run the operator, in a process of its own, as a try of the same run."""
    log = os.open(job.folder / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    ours(job, database, concurrency=WORKERS)


def kill(process: BaseProcess, seconds: float) -> None:
    """Kill the worker, unless it has finished."""
    process.join(seconds)
    process.kill()


def stop_at_once(server: Postgres) -> Callable[[BaseProcess, float], None]:
    """Return an accident: the server stops without writing anything, and is started again."""

    def stop(process: BaseProcess, seconds: float) -> None:
        process.join(seconds)
        postmaster = int((server.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        os.kill(postmaster, signal.SIGQUIT)
        with suppress(ProcessLookupError):
            while True:
                os.kill(postmaster, 0)
                time.sleep(0.05)
        server.server.ensure_postgres_running()

    return stop


@dataclass
class Proxy:
    """A socket in front of the server, which cuts one connection at ``COMMIT``.

    :param server: the server's socket.
    :param folder: where its own socket is.
    :param of_merge: whether the ``COMMIT`` is the merge's, or one of a part.
    :param answered: whether the server gets it, and only the answer is lost.
    """

    server: Path
    folder: Path
    of_merge: bool
    answered: bool
    cuts: int = 0
    _after: int = field(default_factory=lambda: random.randint(3, 12))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def listening(self) -> Iterator[Proxy]:
        """Listen until the block ends."""
        path = self.folder / ".s.PGSQL.5432"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(64)
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
            yield self
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
        path.unlink()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(str(self.server))
            cut = threading.Event()
            threading.Thread(target=self._answer, args=(server, client, cut), daemon=True).start()
            merging = False
            with suppress(OSError):
                while data := client.recv(2**16):
                    merging = merging or b"DROP TABLE IF EXISTS" in data
                    if b"COMMIT" in data:
                        if self._is_due(merging):
                            cut.set()
                            if self.answered:
                                server.sendall(data)
                                server.settimeout(60)
                                time.sleep(0.5)  # it has committed by then
                            break
                        merging = False
                    server.sendall(data)
            for side in (client, server):
                with suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)

    def _is_due(self, merging: bool) -> bool:
        with self._lock:
            if self.cuts or merging != self.of_merge:
                return False
            self._after -= 1
            if not self.of_merge and self._after > 0:
                return False
            self.cuts += 1
            return True

    @staticmethod
    def _answer(server: socket.socket, client: socket.socket, cut: threading.Event) -> None:
        with suppress(OSError):
            while (data := server.recv(2**16)) and not cut.is_set():
                client.sendall(data)


def cut_at_commit(loads: Loads, server: Postgres, number: int) -> Accident:
    """Cut a connection at ``COMMIT``: of the merge and of a part in turn, before the server gets it, or its answer."""
    with tempfile.TemporaryDirectory(prefix="px", dir="/tmp") as name:  # a socket's path has a longest length
        proxy = Proxy(server.folder / "data" / ".s.PGSQL.5432", Path(name), number % 2 == 0, number % 4 < 2)
        with proxy.listening():
            done = loads.meet(lambda process, seconds: process.join(), name)
        assert proxy.cuts == 1
        return done


def accidents(server: Postgres, kills: int, stops: int, cuts: int) -> None:
    """Count what each kind of accident costs, and print a table."""
    print(f"\n### accidents: {ROWS:,} rows that all differ, {WORKERS} threads, {LATENCY_MS:g} ms\n")
    print(
        "| | loads | rows that differ from the source | left over | tries (most) | requests of all tries / one walk "
        "(median) | (most) |"
    )
    print("|---|---|---|---|---|---|---|", flush=True)
    results = {}
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-") as name,
        serving(ROWS, LATENCY_MS, make=MAKE) as url,
    ):
        os.environ.update(environment(url, Path(name) / "home"))
        for module in _IMPORTED:
            importlib.import_module(module)
        loads = Loads(url, server, Path(name))
        kinds: dict[str, tuple[int, Callable[[int], Accident]]] = {
            "kill -9 of the worker": (kills, lambda _: loads.meet(kill)),
            "immediate stop of PostgreSQL": (stops, lambda _: loads.meet(stop_at_once(server))),
            "connection cut at COMMIT": (cuts, lambda number: cut_at_commit(loads, server, number)),
        }
        for kind, (count, happen) in kinds.items():
            if not count:
                continue
            met = [happen(number) for number in range(count)]
            requests = [each.requests for each in met]
            sums = [sum(each.differing for each in met), sum(each.left for each in met)]
            cells = [
                len(met),
                *sums,
                max(each.tries for each in met),
                f"{median(requests):.2f}",
                f"{max(requests):.2f}",
            ]
            print(f"| {kind} | {' | '.join(map(str, cells))} |", flush=True)
            results[kind] = [vars(each) for each in met]
        print(f"\nAn undisturbed load took {loads.seconds:.0f} s and {loads.requests} requests.", flush=True)
    keep("accidents of loads", {"rows": ROWS, "results": results})
