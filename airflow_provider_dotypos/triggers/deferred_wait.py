"""What triggers share that wait for one thing on behalf of a deferred task, which then looks itself."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.triggers.base import BaseTrigger

from airflow_provider_dotypos.hooks.arguments import check_conn_id
from airflow_provider_dotypos.triggers.clouds import open_client
from airflow_provider_dotypos.triggers.connections import connection_of

if TYPE_CHECKING:
    from airflow_provider_dotypos.api.aclient import AsyncDotyposClient
    from airflow_provider_dotypos.api.errors import DotyposError


class DeferredWait(BaseTrigger):
    """The base of triggers that ask a cloud until something has happened, or the time is up.

    :param until: how long to wait (epoch seconds).
    :param poll_interval: seconds between two questions.
    """

    #: The name of the subclass's own argument: what is asked for.
    subject: ClassVar[str]

    def __init__(self, *, until: float, cloud_id: int | str | None, dotypos_conn_id: str, poll_interval: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.until = until
        self.cloud_id = cloud_id
        self.dotypos_conn_id = dotypos_conn_id
        self.poll_interval = poll_interval
        check_conn_id(dotypos_conn_id)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes the trigger again elsewhere."""
        names = (self.subject, "until", "cloud_id", "dotypos_conn_id", "poll_interval")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    @asynccontextmanager
    async def _opened_client(self) -> AsyncIterator[AsyncDotyposClient]:
        """Open a client by the connection, and close it at the end."""
        settings = await connection_of(self.dotypos_conn_id, self.cloud_id).settings(after=0.0)
        client = await open_client(settings)
        try:
            yield client
        finally:
            await client.give_back()
            await client.aclose()

    def _pause(self, error: DotyposError, least: float = 0.0) -> float:
        """Return the seconds until it is worth asking again after an error, at most until the time is up.

        :param least: the shortest pause.
        """
        if error.retry_at is not None:
            least = max(least, (error.retry_at - datetime.now(timezone.utc)).total_seconds())
        return max(0.0, min(least, self.until - time.time()))
