"""Connections of Airflow as a triggerer reads them: once an hour, and anew after each failure."""

from __future__ import annotations

import asyncio
import copy
import logging
import time
from weakref import WeakKeyDictionary

from airflow_provider_dotypos import _airflow, _compat
from airflow_provider_dotypos.api.errors import DotyposConfigurationError, DotyposError
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.hooks.arguments import check_conn_id
from airflow_provider_dotypos.hooks.connection import secrets_of, settings_of
from airflow_provider_dotypos.hooks.failures import CONNECTION_CURE
from airflow_provider_dotypos.triggers.failures import TRY_AGAIN, Outage
from airflow_provider_dotypos.triggers.trouble import Trouble

log = logging.getLogger(__name__)

#: Seconds for which what was read of a connection that works is believed.
_BELIEVED = 3600.0

#: Seconds after which Airflow is asked for a connection again if it couldn't answer.
_AIRFLOW_AGAIN = 30.0


class Connection:
    """One connection, and the cloud to work in.

    :ivar outage: why it can't be used, and until when nobody tries; ``None`` if it can.
    """

    def __init__(self, conn_id: str, cloud_id: int | str | None) -> None:
        self._conn_id = conn_id
        self._cloud_id = cloud_id
        self._settings: Settings | None = None
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()
        self._trouble = Trouble(
            f"Connection {conn_id!r}", "can't be used. Events wait until it can.", "can be used again."
        )
        self._noticed = ""
        self.outage: Outage | None = None

    @property
    def is_believed(self) -> bool:
        """Whether it still is what it was when it was read, as far as one has to know."""
        return time.monotonic() < self._read_at + _BELIEVED

    async def settings(self, after: float) -> Settings:
        """Return the settings in the connection.

        :param after: they mustn't be read before this moment (monotonic seconds).
        :raises DotyposConfigurationError: if there is no such connection, or it can't be used.
        """
        async with self._lock:  # all who watch by it ask once
            if self._read_at < after or not self.is_believed:
                await self._read()
        if self.outage is not None or self._settings is None:
            raise copy.copy(self.outage.error if self.outage else DotyposConfigurationError(CONNECTION_CURE))
        return self._settings

    async def _read(self) -> None:
        while True:
            try:
                self._settings, self.outage = await self._ask_airflow(), None
                self._trouble.end()
            except DotyposError as error:
                self.outage = Outage(error, time.monotonic() + TRY_AGAIN)
                self._trouble.note(error, TRY_AGAIN)
            except Exception as error:  # Airflow can't answer; its error may hold what no log should
                self._trouble.note(DotyposError(f"Airflow couldn't read it: {type(error).__name__}"), _AIRFLOW_AGAIN)
                await asyncio.sleep(_AIRFLOW_AGAIN)
                continue
            self._read_at = time.monotonic()
            return

    async def _ask_airflow(self) -> Settings:
        check_conn_id(self._conn_id)
        try:
            conn = await _airflow.read_connection(self._conn_id)
        except _compat.missing_connection():
            raise DotyposConfigurationError(
                f"There is no Airflow connection {self._conn_id!r}. {CONNECTION_CURE}"
            ) from None
        settings = settings_of(conn, self._cloud_id)
        for secret in secrets_of(conn, settings):
            _airflow.mask_secret_on_loop(secret)
        settings.require_cloud_id()
        if settings.notice != self._noticed:
            self._noticed = settings.notice
            log.warning("Connection %r: %s.", self._conn_id, settings.notice)
        return settings


#: By connection and cloud as they were given, for each loop.
_connections: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], Connection]] = WeakKeyDictionary()


def connection_of(conn_id: str, cloud_id: int | str | None) -> Connection:
    """Return what all who watch by a connection and cloud share on this loop."""
    known = _connections.setdefault(asyncio.get_running_loop(), {})
    key = conn_id, str(cloud_id)
    return known.get(key) or known.setdefault(key, Connection(conn_id, cloud_id))
