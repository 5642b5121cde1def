"""Asking another server than the API's for what an answer of the API says is there: without a token.

A module of its own, because the API's client talks to its own host alone.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow_provider_dotypos.api.errors import DotyposResponseError
from airflow_provider_dotypos.api.http import Answer, Request, check_answer
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.transport import Transport

#: The largest answer that is read, in bytes.
_LARGEST = 2**16


def fetch(url: str, settings: Settings) -> Answer:
    """Return the answer to a GET of a whole address. It may block.

    :raises DotyposError: if the address isn't https, or no answer comes.
    """
    parts = urlsplit(url)
    # A sandbox is reached by http; anybody in between could change what another server answers.
    if parts.scheme != "https" and not (parts.scheme == "http" and settings.base_url.startswith("http://")):
        raise DotyposResponseError("Dotypos names an address for the stock-taking's status that isn't https")
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
        return check_answer(request, transport.send(request), ())
    finally:
        transport.close()
