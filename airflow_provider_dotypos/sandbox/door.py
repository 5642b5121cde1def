"""The ASGI wrapper around the API. It keeps the log, waits, refuses requests over the limit, and breaks answers."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable, MutableMapping
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from airflow_provider_dotypos.sandbox.api.control import PREFIX
from airflow_provider_dotypos.sandbox.api.state import State
from airflow_provider_dotypos.sandbox.faults import DAMAGES, Fault, LateRequest, Request
from airflow_provider_dotypos.sandbox.limit import SIGN_IN, Limit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_HTML = b"<html><head><title>Gateway</title></head><body><h1>Something in between says no</h1></body></html>"


class Door:
    """Every request comes through here before the API sees it, and every answer on its way out."""

    def __init__(self, app: App, state: State) -> None:
        self._app = app
        self._state = state
        self.closing = asyncio.Event()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request, or fail to."""
        state, method, path = self._state, scope["method"], scope["path"]
        if path.startswith(PREFIX) or path == "/":
            await self._app(scope, receive, send)
            return
        logged = False

        def log(status: int) -> None:
            # Before the client can have the answer, so that it finds its own request in the log.
            nonlocal logged
            if not logged:
                logged = True
                state.requests.append(_request(scope, status))

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                moment = formatdate(time.time() + state.date_offset, usegmt=True)
                message["headers"] = [*message["headers"], (b"date", moment.encode())]
                log(message["status"])
            await send(message)

        if state.latency:
            await asyncio.sleep(state.latency)
        if state.limit is not None:
            refused, receive = await _refuse_over_limit(state.limit, scope, receive, answer)
            if refused:
                return
        await state.carry_out_late()
        fault = next((f for f in list(state.faults) if f.strikes(method, path)), None)
        if fault is None:
            await self._app(scope, receive, answer)
            return
        if fault.kind in ("reset", "closed", "hang"):
            log(0)
        if fault.when == "late":
            receive = await self._put_off(fault, scope, receive)
        elif fault.when == "after" and fault.kind != "drip":
            scope["state"]["lost"] = True  # for the log of writes
            if fault.kind not in DAMAGES:
                await self._whole_answer(scope, receive)
        # uvicorn's send is a method of its request cycle, which knows the transport.
        transport: asyncio.Transport = send.__self__.transport  # type: ignore[attr-defined]
        await self._break(fault, scope, receive, answer, transport)

    async def _put_off(self, fault: Fault, scope: MutableMapping[str, Any], receive: Receive) -> Receive:
        """Keep a request until its client has given up. Return how to read it on."""
        body, receive = await _read(receive)
        later = {**scope, "state": {"lost": True, "late": True}}

        async def read() -> Message:
            return {"type": "http.request", "body": body}

        async def carry_out() -> None:
            await self._whole_answer(later, read)

        due = self._state.shop.now() + round(fault.seconds * 1000)
        self._state.late.append(LateRequest(scope["method"], scope["path"], carry_out, due, fault.calls))
        return receive

    async def _break(
        self,
        fault: Fault,
        scope: MutableMapping[str, Any],
        receive: Receive,
        answer: Send,
        transport: asyncio.Transport,
    ) -> None:
        if fault.kind[:3].isdigit() or fault.kind in ("html-200", "redirect"):
            await _refuse(fault, answer)
        elif fault.kind == "reset":
            _reset(transport)
            await _until_gone(receive)
        elif fault.kind == "closed":
            transport.close()
            await _until_gone(receive)
        elif fault.kind == "hang":
            gone = asyncio.ensure_future(_until_gone(receive))
            closing = asyncio.ensure_future(self.closing.wait())
            await asyncio.wait({gone, closing}, return_when=asyncio.FIRST_COMPLETED)
            transport.abort()
            await gone
            closing.cancel()
        else:
            start, body = await self._whole_answer(scope, receive) if fault.when == "after" else _invented()
            body = _damage(fault.kind, start, body)
            headers = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
            start["headers"] = [*headers, (b"content-length", str(len(body)).encode())]
            await answer(start)
            if fault.kind == "drip":
                await self._drip(body, fault.interval, answer, transport)
            elif fault.kind in ("reset-body", "short-body"):
                await _break_off(body, receive, transport, reset=fault.kind == "reset-body")
            else:
                await answer({"type": "http.response.body", "body": body})

    async def _whole_answer(self, scope: MutableMapping[str, Any], receive: Receive) -> tuple[Message, bytes]:
        """Let the API answer, and keep the answer from the client."""
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, keep)
        return messages[0], b"".join(message.get("body", b"") for message in messages[1:])

    async def _drip(self, body: bytes, interval: float, answer: Send, transport: asyncio.Transport) -> None:
        for at in range(len(body)):
            if transport.is_closing() or self.closing.is_set():
                transport.abort()
                return
            await answer({"type": "http.response.body", "body": body[at : at + 1], "more_body": True})
            await asyncio.sleep(interval)
        await answer({"type": "http.response.body", "body": b""})


