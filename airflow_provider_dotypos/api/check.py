"""Whether a connection works: which cloud it reaches, or which field is wrong and what to do.

The Test button, the page *Connect Dotypos* and ``airflow dotypos check`` show the message unchanged, so all its parts
are safe to show.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.errors import (
    FRESH_TOKEN_REFUSED,
    HOW_TO_CONNECT,
    DotyposAnswerTooLargeError,
    DotyposApiError,
    DotyposAuthenticationError,
    DotyposConnectionError,
    DotyposError,
    DotyposMissingTokenError,
    DotyposNotFoundError,
    DotyposPermissionError,
    DotyposRateLimitError,
    DotyposResponseError,
    DotyposServerError,
    DotyposTlsError,
)
from airflow_provider_dotypos.api.reading import Reader, Row
from airflow_provider_dotypos.api.retry import Patience
from airflow_provider_dotypos.api.settings import Settings, read_cloud_name

log = logging.getLogger(__name__)

#: A person is waiting for the answer.
_PATIENCE = Patience(faults=4.0, throttling=8.0)
_LONGEST_ANSWER = 10.0
#: In bytes. Decoded, an answer can take 25 times as much, and a hostile one must not exhaust an API server's memory.
_LARGEST_ANSWER = 4 * 2**20

_LISTED_CLOUDS = 10


State = Literal["working", "token refused", "never connected", "not working"]


@dataclass(frozen=True)
class CheckResult:
    """Whether a connection works, and a sentence for the person who asked.

    :param state: ``token refused`` is cured by connecting again; ``never connected`` means that there is no token yet.
    :param cloud: the cloud's row, if it could be read.
    """

    state: State
    message: str
    cloud: Row | None = None

    @property
    def cloud_name(self) -> str | None:
        """The cloud's name, if the cloud could be read."""
        return None if self.cloud is None else read_cloud_name(self.cloud.get("name"))

    @property
    def works(self) -> bool:
        """Whether a DAG could use the connection now."""
        return self.state == "working"


def check(
    read_settings: Callable[[], Settings],
    on_token: Callable[[str], None],
    on_client: Callable[[DotyposClient], None] = lambda client: None,
) -> CheckResult:
    """Sign in, read the cloud, and return what works or which field to correct.

    :param read_settings: reads the connection.
    :param on_token: receives every access token, so that it can be masked.
    :param on_client: receives the clients that ask, before they do, so that they can be cancelled.
    """
    try:
        settings = read_settings()
    except DotyposMissingTokenError as error:
        return CheckResult("never connected", str(error))
    except DotyposError as error:
        return CheckResult("not working", str(error))
    result = _reached(settings, on_token, on_client)
    if not settings.notice:
        return result
    return replace(result, message=f"{result.message.removesuffix('.')}. {settings.notice}.")


def _reached(
    settings: Settings, on_token: Callable[[str], None], on_client: Callable[[DotyposClient], None]
) -> CheckResult:
    try:
        return _signed_in(settings, on_token, on_client)
    except DotyposAuthenticationError as error:
        return (
            CheckResult("not working", _advice(error)) if error.passing else CheckResult("token refused", _WRONG_TOKEN)
        )
    except DotyposError as error:
        return CheckResult("not working", _advice(error))
    except Exception as error:  # a hostile server must not end the checks of other connections
        log.error("A check failed by %s", place_of(error))
        return CheckResult(
            "not working",
            f"The check broke off ({type(error).__name__}): the server at API base URL doesn't answer like Dotypos; "
            "check API base URL. The log says where.",
        )


def new_client(settings: Settings, on_token: Callable[[str], None]) -> DotyposClient:
    """Return a client for a person who waits: neither a slow server nor the connection's own limit may take long."""
    quick = replace(settings, timeout=min(settings.timeout, _LONGEST_ANSWER), requests_per_minute=None)
    return DotyposClient(quick, on_token=on_token, patience=_PATIENCE, largest_answer=_LARGEST_ANSWER)


