"""What all polls of a cloud share on one event loop: its client, its pace, and what is known of its failures."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Hashable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.errors import DotyposConnectionError, DotyposError
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.watch import Snapshot, State
from airflow_provider_dotypos.triggers.failures import Failures, Outage
from airflow_provider_dotypos.triggers.pace import SHARE, Pace
from airflow_provider_dotypos.triggers.trouble import REPEAT

if TYPE_CHECKING:
    from airflow_provider_dotypos.api.aclient import AsyncDotyposClient
    from airflow_provider_dotypos.api.areading import AsyncReader

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds for which the list of a cloud's webhooks is believed.
_WEBHOOKS_AGE = 3600.0

#: A connection that the server has ended fails within so many seconds.
_AT_ONCE = 1.0

#: Requests are claimed of a budget for so many seconds at a time, see ``blocks.USE``.
_BLOCK_SECONDS = 120.0


class _Watched:
    """What is known of a list that is watched.

    :ivar requests: how many a poll makes.
    :ivar polls: how many there were.
    :ivar interval: of what the log has said, in seconds.
    """

    def __init__(self) -> None:
        self.requests = 0.0
        self.polls = 0
        self.interval = 0.0
        self.announced_at = float("-inf")


class Cloud:
    """One cloud, as one connection's settings reach it.

    :param conn_id: the connection, or one of several that say the same.
    :param client: calls it.
    :param reader: reads its lists by that client.
    :ivar name: what it is called in the log.
    """

    def __init__(self, settings: Settings, conn_id: str, client: AsyncDotyposClient, reader: AsyncReader) -> None:
        self.settings = settings
        self.name = f"{settings.cloud} (connection {conn_id!r})"
        self._client = client
        self._reader = reader
        self._watched: dict[str, _Watched] = {}
        self._pace = Pace(settings.request_budget)
        self._turn = asyncio.Lock()
        self._failures = Failures(self.name)
        self._webhook_urls: Collection[str] = ()
        self._webhooks_until = 0.0
        self._ending: asyncio.Future[None] | None = None

    async def now(self) -> int:
        """Return the time (epoch ms) by the earlier of both clocks.

        :raises DotyposError: if the cloud can't say the time.
        """
        return await self._ask(None, 0, self._reader.now)

    async def poll(self, entity: Entity, states: Callable[[], Iterable[State]], *, deleted: bool) -> Snapshot:
        """Ask what has changed in a list, when it is its turn.

        :param states: returns those of all who watch it.
        :raises DotyposError: if it can't be asked. `outage` says whether it can't be before somebody has repaired it.
        """
        requests = self._reader.poll_cost(entity, deleted=deleted)
        watched = self._watched.setdefault(entity.name, _Watched())
        snapshot = await self._ask(entity.name, requests, lambda: self._reader.poll(entity, states(), deleted=deleted))
        watched.requests = requests
        watched.polls += 1
        return snapshot

    async def webhook_urls(self) -> Collection[str]:
        """Return the addresses of the cloud's webhooks as they were within the last hour; none if it shows none."""
        if time.monotonic() >= self._webhooks_until:
            self._webhooks_until = time.monotonic() + _WEBHOOKS_AGE
            self._webhook_urls = ()
            try:
                async with self._take_turn(1):
                    self._webhook_urls = await self._reader.webhook_urls()
            except DotyposError as error:  # the token may not be allowed to read them
                log.debug("The webhooks of %s can't be read: %s", self.name, error)
        return self._webhook_urls

    def announce(self, entity: Entity, interval: float) -> None:
        """Say in the log how often a list is asked, and what that costs, once all that is watched has begun.

        :param interval: how often those who watch it want it asked, in seconds.
        """
        watched = self._watched[entity.name]
        least = sum(other.requests for other in self._watched.values()) * self._pace.seconds_per_request
        now, real = time.monotonic(), max(interval, least)
        if watched.polls < 2 or abs(real - watched.interval) < 1 or now < watched.announced_at + REPEAT:
            return
        watched.interval, watched.announced_at = real, now
        log.info(
            "%s of %s: asked every %.0f s for all who watch it, %.0f requests in half an hour.%s",
            entity.name,
            self.name,
            real,
            watched.requests * 1800 / real,
            "" if real == interval else " More often would take more than half of the request budget.",
        )

    def outage(self, entity: Entity) -> Outage | None:
        """Return why a list can't be asked before somebody has repaired something; ``None`` if it can."""
        return self._failures.outage(entity.name)

    def end(self) -> None:
        """Have what was claimed of the budget given back, and idle connections closed: nobody watches any more.

        A later watcher opens new ones.
        """
        self._watched.clear()
        self._ending = asyncio.ensure_future(self._close())

    async def _close(self) -> None:
        await self._client.give_back()
        await self._client.aclose()

    async def _ask(self, name: str | None, requests: float, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask a question when it is its turn.

        :param name: of the list that it is about; ``None`` for the cloud.
        :param requests: how many it is expected to take.
        """
        async with self._take_turn(requests):
            self._failures.check(name)
            before = self._client.requests
            try:
                answer = await _again_if_cut_off(ask)
            except DotyposError as error:
                self._failures.note(error, name)
                raise
        if self._client.requests > before:
            self._failures.note_success(name)
        return answer

    @asynccontextmanager
    async def _take_turn(self, requests: float) -> AsyncIterator[None]:
        """Wait until so many requests may leave, by the cloud and by its budget: first come, first served."""
        async with self._turn:
            while (seconds := self._seconds_until_free(requests)) > 0:
                await asyncio.sleep(seconds)
            before = self._client.requests
            try:
                yield
            finally:
                self._pace.spend(self._client.requests - before, time.monotonic())

    def _seconds_until_free(self, requests: float) -> float:
        now = time.monotonic()
        return max(self._failures.rests_until - now, self._pace.wait(requests, now))


async def _again_if_cut_off(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask, and once more if the connection was cut at once: a server may end one that was idle since the last poll."""
    began = time.monotonic()
    try:
        return await ask()
    except DotyposConnectionError as error:
        if error.unreachable or time.monotonic() - began > _AT_ONCE:
            raise
    return await ask()


#: What `_reader` has imported.
_imported: type[AsyncReader] | None = None

#: Held by the one who looks for a cloud.
_beginning: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

#: By what decides about their calls, for each loop. A cloud lives while somebody watches it.
_clouds: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakValueDictionary[Hashable, Cloud]] = WeakKeyDictionary()


