"""Asking another server than the API's for what an answer of the API says is there: without a token.

A module of its own, because the API's client talks to its own host alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from airflow_provider_dotypos.api.errors import DotyposResponseError
from airflow_provider_dotypos.api.http import Answer, Request, check_answer, decode_answer
from airflow_provider_dotypos.api.paths import split_address
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.transport import Transport

T = TypeVar("T")

#: The largest answer that is read, in bytes.
_LARGEST = 2**16


def fetch(url: str, settings: Settings, decode: Callable[[Answer], T]) -> T:
    """Return what `decode` makes of the answer to a GET of a whole address. It may block.

    :raises DotyposError: if the address isn't https, or no answer comes.
    """
    parts = split_address(url)
    # Anybody in between could change what a server answers by http. Only a sandbox is reached like that.
    is_safe = parts is not None and (parts.scheme == "https" or settings.base_url.startswith("http://"))
    if parts is None or not is_safe or parts.username is not None:
        raise DotyposResponseError("Dotypos names an address for the stock-taking's status that isn't plain https")
    origin = f"{parts.scheme}://{parts.netloc}"
    request = Request(
        "GET",
        f"the stock-taking's status at {parts.hostname}",
        url,
        {"Accept": "application/json"},
        None,
        settings.timeout,
        _LARGEST,
    )
    transport = Transport(origin, ())
    try:
        return decode_answer(request, check_answer(request, transport.send(request), ()), decode)
    finally:
        transport.close()