def place_of(error: BaseException) -> str:
    """Return an error's type and the line that raised it, for a log: its message may hold text from outside."""
    steps = traceback.extract_tb(error.__traceback__, limit=-1)
    where = f" at {Path(steps[-1].filename).name}:{steps[-1].lineno}" if steps else ""
    return f"{type(error).__name__}{where}"


def _signed_in(
    settings: Settings, on_token: Callable[[str], None], on_client: Callable[[DotyposClient], None]
) -> CheckResult:
    anywhere, client = (new_client(each, on_token) for each in (replace(settings, cloud_id=None), settings))
    on_client(anywhere)
    on_client(client)
    if settings.cloud_id is None:
        return CheckResult("not working", f"Signed in, but Cloud ID is missing. {_offer(Reader(anywhere).clouds())}")
    try:
        cloud = Reader(client).check_cloud()
    except DotyposAuthenticationError as error:
        if error.passing:
            return CheckResult("not working", _advice(error))
        # Sign-in answers 401 to a wrong token and to a wrong cloud alike, but listing clouds needs no cloud.
        offer = _offer(Reader(anywhere).clouds())
        name = "cloud_id" if settings.cloud_id_given else "Cloud ID"
        return CheckResult("not working", f"Refresh Token is good, but not for {name} {settings.cloud_id}. {offer}")
    notes = [note for note in ("expired", "restricted", "deleted") if cloud.get(note) is True]
    aside = f"; Dotypos marks it {' and '.join(notes)}" if notes else ""
    return CheckResult("working", f"Connected to cloud {named(cloud)}{aside}", cloud)


def _advice(error: DotyposError) -> str:
    """Return what a person can do about an error: it differs for the sign-in and for later calls."""
    signed_in = isinstance(error, DotyposApiError) and "signin" not in error.path
    refused = (DotyposAuthenticationError, DotyposPermissionError, DotyposNotFoundError)
    if isinstance(error, refused) and signed_in:
        return f"Signed in, but refused: {error}".replace(FRESH_TOKEN_REFUSED, _CHECK_AGAIN)
    if isinstance(error, DotyposRateLimitError):
        return f"Reached the server, but it asks for fewer requests; try again in a while: {error}"
    if isinstance(error, DotyposServerError) and (signed_in or error.status in (500, 502, 503, 504)):
        return f"Reached the server, but it fails; try again later, or check API base URL: {error}"
    if isinstance(error, DotyposTlsError):
        return f"TLS failed: {error}"
    if isinstance(error, DotyposConnectionError) and not isinstance(error, DotyposAnswerTooLargeError):
        return f"Dotypos can't be reached. {error}"
    if isinstance(error, (DotyposResponseError, DotyposAnswerTooLargeError)):
        return f"The server at API base URL doesn't answer like Dotypos. {error}"
    if isinstance(error, DotyposApiError):
        return f"The server at API base URL doesn't answer like Dotypos; check API base URL: {error}"
    return str(error)


_WRONG_TOKEN = (
    "Refresh Token was refused: it is wrong, revoked, or of another Dotypos server. Connect the cloud again "
    f"({HOW_TO_CONNECT})."
)


#: A person who reads a check's message has just pressed the button that a task's message leads to.
_CHECK_AGAIN = "Even a fresh access token was refused, which usually passes: check again in a minute."


def _offer(clouds: list[Row]) -> str:
    if not clouds:
        return f"The token may use no cloud at all; connect a cloud again ({HOW_TO_CONNECT})."
    listed = ", ".join(named(cloud) for cloud in clouds[:_LISTED_CLOUDS])
    more = f" and {len(clouds) - _LISTED_CLOUDS} more" if len(clouds) > _LISTED_CLOUDS else ""
    return f"The token may use: {listed}{more}."


def named(cloud: Row) -> str:
    """Return a cloud's name and id, as people are shown them."""
    return f"{read_cloud_name(cloud.get('name')) or 'without a name'} ({str(cloud.get('id'))[:20]})"
