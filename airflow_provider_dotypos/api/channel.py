"""What the clients of one process share that use the same server and credentials: gates, tokens and connections."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from airflow_provider_dotypos.api.auth import Tokens
from airflow_provider_dotypos.api.gate import Gate
from airflow_provider_dotypos.api.ledger import Register
from airflow_provider_dotypos.api.settings import Settings, is_loopback
from airflow_provider_dotypos.api.spending import Spending
from airflow_provider_dotypos.api.window import server_time

if TYPE_CHECKING:
    from airflow_provider_dotypos.api.transport import Transport

log = logging.getLogger(__name__)


#: Opens the register of a ledger. Its name is a digest.
OpenRegister = Callable[[str], Register]


class Lane(NamedTuple):
    """What all calls to one cloud share. A sign-in passes the gate of its cloud."""

    gate: Gate
    tokens: Tokens


class Channel:
    """One server, as one refresh token is good for it.

    It lives as long as the process. Its connections live as long as a client uses them.
    """

    def __init__(self, settings: Settings, key: str) -> None:
        self._key = key
        self._base_url = settings.base_url
        self._secrets = (settings.refresh_token,)
        self._lanes: dict[int | None, Lane] = {}
        self._spendings: dict[tuple[int | None, OpenRegister | None], Spending] = {}
        self._clouds: set[int] = set()
        self._server_date: tuple[str, datetime, float] | None = None
        self._connected: Callable[[], Transport | None] = lambda: None
        self._lock = threading.Lock()

    @property
    def has_answered(self) -> bool:
        """Whether the server has answered this process, so that its address is right."""
        return self._base_url in _answering

    def note_answer(self) -> None:
        """Note that the server has answered."""
        _answering.add(self._base_url)

    @property
    def server_clock(self) -> datetime | None:
        """The time at the server (UTC) by its answers' ``Date``; ``None`` before an answer has shown it."""
        if self._server_date is None:
            return None
        _, date, arrived = self._server_date
        return date + timedelta(seconds=time.monotonic() - arrived)

    def note_date(self, value: str | None) -> None:
        """Note an answer's ``Date``."""
        if value is None or (self._server_date is not None and self._server_date[0] == value):
            return
        date, clock = server_time(value), self.server_clock
        # A Date is cut to the second. One that agrees with the clock says less than it.
        if date is not None and (clock is None or not timedelta(0) <= clock - date < timedelta(seconds=1)):
            self._server_date = (value, date, time.monotonic())

    def knows_cloud(self, cloud_id: int) -> bool:
        """Return whether an answer has shown that a cloud exists."""
        return cloud_id in self._clouds

    def note_cloud(self, cloud_id: int) -> None:
        """Note that an answer has shown that a cloud exists."""
        self._clouds.add(cloud_id)

    def lane(self, cloud_id: int | None) -> Lane:
        """Return what calls to a cloud share; ``None`` is for calls that belong to no cloud."""
        return self._lanes.get(cloud_id) or self._lanes.setdefault(cloud_id, Lane(Gate(), Tokens()))

    def spending(self, cloud_id: int | None, open_register: OpenRegister | None) -> Spending:
        """Return what calls to a cloud spend of a request budget.

        :param open_register: opens the ledger of a name; ``None`` if this process counts for itself.
        """
        key = cloud_id, open_register
        if (known := self._spendings.get(key)) is not None:
            return known
        name = hashlib.sha256(f"{self._key} {cloud_id}".encode()).hexdigest()[:16]
        return self._spendings.setdefault(key, Spending(open_register and open_register(name)))

    def spendings(self, open_register: OpenRegister | None) -> list[Spending]:
        """Return what calls have spent, of each cloud."""
        return [spending for (_, opened_by), spending in list(self._spendings.items()) if opened_by is open_register]

    def transport(self) -> Transport:
        """Return the connections for threads, which the channel's clients share.

        :raises DotyposEnvironmentError: if the worker's proxy or certificates can't be used.
        """
        from airflow_provider_dotypos.api.transport import Transport  # requests and urllib3 are slow to import

        with self._lock:
            transport = self._connected()
            if transport is None:
                transport = Transport(self._base_url, self._secrets)
                self._connected = weakref.ref(transport)
            return transport

    def forget(self) -> None:
        """Forget tokens, what closed the gates, what was spent, and what answers have shown."""
        self._lanes.clear()
        self._spendings.clear()
        self._clouds.clear()
        self._server_date = None

    def renew(self) -> None:
        """Leave the parent's locks and connections to the parent (in a forked child).

        A lock that another thread of the parent held would never be released here.
        """
        self._lock = threading.Lock()
        for lane in self._lanes.values():
            lane.gate.renew_lock()
            lane.tokens.renew_lock()
        for spending in self._spendings.values():
            spending.forget()
        if transport := self._connected():
            transport.renew()


#: By what the credentials are, as a digest, never by connection id: two connections of one id may exist, and one may
#: change.
_channels: dict[str, Channel] = {}

#: Base URLs of the servers that have answered this process.
_answering: set[str] = set()


def open_channel(settings: Settings) -> Channel:
    """Return this process's channel to a server by a refresh token."""
    key = hashlib.sha256(repr((settings.base_url, settings.refresh_token)).encode()).hexdigest()
    if key not in _channels:
        _warn_of_http(settings.base_url)
    return _channels.get(key) or _channels.setdefault(key, Channel(settings, key))


def _warn_of_http(base_url: str) -> None:
    """Say in the log what Allow plain HTTP of the connection means."""
    parts = urlsplit(base_url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        log.warning("Allow plain HTTP is set: tokens and rows travel unencrypted to %s, a sandbox.", parts.netloc)


def forget_tokens() -> None:
    """Forget what this process knows of servers and tokens (tests, and long-lived ones that want a clean start)."""
    _answering.clear()
    for channel in list(_channels.values()):
        channel.forget()


def _renew_channels() -> None:
    for channel in list(_channels.values()):
        channel.renew()


os.register_at_fork(after_in_child=_renew_channels)
