"""Waiting for a till, on the triggerer's loop: what a deferred POS action leaves behind."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.triggers.base import TriggerEvent

from airflow_provider_dotypos.api.errors import DotyposError
from airflow_provider_dotypos.api.pos_errors import DotyposTillError
from airflow_provider_dotypos.triggers.deferred_wait import DeferredWait

if TYPE_CHECKING:
    from airflow_provider_dotypos.api.aclient import AsyncDotyposClient

log = logging.getLogger(__name__)


class DotyposTillTrigger(DeferredWait):
    """Wait until a till answers, and send one event.

    It sends the till nothing but ``order/hello``, which changes nothing. The event only says that it is time to go on
    (``over``), or that the triggerer can't ask (``unable``). The task sends the action, and has the errors, itself. So
    a triggerer that dies, and another one that begins anew, change nothing.

    :param branch_id: the till's branch.
    :param until: how long to wait (epoch seconds).
    :param cloud_id: the cloud, in place of the connection's.
    :param dotypos_conn_id: the Airflow connection.
    :param poll_interval: seconds between two questions. Each is a request. Defaults to 60.
    """

    subject: ClassVar[str] = "branch_id"

    def __init__(
        self,
        *,
        branch_id: str,
        until: float,
        cloud_id: int | str | None = None,
        dotypos_conn_id: str = "dotypos_default",
        poll_interval: float = 60.0,
    ) -> None:
        super().__init__(until=until, cloud_id=cloud_id, dotypos_conn_id=dotypos_conn_id, poll_interval=poll_interval)
        self.branch_id = branch_id

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the one event, once the till answers, the time is up, or something can't be waited out here."""
        status = "over"
        try:
            await self._wait()
        except DotyposError as error:
            log.info("The task goes on, as this can't be waited out: %s", error)
            status = "unable"
        yield TriggerEvent({"status": status})  # type: ignore[no-untyped-call]

    async def _wait(self) -> None:
        async with self._opened_client() as client:
            while (left := self.until - time.time()) > 0:
                # The worker has just asked; it asks once more when the time is up.
                await asyncio.sleep(min(self.poll_interval, left))
                if left <= self.poll_interval or await self._answers(client):
                    return

    async def _answers(self, client: AsyncDotyposClient) -> bool:
        """Return whether the till answers."""
        try:
            await client.run(_greet()(client, self.branch_id, known=True))
        except DotyposTillError as error:
            log.info("%s", error)
            return False
        except DotyposError as error:
            if error.permanent:
                raise
            log.warning("The till of branch %s can't be asked now: %s", self.branch_id, error)
            await asyncio.sleep(self._pause(error))
            return False
        return True


def _greet() -> Callable[..., Any]:
    """Return the flow of a hello. What it needs is imported by then: the client needs it, too."""
    from airflow_provider_dotypos.api.till import greet

    return greet
