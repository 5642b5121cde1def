"""Waiting for a stock-taking, on the triggerer's loop: what a deferred task leaves behind."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timezone
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_dotypos.api.errors import DotyposError
from airflow_provider_dotypos.hooks.arguments import check_conn_id
from airflow_provider_dotypos.triggers.clouds import open_client
from airflow_provider_dotypos.triggers.connections import connection_of

log = logging.getLogger(__name__)

#: Seconds until a status is asked for again that couldn't be.
_AGAIN = 60.0


class DotyposStockTakingTrigger(BaseTrigger):
    """Wait until Dotypos has processed a stock-taking, and send one event.

    The event only says that it is time to look: the task asks for the status itself, and has the errors itself. So a
    triggerer that dies, and another one that begins anew, change nothing.

    :param urls: the addresses at which the status of each part is asked for.
    :param until: how long to wait (epoch seconds).
    :param cloud_id: the cloud, in place of the connection's.
    :param dotypos_conn_id: the Airflow connection.
    :param poll_interval: seconds until the status is asked for again. The waits grow up to a minute. Defaults to 5.
    """

    def __init__(
        self,
        *,
        urls: Sequence[str],
        until: float,
        cloud_id: int | str | None = None,
        dotypos_conn_id: str = "dotypos_default",
        poll_interval: float = 5.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.urls = [*urls]
        self.until = until
        self.cloud_id = cloud_id
        self.dotypos_conn_id = dotypos_conn_id
        self.poll_interval = poll_interval
        check_conn_id(dotypos_conn_id)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes the trigger again elsewhere."""
        names = ("urls", "until", "cloud_id", "dotypos_conn_id", "poll_interval")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the one event, once it is time to look."""
        try:
            await self._wait()
        except DotyposError as error:
            log.info("The task goes on, as this can't be waited out: %s", error)
        yield TriggerEvent({"status": "over"})  # type: ignore[no-untyped-call]

    async def _wait(self) -> None:
        settings = await connection_of(self.dotypos_conn_id, self.cloud_id).settings(after=0.0)
        poll = await asyncio.to_thread(_import_poll)
        client = await open_client(settings)
        try:
            while time.time() < self.until:
                try:
                    flow = poll(client, self.urls, poll_interval=self.poll_interval, until=self.until)
                    await client.run(flow)
                    return
                except DotyposError as error:
                    if error.permanent:
                        raise
                    log.warning("The status of a stock-taking can't be asked for now: %s", error)
                    await asyncio.sleep(self._pause(error))
        finally:
            await client.give_back()
            await client.aclose()

    def _pause(self, error: DotyposError) -> float:
        """Return the seconds until it is asked again."""
        pause = _AGAIN
        if error.retry_at is not None:
            pause = max(pause, (error.retry_at - datetime.now(timezone.utc)).total_seconds())
        return max(0.0, min(pause, self.until - time.time()))


def _import_poll() -> Callable[..., Any]:
    from airflow_provider_dotypos.writes.stock.taking import poll

    return poll
