"""The sandbox as a server, on loopback unless another host is named."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Coroutine
from types import TracebackType
from typing import Any

import uvicorn

from airflow_provider_dotypos.sandbox.api.app import create_app
from airflow_provider_dotypos.sandbox.api.state import State
from airflow_provider_dotypos.sandbox.behaviour import BEST_KNOWN, Behaviour
from airflow_provider_dotypos.sandbox.door import Door
from airflow_provider_dotypos.sandbox.furnished import Shop

log = logging.getLogger(__name__)


class Sandbox(State):
    """A Dotypos API on this machine. ``State`` says what can be read and set while it runs.

    ::

        with Sandbox() as sandbox:
            requests.get(sandbox.url + "/v2/clouds", headers=...)

    :param shop: the data. Defaults to a shop with clouds and no rows.
    :param behaviour: the positions of the switches for what is unknown of the real API.
    :param port: the port. 0 takes any free one.
    :param host: the address to listen on: ``0.0.0.0`` for all of this machine's. Defaults to 127.0.0.1.
    """

    shop: Shop

    def __init__(
        self,
        shop: Shop | None = None,
        behaviour: Behaviour = BEST_KNOWN,
        port: int = 0,
        host: str = "127.0.0.1",
    ) -> None:
        super().__init__(shop if shop is not None else Shop.empty(), behaviour, port, host)
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Sandbox:
        """Serve in a background thread. Requests are answered as soon as this returns.

        :raises OSError: if it can't listen there.
        """
        family, *_, address = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
        # With the protocol named, asyncio sets TCP_NODELAY on what it accepts. Without it each answer waits 40 ms.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError:
            listener.close()
            raise
        listener.listen(128)
        self.port = listener.getsockname()[1]
        if self.open_to_the_network:
            log.warning("The sandbox is open to the network, on %s. It holds no real data.", self.host)
        self._server = _Server(Door(create_app(self), self))
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="dotypos-sandbox", daemon=True
        )
        self._thread.start()
        self.deliveries.open()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the sandbox did not start")
            time.sleep(0.005)
        return self

    def carry_out_late_requests(self) -> None:
        """Carry out all late requests now, whether they are due or not, and wait until that is done."""
        if self._server is None:
            raise RuntimeError("the sandbox isn't running")
        self._server.perform(self.carry_out_late(all_of_them=True))

    def stop(self) -> None:
        """Stop serving, and wait until the thread has ended. Hanging requests are cut off."""
        if self._server is None or self._thread is None:
            return
        if self._thread.is_alive():
            self._server.end()
        self.deliveries.close()
        self._thread.join(timeout=10)
        self._server = self._thread = None

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Server(uvicorn.Server):
    """uvicorn, which ends within milliseconds when it is told to, hanging requests included.

    Its own loop looks ten times a second whether to end, and its own shutdown waits a tenth of a second between steps.
    That is much for a server of one test.
    """

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
            )
        )

    def end(self) -> None:
        """End the server. Call it from another thread."""
        self._loop.call_soon_threadsafe(self._door.closing.set)

    def perform(self, work: Coroutine[Any, Any, None]) -> None:
        """Perform some work on the server's loop, and wait for it. Call it from another thread."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    async def main_loop(self) -> None:
        """Serve until the end."""
        await self._door.closing.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close what listens, and give the answers that are under way two seconds."""
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        deadline = self._loop.time() + 2
        while (self.server_state.connections or self.server_state.tasks) and self._loop.time() < deadline:
            await asyncio.sleep(0.002)
        for task in list(self.server_state.tasks):
            task.cancel()
