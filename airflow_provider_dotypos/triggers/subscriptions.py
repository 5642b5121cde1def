"""How triggers take part in shared polls: one subscription for each watcher or waiting sensor."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple

from airflow_provider_dotypos.api.errors import DotyposError
from airflow_provider_dotypos.api.watch import OVERLAP, Change, Snapshot, State, Watch, step
from airflow_provider_dotypos.hooks.failures import named
from airflow_provider_dotypos.triggers.clouds import Cloud, find_cloud
from airflow_provider_dotypos.triggers.connections import connection_of
from airflow_provider_dotypos.triggers.failures import Outage
from airflow_provider_dotypos.triggers.safety_net import USUAL, usual_interval
from airflow_provider_dotypos.triggers.shared_poll import SharedPoll, shared_poll

#: With more rows than that a snapshot is looked at in a thread: it would hold the loop up.
_MANY_ROWS = 1000


class Step(NamedTuple):
    """What a poll has brought a subscriber.

    :param change: ``None`` if nothing is fresh for it.
    :param cloud_id: the cloud that was asked.
    """

    state: State
    change: Change | None
    cloud_id: int


class Subscription:
    """One who takes part in the poll of a list.

    :param conn_id: the Airflow connection.
    :param cloud_id: the cloud; ``None`` for the connection's.
    :param state: how far it has got; see `begin` if it is to begin now.
    :param poll_interval: seconds between polls, as far as the budget allows; ``None`` for as many as are usual.
    :param overlap: seconds for which a change may show late.
    :param soon: whether its first poll leaves at once, and not at a random moment of the interval.
    :param asset: the name of the asset that changes update, if one does.
    """

    def __init__(
        self,
        conn_id: str,
        cloud_id: int | str | None,
        watch: Watch,
        state: State,
        *,
        poll_interval: float | None,
        overlap: float,
        soon: bool,
        asset: str | None,
    ) -> None:
        self.watch = watch
        self.state = state
        self.poll_interval = USUAL if poll_interval is None else poll_interval
        self._is_usual = poll_interval is None
        self._asset = asset
        self.soon = soon
        self._conn_id = conn_id
        self._connection = connection_of(conn_id, cloud_id)
        self._overlap = overlap
        self._cloud: Cloud | None = None
        self._poll: SharedPoll | None = None
        self._outage: Outage | None = None
        self._news: deque[Snapshot | DotyposError] = deque(maxlen=1)
        self._arrived = asyncio.Event()

    async def begin(self, back: float = 0.0) -> State:
        """Begin now, by the earlier of our clock and the server's, and return that state.

        :param back: seconds before now at which to begin. Defaults to none.
        :raises DotyposError: if the cloud can't be asked before somebody has repaired something.
        """
        began = time.monotonic()
        try:
            self._cloud = await self._find_cloud()
            now = await self._cloud.now()
        except DotyposError as error:
            raise self._named(error) from None
        self.state = State.begin(now - int((time.monotonic() - began + back) * 1000))
        return self.state

    async def next(self) -> Step:
        """Return what the next poll has brought, however long that takes.

        Throttling and faults that pass are waited out.

        :raises DotyposError: if the list can't be asked before somebody has repaired something, such as a token that
            was revoked. The next call tries again, after up to three minutes.
        """
        try:
            cloud = await self._take_part()
        except DotyposError as error:
            raise self._named(error) from None
        if self._is_usual:
            self.poll_interval = await usual_interval(cloud, self._conn_id, self.watch.entity, self._asset)
        await self._arrived.wait()
        self._arrived.clear()
        outcome = self._news.pop()
        if isinstance(outcome, DotyposError):
            self._outage = cloud.outage(self.watch.entity)
            self.leave()
            raise self._named(outcome) from None
        self.state, change = await self._look(outcome)
        return Step(self.state, change, cloud.settings.require_cloud_id())

    def receive(self, news: Snapshot | DotyposError) -> None:
        """Take what a poll has shown, see ``Subscriber``."""
        self._news.append(news)
        self._arrived.set()

    def leave(self) -> None:
        """Take no further part."""
        if self._poll is not None:
            self._poll.leave(self)
            self._poll = None

    async def _take_part(self) -> Cloud:
        """Join the poll of the list, by the connection as it is now."""
        if self._poll is None or self._cloud is None or not self._connection.is_believed:
            cloud = await self._find_cloud()
            if self._poll is None or cloud is not self._cloud:
                self.leave()
                self._cloud, self._poll = cloud, shared_poll(cloud, self.watch.entity)
                self._poll.join(self)
        return self._cloud

    async def _find_cloud(self) -> Cloud:
        """Return the cloud that the connection names, once what was in the way may have been repaired."""
        outage, self._outage = self._outage, None
        if outage is not None:
            await asyncio.sleep(max(0.0, outage.until - time.monotonic()))
            self.soon = True
        try:
            settings = await self._connection.settings(after=outage.until if outage else 0.0)
            return await find_cloud(settings, self._conn_id)
        except DotyposError:
            self.leave()
            self._outage = self._connection.outage
            raise

    async def _look(self, snapshot: Snapshot) -> tuple[State, Change | None]:
        look = partial(step, self.state, snapshot, self.watch, self._overlap)
        return await asyncio.to_thread(look) if snapshot.size > _MANY_ROWS else look()

    def _named(self, error: DotyposError) -> DotyposError:
        return named(error, self._conn_id)


@asynccontextmanager
async def subscribe(
    conn_id: str,
    cloud_id: int | str | None,
    watch: Watch,
    state: State,
    *,
    poll_interval: float | None = None,
    overlap: float = OVERLAP,
    soon: bool = True,
    asset: str | None = None,
) -> AsyncIterator[Subscription]:
    """Take part in the poll of a list while the context lasts (see `Subscription`)."""
    subscription = Subscription(
        *(conn_id, cloud_id, watch, state),
        poll_interval=poll_interval,
        overlap=overlap,
        soon=soon,
        asset=asset,
    )
    try:
        yield subscription
    finally:
        subscription.leave()
