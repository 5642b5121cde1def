"""A loopback server that is fast enough not to limit the figures: it answers an extraction from prepared rows.

It knows just enough of Dotypos: the sign-in, one cloud, and its orders under the filter, sort and paging of a walk by
``versionDate``, and under page numbers for the other contenders. For behaviour, faults and rules use
``airflow_provider_dotypos.sandbox``; this is for speed.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email.utils import formatdate
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

from benchmarks.orders import CLOUD_ID, MAKES, PATH, Orders, even, uneven


class Shop:
    """The server's answers to calls.

    :param orders: the orders it holds.
    :param per_second: calls answered within any second; further ones get a 429. ``None`` for no limit.
    :ivar calls: calls of any kind so far.
    :ivar refused: calls answered by 429.
    """

    def __init__(self, orders: Orders, per_second: int | None = None) -> None:
        self._orders = orders
        self._per_second = per_second
        self._recent: deque[float] = deque()
        self.calls = 0
        self.refused = 0

    def answer(self, method: str, target: str) -> bytes:
        """Return the whole answer, head and body."""
        url = urlsplit(target)
        if url.path == "/told":
            return whole_answer(200, json.dumps(self._told()).encode())
        self.calls += 1
        if method == "POST" and url.path == "/v2/signin/token":
            return signed_in()
        if wait := self._wait():
            self.refused += 1
            return whole_answer(429, b"", f"Retry-After: {wait}\r\n")
        if url.path == PATH:
            return whole_answer(200, self._orders.page(parse_qs(url.query)))
        if url.path == f"/v2/clouds/{CLOUD_ID}":
            return whole_answer(200, json.dumps({"id": str(CLOUD_ID), "name": "Benchmark"}).encode())
        return whole_answer(404, b"")

    def _told(self) -> dict[str, object]:
        """Return what happened since this was last asked."""
        told = {"calls": self.calls, "refused": self.refused, "sent": [list(rows) for rows in self._orders.sent]}
        self.calls = self.refused = 0
        self._orders.sent.clear()
        return told

    def _wait(self) -> int:
        """Return the whole seconds for ``Retry-After``, or 0 if the call may pass."""
        if self._per_second is None:
            return 0
        now = time.monotonic()
        while self._recent and now - self._recent[0] >= 1:
            self._recent.popleft()
        if len(self._recent) >= self._per_second:
            return 1
        self._recent.append(now)
        return 0


class Answers(Protocol):
    """What answers calls."""

    def answer(self, method: str, target: str) -> bytes:
        """Return the whole answer, head and body."""


class _Connection(asyncio.Protocol):
    """One kept-alive connection, one call at a time."""

    def __init__(self, shop: Answers, latency: float) -> None:
        self._shop = shop
        self._latency = latency
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._received += data
        head, separator, rest = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if len(rest) < length:
            return
        self._received = rest[length:]
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        answer = self._shop.answer(method, target)
        if self._latency:
            asyncio.get_running_loop().call_later(self._latency, self._transport.write, answer)
        else:
            self._transport.write(answer)


_STATUSES = {200: "OK", 201: "Created", 404: "Not Found", 429: "Too Many Requests"}


def whole_answer(status: int, body: bytes, headers: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status} {_STATUSES[status]}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"Date: {formatdate(usegmt=True)}\r\n{headers}\r\n"
    )
    return head.encode() + body


def signed_in() -> bytes:
    """Return the answer to a sign-in."""
    return whole_answer(201, json.dumps({"accessToken": _token()}).encode())


def _token() -> str:
    now = int(time.time())
    parts = ({"alg": "HS256", "typ": "JWT"}, {"iat": now, "exp": now + 3600}, {"unsigned": True})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)


@contextmanager
def serving(
    rows: int, latency_ms: float = 0, *, per_second: int | None = None, uneven: bool = False, make: str = "usual"
) -> Iterator[str]:
    """Serve in a process of its own; give the base URL."""
    options = ["--rows", str(rows), "--latency-ms", str(latency_ms), "--make", make]
    if per_second is not None:
        options += ["--per-second", str(per_second)]
    if uneven:
        options += ["--uneven"]
    with running("benchmarks.server", options) as url:
        yield url


@contextmanager
def running(module: str, options: Sequence[str]) -> Iterator[str]:
    """Run a server's module in a process of its own; give the base URL, which is its first line."""
    command = [sys.executable, "-m", module, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            if not url:
                raise RuntimeError("the server did not start")
            yield url
        finally:
            process.terminate()


def told(url: str) -> dict[str, Any]:
    """Return what the server saw since this was last asked: ``calls``, ``refused``, and what each list answer ``sent``.

    The last is a list of rows' numbers for each answer.
    """
    with urlopen(f"{url}/told") as answer:
        found: dict[str, Any] = json.load(answer)
        return found


async def serve(shop: Answers, latency: float, port: int) -> None:
    """Serve on loopback until the process ends, and print the base URL.

    :param latency: seconds before each answer.
    :param port: 0 for any free one.
    """
    # With the protocol named, asyncio sets TCP_NODELAY on what it accepts; without, each answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)  # a page leaves in one piece
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(shop, latency), sock=listener)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--latency-ms", type=float, default=0)
    parser.add_argument("--per-second", type=int, help="answer 429 to calls beyond this many a second")
    parser.add_argument("--uneven", action="store_true", help="a day with a lunch and an evening, and a tie")
    parser.add_argument("--make", choices=MAKES, default="usual", help="what rows look like")
    parser.add_argument("--port", type=int, default=0)
    asked = parser.parse_args()
    moments = uneven(asked.rows) if asked.uneven else even(asked.rows)
    asyncio.run(serve(Shop(Orders(moments, asked.make), asked.per_second), asked.latency_ms / 1000, asked.port))


if __name__ == "__main__":
    main()
