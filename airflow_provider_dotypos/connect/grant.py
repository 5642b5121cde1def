"""What goes to Dotypos's connector, and what a person brings back from it.

https://docs.api.dotypos.com/authorization
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from airflow_provider_dotypos.api.connector import connector, connector_form, connector_link
from airflow_provider_dotypos.api.settings import DEFAULT_BASE_URL, Settings, is_loopback
from airflow_provider_dotypos.connections.errors import ConnectError

#: How long a person may take on Dotypos's pages, in seconds: a minute to open them, about 15 to decide [D2].
TIME_TO_DECIDE = 16 * 60

#: How long a signed form is offered before it is signed again, in seconds: Dotypos takes it for about a minute [D2].
SIGNATURE_LIFE = 50


def is_dotypos(base_url: str) -> bool:
    """Return whether tokens are safe at an API: it is Dotypos's own, or on this machine as the sandbox is."""
    host = urlsplit(base_url).hostname or ""
    return host == urlsplit(DEFAULT_BASE_URL).hostname or is_loopback(host)


@dataclass(frozen=True)
class Grant:
    """What Dotypos granted. It is the one thing of a journey that holds the token, and its ``repr`` doesn't.

    :param refresh_token: the long-lived secret.
    :param cloud_id: the cloud that the person chose.
    :param cloud_name: its name. ``None`` before the token has been tried.
    """

    refresh_token: str = field(repr=False)
    cloud_id: int
    cloud_name: str | None = None

    @property
    def extra(self) -> dict[str, str | None]:
        """What goes into a connection's extra."""
        return {"refresh_token": self.refresh_token, "cloud_id": str(self.cloud_id), "cloud_name": self.cloud_name}


def read_return(query: Mapping[str, str]) -> Grant:
    """Read the query that the connector adds to the ``redirect_uri``: ``token`` and ``cloudid`` [D].

    Without a token it is a refusal. What else a refusal brings isn't known [U].

    :raises ConnectError: if access was refused or what came back can't be used.
    """
    token, cloud_id = query.get("token", "").strip(), query.get("cloudid", "").strip()
    if not token:
        raise ConnectError(
            "Dotypos gave no access: it was refused on Dotypos's page. Nothing was changed. Connect again to retry."
        )
    try:
        settings = Settings.from_fields(extra={"refresh_token": token, "cloud_id": cloud_id})
    except ValueError:
        settings = None
    if settings is None or settings.cloud_id is None:
        raise ConnectError("What came back from Dotypos is not a refresh token and a cloud's number. Connect again.")
    return Grant(settings.refresh_token, settings.cloud_id)


@dataclass(frozen=True)
class Application:
    """A client application that Dotypos has issued, and the connector that knows it.

    :param base_url: the API's base URL, which determines the connector.
    """

    client_id: str
    client_secret: str = field(repr=False)
    base_url: str = DEFAULT_BASE_URL

    def sign_form(self, redirect_uri: str, state: str, *, legacy: bool = False) -> ConnectorForm:
        """Return the form that takes a browser to Dotypos, signed now.

        :param redirect_uri: where the browser comes back to.
        :param state: what the browser brings back unchanged.
        :param legacy: uses the deprecated connector, **whose address holds the client secret**.
        """
        if legacy:
            link = connector_link(self.base_url, self.client_id, self.client_secret, redirect_uri, state=state)
            address, _, query = link.partition("?")
            return ConnectorForm("get", address, dict(parse_qsl(query)))
        form = connector_form(self.client_id, self.client_secret, redirect_uri, timestamp=int(time.time()), state=state)
        return ConnectorForm("post", f"{connector(self.base_url)}/v2", form)


@dataclass(frozen=True)
class ConnectorForm:
    """A form that leads to Dotypos's connector."""

    method: str
    action: str
    fields: Mapping[str, str] = field(repr=False)
