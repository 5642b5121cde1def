"""A loopback server fast enough not to be what is measured: the calls of an extraction, answered from prepared rows.

It speaks just enough Dotypos: the sign-in, one cloud, and its orders under the filter, sort and paging that a walk by
``versionDate`` uses. Rows differ in id, number and times alone; each is encoded once, a page is a join of a hundred.
For behaviour, faults and rules use ``airflow_provider_dotypos.sandbox``; this is for speed.
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
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from email.utils import formatdate
from urllib.parse import parse_qs, urlsplit

CLOUD_ID = 123456789
FIRST_ID = 5_000_000_000_000_001
START = 1_768_456_800_000
"""``versionDate`` of the first row, in epoch milliseconds (2026-01-15T06:00:00Z)."""
STEP = 37
"""Milliseconds between one row's ``versionDate`` and the next one's: strictly increasing, no ties."""

ORDERS = f"/v2/clouds/{CLOUD_ID}/orders"


def moment(index: int) -> int:
    """Return the ``versionDate`` of a row in epoch milliseconds; of the row after the last: the end of a window."""
    return START + STEP * index


def iso(milliseconds: int) -> str:
    date = datetime.fromtimestamp(milliseconds // 1000, timezone.utc)
    return f"{date:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def encoded_row(index: int) -> bytes:
    """Return an order as the API sends it: some forty fields, about 1 KiB, numbers as text."""
    changed = moment(index)
    return json.dumps(
        {
            "id": str(FIRST_ID + index),
            "_branchId": "111222333",
            "_cloudId": str(CLOUD_ID),
            "_courseId": None,
            "_customerId": "4000000000000001",
            "_eetSubjectId": None,
            "_employeeId": "3000000000000001",
            "_relatedInvoiceId": None,
            "_relatedOrderId": None,
            "_sellerId": None,
            "_sourceOrderId": None,
            "_tableId": "6000000000000007",
            "documentNumber": f"20260115{index:06d}",
            "documentType": "RECEIPT",
            "externalId": None,
            "status": "closed",
            "paid": True,
            "parked": False,
            "flags": "256",
            "currency": "CZK",
            "itemCount": "3",
            "guestCount": "2",
            "points": "0",
            "tipAmount": "20",
            "totalValueRounded": "485",
            "note": "stůl u okna, účet zvlášť",
            "tags": ["terrace", "regular"],
            "bkp": "35F1D2A7-9C04B6E8-11AA73C5-0D42FE96-8B6C1E07",
            "pkp": None,
            "fik": "b3a09b52-7c87-4014-a496-4c7a53cf9120-03",
            "printData": "",
            "merchantPrintData": None,
            "locationDate": None,
            "locationLatitude": None,
            "locationLongitude": None,
            "locationAccuracy": None,
            "created": iso(changed - 123_000),
            "updated": iso(changed - 3_000),
            "completed": iso(changed - 3_000),
            "canceledDate": None,
            "versionDate": iso(changed),
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


class Orders:
    """The prepared rows, and what the server says to each call.

    :param rows: how many orders there are.
    :param per_second: calls answered within any second; further ones get a 429. ``None`` for no limit.
    :ivar calls: calls of any kind so far. :ivar refused: those answered by 429.
    """

    def __init__(self, rows: int, per_second: int | None = None) -> None:
        self._rows = [encoded_row(index) for index in range(rows)]
        self._per_second = per_second
        self._recent: deque[float] = deque()
        self.calls = 0
        self.refused = 0

    def answer(self, method: str, target: str) -> bytes:
        """Return the whole answer, head and body."""
        url = urlsplit(target)
        if url.path == "/counts":
            return _whole(200, json.dumps({"calls": self.calls, "refused": self.refused}).encode())
        self.calls += 1
        if method == "POST" and url.path == "/v2/signin/token":
            return _whole(201, json.dumps({"accessToken": _token()}).encode())
        if wait := self._wait():
            self.refused += 1
            return _whole(429, b"", f"Retry-After: {wait}\r\n")
        if url.path == ORDERS:
            return _whole(200, self._page(parse_qs(url.query)))
        if url.path == f"/v2/clouds/{CLOUD_ID}":
            return _whole(200, json.dumps({"id": str(CLOUD_ID), "name": "Benchmark"}).encode())
        return _whole(404, b"")

    def _page(self, query: dict[str, list[str]]) -> bytes:
        first, end = 0, len(self._rows)
        for condition in query.get("filter", [""])[0].split(";"):
            if condition:
                field, operator, value = condition.split("|")
                index = -(-(int(value) - START) // STEP)  # the first row at or after this moment
                if (field, operator) == ("versionDate", "gteq"):
                    first = max(first, index)
                elif (field, operator) == ("versionDate", "lt"):
                    end = min(end, index)
                else:
                    raise ValueError(f"this server has no {field} {operator}")
        limit, page = int(query["limit"][0]), int(query["page"][0])
        first += limit * (page - 1)
        rows = self._rows[first : min(end, first + limit)]
        further = f'"{page + 1}"' if first + limit < end else "null"
        before = f'"{page - 1}"' if page > 1 else "null"
        head = (
            f'{{"currentPage":"{page}","perPage":"{limit}","totalItemsOnPage":"{len(rows)}","totalItemsCount":null,'
            f'"firstPage":"1","lastPage":null,"nextPage":{further},"prevPage":{before},"data":['
        )
        return b"".join((head.encode(), b",".join(rows), b"]}"))

    def _wait(self) -> int:
        """Return the seconds to wait as ``Retry-After`` tells them (whole ones), or 0 if the call may pass."""
        if self._per_second is None:
            return 0
        now = time.monotonic()
        while self._recent and now - self._recent[0] >= 1:
            self._recent.popleft()
        if len(self._recent) >= self._per_second:
            return 1
        self._recent.append(now)
        return 0


class _Connection(asyncio.Protocol):
    """One kept-alive connection, one call at a time."""

    def __init__(self, orders: Orders, latency: float) -> None:
        self._orders = orders
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
        answer = self._orders.answer(method, target)
        if self._latency:
            asyncio.get_running_loop().call_later(self._latency, self._transport.write, answer)
        else:
            self._transport.write(answer)


_STATUSES = {200: "OK", 201: "Created", 404: "Not Found", 429: "Too Many Requests"}


def _whole(status: int, body: bytes, headers: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status} {_STATUSES[status]}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"Date: {formatdate(usegmt=True)}\r\n{headers}\r\n"
    )
    return head.encode() + body


def _token() -> str:
    now = int(time.time())
    parts = ({"alg": "HS256", "typ": "JWT"}, {"iat": now, "exp": now + 3600}, {"unsigned": True})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)


@contextmanager
def serving(rows: int, latency_ms: float = 0, per_second: int | None = None) -> Iterator[str]:
    """Serve in a process of its own; give the base URL."""
    command = [sys.executable, "-m", "benchmarks.server", "--rows", str(rows), "--latency-ms", str(latency_ms)]
    if per_second is not None:
        command += ["--per-second", str(per_second)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            if not url:
                raise RuntimeError("the server did not start")
            yield url
        finally:
            process.terminate()


async def _serve(orders: Orders, latency: float, port: int) -> None:
    # With the protocol named, asyncio sets TCP_NODELAY on what it accepts; without, each answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)  # a page leaves in one piece
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(orders, latency), sock=listener)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--latency-ms", type=float, default=0)
    parser.add_argument("--per-second", type=int, help="answer 429 to calls beyond this many a second")
    parser.add_argument("--port", type=int, default=0)
    asked = parser.parse_args()
    asyncio.run(_serve(Orders(asked.rows, asked.per_second), asked.latency_ms / 1000, asked.port))


if __name__ == "__main__":
    main()
