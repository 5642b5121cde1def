"""The connector: the page of Dotypos that a browser visits to give a refresh token, its form, signature and link.

https://docs.api.dotypos.com/authorization
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlencode, urlsplit

from airflow_provider_dotypos.api.settings import is_loopback


def connector(base_url: str) -> str:
    """Return the address of an API's legacy connector; the current one is ``/v2`` below it [D].

    The connector is a page of its own, ``admin.dotykacka.cz``, whatever proxy leads to the API. A sandbox has its own
    beside the API. It is on this machine, or reached by http.

    :param base_url: the API's address.
    """
    parts = urlsplit(base_url)
    is_sandbox = parts.scheme == "http" or is_loopback(parts.hostname or "")
    at = f"{parts.scheme}://{parts.netloc}" if is_sandbox else "https://admin.dotykacka.cz"
    return f"{at}/client/connect"


def connector_signature(client_secret: str, timestamp: int) -> str:
    """Return the connector's signature: HMAC-SHA256 of the timestamp's decimal digits alone, as 64 hex digits [D2, C6].

    :param client_secret: the client application's secret.
    :param timestamp: Unix time in seconds; good for about a minute around the server's clock.
    """
    return hmac.new(client_secret.encode(), str(timestamp).encode(), hashlib.sha256).hexdigest()


def connector_form(
    client_id: str, client_secret: str, redirect_uri: str, *, timestamp: int, state: str | None = None
) -> dict[str, str]:
    """Return the fields of the form that a browser posts to ``connector(…) + "/v2"``; the secret isn't among them [D].

    :param client_id: the client application's id.
    :param client_secret: its secret, which the form doesn't hold.
    :param redirect_uri: where the browser arrives with ``token`` (the refresh token), ``cloudid`` and ``state``.
    :param timestamp: the time in whole seconds, which the signature covers.
    """
    form = {
        "client_id": client_id,
        "timestamp": str(timestamp),
        "signature": connector_signature(client_secret, timestamp),
        "scope": "*",
        "redirect_uri": redirect_uri,
    }
    return form | ({"state": state} if state is not None else {})


def connector_link(
    base_url: str, client_id: str, client_secret: str, redirect_uri: str, *, state: str | None = None
) -> str:
    """Return the legacy connector's link [D]. Deprecated: **the link holds the client secret**; prefer the form.

    :param base_url: the API's address.
    :param client_id: the client application's id.
    :param client_secret: its secret, which the address holds.
    :param redirect_uri: where Dotypos sends the browser back.
    :param state: a text that comes back with it.
    """
    query = {"client_id": client_id, "client_secret": client_secret, "scope": "*", "redirect_uri": redirect_uri}
    # The vendor's page writes the scope as a bare asterisk.
    return f"{connector(base_url)}?{urlencode(query | ({'state': state} if state is not None else {}), safe='*')}"
