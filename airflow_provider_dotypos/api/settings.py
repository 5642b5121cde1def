"""A connection's fields, checked, whatever kind of value they arrive as.

Airflow passes the same field as text, number, null or not at all, depending on whether the connection comes from the
form, the command line, a URI or a secrets backend. Null, empty text and a missing field mean the same here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

from airflow_provider_dotypos.api.budget import Budget, read_budget
from airflow_provider_dotypos.api.errors import (
    HOW_TO_CONNECT,
    DotyposConfigurationError,
    DotyposMissingTokenError,
)
from airflow_provider_dotypos.api.extra import describe_unknown
from airflow_provider_dotypos.api.overrides import (
    LARGEST_CLOUD_ID,
    MOST_AT_ONCE,
    cloud_number,
    describe,
    is_absent,
    read_concurrency,
    read_given_cloud_id,
)
from airflow_provider_dotypos.provider_info import CONN_TYPE

DEFAULT_BASE_URL = "https://api.dotykacka.cz"

#: The domains of Dotypos's own servers, which nothing is sent to without encryption.
_OWN_DOMAINS = (".dotykacka.cz", ".dotypos.com")

_LONGEST_CLOUD_NAME = 60
_SHORTEST_SECRET = 16


class Limits(NamedTuple):
    """The least and the most that a number may be."""

    least: float
    most: float
    whole: bool = False


#: The limits of each number of a connection, by its field. The form says the same.
LIMITS: Mapping[str, Limits] = {
    "timeout": Limits(0.1, 3600),
    "requests_per_minute": Limits(0.01, 60_000),
    "max_concurrency": Limits(1, MOST_AT_ONCE, whole=True),
}

#: Airflow's Test button sends port 0 for "none".
_PORTS = Limits(0, 65535, whole=True)

#: The port of each scheme, unless another one is given.
_USUAL_PORTS: Mapping[str, int] = {"https": 443, "http": 80}


#: What a connection can say of null deletion markers, see ``markers``.
_FINDINGS = ("shows_null", "hides_null")


@dataclass(frozen=True)
class Settings:
    """How to reach one Dotypos cloud.

    :param base_url: scheme, host and port of the API, without ``/v2``.
    :param refresh_token: the long-lived secret that access tokens are issued for.
    :param cloud_id: the cloud to work in; ``None`` allows listing clouds only.
    :param timeout: longest wait for one whole answer, in seconds.
    :param requests_per_minute: most requests of one process to one cloud in a minute; ``None`` for no limit.
    :param request_budget: most requests to one cloud in a window of time; ``None`` for no limit.
    :param max_concurrency: most requests under way at once.
    :param deleted_filter: what is known of null deletion markers in the cloud's lists; ``None`` if nothing is.
    :param cloud_id_given: whether the cloud was given in place of the connection's own.
    :param notice: a sentence about extras of the connection that nothing reads; empty if none is.
    :param cloud_name: the cloud's name, for people. ``None`` if the connection doesn't hold it.
    :param webhook_secret: what the addresses of webhooks are made secret by, in place of the refresh token.
    """

    base_url: str
    refresh_token: str = field(repr=False)
    cloud_id: int | None = None
    timeout: float = 60.0
    requests_per_minute: float | None = None
    request_budget: Budget | None = None
    max_concurrency: int = 4
    deleted_filter: str | None = None
    cloud_id_given: bool = False
    notice: str = ""
    cloud_name: str | None = None
    webhook_secret: str | None = field(default=None, repr=False)

    @property
    def cloud(self) -> str:
        """The cloud for people: by its name, if the connection holds it, and its number."""
        return f"{self.cloud_name} ({self.cloud_id})" if self.cloud_name else f"cloud {self.cloud_id}"

    @property
    def cloud_url(self) -> str | None:
        """Where a browser shows the cloud in Dotypos's administration; ``None`` for a cloud of a sandbox.

        Pages below this address are linked to by one client [C1]; that it is a page itself is assumed [A].
        """
        return f"https://admin.dotypos.com/cloud/{self.cloud_id}" if self.base_url == DEFAULT_BASE_URL else None

    @classmethod
    def from_fields(
        cls,
        *,
        conn_type: object = None,
        host: object = None,
        port: object = None,
        extra: Mapping[str, object],
        cloud_id: object = None,
        max_concurrency: object = None,
    ) -> Settings:
        """Return the settings in a connection's fields.

        :param conn_type: the connection's type, where it is known.
        :param cloud_id: overrides the connection's Cloud ID.
        :param max_concurrency: overrides the connection's Max concurrency.
        :raises DotyposConfigurationError: if a field is missing or unusable; the message names it and the cure.
        :raises DotyposInputError: if what overrides a field is unusable.
        """
        if conn_type and conn_type != CONN_TYPE:
            raise DotyposConfigurationError(
                f"The Airflow connection is of another type ({conn_type}), not {CONN_TYPE}: name one of that type, or "
                f"connect a cloud ({HOW_TO_CONNECT})"
            )
        notice = describe_unknown(extra)
        cloud_id_given = cloud_id is not None and cloud_id != ""
        timeout = _number(extra.get("timeout"), "Timeout", LIMITS["timeout"])
        concurrency = _number(extra.get("max_concurrency"), "Max concurrency", LIMITS["max_concurrency"])
        if max_concurrency is not None:
            concurrency = read_concurrency(max_concurrency, "max_concurrency")
        base_url, refresh_token = read_base_url(host, port, extra), _refresh_token(extra.get("refresh_token"), notice)
        own_cloud = extra.get("cloud_id")
        chosen_cloud = read_given_cloud_id(cloud_id) if cloud_id_given else read_cloud_id(own_cloud)
        return cls(
            base_url=base_url,
            refresh_token=refresh_token,
            cloud_id=chosen_cloud,
            timeout=60.0 if timeout is None else timeout,
            requests_per_minute=_number(
                extra.get("requests_per_minute"), "Requests per minute", LIMITS["requests_per_minute"]
            ),
            request_budget=read_budget(extra.get("request_budget")),
            max_concurrency=4 if concurrency is None else int(concurrency),
            deleted_filter=_finding(extra.get("deleted_filter")),
            cloud_id_given=cloud_id_given,
            notice=notice,
            cloud_name=read_cloud_name(extra.get("cloud_name")) if _is_cloud(own_cloud, chosen_cloud) else None,
            webhook_secret=_webhook_secret(extra.get("webhook_secret")),
        )

    def origin_of(self, cloud_id: int) -> str:
        """Return what names a cloud that a call goes to, for a message."""
        if cloud_id != self.cloud_id:
            return "the path"
        return (
            "cloud_id (in place of the connection's Cloud ID)" if self.cloud_id_given else "Cloud ID in the connection"
        )

    def require_cloud_id(self) -> int:
        """Return the cloud to work in.

        :raises DotyposConfigurationError: if none is named.
        """
        if self.cloud_id is None:
            raise DotyposConfigurationError(
                "Cloud ID is missing in the Airflow connection: give the number of the cloud to work in (the "
                "connection's Test lists those the token may use), or pass cloud_id"
                f"{'. ' if self.notice else ''}{self.notice}"
            )
        return self.cloud_id


def _refresh_token(value: object, notice: str) -> str:
    if is_absent(value):
        raise DotyposMissingTokenError(
            "Refresh Token is missing in the Airflow connection (extra refresh_token): connect the cloud "
            f"({HOW_TO_CONNECT}){'. ' if notice else ''}{notice}"
        )
    return _secret(value, "Refresh Token")


def _webhook_secret(value: object) -> str | None:
    if is_absent(value):
        return None
    secret = _secret(value, "Webhook Secret")
    if len(secret) < _SHORTEST_SECRET:
        raise DotyposConfigurationError(
            f"Webhook Secret in the Airflow connection must have {_SHORTEST_SECRET} characters or more, so that nobody "
            'guesses it: python -c "import secrets; print(secrets.token_urlsafe())" makes one'
        )
    return secret


def _secret(value: object, name: str) -> str:
    """Return a secret that a person has pasted.

    :param name: the field's label.
    """
    if not isinstance(value, str):
        raise DotyposConfigurationError(
            f"{name} arrived as a {type(value).__name__}, not as text: a connection URI turns digits and words like "
            "true into other values. Give the connection as JSON instead (--conn-json, or JSON in AIRFLOW_CONN_…)"
        )
    secret = value.strip()
    if not re.fullmatch(r"[\x21-\x7e]+", secret):
        raise DotyposConfigurationError(
            f"{name} holds a blank or a character that no secret has: paste it alone, on one line"
        )
    return secret


def read_cloud_name(value: object) -> str | None:
    """Return a cloud's name on one short line; ``None`` if there is none. It is for people, so it is never an error."""
    if is_absent(value) or not isinstance(value, (int, float, str)):  # a URI turns digits into a number
        return None
    printable = "".join(character if character.isprintable() else " " for character in str(value))
    return " ".join(printable.split())[:_LONGEST_CLOUD_NAME] or None


