"""One request out, one whole answer in. The only file of ``api`` that touches the network.

Whatever a server does, a call ends when its time is up, and takes no more memory than an answer may have.
"""

from __future__ import annotations

import http.client
import io
import os
import queue
import re
import ssl
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection

from airflow_provider_dotypos.api.characters import decode_json, without_mark
from airflow_provider_dotypos.api.errors import (
    DotyposAnswerTooLargeError,
    DotyposConnectionError,
    DotyposEnvironmentError,
    DotyposError,
    DotyposResponseError,
    DotyposTlsError,
    redact,
)
from airflow_provider_dotypos.api.retry_table import NOT_JSON
from airflow_provider_dotypos.api.settings import is_loopback

#: The largest answer that is read, in bytes once it is unzipped: room for a hundred rows of 640 kB each.
LARGEST_ANSWER = 64 * 2**20

_CONNECT_TIMEOUT = 10.0
_CHUNK = 2**18

#: Answers before the answer, such as ``103 Early Hints``, that are skipped in one call.
_MOST_INTERIM_ANSWERS = 10

#: Environment variables that requests reads, in its order.
_PROXY_VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_CERTIFICATE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@dataclass(frozen=True)
class Answer:
    """A whole answer: its status, headers (case-insensitive) and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> object:
        """Return the decoded body; ``None`` when it is empty.

        :raises DotyposResponseError: it isn't JSON, or JSON that can't be held: too deep, or a number too long.
        """
        if not without_mark(self.body).strip():
            return None
        try:
            return decode_json(self.body)
        except msgspec.DecodeError:
            kind = redact(self.headers.get("Content-Type", "")[:80]) or "no content type"
            raise DotyposResponseError(
                f"answered {self.status} with {kind} ({len(self.body)} bytes) that is not JSON: API base URL may not "
                "be Dotypos's, or a proxy answers in its place",
                reason=NOT_JSON,
            ) from None


class Transport:
    """Connections to one server, and to it alone.

    A bare pool, no session: nothing keeps cookies, follows redirects, or lets a .netrc replace Authorization. A forked
    child starts with connections of its own.

    :param connections: how many are kept open.
    :param secrets: what no error may hold.
    :param largest_answer: size in bytes above which an answer is an error.
    :raises DotyposEnvironmentError: the worker's proxy or certificates can't be used.
    """

    def __init__(
        self, base_url: str, connections: int, secrets: Sequence[str], largest_answer: int = LARGEST_ANSWER
    ) -> None:
        parts = urlsplit(base_url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._host = parts.netloc
        self._secrets = secrets
        self._largest_answer = largest_answer
        self._pool = _open_pool(base_url, connections)
        _transports.add(self)

    def close(self) -> None:
        """Close idle connections."""
        idle = self._idle
        with suppress(queue.Empty):
            while True:
                if (connection := idle.get(block=False)) is not None:
                    connection.close()

    def renew(self) -> None:
        """Forget the parent's connections (in a forked child), which the parent goes on using."""
        idle = self._idle
        for connection in idle.queue:
            if connection is not None:
                connection.close()  # only this process's copy: nothing is sent
        # A thread of the parent may have held its lock, and isn't here to release it.
        type(idle).__init__(idle, idle.maxsize)

    @property
    def _idle(self) -> queue.LifoQueue[Any]:
        idle = self._pool.pool
        assert idle is not None
        return idle

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout: float) -> Answer:
        """Send a request once and return its answer, whatever its status; redirects are answers like any other.

        :param timeout: for all of it, from connecting to the last byte, in seconds.
        :raises DotyposConnectionError: no whole answer.
        :raises DotyposTlsError: no trusted connection.
        :raises DotyposAnswerTooLargeError: the answer is larger than any that is meant.
        :raises DotyposEnvironmentError: the worker's proxy refuses its password.
        """
        _exchange.begin(timeout)
        response = None
        try:
            response = self._pool.urlopen(
                method,
                url.removeprefix(self._origin),
                body,
                _sent_headers(headers, body),
                retries=False,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
                timeout=urllib3.Timeout(connect=min(_CONNECT_TIMEOUT, timeout), read=timeout),
            )
            return Answer(response.status, response.headers, self._read(response))
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            where = f"{method} {urlsplit(url).path}"
            raise self._failure(where, error, connecting=response is None) from None
        except _TooLargeError:
            raise DotyposAnswerTooLargeError(
                f"{method} {urlsplit(url).path}: the answer is larger than {self._largest_answer // 2**20} MiB and was "
                "not read on: check API base URL; if it is Dotypos's, ask for fewer rows or child lists."
            ) from None
        finally:
            if response is not None:
                response.close()  # does nothing to a connection that went back to the pool

    def _read(self, response: urllib3.BaseHTTPResponse) -> bytes:
        """Read a body in pieces: a zipped one must not unfold beyond what an answer may have."""
        # Only what was asked for is unzipped: a chain of encodings could unfold to anything.
        zipped = response.headers.get("Content-Encoding", "").lower() in ("gzip", "x-gzip")
        body = io.BytesIO()
        while chunk := response.read1(_CHUNK, decode_content=zipped):
            if body.tell() + len(chunk) > self._largest_answer:
                raise _TooLargeError
            body.write(chunk)
        return body.getvalue()

    def _failure(self, where: str, error: Exception, *, connecting: bool) -> DotyposError:
        """Return the error that a failure to get a whole answer is told by."""
        reason = redact(_reason(error), self._secrets)
        through = isinstance(error, urllib3.exceptions.ProxyError)
        if through and "Tunnel connection failed: 407" in reason:
            return DotyposEnvironmentError(
                f"{where}: the proxy in {_variable(_PROXY_VARIABLES)} refuses the worker (407): set its user name and "
                "password there."
            )
        trusted = not isinstance(error, urllib3.exceptions.SSLError)
        if not trusted and connecting and not ("EOF" in reason or "Connection reset" in reason):
            return DotyposTlsError(
                f"{where}: no trusted TLS connection to {self._host}: {reason}. Check API base URL; behind a proxy "
                "with its own certificates, point REQUESTS_CA_BUNDLE at them.",
                sent=_exchange.sent,
            )
        if not trusted and not _exchange.sent:
            # The other side hung up: a load balancer that restarts, nothing to mend here.
            return DotyposConnectionError(
                f"{where}: the connection to {self._host} broke off during its TLS handshake.", sent=False
            )
        proxy = f" through the proxy in {_variable(_PROXY_VARIABLES)}" if through else ""
        return DotyposConnectionError(
            f"{where}: no whole answer from {self._host}{proxy}: {reason}.", sent=_exchange.sent
        )


