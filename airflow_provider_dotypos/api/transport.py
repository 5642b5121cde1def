"""One request out, one whole answer in. The only file of ``api`` that touches the network."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from airflow_provider_dotypos.api.characters import decode_json
from airflow_provider_dotypos.api.errors import (
    DotyposConnectionError,
    DotyposResponseError,
    DotyposTlsError,
    redact,
)

_CONNECT_TIMEOUT = 10.0


@dataclass(frozen=True)
class Answer:
    """A whole answer: its status, headers (case-insensitive) and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> object:
        """Return the decoded body; ``None`` when it is empty.

        :raises DotyposResponseError: it isn't JSON.
        """
        if not self.body.strip():
            return None
        try:
            return decode_json(self.body)
        except msgspec.DecodeError:
            raise DotyposResponseError(
                f"answered {self.status} with {self.headers.get('Content-Type') or 'no content type'} "
                f"({len(self.body)} bytes) that is not JSON: API base URL may not be Dotypos's, or a proxy answers "
                "in its place",
                passing=True,
            ) from None


class Transport:
    """Connections to one server.

    A bare adapter, no session: nothing keeps cookies, follows redirects, or lets a .netrc replace Authorization.

    :param connections: how many are kept open.
    :param secrets: what no error may hold.
    """

    def __init__(self, base_url: str, connections: int, secrets: Sequence[str]) -> None:
        self._secrets = secrets
        self._adapter = HTTPAdapter(pool_connections=2, pool_maxsize=connections, max_retries=0)
        # Proxies and certificates from the environment are read once; at every request it costs a third of the speed.
        with requests.Session() as session:
            environment = session.merge_environment_settings(base_url, {}, None, None, None)
        self._proxies, self._verify = environment["proxies"], environment["verify"] or True

    def close(self) -> None:
        """Close idle connections."""
        self._adapter.close()

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout: float) -> Answer:
        """Send a request once and return its answer, whatever its status; redirects are answers like any other.

        :param timeout: for the whole answer, in seconds; until its body begins, between any two reads.
        :raises DotyposTlsError: no trusted connection. :raises DotyposConnectionError: no whole answer.
        """
        request = _prepared(method, url, headers, body)
        deadline = time.monotonic() + timeout
        where = f"{method} {urlsplit(url).path}"
        try:
            with self._adapter.send(
                request,
                stream=True,
                timeout=(min(_CONNECT_TIMEOUT, timeout), timeout),
                verify=self._verify,
                proxies=self._proxies,
            ) as response:
                return Answer(response.status_code, response.headers, _read(response, deadline))
        except requests.exceptions.SSLError as error:
            if "EOF" in str(error) or "Connection reset" in str(error):
                # The other side hung up during the handshake: a load balancer that restarts, nothing to mend here.
                raise DotyposConnectionError(
                    f"{where}: the connection to {_host(url)} broke off during its TLS handshake.", sent=False
                ) from None
            raise DotyposTlsError(
                f"{where}: no trusted TLS connection to {_host(url)}: {redact(_reason(error), self._secrets)}. "
                "Check API base URL; behind a proxy with its own certificates, point REQUESTS_CA_BUNDLE at them."
            ) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, TimeoutError, OSError) as error:
            raise DotyposConnectionError(
                f"{where}: no whole answer from {_host(url)}: {redact(_reason(error), self._secrets)}.",
                sent=not _never_left(error),
            ) from None


def _prepared(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> requests.PreparedRequest:
    """Return the request as it goes out: the address is encoded already, so requests needn't take it apart again."""
    request = requests.PreparedRequest()
    request.method, request.url, request.body = method, url, body
    request.headers = CaseInsensitiveDict(headers)
    request.headers["Accept-Encoding"] = "gzip, deflate"
    request.headers["User-Agent"] = "airflow-provider-dotypos"
    if body is not None:
        request.headers["Content-Length"] = str(len(body))
    return request


def _read(response: requests.Response, deadline: float) -> bytes:
    """Read a body; the timeout of a socket is per read, so that a dripping body would outlive it."""
    chunks = []
    while chunk := response.raw.read1(1 << 18, decode_content=True):
        chunks.append(chunk)
        if time.monotonic() > deadline:
            raise TimeoutError("the answer was not complete in time")
    return b"".join(chunks)


def _never_left(error: BaseException) -> bool:
    """Return whether a request surely didn't reach the server: no connection came about."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def _reason(error: BaseException) -> str:
    """Return the innermost cause of a connection error: the layers around it repeat the whole address."""
    seen: BaseException = error
    while True:
        inner = getattr(seen, "reason", None) or (seen.args[0] if seen.args else None)
        if isinstance(inner, BaseException):
            seen = inner
            continue
        timeouts = (requests.exceptions.Timeout, TimeoutError, urllib3.exceptions.TimeoutError)
        if isinstance(seen, timeouts) and not isinstance(seen, urllib3.exceptions.NewConnectionError):
            return "it took too long"
        text = str(seen.args[-1]) if isinstance(seen, OSError) and len(seen.args) == 2 else str(seen)
        # urllib3 puts its own objects in front.
        return re.sub(r"^(<.*?>|HTTPS?Connection\(.*?\)): ", "", text).rstrip(".")[:300] or type(seen).__name__


def _host(url: str) -> str:
    return urlsplit(url).netloc
