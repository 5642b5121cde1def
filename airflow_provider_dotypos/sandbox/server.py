"""The sandbox as a server on loopback."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from types import TracebackType
from typing import Any

import uvicorn

from airflow_provider_dotypos.sandbox.api import tokens
from airflow_provider_dotypos.sandbox.api.app import create_app
from airflow_provider_dotypos.sandbox.api.connector import Visit
from airflow_provider_dotypos.sandbox.behaviour import BEST_KNOWN, Behaviour
from airflow_provider_dotypos.sandbox.faults import Door, Fault, Request
from airflow_provider_dotypos.sandbox.limit import Limit
from airflow_provider_dotypos.sandbox.shop.shop import Shop

__all__ = ["Sandbox"]


class Sandbox:
    """A Dotypos API of one's own, on a port of 127.0.0.1.

    ::

        with Sandbox() as sandbox:
            requests.get(sandbox.url + "/v2/clouds", headers=...)

    :param shop: the data; default: a shop with clouds and no rows.
    :param behaviour: which way the unknowns of the real API fall.
    :param port: the port; 0 takes any free one.

    :ivar refresh_token: with ``client_id`` and ``client_secret``: the credentials, of the form real ones
        have.
    :ivar cloud_ids: the two clouds that the token may use; ``foreign_cloud_id`` exists, but is not the
        token's.
    :ivar faults: failures to come, see ``Fault``.
    :ivar limit: how many requests are let in, see ``Limit``; None: all of them.
    :ivar requests: every request so far, but those to the sandbox's own controls.
    :ivar sign_ins: how many access tokens were given out.
    :ivar latency: seconds added to each answer.
    :ivar date_offset: seconds by which its clock is off, as the ``Date`` header and the connector tell.
    """

    def __init__(self, shop: Shop | None = None, behaviour: Behaviour = BEST_KNOWN, port: int = 0) -> None:
        self.shop = shop if shop is not None else Shop.empty()
        self.tokens = tokens.Tokens(self.shop.cloud_ids)
        self.refresh_token = tokens.REFRESH_TOKEN
        self.client_id = tokens.CLIENT_ID
        self.client_secret = tokens.CLIENT_SECRET
        self.cloud_ids = self.shop.cloud_ids
        self.foreign_cloud_id = self.shop.foreign_cloud_id
        self.faults: list[Fault] = []
        self.limit: Limit | None = None
        self.requests: list[Request] = []
        self.sign_ins = 0
        self.latency = 0.0
        self.date_offset = 0.0
        self.behaviour = behaviour
        self.visits: dict[str, Visit] = {}
        self.stock_taking_results: dict[int, list[dict[str, str | None]]] = {}
        self._port = port
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def behaviour(self) -> Behaviour:
        """Which way the unknowns fall; may be replaced at any time."""
        return self._behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self.shop.order_version_moves_with_items = behaviour.order_version_moves_with_items

    @property
    def token_lifetime(self) -> float:
        """Seconds for which access tokens live, from the next one on."""
        return self.tokens.lifetime

    @token_lifetime.setter
    def token_lifetime(self, seconds: float) -> None:
        self.tokens.lifetime = seconds

    def expire_tokens(self) -> None:
        """Let all access tokens given out so far expire at once."""
        self.tokens.expire()

    @property
    def url(self) -> str:
        """The base URL, such as ``http://127.0.0.1:8765``."""
        return f"http://127.0.0.1:{self._port}"

    def connection(self, cloud_id: int | None = None) -> dict[str, Any]:
        """Return the Airflow connection to a cloud, as ``airflow connections add --conn-json`` takes it."""
        return {
            "conn_type": "dotypos",
            "login": self.client_id,
            "password": self.client_secret,
            # Apart, as the form has them: the Test button of Airflow 3.3.2 fails for connections without a port.
            "host": self.url.rsplit(":", 1)[0],
            "port": int(self.url.rsplit(":", 1)[1]),
            "extra": {"refresh_token": self.refresh_token, "cloud_id": str(cloud_id or self.cloud_ids[0])},
        }

    def start(self) -> Sandbox:
        """Serve in a background thread; requests are answered when this returns."""
        # With the protocol named, asyncio sets TCP_NODELAY on what it accepts; without, each answer waits 40
        # ms.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", self._port))
        except OSError:
            listener.close()
            raise
        listener.listen(128)
        self._port = listener.getsockname()[1]
        self._server = _Server(Door(create_app(self), self))
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="dotypos-sandbox", daemon=True
        )
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the sandbox did not start")
            time.sleep(0.005)
        return self

    def stop(self) -> None:
        """Stop serving, and wait until the thread has ended. Hanging requests are cut off."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(timeout=10)
        self._server = self._thread = None

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Server(uvicorn.Server):
    """uvicorn, which on its way out tells the door to let go of hanging requests."""

    def __init__(self, door: Door) -> None:
        self._door = door
        super().__init__(
            uvicorn.Config(
                door,
                loop="asyncio",
                http="h11",  # the parser that uvicorn always brings along; faults rely on how it sends
                ws="none",
                lifespan="off",
                log_level="error",
                access_log=False,
                server_header=False,
                date_header=False,  # the door writes its own, see date_offset
                timeout_graceful_shutdown=2,
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let hanging requests go, then end as uvicorn does."""
        self._door.closing.set()
        await asyncio.sleep(0)
        await super().shutdown(sockets)
