"""Authorized calls on an event loop: what performs the steps of ``exchange`` by asyncio, one task for each call.

Nothing waits in a thread or under a lock of threads. Only the environment is read in a thread, once.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import anyio
import httpx

from airflow_provider_dotypos.api import environment
from airflow_provider_dotypos.api.errors import DotyposError
from airflow_provider_dotypos.api.exchange import Exchange
from airflow_provider_dotypos.api.http import Answer, Body, Request, sent_headers
from airflow_provider_dotypos.api.idle import KEPT_FOR, Idle
from airflow_provider_dotypos.api.steps import Flow, Perform, Send, Sleep, Step

T = TypeVar("T")

#: Locks of tokens and clients, for each loop: what they belong to outlives loops. A lock lives while a task uses it.
_locks: WeakValueDictionary[tuple[asyncio.AbstractEventLoop, object], asyncio.Lock] = WeakValueDictionary()


def _lock(owner: object) -> asyncio.Lock:
    return _locks.setdefault((asyncio.get_running_loop(), owner), asyncio.Lock())


class AsyncDotyposClient(Exchange):
    """Authorized, retried calls to one Dotypos cloud, by tasks of one event loop. Cancel a task to end its call."""

    _open: Callable[[], httpx.AsyncHTTPTransport] | None = None

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        decode: Callable[[Answer], T],
    ) -> T:
        """Make one authorized call and return what `decode` makes of the answer (see ``DotyposClient.call``).

        :param method: HTTP method.
        :param path: path below the cloud, or with a leading ``/`` below ``/v2``.
        :param params: query parameters, not encoded.
        :param json: body of the request.
        :param headers: further headers.
        :param decode: makes the result of an answer.
        """
        return await self.run(self.flow(method, path, params=params, json=json, headers=headers, decode=decode))

    async def give_back(self) -> None:
        """Give back what was claimed of the request budget and not used (see ``DotyposClient.give_back``)."""
        await self.run(self._give_back())

    async def aclose(self) -> None:
        """Close idle connections."""
        if self._open:
            await self._idle.aclose()

    async def run(self, flow: Flow[T]) -> T:
        """Perform a flow, such as that of several calls, and return its result.

        :param flow: what to perform.
        """
        with closing(flow):
            try:
                step = next(flow)
                while True:
                    try:
                        result = await self._perform(step)
                    except DotyposError as error:
                        step = flow.throw(error)
                    else:
                        step = flow.send(result)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]

    async def _perform(self, step: Step) -> Any:
        if isinstance(step, Send):
            return await self._send(step.request)
        if isinstance(step, Sleep):
            return await asyncio.sleep(step.seconds)
        if isinstance(step, Perform):
            return await asyncio.to_thread(step.function)
        async with _lock(step.owner):
            return await self.run(step.flow)

    async def _send(self, request: Request) -> Answer:
        """Send a request once and return its answer (see ``Transport.send``)."""
        async with _lock(self):
            if self._open is None:
                self._open = await asyncio.to_thread(self._prepare)
        async with _lock(asyncio):  # one request leaves in each turn of the loop: many would stall it
            await asyncio.sleep(0)
        connection = self._idle.take() or self._open()
        sent, connected, answer, response = False, False, None, None

        async def trace(event: str, info: Mapping[str, Any]) -> None:
            nonlocal sent, connected
            connected = connected or event.endswith("connect_tcp.complete")
            sent = sent or (event.endswith("send_request_headers.started") and info["request"].method != b"CONNECT")

        try:
            out = httpx.Request(request.method, request.url, headers=sent_headers(request), content=request.body)
            out.extensions |= {"trace": trace, "timeout": {"connect": environment.CONNECT_TIMEOUT}}
            with anyio.fail_after(request.timeout):  # of the answer h11 bounds the head (100 KiB), and Body the rest
                response = await connection.handle_async_request(out)
                body = Body(request, response.headers.get("Content-Encoding", ""))
                async for piece in response.aiter_raw():
                    body.add(piece)
            answer = Answer(response.status_code, response.headers, body.whole())
            return answer
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError, zlib.error) as error:
            raise environment.failure_by(
                request,
                error,
                self.settings,
                sent=sent,
                connected=sent or connected,
                proxy=self._proxy,
                response=response,
            ) from None
        finally:
            await (self._idle.keep(connection) if answer else connection.aclose())

    def _prepare(self) -> Callable[[], httpx.AsyncHTTPTransport]:
        """Return what opens a connection. (One pool for all would take 20 ms a call when it holds 200.)"""
        self._idle = Idle()
        self._proxy, certificates = environment.read_environment(self.settings.base_url)
        context = environment.trust(self.settings.base_url, certificates)
        limits = httpx.Limits(max_connections=1, keepalive_expiry=KEPT_FOR)
        opened = partial(httpx.AsyncHTTPTransport, verify=context, proxy=self._proxy, limits=limits)
        try:
            opened()  # to see whether the proxy can be used
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            raise environment.unusable_proxy(socks=isinstance(error, ImportError)) from None
        return opened