async def find_cloud(settings: Settings, conn_id: str) -> Cloud:
    """Return the loop's cloud of a connection's settings. Connections with the same credentials share it.

    :raises DotyposConfigurationError: if they name no cloud.
    """
    key = (
        settings.base_url,
        settings.refresh_token,
        settings.require_cloud_id(),
        settings.timeout,
        settings.requests_per_minute,
        settings.request_budget,
        settings.deleted_filter,
    )
    loop = asyncio.get_running_loop()
    async with _beginning.setdefault(loop, asyncio.Lock()):  # many begin together: one in each turn of the loop
        reader = await _reader()
        await asyncio.sleep(0)
    known = _clouds.setdefault(loop, WeakValueDictionary())
    if (cloud := known.get(key)) is None:
        client = _client(settings)
        cloud = known[key] = Cloud(settings, conn_id, client, reader(client))
    return cloud


async def _reader() -> type[AsyncReader]:
    """Return what reads lists on a loop. It brings in httpx, which takes long to import."""
    global _imported
    if _imported is None:
        _imported = await asyncio.to_thread(_import_reader)
    return _imported


def _import_reader() -> type[AsyncReader]:
    from airflow_provider_dotypos.api.areading import AsyncReader

    return AsyncReader


async def open_client(settings: Settings) -> AsyncDotyposClient:
    """Return a client for one who waits for something else than a list. Who opens it closes it."""
    await _reader()
    return _client(settings)


def _client(settings: Settings) -> AsyncDotyposClient:
    """Return a client that tries once: the polls wait and try again themselves, and let tasks go first.

    It doesn't have Airflow mask its access tokens, which no log of ours holds. Airflow would keep each of them as long
    as the triggerer lives, and prepare the search for all of them anew, on the loop, whenever one is added.
    """
    from airflow_provider_dotypos.api.aclient import AsyncDotyposClient
    from airflow_provider_dotypos.api.retry import Patience

    if (budget := settings.request_budget) is not None:
        block = math.ceil(budget.requests / SHARE * _BLOCK_SECONDS / budget.seconds)
        settings = replace(settings, request_budget=budget.behind_tasks(block))
    return AsyncDotyposClient(
        settings,
        patience=Patience(faults=0, throttling=0),
        ledger=_airflow.triggerer_ledger(),
    )
