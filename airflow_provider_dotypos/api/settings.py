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

from airflow_provider_dotypos.api.errors import HOW_TO_CONNECT, DotyposConfigurationError, DotyposMissingTokenError

DEFAULT_BASE_URL = "https://api.dotykacka.cz"

#: The domains of Dotypos's own servers, which nothing is sent to without encryption.
_OWN_DOMAINS = (".dotykacka.cz", ".dotypos.com")

#: Cloud ids are 32-bit integers [D].
_LARGEST_CLOUD_ID = 2**31 - 1

_LONGEST_CLOUD_NAME = 60


class Limits(NamedTuple):
    """The least and the most that a number may be."""

    least: float
    most: float
    whole: bool = False


#: The limits of each number of a connection, by its field. The form says the same.
LIMITS: Mapping[str, Limits] = {
    "timeout": Limits(0.1, 3600),
    "requests_per_minute": Limits(0.01, 60_000),
    "max_concurrency": Limits(1, 64, whole=True),
}

#: Airflow's Test button sends port 0 for "none".
_PORTS = Limits(0, 65535, whole=True)


@dataclass(frozen=True)
class Settings:
    """How to reach one Dotypos cloud.

    :param base_url: scheme, host and port of the API, without ``/v2``.
    :param refresh_token: the long-lived secret that access tokens are issued for.
    :param cloud_id: the cloud to work in; ``None`` allows listing clouds only.
    :param timeout: longest wait for one whole answer, in seconds.
    :param requests_per_minute: most requests of one process to one cloud in a minute; ``None`` for no limit.
    :param max_concurrency: most requests under way at once.
    :param cloud_name: the cloud's name, for people. ``None`` if the connection doesn't hold it.
    """

    base_url: str
    refresh_token: str = field(repr=False)
    cloud_id: int | None = None
    timeout: float = 60.0
    requests_per_minute: float | None = None
    max_concurrency: int = 4
    cloud_name: str | None = None

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
        host: object = None,
        port: object = None,
        extra: Mapping[str, object],
        cloud_id: object = None,
        max_concurrency: object = None,
    ) -> Settings:
        """Return the settings in a connection's fields.

        :param cloud_id: overrides the connection's Cloud ID.
        :param max_concurrency: overrides the connection's Max concurrency.
        :raises DotyposConfigurationError: if a field is missing or unusable; the message names it and the cure.
        """
        timeout = _number(extra.get("timeout"), "Timeout", LIMITS["timeout"])
        concurrency = _number(extra.get("max_concurrency"), "Max concurrency", LIMITS["max_concurrency"])
        if max_concurrency is not None:
            concurrency = _number(
                max_concurrency, "Max concurrency", LIMITS["max_concurrency"], ", given as max_concurrency,"
            )
        base_url, refresh_token = read_base_url(host, port, extra), _refresh_token(extra.get("refresh_token"))
        own_cloud = extra.get("cloud_id")
        chosen_cloud = read_cloud_id(own_cloud if cloud_id is None or cloud_id == "" else _given(cloud_id))
        return cls(
            base_url=base_url,
            refresh_token=refresh_token,
            cloud_id=chosen_cloud,
            timeout=60.0 if timeout is None else timeout,
            requests_per_minute=_number(
                extra.get("requests_per_minute"), "Requests per minute", LIMITS["requests_per_minute"]
            ),
            max_concurrency=4 if concurrency is None else int(concurrency),
            cloud_name=read_cloud_name(extra.get("cloud_name")) if _is_cloud(own_cloud, chosen_cloud) else None,
        )


def _given(cloud_id: object) -> object:
    """Return a cloud id given as an argument; a template that rendered to nothing must not mean another cloud."""
    if _absent(cloud_id):
        raise DotyposConfigurationError(f"Cloud ID, given as cloud_id={cloud_id!r}: its template rendered to nothing")
    return cloud_id


def _absent(value: object) -> bool:
    return value is None or (isinstance(value, str) and value.strip() in ("", "null", "None"))