_transports: weakref.WeakSet[Transport] = weakref.WeakSet()


def _renew_transports() -> None:
    for transport in list(_transports):
        transport.renew()


os.register_at_fork(after_in_child=_renew_transports)


class _TooLargeError(Exception):
    """An answer is larger than it may be."""


class _Exchange(threading.local):
    """The request that a thread is making: until when it may take, and whether the server may have it."""

    deadline = 0.0
    sent = False

    def begin(self, timeout: float) -> None:
        self.deadline = time.monotonic() + timeout
        self.sent = False

    def left(self) -> float:
        """Return the seconds that are left.

        :raises TimeoutError: none.
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer was not complete in time")
        return left


_exchange = _Exchange()


class _TimedReader(io.RawIOBase):
    """What comes in from a socket. The timeout of a socket is per read, so that a dripping answer would outlive it."""

    def __init__(self, raw: io.RawIOBase, connection: Any) -> None:
        self._raw = raw
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._connection.settimeout(_exchange.left())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    """An answer that ends when its time is up; http.client itself bounds the number and length of its headers."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp: io.BufferedReader
        self.fp = io.BufferedReader(_TimedReader(self.fp.detach(), sock))

    def _read_status(self) -> tuple[str, int, str]:
        """Skip interim answers; left where they are, they would be taken for the answer to the next call."""
        for _ in range(_MOST_INTERIM_ANSWERS + 1):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200:
                return version, status, reason
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException(f"more than {_MOST_INTERIM_ANSWERS} interim answers")


