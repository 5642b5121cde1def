"""The sandbox as a server on loopback."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from types import TracebackType

import uvicorn

from airflow_provider_dotypos.sandbox.api.app import create_app
from airflow_provider_dotypos.sandbox.api.state import State
from airflow_provider_dotypos.sandbox.behaviour import BEST_KNOWN, Behaviour
from airflow_provider_dotypos.sandbox.door import Door
from airflow_provider_dotypos.sandbox.furnished import Shop


class Sandbox(State):
    """A Dotypos API of one's own, on a port of 127.0.0.1. ``State`` says what can be read and set while it runs.

    ::

        with Sandbox() as sandbox:
            requests.get(sandbox.url + "/v2/clouds", headers=...)

    :param shop: the data. Defaults to a shop with clouds and no rows.
    :param behaviour: the positions of the switches for what is unknown of the real API.
    :param port: the port. 0 takes any free one.
    """

    shop: Shop

    def __init__(self, shop: Shop | None = None, behaviour: Behaviour = BEST_KNOWN, port: int = 0) -> None:
        super().__init__(shop if shop is not None else Shop.empty(), behaviour, port)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Sandbox:
        """Serve in a background thread. Requests are answered as soon as this returns."""
        # With the protocol named, asyncio sets TCP_NODELAY on what it accepts. Without it each answer waits 40 ms.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", self.port))
        except OSError:
            listener.close()
            raise
        listener.listen(128)
        self.port = listener.getsockname()[1]
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
    """uvicorn, which makes the door end hanging requests before it shuts down."""

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
        """End hanging requests, then shut down as uvicorn does."""
        self._door.closing.set()
        await asyncio.sleep(0)
        await super().shutdown(sockets)
