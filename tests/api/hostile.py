"""Servers that answer with bytes of a test's own making, and what one call to them costs in time and memory.

``python -m tests.api.hostile`` prints a table of them all.
"""

from __future__ import annotations

import gzip
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType

from demo import children
from tests.patience import PATIENCE

#: Answers a request, given its head, with pieces of bytes; ``pause`` waits a moment between two.
Script = Callable[["RawServer", bytes], Iterable[bytes]]

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
TOKEN = b'{"accessToken": "a.b.c"}'
MIB = 2**20


def whole(body: bytes, head: bytes = HEAD) -> bytes:
    """Return an ordinary answer."""
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def answering(answer: bytes) -> Script:
    return lambda server, head: [answer]


def numbered(server: RawServer, head: bytes) -> Iterator[bytes]:
    """Answer with what was asked for, a little late, so that an answer read by another would be noticed."""
    path = head.split(b" ", 2)[1]
    yield HEAD + b"Content-Length: %d\r\n\r\n" % len(path)
    server.pause(0.001)
    yield path


class RawServer:
    """A server on this machine; it signs in whoever asks, and answers all else by a script.

    :param tls: makes it speak TLS.
    :param interface: where it listens.
    :param tunnel: what a proxy in front of it answers to ``CONNECT``.
    """

    def __init__(
        self, script: Script, tls: ssl.SSLContext | None = None, interface: str = "127.0.0.1", tunnel: bytes = b""
    ) -> None:
        self._script = script
        self._tunnel = tunnel
        self._tls = tls
        self._stopped = threading.Event()
        self._listener = socket.create_server((interface, 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.connections = 0

    def __enter__(self) -> RawServer:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def pause(self, seconds: float = 0.02) -> None:
        """Let a moment pass.

        :raises ConnectionAbortedError: the test is over.
        """
        if self._stopped.wait(seconds):
            raise ConnectionAbortedError

    def drip(self, content: bytes) -> Iterator[bytes]:
        """Yield bytes one by one."""
        for byte in content:
            yield bytes([byte])
            self.pause()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            if self._tunnel:
                self._read_request(connection)
                connection.sendall(self._tunnel)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                while head := self._read_request(connection):
                    signing_in = b"/signin/" in head.split(b"\r\n", 1)[0]
                    for piece in [whole(TOKEN)] if signing_in else self._script(self, head):
                        connection.sendall(piece)

    def _read_request(self, connection: socket.socket) -> bytes:
        received = b""
        while b"\r\n\r\n" not in received:
            piece = connection.recv(65536)
            if not piece:
                return b""
            received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        while len(body) < length and (piece := connection.recv(65536)):
            body += piece
        return head


def endlessly(piece: bytes) -> Iterator[bytes]:
    while True:
        yield piece


@cache
def bomb(size: int) -> bytes:
    """Return gzip that unfolds to `size` bytes, as a block that is repeated (its checksum is wrong)."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = packer.compress(bytes(8 * MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + block * (size // (8 * MIB)) + packer.flush() + bytes(8)


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
ZIPPED = b"Content-Encoding: gzip\r\n"

#: What never comes to its end by itself, at a drip.
DRIPS: dict[str, Script] = {
    "nothing": lambda server, head: iter(()),
    "status line": lambda server, head: server.drip(b"HTTP/1.1 200 " + b"O" * 60_000),
    "header": lambda server, head: _after(HEAD, server.drip(b"X: " + b"y" * 60_000)),
    "interim answers": lambda server, head: server.drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "body": lambda server, head: _after(HEAD + b"Content-Length: 100000\r\n\r\n", server.drip(b"[" * 100_000)),
    "chunks": lambda server, head: _after(CHUNKED, server.drip(b"1\r\n[\r\n" * 10_000)),
    "chunk extensions": lambda server, head: _after(CHUNKED, server.drip(b"1;" + b"x" * 60_000)),
    "trailers": lambda server, head: _after(CHUNKED + b"1\r\n1\r\n0\r\n", server.drip(b"X: y\r\n" * 10_000)),
}

#: What comes as fast as it can, and never ends or is far too much.
FLOODS: dict[str, Script] = {
    "status line": lambda server, head: _after(b"HTTP/1.1 200 ", endlessly(b"O" * 65536)),
    "headers, 100,000": lambda server, head: [HEAD, b"X-Header: yes\r\n" * 100_000, b"\r\n"],
    "one header": lambda server, head: _after(HEAD + b"X: ", endlessly(b"y" * 65536)),
    "interim answers": lambda server, head: endlessly(b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" * 1000),
    "early hints": lambda server, head: endlessly(b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 1000),
    "body": lambda server, head: _after(HEAD + b"\r\n", endlessly(b"[" * 65536)),
    "body of 10 TB": lambda server, head: _after(
        HEAD + b"Content-Length: 9999999999999\r\n\r\n", endlessly(b"[" * 65536)
    ),
    "chunks": lambda server, head: _after(CHUNKED, endlessly(b"10000\r\n" + b"[" * 65536 + b"\r\n")),
    "chunks of 2 bytes": lambda server, head: _after(CHUNKED, endlessly(b"2\r\n[[\r\n" * 8192)),
    "chunk extensions": lambda server, head: _after(CHUNKED, endlessly(b"1;" + b"x" * 60_000 + b"\r\n[\r\n")),
    "trailers": lambda server, head: _after(CHUNKED + b"0\r\n", endlessly(b"X: y\r\n" * 10_000)),
    "gzip of 1.5 GB": lambda server, head: [whole(bomb(1536 * MIB), HEAD + ZIPPED)],
    "gzip of 15 GB": lambda server, head: [whole(bomb(15_360 * MIB), HEAD + ZIPPED)],
    "gzip in gzip of 1.5 GB": lambda server, head: [
        whole(gzip.compress(bomb(1536 * MIB)), HEAD + b"Content-Encoding: gzip, gzip\r\n")
    ],
    "gzip of nothing": lambda server, head: _after(HEAD + ZIPPED + b"\r\n", endlessly(gzip.compress(b"") * 4096)),
}


def _after(start: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    yield start
    yield from rest


@dataclass(frozen=True)
class Cost:
    """What one call cost: seconds, and MiB of memory above what the process had before."""

    seconds: float
    mib: float
    outcome: str


_ONE_CALL = """
import asyncio, json, resource, sys, time
from airflow_provider_dotypos.api.aclient import AsyncDotyposClient
from airflow_provider_dotypos.api.http import Request
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.transport import Transport
url, timeout, driver = sys.argv[1], float(sys.argv[2]), sys.argv[3]
resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))
transport = Transport(url, ())
client = AsyncDotyposClient(Settings(url, "r" * 32))
send = transport.send if driver == "threads" else lambda request: asyncio.run(client._send(request))
request = Request("GET", "/v2/clouds", url + "/v2/clouds", timeout=timeout)
before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
try:
    outcome = f"{len(send(request).body)} bytes"
except BaseException as error:
    outcome = f"{type(error).__name__}: {error}"
seconds, mib = time.monotonic() - started, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
print(json.dumps([seconds, mib, outcome]))
"""


def cost_of(script: Script, timeout: float, patience: float = PATIENCE, driver: str = "threads") -> Cost:
    """Return what a call in a process of its own costs.

    :param timeout: of the call. :param patience: seconds after which the process is ended. :param driver: its name.
    """
    tree = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), tree]))
    with RawServer(script) as server:
        command = [sys.executable, "-c", _ONE_CALL, server.url, str(timeout), driver]
        try:
            done = children.run(
                command, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": paths}, timeout=patience
            )
        except subprocess.TimeoutExpired:
            return Cost(patience, float("nan"), "didn't end")
    return Cost(*json.loads(done.stdout))


if __name__ == "__main__":
    for kind, scripts in (("drip", DRIPS), ("flood", FLOODS)):
        for name, script in scripts.items():
            cost = cost_of(script, timeout=3.0, patience=20.0)
            sys.stdout.write(f"{kind:6} {name:24} {cost.seconds:6.1f} s {cost.mib:8.0f} MiB  {cost.outcome[:110]}\n")
            sys.stdout.flush()
