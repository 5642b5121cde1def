"""Which proxy and certificates the worker's environment names, and which error a failure of the network becomes.

Calls in threads and calls on a loop share it.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from urllib.parse import urlsplit

from airflow_provider_dotypos.api.errors import (
    DotyposConnectionError,
    DotyposEnvironmentError,
    DotyposError,
    DotyposTlsError,
)
from airflow_provider_dotypos.api.http import Request
from airflow_provider_dotypos.api.redaction import redact
from airflow_provider_dotypos.api.settings import LIMITS, Settings, is_loopback

#: The longest that connecting may take, in seconds.
CONNECT_TIMEOUT = 10.0

#: Idle connections that are kept; as many as a client may use at once.
KEPT = int(LIMITS["max_concurrency"].most)

#: What to do about faults that mostly pass.
_IF_IT_CONTINUES = (
    "This usually passes; if it continues, check API base URL, Port and Timeout in the Airflow connection, and the "
    "network."
)

#: Environment variables that requests reads, in its order.
_PROXY_VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_CERTIFICATE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def read_environment(base_url: str) -> tuple[str | None, str | None]:
    """Return the proxy to a server, and the file or folder of the certificates to trust; ``None`` where none is named.

    They are read once; at every request that would cost a third of the speed.

    :raises DotyposEnvironmentError: if the proxy's address can't be one.
    """
    import requests  # only here: it is slow to import, and no loop should wait for that

    with requests.Session() as session:
        environment = session.merge_environment_settings(base_url, {}, None, None, None)
    # A proxy can't reach this machine as this machine does, and would see the tokens.
    loopback = is_loopback(urlsplit(base_url).hostname or "")
    proxy = None if loopback else requests.utils.select_proxy(base_url, environment["proxies"])
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    try:
        _ = urlsplit(proxy or "").port
    except ValueError:
        raise unusable_proxy(socks=False) from None
    verify = environment["verify"]
    return proxy, verify if isinstance(verify, str) else None


def trust(base_url: str, path: str | None) -> ssl.SSLContext:
    """Return a TLS context for a server.

    :param path: the certificates to trust. Defaults to those that requests trusts.
    :raises DotyposEnvironmentError: if they can't be read.
    """
    import requests

    if not base_url.startswith("https:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    path = path or requests.utils.DEFAULT_CA_BUNDLE_PATH
    folder = os.path.isdir(path)
    try:
        return ssl.create_default_context(cafile=None if folder else path, capath=path if folder else None)
    except OSError as error:
        raise DotyposEnvironmentError(
            f"{_variable(_CERTIFICATE_VARIABLES)} names {redact(path)[:200]}, which holds no certificates that can be "
            f"read ({error.strerror or type(error).__name__}). Correct it where the worker runs, or unset it."
        ) from None


def unusable_proxy(*, socks: bool) -> DotyposEnvironmentError:
    """Return the error for a proxy's address that can't be used; the address itself may hold a password."""
    if socks:
        wrong = "it is a SOCKS proxy, which needs the package PySocks (pip install 'requests[socks]')"
    else:
        wrong = "its address must look like http://proxy.example.com:3128"
    return DotyposEnvironmentError(f"The proxy in {_variable(_PROXY_VARIABLES)} can't be used: {wrong}.")


def failure(
    request: Request,
    reason: str,
    *,
    sent: bool,
    proxied: bool = False,
    handshake: bool = False,
    unreachable: bool = False,
) -> DotyposError:
    """Return the error for a request without a whole answer.

    :param reason: what is known of the failure, without secrets.
    :param sent: whether the server may have the request.
    :param proxied: whether the proxy failed.
    :param handshake: whether TLS failed before there was an answer.
    :param unreachable: whether no connection could be made, to the server or its proxy. A proxy that answers in the
        server's place makes none either.
    """
    host = urlsplit(request.url).netloc
    proxys_status = reason.removeprefix("Tunnel connection failed: ")[:3] if proxied else ""
    if proxys_status == "407":
        return DotyposEnvironmentError(
            f"{request}: the proxy in {_variable(_PROXY_VARIABLES)} refuses the worker (407): set its user name and "
            "password there."
        )
    hung_up = "EOF" in reason or "Connection reset" in reason
    if handshake and not hung_up:
        return DotyposTlsError(
            f"{request}: no trusted TLS connection to {host}: {reason}. Check API base URL in the Airflow connection; "
            "behind a proxy with its own certificates, point REQUESTS_CA_BUNDLE at them.",
            sent=sent,
        )
    if handshake and not sent:
        # The other side hung up: a load balancer that restarts, nothing to mend here.
        return DotyposConnectionError(
            f"{request}: the connection to {host} broke off during its TLS handshake. {_IF_IT_CONTINUES}", sent=False
        )
    proxy = f"the proxy in {_variable(_PROXY_VARIABLES)}"
    through = f" through {proxy}" if proxied else ""
    if proxys_status.isdigit():  # it is there, and the host behind it may not be
        unreachable = True
        cure = f"Check API base URL and Port in the Airflow connection, and whether {proxy} lets calls through to it."
    elif unreachable:
        wrong = proxy if proxied else "API base URL and Port in the Airflow connection"
        cure = f"Check {wrong}, and whether the worker's network lets calls through to it."
    else:
        cure = _IF_IT_CONTINUES
    return DotyposConnectionError(
        f"{request}: no whole answer from {host}{through}: {reason}. {cure}", sent=sent, unreachable=unreachable
    )


def failure_by(
    request: Request,
    error: Exception,
    settings: Settings,
    *,
    sent: bool,
    connected: bool,
    proxy: str | None,
    response: object,
) -> DotyposError:
    """Return the error for a request that an exception ended on an event loop.

    :param connected: whether there was a connection, to the server or its proxy.
    :param response: the answer's beginning, if there was one.
    """
    causes = _causes(error)
    handshake = response is None and any(isinstance(cause, ssl.SSLError) for cause in causes)
    reason = redact(_reason(causes), (settings.refresh_token,))
    proxied = proxy is not None and not sent and not handshake
    failures = [cause for cause in causes if isinstance(cause, OSError)]
    unreachable = not connected and bool(failures) and not any(isinstance(cause, TimeoutError) for cause in failures)
    return failure(request, reason, sent=sent, proxied=proxied, handshake=handshake, unreachable=unreachable)


def _causes(error: BaseException) -> list[BaseException]:
    """Return an error and what caused it, the outermost first."""
    cause = error.__cause__ or error.__context__
    waiting = isinstance(cause, (ssl.SSLWantReadError, ssl.SSLWantWriteError))  # how a loop's TLS asks for more bytes
    return [error, *(_causes(cause) if cause is not None and not waiting else ())]


def _reason(causes: Sequence[BaseException]) -> str:
    """Return what is known of a failure: its innermost cause says it best."""
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return "it took too long"
    texts = [getattr(cause, "strerror", None) or str(cause) for cause in causes]
    return next(filter(None, reversed(texts)), type(causes[0]).__name__).rstrip(".")[:300]


def _variable(names: Sequence[str]) -> str:
    """Return the environment variable that is set among some, the first one first."""
    return next((name for name in names if os.environ.get(name)), "the system's settings")
