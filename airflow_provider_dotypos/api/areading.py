"""Polls on an event loop: what has changed in lists since watchers last looked."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_provider_dotypos.api.aclient import AsyncDotyposClient
from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.polls import Polls
from airflow_provider_dotypos.api.query import Triple
from airflow_provider_dotypos.api.watch import Snapshot, State


class AsyncReader:
    """Polls one cloud's lists. Keep it as long as the client."""

    def __init__(self, client: AsyncDotyposClient) -> None:
        self._client = client
        self._polls = Polls(client)

    @property
    def requests(self) -> int:
        """List calls made so far."""
        return self._polls.requests

    async def poll(
        self,
        entity: Entity,
        states: Iterable[State],
        *,
        deleted: bool = True,
        conditions: tuple[Triple, ...] = (),
    ) -> Snapshot:
        """Return what has changed in a list since the oldest of some watchers' states (see ``Polls.poll``)."""
        return await self._client.run(self._polls.poll(entity, states, deleted=deleted, conditions=conditions))

    def poll_cost(self, entity: Entity, *, deleted: bool = True) -> float:
        """Return how many requests a poll takes on average (see ``Polls.cost``)."""
        return self._polls.cost(entity, deleted=deleted)

    async def now(self) -> int:
        """Return the time (epoch ms) by the earlier of both clocks. The server's is known by then."""
        return await self._client.run(self._polls.now())
