"""Failures on purpose: the ASGI wrapper around the API that keeps the log, waits, and breaks answers.

None of this is documented behaviour of Dotypos; it is what any network and any proxy may do [A].
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

from airflow_provider_dotypos.sandbox.limit import SIGN_IN

if TYPE_CHECKING:
    from airflow_provider_dotypos.sandbox.limit import Limit
    from airflow_provider_dotypos.sandbox.server import Sandbox

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

KINDS = (
    "429",
    "500",
    "502-html",
    "503",
    "reset",
    "reset-body",
    "cut-json",
    "short-body",
    "hang",
    "drip",
    "html-200",
    "redirect",
    "empty",
    "emptied",
    # What a proxy, a gateway or a firewall in between answers in Dotypos's place.
    *(f"{status}-html" for status in (400, 401, 403, 404, 405, 421, 499, 501)),
    # A refusal that has lost its body.
    *("401-empty", "403-empty", "404-empty"),
)
CONTROL = "/_sandbox"
_HTML = b"<html><head><title>Gateway</title></head><body><h1>Something in between says no</h1></body></html>"


@dataclass
class Fault:
    """A failure that requests will meet.

    :param kind: ``429``, ``500``, ``503``: that status; ``502-html``, ``403-html``, …: a page of something in
        between; ``403-empty``, …: that status without a body; ``html-200``: a page that says 200; ``redirect``:
        302 to another host; ``reset``: the connection is reset before any answer; ``reset-body``: in the middle
        of one; ``short-body``: less body than ``Content-Length`` says, then the end; ``cut-json``: a valid HTTP
        answer whose JSON is cut off; ``hang``: no answer until the client goes; ``drip``: one byte per `interval`;
        ``empty``: an empty list, whatever there is; ``emptied``: a list without its rows, whose envelope still says
        how many there are in all and which page is next.
    :param retry_after: value of a ``Retry-After`` header, sent as it is.
    :param times: how many requests meet it.
    :param skip: how many matching ones pass before.
    :param path: part of the path that a request must have.
    :param method: the method it must have.
    """

    kind: str
    retry_after: str | None = None
    times: int = 1
    skip: int = 0
    path: str = ""
    method: str | None = None
    interval: float = 0.05

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind {self.kind!r}; kinds: {', '.join(KINDS)}")

    def strikes(self, method: str, path: str) -> bool:
        """Tell whether this request meets the fault, and count it."""
        if self.times <= 0 or self.path not in path or self.method not in (None, method):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


@dataclass(frozen=True)
class Request:
    """A request that the sandbox got. ``status`` is 0 if the answer never began."""

    method: str
    path: str
    query: dict[str, str]
    status: int
    headers: dict[str, str]


class Door:
    """Every request comes through here, before the API sees it, and every answer on its way out."""

    def __init__(self, app: App, sandbox: Sandbox) -> None:
        self._app = app
        self._sandbox = sandbox
        self.closing = asyncio.Event()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request, or fail to."""
        sandbox, path = self._sandbox, scope["path"]
        if path.startswith(CONTROL):
            await self._app(scope, receive, send)
            return
        logged = False

        def log(status: int) -> None:
            # Before the client can have the answer, so that it finds its own request in the log.
            nonlocal logged
            if not logged:
                logged = True
                sandbox.requests.append(_request(scope, status))

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                moment = formatdate(time.time() + sandbox.date_offset, usegmt=True)
                message["headers"] = [*message["headers"], (b"date", moment.encode())]
                log(message["status"])
            await send(message)

        if sandbox.latency:
            await asyncio.sleep(sandbox.latency)
        if sandbox.limit is not None:
            refused, receive = await _refused(sandbox.limit, scope, receive, answer)
            if refused:
                return
        fault = next((f for f in list(sandbox.faults) if f.strikes(scope["method"], path)), None)
        if fault is None:
            await self._app(scope, receive, answer)
            return
        if fault.kind in ("reset", "hang"):
            log(0)
        await self._break(fault, scope, receive, answer, send)

    async def _break(
        self, fault: Fault, scope: MutableMapping[str, Any], receive: Receive, answer: Send, raw_send: Send
    ) -> None:
        # uvicorn's send is a method of its request cycle, which knows the transport.
        transport: asyncio.Transport = raw_send.__self__.transport  # type: ignore[attr-defined]
        if fault.kind[:3].isdigit() or fault.kind in ("html-200", "redirect"):
            await _refuse(fault, answer)
        elif fault.kind == "reset":
            _reset(transport)
            await _until_gone(receive)
        elif fault.kind == "hang":
            gone = asyncio.ensure_future(_until_gone(receive))
            closing = asyncio.ensure_future(self.closing.wait())
            await asyncio.wait({gone, closing}, return_when=asyncio.FIRST_COMPLETED)
            transport.abort()
            await gone
            closing.cancel()
        else:
            start, body = await self._whole(scope, receive)
            await self._damage(fault, start, body, receive, answer, transport)

    async def _whole(self, scope: MutableMapping[str, Any], receive: Receive) -> tuple[Message, bytes]:
        """Let the API answer, and catch the answer."""
        messages: list[Message] = []

        async def catch(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, catch)
        return messages[0], b"".join(message.get("body", b"") for message in messages[1:])

    async def _damage(
        self,
        fault: Fault,
        start: Message,
        body: bytes,
        receive: Receive,
        answer: Send,
        transport: asyncio.Transport,
    ) -> None:
        headers = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
        if fault.kind == "cut-json":
            # An empty list (404 without a body) has no JSON to cut off: there it is a list that breaks off.
            start["status"] = start["status"] if body else 200
            body = body[: max(1, len(body) * 2 // 3)] or b'{"data":['
        elif fault.kind in ("empty", "emptied"):
            start["status"] = 200
            body = _without_rows(body, promising=fault.kind == "emptied")
        elif fault.kind != "drip":
            body = body or b"{}"
        length = len(body)
        start["headers"] = [*headers, (b"content-length", str(length).encode())]
        if fault.kind == "drip":
            await answer(start)
            for at in range(len(body)):
                if transport.is_closing() or self.closing.is_set():
                    transport.abort()
                    return
                await answer({"type": "http.response.body", "body": body[at : at + 1], "more_body": True})
                await asyncio.sleep(fault.interval)
            await answer({"type": "http.response.body", "body": b""})
            return
        if fault.kind in ("cut-json", "empty", "emptied"):
            await answer(start)
            await answer({"type": "http.response.body", "body": body})
            return
        await answer(start)
        # Past uvicorn, which would not send a body that is shorter than announced.
        transport.write(body[: length // 2])
        if fault.kind == "reset-body":
            await asyncio.sleep(0.05)  # let the client have what came so far
            _reset(transport)
        else:
            transport.close()
        await _until_gone(receive)


def _request(scope: MutableMapping[str, Any], status: int) -> Request:
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Request(scope["method"], scope["path"], dict(query), status, headers)


async def _refused(
    limit: Limit, scope: MutableMapping[str, Any], receive: Receive, answer: Send
) -> tuple[bool, Receive]:
    """Answer 429 if the limit is reached; return whether it was, and how to read the request on."""
    body = b""
    if scope["path"] == SIGN_IN:
        body, receive = await _read(receive)
    authorization = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
    seconds = limit.admit(limit.key(scope["path"], authorization, body))
    if seconds is None:
        return False, receive
    content, headers = limit.refusal(seconds)
    headers |= {"content-type": "application/json", "content-length": str(len(content))}
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await answer({"type": "http.response.start", "status": 429, "headers": pairs})
    await answer({"type": "http.response.body", "body": content})
    return True, receive


async def _read(receive: Receive) -> tuple[bytes, Receive]:
    """Read a request's body; return it, and a `receive` that gives the same messages once more."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    body = b"".join(message.get("body", b"") for message in messages)

    async def again() -> Message:
        return messages.pop(0) if messages else await receive()

    return body, again


def _without_rows(body: bytes, *, promising: bool) -> bytes:
    """Return a list without its rows: an empty one, or one whose envelope promises what isn't there."""
    found = msgspec.json.decode(body) if body else {}
    told = found if isinstance(found, dict) else {}
    nothing = {"totalItemsOnPage": "0", "data": []}
    return msgspec.json.encode(
        told | nothing if promising else told | nothing | {"totalItemsCount": "0", "lastPage": "0", "nextPage": None}
    )


async def _refuse(fault: Fault, answer: Send) -> None:
    page = "html" in fault.kind
    status = {"redirect": 302, "html-200": 200}.get(fault.kind) or int(fault.kind[:3])
    body = b"" if fault.kind == "redirect" else _HTML if page else b""
    headers = [(b"content-length", str(len(body)).encode())]
    if page:
        headers.append((b"content-type", b"text/html; charset=utf-8"))
    if fault.kind == "redirect":
        headers.append((b"location", b"http://elsewhere.invalid/v2/clouds"))
    if fault.retry_after is not None:
        headers.append((b"retry-after", fault.retry_after.encode("latin-1")))
    await answer({"type": "http.response.start", "status": status, "headers": headers})
    await answer({"type": "http.response.body", "body": body})


def _reset(transport: asyncio.Transport) -> None:
    """Close the connection with a reset instead of an end."""
    connection: socket.socket = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