def _is_cloud(value: object, cloud_id: int | None) -> bool:
    try:
        return read_cloud_id(value) == cloud_id
    except DotyposConfigurationError:
        return False


def read_cloud_id(value: object) -> int | None:
    """Return a cloud's number, whatever kind of value it is written as; ``None`` if there is none.

    :raises DotyposConfigurationError: if it can't be a cloud's number.
    """
    if is_absent(value):
        return None
    number = cloud_number(value)
    if number is None:
        raise DotyposConfigurationError(
            f"Cloud ID must be the cloud's number, 1 to {LARGEST_CLOUD_ID}, not {describe(value)} "
            "(it is not the client id)"
        )
    return number


def _number(value: object, name: str, limits: Limits) -> float | None:
    """Return a number; ``None`` if there is none.

    :param name: the field's label.
    """
    if is_absent(value):
        return None
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        number = None
    fits = number is not None and limits.least <= number <= limits.most
    if number is None or not fits or (limits.whole and not number.is_integer()):
        kind = "a whole number" if limits.whole else "a number"
        raise DotyposConfigurationError(
            f"{name} in the Airflow connection must be {kind} from {limits.least:g} to {limits.most:g}, not "
            f"{describe(value)}"
        )
    return number


def _finding(value: object) -> str | None:
    """Return what a connection says of null deletion markers; ``None`` if it says nothing."""
    if is_absent(value):
        return None
    if not isinstance(value, str) or value not in _FINDINGS:
        raise DotyposConfigurationError(
            f"Deleted filter in the Airflow connection must be {' or '.join(_FINDINGS)}, not {describe(value)}: leave "
            "it to airflow dotypos check --probe --save"
        )
    return value


