"""The extra of a connection: a JSON object, whatever else may have been stored there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from airflow_provider_dotypos.api.errors import DotyposConfigurationError


class Stored(Protocol):
    """A connection as Airflow gives it, of any of its kinds."""

    @property
    def extra(self) -> str | None:
        """The extra as it is stored."""

    @property
    def extra_dejson(self) -> Any:
        """What Airflow makes of it; of text that isn't JSON nothing, or an error."""


def read_extra(connection: Stored) -> Mapping[str, Any]:
    """Return the fields in a connection's extra; null and empty hold none.

    :raises DotyposConfigurationError: it isn't a JSON object.
    """
    try:
        decoded, text = connection.extra_dejson, connection.extra
    except ValueError:  # some of Airflow's own connections check it, from 3.3 on
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


def _odd(what: str) -> DotyposConfigurationError:
    return DotyposConfigurationError(
        'Extra in the Airflow connection must be a JSON object such as {"refresh_token": "…", "cloud_id": "…"}, '
        f"encoded once, not {what}: put the fields into one object"
    )


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return not text.strip()
    return True
