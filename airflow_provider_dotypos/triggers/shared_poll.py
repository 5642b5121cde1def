"""The one poll of a list that all its watchers and waiting sensors in a process share."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
import time
from contextlib import suppress
from typing import Protocol
from weakref import WeakKeyDictionary

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.errors import DotyposError
from airflow_provider_dotypos.api.watch import Snapshot, State, Watch
from airflow_provider_dotypos.triggers.clouds import Cloud
from airflow_provider_dotypos.triggers.failures import LONGEST_WAIT
from airflow_provider_dotypos.triggers.trouble import mistake

log = logging.getLogger(__name__)


class Subscriber(Protocol):
    """Who wants to know what a poll shows.

    :ivar state: how far it has got. The poll asks from the oldest state of all.
    :ivar poll_interval: seconds. The shortest of all counts.
    :ivar soon: whether its first poll leaves at once, and not at a random moment of the interval.
    """

    state: State
    watch: Watch
    poll_interval: float
    soon: bool

    def receive(self, news: Snapshot | DotyposError) -> None:
        """Take what a poll has shown, or why the list can't be asked before somebody has repaired it.

        What isn't looked at before the next poll may be forgotten: that asks from the same state again.
        """


class SharedPoll:
    """Asks a list again and again, as long as anybody wants to know.

    :param cloud: whose list it is.
    """

    def __init__(self, cloud: Cloud, entity: Entity) -> None:
        self._cloud = cloud
        self._entity = entity
        self._subscribers: list[Subscriber] = []
        self._changed = asyncio.Event()
        self._mistakes = mistake(f"A poll of {entity.name} of {cloud.name}")
        self._failures = 0
        self._last = time.monotonic()  # when it has asked, or begun
        self._part = random.random()  # of the interval: until it asks for the first time, or again after a fault
        self._asked = False
        # In a context of its own: Airflow adds lines of a trigger's context to the log of that trigger's task.
        self._task = contextvars.Context().run(asyncio.create_task, self._run())

    def join(self, subscriber: Subscriber) -> None:
        """Let a subscriber take part. The next poll asks from its state."""
        self._subscribers.append(subscriber)
        self._changed.set()

    def leave(self, subscriber: Subscriber) -> None:
        """Let a subscriber go. The last one ends the poll."""
        with suppress(ValueError):  # the poll has ended, and let all go
            self._subscribers.remove(subscriber)
        if not self._subscribers and not self._task.done():
            self._end()
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            await self._wait_until_due()
            self._last, self._asked = time.monotonic(), True
            try:
                outcome: Snapshot | DotyposError = await self._ask()
            except DotyposError as error:
                if not error.permanent:
                    self._back_off()
                    continue
                outcome = error
            except Exception as error:  # of ours, which mustn't end what others wait for
                if self._mistakes.note(error, LONGEST_WAIT):
                    log.exception("Its frames:")
                self._back_off()
                continue
            self._failures = 0
            self._mistakes.end()
            if isinstance(outcome, Snapshot):
                self._cloud.announce(self._entity, self._interval)
            for subscriber in list(self._subscribers):
                subscriber.receive(outcome)
            if isinstance(outcome, DotyposError):
                self._end()
                return

    async def _ask(self) -> Snapshot:
        deleted = any(subscriber.watch.deleted for subscriber in self._subscribers)
        return await self._cloud.poll(self._entity, self._states, deleted=deleted)

    def _states(self) -> list[State]:
        return [subscriber.state for subscriber in self._subscribers]

    async def _wait_until_due(self) -> None:
        """Wait until it is time to ask. (``wait_for`` may lose a cancellation before Python 3.12.)"""
        while (seconds := self._seconds_until_due()) > 0:
            self._changed.clear()
            due = asyncio.get_running_loop().call_later(seconds, self._changed.set)
            try:
                await self._changed.wait()
            finally:
                due.cancel()

    def _seconds_until_due(self) -> float:
        wait = self._interval
        if self._failures:
            wait = min(max(wait, LONGEST_WAIT), wait * 2.0 ** min(self._failures, 10)) * (1 - self._part / 4)
        elif not self._asked:
            wait *= 0.0 if any(subscriber.soon for subscriber in self._subscribers) else self._part
        return self._last + wait - time.monotonic()

    @property
    def _interval(self) -> float:
        return min((subscriber.poll_interval for subscriber in self._subscribers), default=LONGEST_WAIT)

    def _back_off(self) -> None:
        self._failures += 1
        self._part = random.random()

    def _end(self) -> None:
        polls = _polls[self._cloud]
        if polls.get(self._entity.name) is self:
            del polls[self._entity.name]
        if not polls:
            self._cloud.end()


#: By the names of their lists, for each cloud.
_polls: WeakKeyDictionary[Cloud, dict[str, SharedPoll]] = WeakKeyDictionary()


def shared_poll(cloud: Cloud, entity: Entity) -> SharedPoll:
    """Return the poll of a list, for a caller that joins it at once."""
    polls = _polls.setdefault(cloud, {})
    return polls.get(entity.name) or polls.setdefault(entity.name, SharedPoll(cloud, entity))
