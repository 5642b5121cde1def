"""Polls on an event loop: what has changed in lists since watchers last looked."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_provider_dotypos.api.aclient import AsyncDotyposClient
from airflow_provider_dotypos.api.entities import Entity, find_list
from airflow_provider_dotypos.api.listing import ask_page, query_params
from airflow_provider_dotypos.api.page import decode_row
from airflow_provider_dotypos.api.polls import Polls
from airflow_provider_dotypos.api.query import Triple
from airflow_provider_dotypos.api.walk import Query
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

    async def webhook_urls(self) -> list[str]:
        """Return the addresses of the cloud's first hundred webhooks. They are secrets."""
        entity = find_list("webhooks")
        page = await self._client.run(ask_page(self._client, entity.url_path(), query_params(entity, Query(()))))
        return [str(decode_row(row).get("url")) for row in page.rows]
