"""The way to Dotypos's connector, and what a person brings back from it.

The page in Airflow's UI and the command differ in where they wait for the person; what they send, and what they make of
the answer, is the same and stands here.

https://docs.api.dotypos.com/authorization
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from airflow_provider_dotypos.api.check import Verdict, check
from airflow_provider_dotypos.api.connector import connector, connector_form, connector_link
from airflow_provider_dotypos.api.settings import DEFAULT_BASE_URL, Settings, is_loopback

#: Where the connector sends the person back to, below the page's or the listener's own address.
CALLBACK = "callback"

#: How long a person may take on Dotypos's pages, in seconds: a minute to open them, about 15 to decide [D2].
TIME_TO_DECIDE = 16 * 60

#: How long a signed form is offered before it is signed anew, in seconds: Dotypos takes it for about a minute [D2].
SIGNATURE_LIFE = 50


_LONGEST_CLIENT_ID = 128


def is_dotypos(base_url: str) -> bool:
    """Return whether an API is Dotypos's own, or on this machine as the sandbox is: tokens are safe there."""
    host = urlsplit(base_url).hostname or ""
    return host == urlsplit(DEFAULT_BASE_URL).hostname or is_loopback(host)


def client_id_problem(client_id: str) -> str | None:
    """Return what keeps a text from being a client id, or ``None``; for the page and the command."""
    if len(client_id) <= _LONGEST_CLIENT_ID and re.fullmatch(r"[\x21-\x7e]+", client_id):
        return None
    return (
        f"Client ID must be 1 to {_LONGEST_CLIENT_ID} letters, digits and signs of ASCII, without blanks, as Dotypos "
        f"gave it out; this one has {len(client_id)} characters, or others among them."
    )


class ConnectError(Exception):
    """Connecting came to nothing. The message is for the person, and holds nothing that came from outside."""


@dataclass(frozen=True)
class Grant:
    """A cloud that was connected.

    :param refresh_token: the long-lived secret.
    :param cloud_id: the cloud that was chosen.
    """

    refresh_token: str = field(repr=False)
    cloud_id: int

    @property
    def extra(self) -> dict[str, str]:
        """What goes into a connection's extra."""
        return {"refresh_token": self.refresh_token, "cloud_id": str(self.cloud_id)}


def read_return(query: Mapping[str, str]) -> Grant:
    """Read the query that the connector adds to the ``redirect_uri``: ``token`` and ``cloudid`` [D].

    What it says after a refusal is not known [U]; without a token it is one.

    :raises ConnectError: access was refused, or what came back can't be used.
    """
    token, cloud_id = query.get("token", "").strip(), query.get("cloudid", "").strip()
    if not token:
        raise ConnectError(
            "Dotypos gave no access: it was refused on Dotypos's page. Nothing was changed; connect again to try anew."
        )
    try:
        settings = Settings.from_fields(extra={"refresh_token": token, "cloud_id": cloud_id})
    except ValueError:
        settings = None
    if settings is None or settings.cloud_id is None:
        raise ConnectError("What came back from Dotypos is not a refresh token and a cloud's number; connect again.")
    return Grant(settings.refresh_token, settings.cloud_id)


def try_out(
    grant: Grant, *, host: object, port: object, extra: Mapping[str, object], on_token: Callable[[str], None]
) -> Verdict:
    """Sign in with what was granted, by the other fields of the connection that it is for.

    :param on_token: told of every access token, so that it can be masked.
    """
    return check(lambda: Settings.from_fields(host=host, port=port, extra={**extra, **grant.extra}), on_token)


@dataclass(frozen=True)
class Application:
    """A client application that Dotypos has given out, and the connector it belongs to.

    :param base_url: the API's base URL; the connector is found by it.
    """

    client_id: str
    client_secret: str = field(repr=False)
    base_url: str = DEFAULT_BASE_URL

    def way_out(self, redirect_uri: str, state: str, *, legacy: bool = False) -> ConnectorForm:
        """Return the form that takes a browser to Dotypos, signed now.

        :param redirect_uri: where it comes back to.
        :param state: what it brings back unchanged.
        :param legacy: the deprecated way, **whose address holds the client secret**.
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
