"""A caller's headers, checked: the client sets those of the network connection and of the request's form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.redaction import redact

#: Why a caller can't set them, by their names in lower case.
_OURS: Mapping[str, str] = {
    "authorization": "the client signs every call itself",
    "cookie": "the client keeps and sends no cookies",
    "host": "calls go to the connection's API base URL and nowhere else",
    **dict.fromkeys(
        ("connection", "keep-alive", "te", "trailer", "upgrade", "expect"),
        "it is about the network connection, which calls share",
    ),
    **dict.fromkeys(
        ("content-length", "transfer-encoding", "content-encoding"), "the client knows the body and its length"
    ),
    "accept-encoding": "the client asks for what it can decode",
    "user-agent": "the client says who it is",
}
#: Asks for 200 with an empty list instead of 404. Whether every list honours it is unknown, so 404 is read as well.
#: https://docs.api.dotypos.com/others/breaking-changes
EMPTY_LISTS: Mapping[str, str] = MappingProxyType({"Allow-Version": "BC1"})

_PROXYS = "it is for a proxy: give the proxy and its credentials in HTTPS_PROXY"


def with_empty_lists(headers: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """Return a GET's headers with `EMPTY_LISTS`, which changes nothing else of a GET, unless they choose a version."""
    if headers is not None and not isinstance(headers, Mapping):
        return headers  # `checked_headers` refuses them
    given = headers or {}
    chosen = any(str(name).lower() == "allow-version" for name in given)
    return given if chosen else {**EMPTY_LISTS, **given}


def checked_headers(headers: Mapping[str, str] | None, *, with_body: bool) -> dict[str, str]:
    """Return a caller's headers, ready to send.

    :param with_body: whether the request has a JSON body, which sets its own content type.
    :raises DotyposInputError: if one can't be sent, or only the client sets it.
    """
    if headers is not None and not isinstance(headers, Mapping):
        raise DotyposInputError(f"headers must be a mapping of names to values, not a {type(headers).__name__}")
    seen: set[str] = set()
    for name, value in (headers or {}).items():
        _check(name, value)
        known = name.lower()
        if known in seen:
            raise DotyposInputError(f"headers: {name} is given twice, in upper and lower case")
        why = _PROXYS if known.startswith("proxy-") else _OURS.get(known)
        if known == "content-type" and with_body and value.partition(";")[0].strip().lower() != "application/json":
            why = "a body is sent as JSON"
        if why:
            raise DotyposInputError(f"headers must not set {name.title()}: {why}")
        seen.add(known)
    return dict(headers or {})


def _check(name: object, value: object) -> None:
    if not isinstance(name, str) or not isinstance(value, str):
        raise DotyposInputError(
            f"headers: names and values are text, not {type(name).__name__}: {type(value).__name__}"
        )
    if not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII) or not re.fullmatch(r"[\t\x20-\x7e]*", value):
        raise DotyposInputError(f"headers: {redact(name)[:40]!r} holds a character that can't be sent in a header")
