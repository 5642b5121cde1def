"""One request out, one whole answer in. The only file of ``api`` that touches the network.

Whatever a server does, a call ends when its time is up, and takes no more memory than an answer may have.
"""

from __future__ import annotations

import http.client
import io
import queue
import re
import threading
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection

from airflow_provider_dotypos.api.environment import (
    CONNECT_TIMEOUT,
    KEPT,
    failure,
    read_environment,
    trust,
    unusable_proxy,
)
from airflow_provider_dotypos.api.http import Answer, Body, Request, sent_headers
from airflow_provider_dotypos.api.redaction import redact

_CHUNK = 2**18

#: Answers before the answer, such as ``103 Early Hints``, that are skipped in one call.
_MOST_INTERIM_ANSWERS = 10


class Transport:
    """Connections to one server, and to it alone, for threads.

    A bare pool, no session: nothing keeps cookies, follows redirects, or lets a .netrc replace Authorization. A forked
    child starts with connections of its own.

    :param secrets: what no error may hold.
    :raises DotyposEnvironmentError: if the worker's proxy or certificates can't be used.
    """

    def __init__(self, base_url: str, secrets: Sequence[str]) -> None:
        parts = urlsplit(base_url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._secrets = secrets
        self._pool = _open_pool(base_url)

    def close(self) -> None:
        """Close idle connections."""
        idle = self._idle
        with suppress(queue.Empty):
            while True:
                if (connection := idle.get(block=False)) is not None:
                    connection.close()

    def renew(self) -> None:
        """Forget the parent's connections in a forked child; the parent still uses them."""
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

    def send(self, request: Request) -> Answer:
        """Send a request once and return its answer, whatever its status; redirects are answers like any other.

        :raises DotyposConnectionError: if there is no whole answer.
        :raises DotyposTlsError: if there is no trusted connection.
        :raises DotyposAnswerTooLargeError: if the answer is larger than the request allows.
        :raises DotyposEnvironmentError: if the worker's proxy refuses its password.
        """
        _deadline.begin(request.timeout)
        response = None
        try:
            response = self._pool.urlopen(
                request.method,
                request.url.removeprefix(self._origin),
                request.body,
                _sent_headers(request),
                retries=False,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
                timeout=urllib3.Timeout(connect=min(CONNECT_TIMEOUT, request.timeout), read=request.timeout),
            )
            body = Body(request, response.headers.get("Content-Encoding", ""))
            while piece := response.read1(_CHUNK):
                body.add(piece)
            return Answer(response.status, response.headers, body.whole())
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, zlib.error) as error:
            raise failure(
                request,
                redact(_reason(error), self._secrets),
                sent=_deadline.sent,
                proxied=isinstance(error, urllib3.exceptions.ProxyError),
                handshake=isinstance(error, urllib3.exceptions.SSLError) and response is None,
                unreachable=_is_unreachable(error),
            ) from None
        finally:
            if response is not None:
                response.close()  # does nothing to a connection that went back to the pool


class _Deadline(threading.local):
    """The request that a thread is making: until when it may take, and whether the server may have it."""

    deadline = 0.0
    sent = False

    def begin(self, timeout: float) -> None:
        self.deadline = time.monotonic() + timeout
        self.sent = False

    def left(self) -> float:
        """Return the seconds that are left.

        :raises TimeoutError: if none is left.
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer was not complete in time")
        return left


_deadline = _Deadline()


class _TimedReader(io.RawIOBase):
    """What comes in from a socket. The timeout of a socket is per read, so that a dripping answer would outlive it."""

    def __init__(self, raw: io.RawIOBase, connection: Any) -> None:
        self._raw = raw
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._connection.settimeout(_deadline.left())
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
        connection.settimeout(min(_deadline.left(), CONNECT_TIMEOUT))
        return connection

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.is_closed:
            self.connect()
        _deadline.sent = True
        super().request(*args, **kwargs)

    def send(self, data: Any) -> None:
        if self.sock is not None:
            self.sock.settimeout(_deadline.left())
        super().send(data)


def _open_pool(base_url: str) -> urllib3.HTTPConnectionPool:
    """Return a pool of connections to a server, by the proxy and certificates that the environment names.

    :raises DotyposEnvironmentError: if they can't be used.
    """
    proxy, certificates = read_environment(base_url)
    verify = certificates or True
    if certificates:
        trust(base_url, certificates)
    proxies = {urlsplit(base_url).scheme: proxy} if proxy else {}
    adapter: Any = HTTPAdapter(pool_connections=1, pool_maxsize=KEPT)
    request = requests.Request("GET", base_url).prepare()
    try:
        pool: urllib3.HTTPConnectionPool = adapter.get_connection_with_tls_context(request, verify, proxies=proxies)
        adapter.cert_verify(pool, base_url, verify, None)
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise unusable_proxy(socks=isinstance(error, requests.exceptions.InvalidSchema)) from None
    # The pool's own kind of connection (direct, TLS, through a proxy), held to a deadline, and called the same.
    pool.ConnectionCls = type(pool.ConnectionCls.__name__, (_TimedConnection, pool.ConnectionCls), {})
    return pool


def _sent_headers(request: Request) -> urllib3.HTTPHeaderDict:
    sent = urllib3.HTTPHeaderDict(sent_headers(request))
    if request.body is not None:
        sent["Content-Length"] = str(len(request.body))
    return sent


def _is_unreachable(error: Exception) -> bool:
    """Return whether no connection could be made, to the server or its proxy, and not for lack of time."""
    inner = error.original_error if isinstance(error, urllib3.exceptions.ProxyError) else error
    return isinstance(inner, urllib3.exceptions.NewConnectionError)


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
