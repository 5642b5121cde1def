"""Requests to an ASGI application, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any, NamedTuple

from airflow_provider_dotypos.provider_info import WEBHOOKS_PATH


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str


async def request(
    app: Any,
    path: str,
    body: bytes | Iterable[bytes] | AsyncIterator[bytes] = b"",
    *,
    method: str = "POST",
    root_path: str = "",
    **headers: str,
) -> Response:
    """Send a request to a path below the application's own. What isn't asked for of a body isn't sent."""
    root_path += WEBHOOKS_PATH
    scope = {
        "type": "http",
        "method": method,
        "path": f"{root_path}{path}",
        "raw_path": f"{root_path}{path}".encode(),
        "root_path": root_path,
        "query_string": b"",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }
    chunks = _chunks([body] if isinstance(body, bytes) else body)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        async for chunk in chunks:
            return {"type": "http.request", "body": chunk, "more_body": True}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, end = sent
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return Response(start["status"], headers, end["body"].decode())


async def _chunks(body: Iterable[bytes] | AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if isinstance(body, AsyncIterator):
        async for chunk in body:
            yield chunk
    else:
        for chunk in body:
            yield chunk


async def endless(chunk: bytes, pause: float = 0.0) -> AsyncIterator[bytes]:
    """Yield a chunk for ever."""
    while True:
        await asyncio.sleep(pause)
        yield chunk
