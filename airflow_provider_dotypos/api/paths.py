"""A call's method and address, checked: the path stays below the API's ``/v2``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import SplitResult, quote, unquote, urlsplit

from airflow_provider_dotypos.api.errors import DotyposInputError, redact
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.window import milliseconds

#: The port of each scheme, unless an address names one.
_PORTS = {"https": 443, "http": 80}

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")


def checked_method(method: object) -> str:
    """Return an HTTP method in upper case.

    :raises DotyposInputError: if there is no such method.
    """
    if not isinstance(method, str) or method.upper() not in METHODS:
        raise DotyposInputError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    return method.upper()


def check_path(path: object) -> None:
    """Raise if a path could leave the API.

    :raises DotyposInputError: if it is an address, or holds ``..``, a query or a fragment.
    """
    text = path if isinstance(path, str) else ""
    plain = unquote(unquote(text))
    if not text.strip() or "://" in plain or plain.startswith("//") or re.search(r"[\\?#\s\x00-\x1f]", plain):
        raise DotyposInputError(
            f"path must be a path of the API such as 'orders' or '/clouds', not {redact(str(path))[:80]!r}: no "
            "address, no blanks, no query (give it as params)"
        )
    if any(segment in ("..", ".") for segment in plain.split("/")):
        raise DotyposInputError(f"path must not hold '.' or '..' segments: {text[:80]!r}")


def resolve(path: str, settings: Settings) -> tuple[str, int | None]:
    """Return the path below ``/v2``, and the cloud whose token it needs (``None``: a token without a cloud).

    :param path: below the cloud; with a leading ``/``, below ``/v2`` (``/clouds``, ``/clouds/123/orders``).
    :raises DotyposInputError: see `check_path`.
    :raises DotyposConfigurationError: if it lies below a cloud and no cloud is known.
    """
    check_path(path)
    if not path.startswith("/"):
        cloud_id = settings.require_cloud_id()
        return f"/clouds/{cloud_id}/{path}", cloud_id
    named = re.match(r"/clouds/([0-9]+)(?:/|$)", path)
    if named:
        return path, int(named[1])
    # Only the list of clouds is asked for with a token without a cloud [D2].
    return path, None if path.rstrip("/") == "/clouds" else settings.cloud_id


def own_path(url: str, settings: Settings) -> str | None:
    """Return path and query of an address on the API's own host; ``None`` of any other address.

    An answer may name an address. Only there a token may go.
    """
    own, parts = urlsplit(settings.base_url), split_address(url)
    if parts is None or parts.username is not None or _origin(parts) != _origin(own):
        return None
    return parts.path + (f"?{parts.query}" if parts.query else "")


def split_address(address: str) -> SplitResult | None:
    """Return the parts of a web address; ``None`` of anything else."""
    try:
        parts = urlsplit(address.strip())
        port = parts.port
    except ValueError:  # of the port, or of a bracket
        return None
    is_plain = all("!" <= character <= "~" for character in address.strip())
    is_web = parts.scheme in _PORTS and parts.hostname and port != 0
    return parts if is_plain and is_web else None


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def encode(params: Mapping[str, object] | None, argument: str = "params") -> str:
    """Return parameters as a URL query, each value encoded once.

    ``|`` and ``;`` must be encoded, as some parsers reject them raw; ``+`` would read as a space. Commas stay as they
    are, which keeps long lists of ids short: an address has a longest length.

    :param argument: what the caller's argument is called.
    :raises DotyposInputError: if they aren't a mapping, or a value is a time without a zone.
    """
    if params is not None and not isinstance(params, Mapping):
        raise DotyposInputError(f"{argument} must be a mapping of names to values, not a {type(params).__name__}")
    return "&".join(
        f"{quote(str(name), safe='')}={quote(_parameter(name, value), safe=',-._~:')}"
        for name, value in (params or {}).items()
        if value is not None
    )


def _parameter(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return str(milliseconds(value, name))
    if isinstance(value, (list, tuple)):
        return ",".join(str(item) for item in value)
    return str(value)
