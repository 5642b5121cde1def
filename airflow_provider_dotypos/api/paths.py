"""A call's path, checked: it stays below the API's ``/v2``."""

from __future__ import annotations

import re
from urllib.parse import unquote

from airflow_provider_dotypos.api.errors import DotyposConfigurationError, DotyposInputError, redact


def resolve(path: str, cloud_id: int | None) -> tuple[str, int | None]:
    """Return the path below ``/v2``, and the cloud whose token it needs (``None``: a token without a cloud).

    :param path: below the cloud; with a leading ``/``, below ``/v2`` (``/clouds``, ``/clouds/123/orders``).
    :raises DotyposInputError: if the path could leave the API: an address, ``..``, a query or a fragment in it.
    :raises DotyposConfigurationError: if it lies below a cloud and no cloud is known.
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
    if not text.startswith("/"):
        if cloud_id is None:
            raise DotyposConfigurationError(
                "Cloud ID is missing in the Airflow connection: give the number of the cloud to work in (the "
                "connection's Test lists those the token may use), or pass cloud_id"
            )
        return f"/clouds/{cloud_id}/{text}", cloud_id
    named = re.match(r"/clouds/([0-9]+)(?:/|$)", text)
    if named:
        return text, int(named[1])
    # Only the list of clouds is asked for with a token without a cloud [D2].
    return text, None if text.rstrip("/") == "/clouds" else cloud_id
