"""Deliveries of one list that come at about the same time become one event, which all of them wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from airflow_provider_dotypos.webhooks.bodies import DeliveredRow
from airflow_provider_dotypos.webhooks.deliveries import DeliveredList, Deliveries, Outcome

#: Seconds for which deliveries are gathered.
GATHERING = 0.5

#: Seconds for which a delivery waits for its event. It may still be stored later: a repeat is harmless then.
PATIENCE = 10.0

#: Most events that are gathered or stored at once.
MOST_EVENTS = 100


class GroupCommit:
    """Gathers deliveries and stores their events.

    :param store: stores the event of a list's deliveries. It raises nothing.
    :param gathering: seconds for which deliveries of a list are gathered.
    :param patience: seconds for which a delivery waits for its event.
    """

    def __init__(
        self,
        store: Callable[[DeliveredList, Deliveries], Awaitable[Outcome]],
        *,
        gathering: float = GATHERING,
        patience: float = PATIENCE,
    ) -> None:
        self._store = store
        self._pause = gathering
        self._patience = patience
        self._gathered: dict[DeliveredList, tuple[Deliveries, asyncio.Task[Outcome]]] = {}
        self._events: set[asyncio.Task[Outcome]] = set()

    async def add(self, delivered: DeliveredList, rows: Sequence[DeliveredRow], received: int) -> Outcome:
        """Add a delivery to its list's event, and return what has become of that.

        :param received: when it came, in epoch milliseconds.
        """
        if delivered not in self._gathered:
            if len(self._events) >= MOST_EVENTS:
                return Outcome.FAILED
            deliveries = Deliveries(received)
            event = asyncio.create_task(self._commit(delivered, deliveries))
            self._gathered[delivered] = deliveries, event
            self._events.add(event)
            event.add_done_callback(self._events.discard)
        deliveries, event = self._gathered[delivered]
        deliveries.add(rows, received)
        done, _ = await asyncio.wait([event], timeout=self._patience)
        return event.result() if done else Outcome.FAILED

    async def _commit(self, delivered: DeliveredList, deliveries: Deliveries) -> Outcome:
        await asyncio.sleep(self._pause)
        del self._gathered[delivered]
        return await self._store(delivered, deliveries)
