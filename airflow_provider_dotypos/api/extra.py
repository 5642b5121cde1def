"""A connection's extra: a JSON object, or an error that says what is stored instead, and names that nothing reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from airflow_provider_dotypos.api.errors import DotyposConfigurationError
from airflow_provider_dotypos.api.names import nearest
from airflow_provider_dotypos.provider_info import CONN_FIELDS

#: Characters of an unknown extra's name that a message shows.
_LONGEST_NAME = 30


class HasExtra(Protocol):
    """A connection as Airflow gives it, of any of its kinds."""

    @property
    def extra(self) -> str | None:
        """The extra as stored."""

    @property
    def extra_dejson(self) -> Any:
        """The extra as Airflow decodes it; for text that isn't JSON nothing, or an error."""


def read_extra(connection: HasExtra) -> Mapping[str, Any]:
    """Return the fields in a connection's extra; null and empty text hold none.

    :raises DotyposConfigurationError: if it isn't a JSON object.
    """
    try:
        decoded, text = connection.extra_dejson, connection.extra
    except ValueError:  # from 3.3 on some kinds of Airflow's connections check it
        raise _odd("something else") from None
    if isinstance(decoded, Mapping):
        if not decoded and text and not _is_json(text):
            raise _odd("text that isn't JSON")
        return decoded
    if decoded is None or decoded == "":
        return {}
    if isinstance(decoded, str):
        raise _odd("text (it looks as if JSON had been encoded twice)")
    raise _odd({list: "an array", bool: "true or false"}.get(type(decoded), "a number"))


def describe_unknown(extra: Mapping[str, object]) -> str:
    """Return a sentence that names the extras that nothing reads, each with the nearest known one; empty if none is."""
    unknown = sorted(extra.keys() - CONN_FIELDS.keys())
    if not unknown:
        return ""
    named = [
        # A long name may be a misplaced secret.
        f"{name!r}{nearest(name, CONN_FIELDS)}" if len(name) <= _LONGEST_NAME else f"a name of {len(name)} characters"
        for name in unknown
    ]
    return (
        f"The connection's extra holds {', '.join(named)}, which nothing reads: correct the name, or remove it (known: "
        f"{', '.join(map(repr, CONN_FIELDS))})"
    )


def _odd(content: str) -> DotyposConfigurationError:
    return DotyposConfigurationError(
        'Extra in the Airflow connection must be a JSON object such as {"refresh_token": "…", "cloud_id": "…"}, '
        f"encoded once, not {content}: put the fields into one object"
    )


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return not text.strip()
    return True