def _switch(value: object, name: str) -> bool:
    """Return the position of a switch; off if there is none.

    :param name: the field's label.
    """
    position = value.strip().lower() if isinstance(value, str) else value
    if is_absent(value) or position in (False, "false", "0"):
        return False
    if position in (True, "true", "1"):
        return True
    raise DotyposConfigurationError(f"{name} in the Airflow connection must be true or false, not {describe(value)}")


def read_base_url(host: object, port: object, extra: Mapping[str, object]) -> str:
    """Return the API's base URL in a connection's fields.

    :raises DotyposConfigurationError: if it can't be read, or must not be used.
    """
    if is_absent(host):
        host = DEFAULT_BASE_URL
    if not isinstance(host, str):
        raise _bad_base_url(f"is {describe(host)}")
    text = host.strip()
    try:
        # A connection URI leaves only the host of an address.
        split = urlsplit(text if "://" in text else f"https://{text}")
        own_port = split.port
    except ValueError:
        raise _bad_base_url("holds an impossible host or port") from None
    if split.scheme not in ("https", "http"):
        raise _bad_base_url(f"starts with {describe(split.scheme)}")
    if not split.hostname:
        raise _bad_base_url("holds no host")
    if not re.fullmatch(r"[\w:-][\w.:-]*", split.hostname, re.ASCII):
        raise _bad_base_url("holds an impossible host")
    if re.search(r"[^\x21-\x7e]", text):
        raise _bad_base_url("holds a blank or another character that addresses can't have")
    if split.query or split.fragment:
        raise _bad_base_url("holds ? or #")
    if split.username or split.password:
        raise DotyposConfigurationError("API base URL must not hold a user name or a password")
    allowed = _switch(extra.get("allow_http"), "Allow plain HTTP")
    if split.scheme == "http" and not is_loopback(split.hostname):
        _require_sandbox(split.hostname, allowed)
    number = _number(port, "Port", _PORTS)
    chosen = own_port or (int(number) if number else None)
    name = f"[{split.hostname}]" if ":" in split.hostname else split.hostname
    netloc = f"{name}:{chosen}" if chosen and chosen != _USUAL_PORTS[split.scheme] else name
    path = re.sub(r"/v2$", "", split.path.rstrip("/"))
    return f"{split.scheme}://{netloc}{path}"


def port_of(base_url: str) -> int:
    """Return the port that a base URL leads to."""
    parts = urlsplit(base_url)
    return parts.port or _USUAL_PORTS[parts.scheme]


def _require_sandbox(host: str, allowed: bool) -> None:
    """Refuse http to a host that isn't a sandbox, as far as one can know."""
    danger = f"API base URL must start with https:// (http would send tokens in the clear to {host})"
    if f".{host}".rstrip(".").endswith(_OWN_DOMAINS):
        raise DotyposConfigurationError(f"{danger}. Dotypos's own servers are never reached by http")
    if not allowed:
        raise DotyposConfigurationError(
            f"{danger}. Only for a sandbox on another host, set Allow plain HTTP in the Airflow connection "
            "(extra allow_http: true)"
        )


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bad_base_url(why: str) -> DotyposConfigurationError:
    return DotyposConfigurationError(f"API base URL must look like {DEFAULT_BASE_URL}; this one {why}")