def _refresh_token(value: object) -> str:
    if _absent(value):
        raise DotyposMissingTokenError(
            "Refresh Token is missing in the Airflow connection (extra refresh_token): connect the cloud "
            f"({HOW_TO_CONNECT})"
        )
    if not isinstance(value, str):
        raise DotyposConfigurationError(
            f"Refresh Token arrived as a {type(value).__name__}, not as text: a connection URI turns digits and words "
            "like true into other values. Give the connection as JSON instead (--conn-json, or JSON in AIRFLOW_CONN_…)"
        )
    token = value.strip()
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise DotyposConfigurationError(
            "Refresh Token holds a blank or a character that no token has: paste the token alone, on one line"
        )
    return token


def read_cloud_name(value: object) -> str | None:
    """Return a cloud's name on one short line; ``None`` if there is none. It is for people, so it is never an error."""
    if _absent(value) or not isinstance(value, (int, float, str)):  # a URI turns digits into a number
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
    if _absent(value):
        return None
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(number, str) and re.fullmatch(r"[0-9]{1,10}(\.0)?", number.strip()):
        number = int(number.strip().removesuffix(".0"))
    if isinstance(number, bool) or not isinstance(number, int) or not 0 < number <= _LARGEST_CLOUD_ID:
        raise DotyposConfigurationError(
            f"Cloud ID must be the cloud's number, 1 to {_LARGEST_CLOUD_ID}, not {_shown(value)} "
            "(it is not the client id)"
        )
    return number


def _number(value: object, name: str, limits: Limits, place: str = " in the Airflow connection") -> float | None:
    """Return a number; ``None`` if there is none.

    :param name: the field's label.
    :param place: where the value was given; completes the label in an error.
    """
    if _absent(value):
        return None
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        number = None
    fits = number is not None and limits.least <= number <= limits.most
    if number is None or not fits or (limits.whole and not number.is_integer()):
        kind = "a whole number" if limits.whole else "a number"
        raise DotyposConfigurationError(
            f"{name}{place} must be {kind} from {limits.least:g} to {limits.most:g}, not {_shown(value)}"
        )
    return number


def _switch(value: object, name: str) -> bool:
    """Return the position of a switch; off if there is none.

    :param name: the field's label.
    """
    position = value.strip().lower() if isinstance(value, str) else value
    if _absent(value) or position in (False, "false", "0"):
        return False
    if position in (True, "true", "1"):
        return True
    raise DotyposConfigurationError(f"{name} in the Airflow connection must be true or false, not {_shown(value)}")


def read_base_url(host: object, port: object, extra: Mapping[str, object]) -> str:
    """Return the API's base URL in a connection's fields.

    :raises DotyposConfigurationError: if it can't be read, or must not be used.
    """
    if _absent(host):
        host = DEFAULT_BASE_URL
    if not isinstance(host, str):
        raise _bad_base_url(f"is {_shown(host)}")
    text = host.strip()
    try:
        # A connection URI leaves only the host of an address.
        split = urlsplit(text if "://" in text else f"https://{text}")
        own_port = split.port
    except ValueError:
        raise _bad_base_url("holds an impossible host or port") from None
    if split.scheme not in ("https", "http"):
        raise _bad_base_url(f"starts with {_shown(split.scheme)}")
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
    netloc = f"{name}:{chosen}" if chosen and chosen != {"https": 443, "http": 80}[split.scheme] else name
    path = re.sub(r"/v2$", "", split.path.rstrip("/"))
    return f"{split.scheme}://{netloc}{path}"


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


def _shown(value: object) -> str:
    """Return a value for a message: its kind and, if short, the value. A long one may be a misplaced secret."""
    kind = type(value).__name__
    if isinstance(value, int) and value.bit_length() > 64:
        return f"a very large {kind}"
    if not isinstance(value, (int, float, str)):
        return f"a value of type {kind}"
    text = str(value)
    return f"{kind} {text!r}" if len(text) <= 20 else f"{kind} of {len(text)} characters"
