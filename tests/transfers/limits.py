"""Extractions under a limit of 150 requests in half an hour, in time that passes as fast as nothing happens.

Answers take the time that they take. While all threads only wait, the clock jumps to the end of the shortest wait; when
the task is put off, it jumps to when it is to run again.

    python -m tests.transfers.limits            # the whole table
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import logging
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import msgspec

from airflow_provider_dotypos import _airflow, _compat
from airflow_provider_dotypos.api import blocks, channel, errors, gate, ledger, listing, retry, spending
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.http import Answer
from airflow_provider_dotypos.api.page import Page, read_page
from airflow_provider_dotypos.api.transport import Transport
from airflow_provider_dotypos.hooks import failures
from airflow_provider_dotypos.sandbox import Limit, Sandbox, Shop
from airflow_provider_dotypos.sandbox.limit import CHOICES
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator
from airflow_provider_dotypos.transfers.files.committed_set import read_manifest
from airflow_provider_dotypos.transfers.files.part import Part
from tests.api.processes import Shelf

SINCE = datetime(2026, 3, 1, tzinfo=timezone.utc)
UNTIL = datetime(2026, 3, 2, tzinfo=timezone.utc)
SINCE_MS = int(SINCE.timestamp() * 1000)
DAY_MS = 86_400_000
WINDOW = 1800.0

PutOff = type(_compat.reschedule_exception(UNTIL))


@dataclass(frozen=True)
class Case:
    """One extraction of 30,000 rows.

    :param latency: of each answer, in seconds.
    :param budget: whether the connection knows the limit, as its request budget.
    """

    threads: int
    latency: float
    retry_after: bool
    window: str = "fixed"
    refused_count: bool = False
    budget: bool = False

    @property
    def most(self) -> int:
        """Attempts that it may take."""
        if self.budget:
            return 4
        return 3 if self.retry_after else 8


@dataclass
class Attempt:
    """What an attempt did.

    :param read: different rows in its answers.
    :param kept: rows that it added to what is kept.
    :param window: window of the limit in which it ended, from 1.
    """

    calls: int
    refused: int
    read: int
    kept: int
    window: int


@dataclass
class Outcome:
    attempts: list[Attempt] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    finished: bool = False

    def __str__(self) -> str:
        cells = [f"{one.kept}/{one.read} ({one.calls}, {one.refused})" for one in self.attempts]
        end = self.attempts[-1].window if self.finished else "never"
        return f"{len(self.attempts)} | {end} | {', '.join(cells)}"


class Clock:
    """A clock that jumps while nothing happens."""

    def __init__(self) -> None:
        self.offset = 0.0
        self._lock = threading.Lock()
        self._sleeping: list[float] = []
        self._under_way = 0
        self._moved = time.monotonic()

    def monotonic(self) -> float:
        return time.monotonic() + self.offset

    def time(self) -> float:
        return time.time() + self.offset

    def now(self, zone: object = None) -> datetime:
        return datetime.now(timezone.utc) + timedelta(seconds=self.offset)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """While this lasts, the clock doesn't jump."""
        with self._lock:
            self._under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1
                self._moved = time.monotonic()

    def sleep(self, seconds: float, woken: threading.Event) -> None:
        """Wait, unless it is woken."""
        until = self.monotonic() + seconds
        with self._lock:
            heapq.heappush(self._sleeping, until)
        try:
            while self.monotonic() < until and not woken.wait(0.002):
                with self._lock:
                    quiet = time.monotonic() - self._moved > 0.02 and not self._under_way
                    if quiet and self._sleeping[0] == until:
                        self.offset += max(0.0, until - self.monotonic())
        finally:
            with self._lock:
                self._sleeping.remove(until)
                heapq.heapify(self._sleeping)
                self._moved = time.monotonic()


@contextmanager
def jumping(clock: Clock) -> Iterator[None]:
    """Let the package live by this clock."""
    send, check = Transport.send, DotyposClient.sleep

    def busy_send(self: Transport, *arguments: Any) -> Answer:
        with clock.busy():
            return send(self, *arguments)

    def sleep(self: DotyposClient, seconds: float) -> None:
        check(self, 0)
        if seconds > 0:
            clock.sleep(seconds, self._wake)
            check(self, 0)

    with (
        patch.object(Transport, "send", busy_send),
        patch.object(DotyposClient, "sleep", sleep),
        patch.object(gate, "time", SimpleNamespace(monotonic=clock.monotonic)),
        patch.object(retry, "time", SimpleNamespace(monotonic=clock.monotonic)),
        patch.object(blocks, "time", SimpleNamespace(monotonic=clock.monotonic, time=clock.time)),
        patch.object(spending, "time", SimpleNamespace(monotonic=clock.monotonic, time=clock.time)),
        patch.object(ledger, "time", SimpleNamespace(monotonic=clock.monotonic, time=clock.time)),
        patch.object(failures, "datetime", SimpleNamespace(now=clock.now)),
        patch.object(errors, "datetime", SimpleNamespace(now=clock.now)),
    ):
        yield


def fill(sandbox: Sandbox, rows: int) -> set[str]:
    """Fill a day with orders, most of them at lunch and in the evening."""
    chance = random.Random(rows)
    moments = [int(chance.gauss(chance.choice([12, 19.5]), 2) * 3_600_000) % DAY_MS for _ in range(rows)]
    cloud = sandbox.cloud_ids[0]
    return {str(sandbox.shop.insert(cloud, "orders", {"versionDate": SINCE_MS + moment})["id"]) for moment in moments}


