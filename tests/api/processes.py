"""Processes that share a request budget, in simulated time: each call of theirs is a generator that is resumed by hand.

A process reads and writes the ledger, sends requests and waits, as the drivers of ``exchange`` do. In between anything
may happen: other processes run, and any of them may be killed.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from types import SimpleNamespace
from typing import Any, TypeVar, cast
from unittest.mock import patch

from airflow_provider_dotypos.api import blocks, ledger, spending
from airflow_provider_dotypos.api.budget import Budget
from airflow_provider_dotypos.api.spending import Spending
from airflow_provider_dotypos.api.steps import Alone, Flow, Perform, Sleep
from airflow_provider_dotypos.exceptions import DotyposBudgetError, DotyposError
from airflow_provider_dotypos.sandbox import Limit

T = TypeVar("T")

EPOCH = 1_790_000_000.0

TIMEOUT = 60.0


class Clock:
    """A clock that is set by hand.

    :ivar ahead: by how much the wall clock of the machine that is running is ahead.
    """

    def __init__(self) -> None:
        self.now = 10_000.0
        self.ahead = 0.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return EPOCH + self.now + self.ahead

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Let the package live by this clock."""
        fake = SimpleNamespace(monotonic=self.monotonic, time=self.time)
        with ExitStack() as patches:
            for module in (blocks, ledger, spending):
                patches.enter_context(patch.object(module, "time", fake))
            yield


class Shelf:
    """A register in memory, which all processes share."""

    def __init__(self) -> None:
        self.name = "the shelf"
        self.text: str | None = None
        self.fails = False

    def read(self) -> str | None:
        if self.fails:
            raise OSError("the shelf is away")
        return self.text

    def write(self, text: str) -> None:
        if self.fails:
            raise OSError("the shelf is away")
        self.text = text


class World:
    """Processes, their ledger, a server that counts, and time.

    :param slowest: the longest that a read and a write of the ledger take together, in seconds.
    :ivar counted: when the server counted requests.
    :ivar refused: how many requests it refused, if it has a limit.
    """

    def __init__(self, budget: Budget, seed: int, slowest: float = 1.8, limit: Limit | None = None) -> None:
        self.budget = budget
        self.chance = random.Random(seed)
        self.clock = Clock()
        self.shelf = Shelf()
        self.slowest = slowest
        self.limit = limit
        self.counted: list[float] = []
        self.refused = 0
        self.longest_request = TIMEOUT
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def at(self, moment: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._numbers), act))

    def run(self, seconds: float = float("inf")) -> None:
        """Let time pass, at most until nothing is left to do."""
        end = self.clock.now + seconds
        with self.clock.kept():
            while self._events and self._events[0][0] <= end:
                self.clock.now, _, act = heapq.heappop(self._events)
                act()

    def count(self) -> None:
        """Count a request, as the server does."""
        self.counted.append(self.clock.now)
        if self.limit is not None:
            self.refused += self.limit.admit("") is not None

    @property
    def most_in_a_window(self) -> int:
        """The most requests that the server has counted in any window."""
        times = sorted(self.counted)
        first = most = 0
        for number, moment in enumerate(times):
            while moment - times[first] >= self.budget.seconds:
                first += 1
            most = max(most, number - first + 1)
        return most


class Process:
    """A process that sends requests by some threads.

    :param requests: how many, over all its lives.
    :param ahead: by how much its machine's clock is ahead, in seconds.
    :ivar lives: how often it was started.
    """

    def __init__(self, world: World, threads: int, requests: int, ahead: float = 0.0) -> None:
        self.world = world
        self.threads = threads
        self.left = requests
        self.ahead = ahead
        self.lives = 0
        self._dead: list[object] = []  # what a killed process was at isn't closed

    def start(self) -> None:
        """Begin as a new process."""
        self.lives += 1
        self.spending = Spending(self.world.shelf)
        self._running = self.threads
        for _ in range(self.threads):
            self._resume(flat(self._requests()), None, self.lives)

    def kill(self, dead_for: float) -> None:
        """End without a word, and begin anew after some time."""
        self.lives += 1
        self.world.at(self.world.clock.now + dead_for, self.start)

    def _requests(self) -> Flow[None]:
        world = self.world
        while self.left > 0:
            try:
                permit = yield from self.spending.permit(world.budget, TIMEOUT, 600.0)
            except DotyposBudgetError as error:
                again = cast("datetime", error.retry_at).timestamp()
                yield from self.spending.give_back()
                self.kill(again - world.clock.time())
                yield Sleep(0)
            if self.left <= 0 or not permit.leave():
                permit.give_back()
                continue
            self.left -= 1
            takes = world.chance.choice([0.05, 0.3, world.chance.uniform(0, world.longest_request)])
            world.at(world.clock.now + world.chance.uniform(0, takes), world.count)
            yield Sleep(takes)
            permit.end(sent=True)
        self._running -= 1
        if not self._running:
            yield from self.spending.give_back()

    def _resume(self, flow: Flow[Any], value: Any, life: int) -> None:
        if life != self.lives:
            self._dead.append(flow)
            return
        self.world.clock.ahead = self.ahead
        try:
            step = flow.send(value)
        except StopIteration:
            return
        if isinstance(step, Sleep):
            self._later(step.seconds, lambda: self._resume(flow, None, life))
        elif isinstance(step, Perform):
            self._later(self._takes(), lambda: self._perform(step, flow, life))

    def _perform(self, step: Perform, flow: Flow[Any], life: int) -> None:
        self.world.clock.ahead = self.ahead
        result = step.function()  # a write that is on its way arrives, though its process is killed
        self._later(self._takes(), lambda: self._resume(flow, result, life))

    def _takes(self) -> float:
        return self.world.chance.uniform(0, self.world.slowest / 4)  # there and back, for a read and a write

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self.world.at(self.world.clock.now + seconds, act)


def flat(flow: Flow[T]) -> Flow[T]:
    """Return a flow that asks for no other flow to be performed alone: it waits for its turn itself."""
    try:
        step = next(flow)
        while True:
            if not isinstance(step, Alone):
                step = flow.send((yield step))
                continue
            while not step.owner.lock.acquire(blocking=False):
                yield Sleep(0.01)
            try:
                result = yield from flat(step.flow)
            except DotyposError as error:
                step.owner.lock.release()
                step = flow.throw(error)
            else:
                step.owner.lock.release()
                step = flow.send(result)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def performed(flow: Flow[T], clock: Clock) -> T:
    """Perform a flow at once, by a clock that jumps where it waits."""
    flow, value = flat(flow), None
    while True:
        try:
            step = flow.send(value)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        value = step.function() if isinstance(step, Perform) else None
        clock.now += step.seconds if isinstance(step, Sleep) else 0
