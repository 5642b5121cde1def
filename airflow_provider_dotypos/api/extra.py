"""A connection's extra: a JSON object, or an error that says what is stored instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from airflow_provider_dotypos.api.errors import DotyposConfigurationError


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