class Task:
    """A task that Airflow runs again when it was put off, each time in a new process.

    :param give_up: attempts after which it is left unfinished.
    """

    def __init__(self, sandbox: Sandbox, case: Case, lake: Path, give_up: int = 12) -> None:
        self._sandbox = sandbox
        self._case = case
        self._lake = lake
        self._give_up = give_up
        self._clock = Clock()
        self._seen: set[str] = set()
        self._began = self._clock.now()
        self.outcome = Outcome()

    def run(self) -> Outcome:
        sandbox, case = self._sandbox, self._case
        sandbox.latency = case.latency
        sandbox.limit = Limit(
            window=case.window, retry_after=case.retry_after, refused_count=case.refused_count,
            clock=self._clock.monotonic,
        )  # fmt: skip
        connection = sandbox.connection(sandbox.cloud_ids[0])
        if case.budget:
            connection["extra"]["request_budget"] = f"{sandbox.limit.requests}/{sandbox.limit.seconds:g}s"
        shelf = Shelf()
        with (
            jumping(self._clock),
            patch.object(listing, "read_page", self._read_page),
            patch.dict(os.environ, AIRFLOW_CONN_DOTYPOS_DEFAULT=json.dumps(connection)),
            patch.object(_airflow, "budget_ledger", lambda: lambda digest: shelf),
        ):
            while not self.outcome.finished and len(self.outcome.attempts) < self._give_up:
                self._attempt()
        sandbox.limit, sandbox.latency = None, 0.0
        return self.outcome

    def _attempt(self) -> None:
        channel.forget_tokens()
        self._sandbox.requests.clear()
        self._seen.clear()
        before = self._rows_there()
        at = self._execute()
        seconds = (self._clock.now() - self._began).total_seconds()
        self.outcome.attempts.append(
            Attempt(
                calls=len(self._sandbox.requests),
                refused=sum(request.status == 429 for request in self._sandbox.requests),
                read=len(self._seen),
                kept=self._rows_there() - before,
                window=int(seconds // WINDOW) + 1,
            )
        )
        if at is not None:
            self._clock.offset += max(0.0, (at - self._clock.now()).total_seconds())

    def _execute(self) -> datetime | None:
        """Execute the task once; return until when it was put off."""
        first = self._began if self.outcome.attempts else None
        operator = DotyposToObjectStorageOperator(
            task_id="x", entity="orders", destination=f"file://{self._lake}", since=SINCE, until=UNTIL,
            concurrency=self._case.threads,
        )  # fmt: skip
        ti = SimpleNamespace(try_number=1, get_first_reschedule_date=lambda _: first)
        context: Any = {"ti": ti, "dag_run": SimpleNamespace(run_after=UNTIL)}
        try:
            result = operator.execute(context)
        except PutOff as put_off:
            at: datetime = put_off.reschedule_date  # type: ignore[attr-defined]
            return at
        self.outcome.finished = True
        for file in read_manifest(result["manifest"]).files:
            self.outcome.ids += [msgspec.json.decode(line)["id"] for line in file.read_bytes().splitlines()]
        return None

    def _read_page(self, body: bytes, cursor: str | None, earlier: tuple[str, ...]) -> Page:
        page = read_page(body, cursor, earlier)
        self._seen.update(page.ids)
        return page

    def _rows_there(self) -> int:
        return sum(msgspec.json.decode(path.read_bytes(), type=Part).rows for path in self._lake.rglob("_g*.meta"))


def check(outcome: Outcome, case: Case, orders: set[str]) -> None:
    """Check what is promised under a limit: nearly all that was read is kept, and the set is done soon, and whole."""
    assert outcome.finished, outcome
    assert len(outcome.attempts) <= case.most, outcome
    assert outcome.attempts[-1].window <= 3, outcome
    if case.budget:
        assert sum(attempt.refused for attempt in outcome.attempts) == 0, outcome
        assert sum(attempt.calls for attempt in outcome.attempts) <= 1.05 * len(orders) / 100, outcome
        assert all(attempt.kept >= 0.95 * attempt.read for attempt in outcome.attempts), outcome
    for attempt in outcome.attempts:
        assert attempt.kept >= 0.9 * attempt.read, outcome
    assert len(outcome.ids) == len(orders)
    assert set(outcome.ids) == orders


GRID = [
    Case(threads, latency, retry_after)
    for threads, latency, retry_after in itertools.product([1, 4, 16], [0.03, 0.3], [True, False])
]
FURTHER = [
    Case(4, 0.03, retry_after, "sliding", refused_count)
    for retry_after, refused_count in itertools.product([True, False], [False, True])
]
KNOWN = [
    Case(threads, 0.03, True, window, True, True) for threads, window in itertools.product([1, 4], CHOICES["window"])
]


def main() -> None:
    parser = argparse.ArgumentParser(description="Rows kept per attempt under 150 requests in half an hour.")
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--report", action="store_true", help="print the table, check nothing")
    asked = parser.parse_args()
    logging.disable()
    _print("| threads | ms | window | told | refused count | attempts | done in window | kept/read (calls, refused)")
    _print("|---|---|---|---|---|---|---|---|")
    with Sandbox(Shop.empty()) as sandbox:
        orders = fill(sandbox, asked.rows)
        for case in [*GRID, *FURTHER, *KNOWN]:
            with tempfile.TemporaryDirectory() as lake:
                outcome = Task(sandbox, case, Path(lake)).run()
            told, counted = ("yes" if one else "no" for one in (case.retry_after, case.refused_count))
            _print(f"| {case.threads} | {case.latency * 1000:.0f} | {case.window} | {told} | {counted} | {outcome} |")
            if not asked.report:
                check(outcome, case, orders)


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
