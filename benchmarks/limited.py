"""Four tasks under one limit, two processes at a time, in time that passes as fast as nothing happens.

Each attempt of a task is a process of its own, as in Airflow. All of them live by one clock, which they share: while
every process only waits, it jumps to the end of the shortest wait; while none runs, to when the next one is to run.
"""

from __future__ import annotations

import functools
import json
import logging
import math
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from multiprocessing.context import SpawnContext
from pathlib import Path
from typing import Any
from unittest.mock import patch

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.sandbox import Limit, Sandbox, Shop
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator
from benchmarks.stage import WATERMARKS, PutOff, Stage
from tests.transfers.limits import DAY_MS, SINCE, SINCE_MS, WINDOW, Case, Outcome, Task, check, fill, jumping

#: Rows of each task: a hundred pages.
ROWS = 10_000

DAY = timedelta(days=1)

#: Most processes at a time.
AT_ONCE = 2


class SharedClock:
    """A clock that processes share.

    :param tasks: how many may wait by it at once.
    """

    def __init__(self, context: SpawnContext, tasks: int) -> None:
        self._lock = context.Lock()
        self._offset = context.Value("d", 0.0, lock=False)
        self._awake = context.Value("i", 0, lock=False)
        self._until = context.Array("d", [math.inf] * tasks, lock=False)
        self._place = 0

    def sit_at(self, place: int) -> None:
        """Say which of the tasks this process is."""
        self._place = place

    def monotonic(self) -> float:
        return time.monotonic() + self._offset.value

    def time(self) -> float:
        return time.time() + self._offset.value

    def now(self, zone: object = None) -> datetime:
        return datetime.now(timezone.utc) + timedelta(seconds=self._offset.value)

    def begin(self) -> None:
        """Count one more process."""
        with self._lock:
            self._awake.value += 1

    def end(self) -> None:
        """Count one less."""
        with self._lock:
            self._awake.value -= 1

    def jump(self, moment: datetime) -> None:
        """Jump to a moment, unless it has passed."""
        self._offset.value += max(0.0, (moment - self.now()).total_seconds())

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Do something: whoever doesn't sleep is busy."""
        yield

    def sleep(self, seconds: float, woken: threading.Event) -> None:
        """Wait, unless it is woken."""
        until = self.monotonic() + seconds
        with self._lock:
            self._awake.value -= 1
            self._until[self._place] = until
        while self.monotonic() < until and not woken.wait(0.002):
            with self._lock:
                if not self._awake.value and min(self._until) == until:
                    self._offset.value += max(0.0, until - self.monotonic())
        with self._lock:
            self._awake.value += 1
            self._until[self._place] = math.inf


def extract(rows: int = 30_000, window: str = "sliding", *, budget: bool = True) -> Outcome:
    """Extract a day of orders with one thread, at 150 requests in half an hour; return what each attempt did.

    :param window: how the server counts. Refused requests count, too.
    :param budget: whether the connection has a *Request budget*.
    :raises AssertionError: if a row was lost or doubled, or an attempt kept less than 95 % of what it read.
    """
    case = Case(1, 0.03, True, window, refused_count=window == "sliding", budget=budget)
    with Sandbox(Shop.empty()) as sandbox, tempfile.TemporaryDirectory(prefix="benchmark-") as lake:
        orders = fill(sandbox, rows)
        outcome = Task(sandbox, case, Path(lake)).run()
        check(outcome, case, orders)
        return outcome


@dataclass
class Fleet:
    """What the tasks did together.

    :ivar requests: all requests, sign-ins and refused ones included.
    :ivar refused: those answered by 429.
    :ivar attempts: processes.
    :ivar windows: windows of the limit that passed until the last one had ended.
    :ivar rows: different rows in their sets.
    :ivar doubled: rows that came more than once.
    """

    requests: int
    refused: int
    attempts: int
    windows: int
    rows: int
    doubled: int


