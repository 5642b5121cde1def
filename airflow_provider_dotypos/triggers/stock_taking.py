"""Waiting for a stock-taking, on the triggerer's loop: what a deferred task leaves behind."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, ClassVar

from airflow.triggers.base import TriggerEvent

from airflow_provider_dotypos.api.errors import DotyposError
from airflow_provider_dotypos.triggers.deferred_wait import DeferredWait

log = logging.getLogger(__name__)

#: Seconds until a status is asked for again that couldn't be.
_AGAIN = 60.0


class DotyposStockTakingTrigger(DeferredWait):
    """Wait until Dotypos has processed a stock-taking, and send one event.

    The event only says that it is time to look: the task asks for the status itself, and has the errors itself. So a
    triggerer that dies, and another one that begins anew, change nothing.

    :param urls: the addresses at which the status of each part is asked for.
    :param until: how long to wait (epoch seconds).
    :param cloud_id: the cloud, in place of the connection's.
    :param dotypos_conn_id: the Airflow connection.
    :param poll_interval: seconds until the status is asked for again. The waits grow up to a minute. Defaults to 5.
    """

    subject: ClassVar[str] = "urls"

    def __init__(
        self,
        *,
        urls: Sequence[str],
        until: float,
        cloud_id: int | str | None = None,
        dotypos_conn_id: str = "dotypos_default",
        poll_interval: float = 5.0,
    ) -> None:
        super().__init__(until=until, cloud_id=cloud_id, dotypos_conn_id=dotypos_conn_id, poll_interval=poll_interval)
        self.urls = [*urls]

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the one event, once it is time to look."""
        try:
            await self._wait()
        except DotyposError as error:
            log.info("The task goes on, as this can't be waited out: %s", error)
        yield TriggerEvent({"status": "over"})  # type: ignore[no-untyped-call]

    async def _wait(self) -> None:
        poll = await asyncio.to_thread(_import_poll)
        async with self._opened_client() as client:
            while time.time() < self.until:
                try:
                    flow = poll(client, self.urls, poll_interval=self.poll_interval, until=self.until)
                    await client.run(flow)
                    return
                except DotyposError as error:
                    if error.permanent:
                        raise
                    log.warning("The status of a stock-taking can't be asked for now: %s", error)
                    await asyncio.sleep(self._pause(error, least=_AGAIN))


def _import_poll() -> Callable[..., Any]:
    from airflow_provider_dotypos.writes.stock.taking import poll

    return poll