class _TimedConnection(HTTPConnection):
    """Holds all of an exchange to one deadline: a proxy's answer, the TLS handshake, sending, and the answer."""

    response_class = _TimedResponse

    def _new_conn(self) -> Any:
        connection = super()._new_conn()
        connection.settimeout(min(_exchange.left(), _CONNECT_TIMEOUT))
        return connection

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.is_closed:
            self.connect()
        _exchange.sent = True
        super().request(*args, **kwargs)

    def send(self, data: Any) -> None:
        if self.sock is not None:
            self.sock.settimeout(_exchange.left())
        super().send(data)


def _open_pool(base_url: str, connections: int) -> urllib3.HTTPConnectionPool:
    """Return a pool of connections to a server, by the proxy and certificates that the environment names.

    They are read once; at every request that would cost a third of the speed.

    :raises DotyposEnvironmentError: they can't be used.
    """
    with requests.Session() as session:
        environment = session.merge_environment_settings(base_url, {}, None, None, None)
    # A proxy can't reach this machine as this machine does, and would see the tokens.
    proxies = {} if is_loopback(urlsplit(base_url).hostname or "") else environment["proxies"]
    verify = environment["verify"] or True
    if verify is not True and base_url.startswith("https:"):
        _check_certificates(verify)
    adapter: Any = HTTPAdapter(pool_connections=1, pool_maxsize=connections)
    request = requests.Request("GET", base_url).prepare()
    try:
        pool: urllib3.HTTPConnectionPool = adapter.get_connection_with_tls_context(request, verify, proxies=proxies)
        adapter.cert_verify(pool, base_url, verify, None)
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise DotyposEnvironmentError(
            f"The proxy in {_variable(_PROXY_VARIABLES)} can't be used: {_unusable(error)}."
        ) from None
    # The pool's own kind of connection (direct, TLS, through a proxy), held to a deadline, and called the same.
    pool.ConnectionCls = type(pool.ConnectionCls.__name__, (_TimedConnection, pool.ConnectionCls), {})
    return pool


def _check_certificates(path: str) -> None:
    """Raise unless certificates can be read at a path.

    :raises DotyposEnvironmentError: they can't.
    """
    folder = os.path.isdir(path)
    try:
        ssl.create_default_context(cafile=None if folder else path, capath=path if folder else None)
    except OSError as error:
        raise DotyposEnvironmentError(
            f"{_variable(_CERTIFICATE_VARIABLES)} names {redact(path)[:200]}, which holds no certificates that can be "
            f"read ({error.strerror or type(error).__name__})."
        ) from None


def _unusable(error: Exception) -> str:
    """Return what is wrong with a proxy's address; the address itself may hold a password."""
    if isinstance(error, requests.exceptions.InvalidSchema):
        return "it is a SOCKS proxy, which needs the package PySocks (pip install 'requests[socks]')"
    return "its address must look like http://proxy.example.com:3128"


def _variable(names: Sequence[str]) -> str:
    """Return the environment variable that is set among some, the first one first."""
    return next((name for name in names if os.environ.get(name)), "the system's settings")


def _sent_headers(headers: Mapping[str, str], body: bytes | None) -> urllib3.HTTPHeaderDict:
    sent = urllib3.HTTPHeaderDict(headers)
    sent["Accept-Encoding"] = "gzip"
    sent["User-Agent"] = "airflow-provider-dotypos"
    if body is not None:
        sent["Content-Length"] = str(len(body))
    return sent


def _reason(error: BaseException) -> str:
    """Return the innermost cause of a connection error: the layers around it repeat the whole address."""
    seen: BaseException = error
    while True:
        causes = (getattr(seen, "reason", None), *seen.args)
        inner = next((cause for cause in causes if isinstance(cause, BaseException)), None)
        if inner is not None:
            seen = inner
            continue
        if isinstance(seen, (TimeoutError, urllib3.exceptions.TimeoutError)) and not isinstance(
            seen, urllib3.exceptions.NewConnectionError
        ):
            return "it took too long"
        text = str(seen.args[-1]) if isinstance(seen, OSError) and len(seen.args) == 2 else str(seen)
        # urllib3 puts its own objects in front.
        return re.sub(r"^(<.*?>|\w*Connection\(.*?\)): ", "", text).rstrip(".")[:300] or type(seen).__name__