def run(tasks: int = 4, budget: str | None = "150/30min", window: str = "sliding") -> Fleet:
    """Run the tasks, each for a day of 10,000 orders, at 150 requests in half an hour.

    :param budget: the connection's *Request budget*.
    :param window: how the server counts.
    """
    context = multiprocessing.get_context("spawn")
    clock = SharedClock(context, tasks)
    began = clock.now()
    with Sandbox(_days(tasks)) as sandbox, tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        sandbox.limit = Limit(window=window, clock=clock.monotonic)
        connection = sandbox.connection(sandbox.cloud_ids[0])
        if budget is not None:
            connection["extra"]["request_budget"] = budget
        os.environ["AIRFLOW_CONN_DOTYPOS_DEFAULT"] = json.dumps(connection)
        attempts = _Scheduler(context, clock, folder, tasks).run()
        seconds = (clock.now() - began).total_seconds()
        lines = [line for path in Path(folder).rglob("lake/**/*.jsonl") for line in path.read_bytes().splitlines()]
        ids = {json.loads(line)["id"] for line in lines}
        return Fleet(
            requests=len(sandbox.requests),
            refused=sum(request.status == 429 for request in sandbox.requests),
            attempts=attempts,
            windows=int(seconds // WINDOW) + 1,
            rows=len(ids),
            doubled=len(lines) - len(ids),
        )


class _FileRegister:
    """The ledger of a request budget in a file, in place of Airflow's Variable.

    :param folder: where the file is.
    :param digest: what tells ledgers apart.
    """

    def __init__(self, folder: Path, digest: str) -> None:
        self._path = folder / f"budget-{digest}"
        self.name = f"file {self._path.name}"

    def read(self) -> str | None:
        return self._path.read_text() if self._path.exists() else None

    def write(self, text: str) -> None:
        staged = self._path.with_suffix(f".{os.getpid()}")
        staged.write_text(text)
        staged.replace(self._path)


class _Scheduler:
    """Starts a process for each task that is due, and starts it again when it was put off."""

    def __init__(self, context: SpawnContext, clock: SharedClock, folder: str, tasks: int) -> None:
        self._context = context
        self._clock = clock
        self._folder = folder
        self._due: dict[int, datetime] = dict.fromkeys(range(tasks), clock.now())
        self._first: dict[int, datetime] = {}
        self._running: dict[int, tuple[Any, Any]] = {}

    def run(self) -> int:
        """Run all tasks to their end and return the number of processes."""
        started = 0
        while self._due or self._running:
            if not self._running:
                self._clock.jump(min(self._due.values()))
            for place in sorted(self._due, key=lambda place: self._due[place]):
                if len(self._running) < AT_ONCE and self._due[place] <= self._clock.now():
                    self._start(place)
                    started += 1
            self._wait_for_one()
        return started

    def _start(self, place: int) -> None:
        del self._due[place]
        receiver, sender = self._context.Pipe(duplex=False)
        given = (sender, self._clock, self._folder, place, self._first.get(place))
        process = self._context.Process(target=_attempt, args=given)
        self._clock.begin()
        process.start()
        sender.close()
        self._running[place] = process, receiver

    def _wait_for_one(self) -> None:
        """Wait until a process ends, and note when its task is to run again."""
        while True:
            for place, (process, receiver) in self._running.items():
                process.join(0.01)
                if process.exitcode is None:
                    continue
                self._clock.end()
                del self._running[place]
                if process.exitcode:
                    raise RuntimeError(f"task {place} failed")
                again = receiver.recv()
                if again is not None:
                    self._due[place] = again
                    self._first.setdefault(place, self._clock.now())
                return


def _attempt(sender: Any, clock: SharedClock, folder: str, place: int, first_put_off: datetime | None) -> None:
    """Execute a task once; send when it is to run again, if it was put off."""
    logging.disable()
    clock.sit_at(place)
    since = SINCE + place * DAY
    operator = DotyposToObjectStorageOperator(
        task_id=f"day{place}",
        entity="orders",
        destination=f"file://{folder}/lake",
        since=since,
        until=since + DAY,
        concurrency=1,
        outlets=[WATERMARKS],
    )
    ledger = functools.partial(_FileRegister, Path(folder))
    with jumping(clock), patch.object(_airflow, "budget_ledger", lambda: ledger):  # type: ignore[arg-type]
        try:
            Stage(Path(folder)).run(operator, SINCE + 30 * DAY, first_put_off)
        except PutOff as put_off:
            sender.send(put_off.reschedule_date)  # type: ignore[attr-defined]
        else:
            sender.send(None)


def _days(tasks: int) -> Shop:
    """Return a shop with as many days of orders, at equal distances."""
    shop = Shop.empty()
    for number in range(tasks * ROWS):
        shop.insert(shop.cloud_ids[0], "orders", {"versionDate": SINCE_MS + number * DAY_MS // ROWS})
    return shop
