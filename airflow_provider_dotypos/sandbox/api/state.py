"""What the sandbox's API keeps besides its rows: tokens, settings, faults to come, and the log."""

from __future__ import annotations

import secrets
import socket
from collections import deque
from typing import Any

from airflow_provider_dotypos.sandbox.api import payloads, tokens
from airflow_provider_dotypos.sandbox.api.deliveries import Deliveries
from airflow_provider_dotypos.sandbox.api.device import Device
from airflow_provider_dotypos.sandbox.behaviour import Behaviour
from airflow_provider_dotypos.sandbox.faults import Fault, LateRequest, Request, Write
from airflow_provider_dotypos.sandbox.limit import Limit
from airflow_provider_dotypos.sandbox.shop.rows import RowChange, Rows

LOOPBACK = ("127.0.0.1", "::1", "localhost")
_ALL_ADDRESSES = ("0.0.0.0", "::")


class State:
    """The state of one API. It may be changed while the API answers.

    :ivar host: what the API listens on. Other hosts reach it unless this is one of ``LOOPBACK``.
    :ivar refresh_token: with ``client_id`` and ``client_secret``: credentials of the form that real ones have.
    :ivar cloud_ids: the two clouds that the token may use.
    :ivar foreign_cloud_id: a cloud that exists, but that the token may not use.
    :ivar faults: failures to come, see ``Fault``.
    :ivar limit: how many requests are let in, see ``Limit``. None lets all of them in.
    :ivar deliveries: what webhooks deliver, see ``Deliveries``.
    :ivar device: the register that POS actions go through to, see ``Device``.
    :ivar stock_taking_reason: why all further stock takings fail, such as ``UNEXPECTED``. By default each fails for a
        reason of its own, or not.
    :ivar stock_taking_polls: how often the status of a stock taking is ``PROCESSING`` before its result.
    :ivar requests: all requests so far, except those to the sandbox's own controls.
    :ivar writes: all changes of rows that requests have made, all warehouse operations and POS actions.
    :ivar late: requests that are carried out later, see ``Fault.when``.
    :ivar sign_ins: how many access tokens were issued.
    :ivar latency: seconds added to each answer.
    :ivar date_offset: seconds by which its clock is off, in the ``Date`` header and in the connector.
    :ivar form_key: what forms of its page must bring along.
    :ivar happened: what the buttons of its page have done, the newest first.
    """

    def __init__(self, shop: Rows, behaviour: Behaviour, port: int, host: str) -> None:
        self.deliveries = Deliveries()
        self.shop = shop
        self.behaviour = behaviour
        self.port = port
        self.host = host
        self.tokens = tokens.Tokens(shop.cloud_ids)
        self.refresh_token = tokens.REFRESH_TOKEN
        self.client_id = tokens.CLIENT_ID
        self.client_secret = tokens.CLIENT_SECRET
        self.cloud_ids = shop.cloud_ids
        self.foreign_cloud_id = shop.foreign_cloud_id
        self.faults: list[Fault] = []
        self.limit: Limit | None = None
        self.requests: list[Request] = []
        self.writes: list[Write] = []
        self.late: list[LateRequest] = []
        self.sign_ins = 0
        self.latency = 0.0
        self.date_offset = 0.0
        self.form_key = secrets.token_hex(16)
        self.happened: deque[str] = deque(maxlen=5)
        self.visits: dict[str, tokens.Visit] = {}
        self.device = Device()
        self.stock_taking_reason: str | None = None
        self.stock_taking_polls = 1
        self.stock_taking_results: dict[int, list[dict[str, str | None]]] = {}

    @property
    def shop(self) -> Rows:
        """The data. May be replaced at any time."""
        return self._shop

    @shop.setter
    def shop(self, shop: Rows) -> None:
        self._shop = shop
        shop.on_change = self._put_deliveries

    def _put_deliveries(self, change: RowChange) -> None:
        for webhook, record in payloads.due(self.shop, change, self.behaviour):
            self.deliveries.put(webhook, record)

    @property
    def behaviour(self) -> Behaviour:
        """The positions of the switches for what is unknown of the real API. May be replaced at any time."""
        return self._behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self.shop.order_version_moves_with_items = behaviour.order_version_moves_with_items
        self.deliveries.tries = behaviour.delivery_tries

    async def carry_out_late(self, *, all_of_them: bool = False) -> None:
        """Carry out the late requests that are due. A request that comes calls this, and counts as one that passes.

        :param all_of_them: whether those are carried out, too, that aren't due yet.
        """
        due: list[LateRequest] = []
        waiting: list[LateRequest] = []
        for late in self.late:
            ready = all_of_them or (late.calls <= 0 and late.due <= self.shop.now())
            (due if ready else waiting).append(late)
            late.calls -= 1
        self.late[:] = waiting
        for late in due:
            await late.carry_out()

    @property
    def token_lifetime(self) -> float:
        """Seconds for which access tokens live, from the next one on."""
        return self.tokens.lifetime

    @token_lifetime.setter
    def token_lifetime(self, seconds: float) -> None:
        self.tokens.lifetime = seconds

    def expire_tokens(self) -> None:
        """Let all access tokens issued so far expire at once."""
        self.tokens.expire()

    @property
    def url(self) -> str:
        """The base URL, such as ``http://127.0.0.1:8765``, as other hosts reach it."""
        return f"{self._address}:{self.port}"

    @property
    def open_to_the_network(self) -> bool:
        """Whether other hosts reach it."""
        return self.host not in LOOPBACK

    @property
    def _address(self) -> str:
        host = _address_of_this_machine() if self.host in _ALL_ADDRESSES else self.host
        return f"http://[{host}]" if ":" in host else f"http://{host}"

    def allowed_clouds(self) -> list[dict[str, Any]]:
        """Return the clouds that the token may use."""
        return [cloud for cloud in map(self.shop.cloud, self.cloud_ids) if cloud is not None]

    def connection(self, cloud_id: int | None = None) -> dict[str, Any]:
        """Return the Airflow connection to a cloud, in the form that ``airflow connections add --conn-json`` takes.

        :param cloud_id: the cloud. Defaults to the first one.
        """
        chosen = cloud_id or self.cloud_ids[0]
        extra: dict[str, Any] = {"refresh_token": self.refresh_token, "cloud_id": str(chosen)}
        if (cloud := self.shop.cloud(chosen)) is not None:
            extra["cloud_name"] = cloud["name"]
        if self.open_to_the_network:
            extra["allow_http"] = True
        return {
            "conn_type": "dotypos",
            "login": self.client_id,
            "password": self.client_secret,
            # Apart, as the form has them: the Test button of Airflow 3.3.2 fails for connections without a port.
            "host": self._address,
            "port": self.port,
            "extra": extra,
        }


def _address_of_this_machine() -> str:
    """Return the address from which this machine would send something to the network; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unsent:
        try:
            unsent.connect(("192.0.2.1", 9))
            return str(unsent.getsockname()[0])
        except OSError:  # it has no network
            return socket.gethostname()
