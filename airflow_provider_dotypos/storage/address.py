"""Addresses of folders and files, as arguments name them."""

from __future__ import annotations

from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.redaction import without_user

#: Schemes of the worker's own disk.
_LOCAL = ("file", "local")


def check_address(address: object, argument: str = "destination") -> None:
    """Raise unless a text is an absolute path or an address: a worker's current directory is no place to keep anything.

    :param argument: what the address is called.
    :raises DotyposInputError: if it is neither.
    """
    if isinstance(address, ObjectStoragePath):
        return
    text = address.strip() if isinstance(address, str) else ""
    if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text):
        raise DotyposInputError(f"{argument} has a character that no path can have: a NUL or half of a character")
    scheme, separator, rest = text.partition("://")
    if not (text.startswith("/") or (separator and (rest.startswith("/") if scheme in _LOCAL else rest))):
        raise DotyposInputError(
            f"{argument} must be an absolute path or an address, such as file:///data/dotypos (three slashes) or "
            f"s3://bucket/dotypos, not {without_user(text) if text else address!r}"
        )
