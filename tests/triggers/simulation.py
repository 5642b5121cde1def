"""Hours of a triggerer in a moment: a loop whose clock jumps, and a sandbox that is asked within the process."""

from __future__ import annotations

import asyncio
import json
import selectors
import time
from collections.abc import Callable, Coroutine
from datetime import datetime, timezone, tzinfo
from typing import Any, TypeVar

import httpx
import pytest
from airflow.sdk import Connection

from airflow_provider_dotypos import _airflow, _compat
from airflow_provider_dotypos.api import aclient, channel, errors, exchange, refusals
from airflow_provider_dotypos.api.idle import Idle
from airflow_provider_dotypos.sandbox import Sandbox, Shop
from airflow_provider_dotypos.sandbox.api.app import create_app
from airflow_provider_dotypos.sandbox.door import Door
from airflow_provider_dotypos.triggers import failures

T = TypeVar("T")

CONN_ID = "shop"


class _Jumping(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Waits for nothing: where a loop would sleep, the time jumps.

    It passes in any case. A loop calls what is due within a nanosecond: who finds then that it isn't time yet, and
    waits again, would wait for ever. Rounding decides, so it depends on how long the machine has been up.
    """

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("everybody waits, and nothing will happen")
        self.now += (not ready and timeout) or 1e-9
        return ready


class SimulatedLoop(asyncio.SelectorEventLoop):
    """A loop with its own time. What belongs into a thread is done on the spot."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        self._jumping.now = time.monotonic()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future


class _Wire:
    """What the sandbox's door expects of a server: that its ``send`` knows the transport."""

    transport = None

    def __init__(self, send: Any) -> None:
        self._send = send

    async def send(self, message: Any) -> None:
        await self._send(message)


class Simulation:
    """A sandbox, connections to it, and a loop on which a triggerer's hours pass in a moment.

    :ivar connections: what Airflow has of connections, by their ids; an exception is raised.
    :ivar reads: how often a connection was read.
    :ivar cuts: how many of the next requests find that the server has ended their connection.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop = SimulatedLoop()
        self._wall = time.time() - self.loop.time()
        monkeypatch.setattr(time, "monotonic", self.loop.time)
        monkeypatch.setattr(time, "time", self.time)
        monkeypatch.setattr(time, "time_ns", lambda: int(self.time() * 1e9))
        for module in (errors, exchange, refusals, failures):
            monkeypatch.setattr(module, "datetime", self._datetime())
        monkeypatch.setattr(aclient.AsyncDotyposClient, "_prepare", lambda client: self._prepare(client))
        monkeypatch.setattr(_airflow, "read_connection", self._read_connection)
        channel.forget_tokens()
        self.sandboxes: dict[str, Sandbox] = {}
        self.connections: dict[str, Any] = {}
        self.reads = 0
        self.cuts = 0

    def time(self) -> float:
        return self.loop.time() + self._wall

    def sandbox(self, conn_id: str = CONN_ID, **fields: Any) -> Sandbox:
        """Return a new sandbox, with a connection to it."""
        sandbox = Sandbox(shop=Shop.empty(), port=10_000 + len(self.sandboxes))
        sandbox.shop.set_to_real_time()
        self.sandboxes[sandbox.url] = sandbox
        self.connect(sandbox, conn_id, **fields)
        return sandbox

    def asked(self, path: str = "/clouds/", conn_id: str = CONN_ID) -> int:
        """Return how many requests a connection's sandbox has had so far."""
        url = f"{self.connections[conn_id].host}:{self.connections[conn_id].port}"
        return sum(path in request.path for request in self.sandboxes[url].requests)

    def connect(self, sandbox: Sandbox, conn_id: str = CONN_ID, **fields: Any) -> None:
        """Make a connection, or replace it."""
        made = sandbox.connection()
        extra = made.pop("extra") | fields
        self.connections[conn_id] = Connection(conn_id=conn_id, **made, extra=json.dumps(extra))

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run to the end, in simulated time; then end what is left."""
        asyncio.set_event_loop(self.loop)
        try:
            return self.loop.run_until_complete(coroutine)
        finally:
            left = asyncio.all_tasks(self.loop)
            for task in left:
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            asyncio.set_event_loop(None)

    async def _read_connection(self, conn_id: str) -> Any:
        self.reads += 1
        found = self.connections.get(conn_id)
        if isinstance(found, Exception):
            raise found
        if found is None:
            raise _compat.missing_connection()(conn_id)
        return found

    def _prepare(self, client: Any) -> Callable[[], httpx.ASGITransport]:
        client._idle, client._proxy = Idle(), None
        url = client.settings.base_url
        doors = {sandbox.url: Door(create_app(sandbox), sandbox) for sandbox in self.sandboxes.values()}

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if url not in self.sandboxes:
                raise httpx.ConnectError("nobody is there")
            if self.cuts:
                self.cuts -= 1
                raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
            await doors[url](scope, receive, _Wire(send).send)

        return lambda: httpx.ASGITransport(app=app)

    def _datetime(self) -> type[datetime]:
        simulation = self

        class Simulated(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                return datetime.fromtimestamp(simulation.time(), tz or timezone.utc)

        return Simulated


async def until(condition: Callable[[], object], seconds: float = 3600.0) -> None:
    """Wait until something is so."""
    end = asyncio.get_running_loop().time() + seconds
    while not condition():
        if asyncio.get_running_loop().time() > end:
            raise TimeoutError(f"it isn't so after {seconds:.0f} s")
        await asyncio.sleep(0.25)