def _invented() -> tuple[Message, bytes]:
    """Return an answer of which only a part will arrive, to a request that the API hasn't had."""
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
    return start, b'{"id":"4100000000000001","deleted":false}'


def _request(scope: MutableMapping[str, Any], status: int) -> Request:
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Request(scope["method"], scope["path"], dict(query), status, headers)


async def _refuse_over_limit(
    limit: Limit, scope: MutableMapping[str, Any], receive: Receive, answer: Send
) -> tuple[bool, Receive]:
    """Answer 429 if the limit is reached. Return whether it was, and how to read the request on."""
    body = b""
    if scope["path"] == SIGN_IN:
        body, receive = await _read(receive)
    authorization = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
    seconds = limit.admit(limit.key(scope["path"], authorization, body))
    if seconds is None:
        return False, receive
    content, headers = limit.refusal(seconds)
    await _answer(answer, 429, headers | {"content-type": "application/json"}, content)
    return True, receive


async def _read(receive: Receive) -> tuple[bytes, Receive]:
    """Read a request's body. Return it, and a `receive` that gives the same messages once more."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    body = b"".join(message.get("body", b"") for message in messages)

    async def again() -> Message:
        return messages.pop(0) if messages else await receive()

    return body, again


async def _answer(answer: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    pairs.append((b"content-length", str(len(body)).encode()))
    await answer({"type": "http.response.start", "status": status, "headers": pairs})
    await answer({"type": "http.response.body", "body": body})


async def _refuse(fault: Fault, answer: Send) -> None:
    headers, body = {}, b""
    if "html" in fault.kind:
        headers["content-type"], body = "text/html; charset=utf-8", _HTML
    if fault.kind == "redirect":
        headers["location"] = "http://elsewhere.invalid/v2/clouds"
    if fault.retry_after is not None:
        headers["retry-after"] = fault.retry_after
    status = {"redirect": 302, "html-200": 200}.get(fault.kind) or int(fault.kind[:3])
    await _answer(answer, status, headers, body)


def _damage(kind: str, start: Message, body: bytes) -> bytes:
    """Return the body that a broken answer has instead of `body`, and correct its status."""
    if kind == "drip":
        return body
    if kind in ("reset-body", "short-body"):
        return body or b"{}"
    if kind == "cut-json":
        if body:
            return body[: max(1, len(body) * 2 // 3)]
        start["status"] = 200  # an empty list (404 without a body) has no JSON to cut off
        return b'{"data":['
    start["status"] = 200
    return _without_rows(body, promising=kind == "emptied")


def _without_rows(body: bytes, *, promising: bool) -> bytes:
    """Return a list without its rows.

    :param promising: whether its envelope still says that there are rows.
    """
    decoded = msgspec.json.decode(body) if body else {}
    envelope = decoded if isinstance(decoded, dict) else {}
    envelope |= {"totalItemsOnPage": "0", "data": []}
    if not promising:
        envelope |= {"totalItemsCount": "0", "lastPage": "0", "nextPage": None}
    return msgspec.json.encode(envelope)


async def _break_off(body: bytes, receive: Receive, transport: asyncio.Transport, *, reset: bool) -> None:
    """Send half of a body, and end the connection."""
    # Past uvicorn, which would not send a body that is shorter than announced.
    transport.write(body[: len(body) // 2])
    if reset:
        await asyncio.sleep(0.05)  # let the client have what came so far
        _reset(transport)
    else:
        transport.close()
    await _until_gone(receive)


def _reset(transport: asyncio.Transport) -> None:
    """Close the connection with a reset instead of an end."""
    connection: socket.socket = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
