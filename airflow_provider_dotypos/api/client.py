"""One authorized call.

What happens to a call reads from top to bottom in ``DotyposClient.call``: address it, wait at the gate, sign it, send
it, renew the token if that very token was refused, and try again as ``retry`` says.

https://docs.api.dotypos.com/api-reference/general/methods, /authorization
"""

from __future__ import annotations

import logging
import re
import threading
import time
from _thread import start_new_thread
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from airflow_provider_dotypos.api import auth, retry
from airflow_provider_dotypos.api.body import encode_body
from airflow_provider_dotypos.api.errors import (
    DotyposApiError,
    DotyposCancelledError,
    DotyposConnectionError,
    DotyposError,
    DotyposInputError,
    DotyposResponseError,
    DotyposUncertainWriteError,
    DotyposUnreadableAnswerError,
    error_for,
)
from airflow_provider_dotypos.api.headers import checked_headers
from airflow_provider_dotypos.api.paths import resolve
from airflow_provider_dotypos.api.query import encode
from airflow_provider_dotypos.api.redaction import redact
from airflow_provider_dotypos.api.refusals import token_refused
from airflow_provider_dotypos.api.retry_table import NOT_A_SIGN_IN, REDIRECT, Verdict, verdict
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.transport import LARGEST_ANSWER, Answer, Transport
from airflow_provider_dotypos.api.window import Clocks, server_time

log = logging.getLogger(__name__)

T = TypeVar("T")

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_SIGN_IN_TIMEOUT = 30.0

#: The largest answer to a sign-in that is read, in bytes; one that is meant holds a token of some kilobytes at most.
_LARGEST_SIGN_IN = 2**20


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    url: str
    cloud_id: int | None
    body: bytes | None
    headers: Mapping[str, str]

    @property
    def safe(self) -> bool:
        return self.method in _SAFE_METHODS


class DotyposClient:
    """Authorized, retried calls to one Dotypos cloud; safe to share between threads.

    :param settings: where and as whom to call.
    :param on_token: told of every new access token, so that it can be masked in logs.
    :param patience: how long to go on trying after faults and while throttled.
    :param largest_answer: size in bytes above which an answer is an error.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        on_token: Callable[[str], None] | None = None,
        patience: retry.Patience | None = None,
        largest_answer: int = LARGEST_ANSWER,
    ) -> None:
        self.settings = settings
        self._on_token = on_token
        self._patience = patience or retry.Patience()
        self._gate = retry.gate(settings.base_url)
        self._cancelled = False
        self._wake = threading.Event()
        secrets = (settings.refresh_token,)
        self._calls = Transport(settings.base_url, settings.max_concurrency, secrets, largest_answer)
        self._sign_ins = Transport(settings.base_url, 1, secrets, _LARGEST_SIGN_IN)
        self._server_date: tuple[str, datetime, float] | None = None

    @property
    def patience(self) -> retry.Patience:
        """How long to go on trying after faults and while throttled."""
        return self._patience

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        decode: Callable[[Answer], T],
    ) -> T:
        """Make one authorized call and return what `decode` makes of the answer.

        :param path: below ``/v2/clouds/{cloud}``; with a leading ``/``, below ``/v2``.
        :param params: query parameters, not yet encoded; ``None`` values are left out.
        :param json: the request's body: an object or an array.
        :param headers: further headers, such as ``If-Match``.
        :param decode: turns the answer into a result; an error that it raises is retried as ``retry_table`` says.
        :raises DotyposInputError: the path, the method, the body or a header can't be sent.
        :raises DotyposUncertainWriteError: a write may or may not have been carried out.
        :raises DotyposUnreadableAnswerError: a write is done, but `decode` failed.
        :raises DotyposError: what ``errors`` has for the failure; the last one says how often it was tried.
        """
        request = self._address(method, path, params, json, headers)
        what = f"{request.method} {request.path}"
        return self._retrying(what, lambda: self._decoded(request, self._authorized(request), decode))

    def now(self) -> datetime:
        """Return the earlier of the local clock and the server's (UTC)."""
        return self.clocks().now

    def clocks(self) -> Clocks:
        """Return what the time is here, and at the server, as its answers' ``Date`` tells it."""
        local = datetime.now(timezone.utc)
        if self._server_date is None:
            return Clocks(local)
        _, date, arrived = self._server_date
        return Clocks(local, date + timedelta(seconds=time.monotonic() - arrived))

    def sleep(self, seconds: float) -> None:
        """Wait.

        :raises DotyposCancelledError: the task is killed; the wait ends at once.
        """
        if self._cancelled or (seconds > 0 and self._wake.wait(seconds)):
            raise DotyposCancelledError("the task was killed while it waited for Dotypos")

    def cancel(self) -> None:
        """End every wait at once and start no further request.

        Safe in a signal's handler, where Airflow calls ``on_kill``: the handler breaks in upon the main thread, which
        may hold the event's lock just then, so another thread sets it.
        """
        self._cancelled = True
        with suppress(RuntimeError):  # no thread can be started: waits go on to their end, and nothing after them
            start_new_thread(self._wake.set, ())

    def close(self) -> None:
        """Close idle connections."""
        self._calls.close()
        self._sign_ins.close()

    def _address(
        self,
        method: str,
        path: str,
        params: Mapping[str, object] | None,
        json: object,
        headers: Mapping[str, str] | None,
    ) -> _Request:
        if not isinstance(method, str) or method.upper() not in METHODS:
            raise DotyposInputError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
        below, cloud_id = resolve(path, self.settings.cloud_id)
        if params is not None and not isinstance(params, Mapping):
            raise DotyposInputError(f"params must be a mapping of names to values, not a {type(params).__name__}")
        query = encode(params) if params else ""
        body = None if json is None else encode_body(json)
        sent = {"Accept": "application/json"}
        if body is not None:
            sent["Content-Type"] = "application/json"
        sent |= checked_headers(headers, with_body=body is not None)
        url = f"{self.settings.base_url}/v2{quote(below, safe='/-._~:@,')}" + (f"?{query}" if query else "")
        return _Request(method.upper(), f"/v2{below}", url, cloud_id, body, sent)

    def _authorized(self, request: _Request) -> Answer:
        source = auth.token_source(self.settings.base_url, self.settings.refresh_token, request.cloud_id)

        def sign_in() -> str:
            return self._sign_in(request.cloud_id)

        token = source.current(sign_in)
        answer = self._send_signed(request, token)
        if token_refused(answer.status, answer.body):
            renewed = source.replace(token, sign_in)
            if renewed is not token:
                token = renewed
                answer = self._send_signed(request, token)
        return self._checked(request, answer, token.value)

    def _send_signed(self, request: _Request, token: auth.AccessToken) -> Answer:
        headers = {**request.headers, "Authorization": f"Bearer {token.value}"}
        try:
            answer = self._send(self._calls, request.method, request.url, headers, request.body, self.settings.timeout)
        except DotyposConnectionError as error:
            if verdict(error, safe=request.safe) is not Verdict.ASK:
                raise
            raise _uncertain(request, str(error)) from None
        if not request.safe and answer.status >= 400:
            refusal = self._refused(request, answer, token.value)
            if verdict(refusal, safe=False) is Verdict.ASK:
                raise _uncertain(request, str(refusal), answer.status)
        return answer

    def _decoded(self, request: _Request, answer: Answer, decode: Callable[[Answer], T]) -> T:
        try:
            return _decoded(request, answer, decode)
        except Exception as error:
            if request.safe:
                raise
            raise _unreadable(request, answer, error) from error

    def _checked(self, request: _Request, answer: Answer, token: str, sign_in: str | None = None) -> Answer:
        if answer.status >= 400:
            raise self._refused(request, answer, token, sign_in)
        if 300 <= answer.status < 400 and answer.status != 304:
            raise DotyposResponseError(
                f"{request.method} {request.path} was redirected to {_target(answer)} and not followed: tokens go "
                "nowhere else. Check API base URL in the Airflow connection.",
                reason=REDIRECT,
                status=answer.status,
            )
        return answer

    def _refused(self, request: _Request, answer: Answer, token: str, sign_in: str | None = None) -> DotyposError:
        secrets = (token, self.settings.refresh_token)
        return error_for(request.method, request.path, answer.status, answer.headers, answer.body, secrets, sign_in)

    def _sign_in(self, cloud_id: int | None) -> str:
        """Exchange the refresh token for an access token to one cloud, or (``None``) to the list of clouds alone."""
        # The scheme word is "User", the body JSON, and success is 201 or 200 [D2, C15].
        request = _Request("POST", "/v2/signin/token", "", cloud_id, None, {})
        answer = self._send(
            self._sign_ins,
            request.method,
            f"{self.settings.base_url}{request.path}",
            {
                "Accept": "application/json",
                "Content-Type": "application/json",
                "Authorization": f"User {self.settings.refresh_token}",
            },
            msgspec.json.encode({"_cloudId": cloud_id} if cloud_id is not None else {}),
            min(self.settings.timeout, _SIGN_IN_TIMEOUT),
        )
        place = "without a cloud" if cloud_id is None else f"for cloud {cloud_id}"
        found = _decoded(request, self._checked(request, answer, "", place), Answer.json)
        token = found.get("accessToken") if isinstance(found, dict) else None
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise DotyposResponseError(
                f"POST {request.path} answered {answer.status} without an access token: check API base URL in the "
                "Airflow connection",
                reason=NOT_A_SIGN_IN,
                status=answer.status,
            )
        if self._on_token:
            self._on_token(token)
        return token

    def _send(
        self,
        transport: Transport,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: float,
    ) -> Answer:
        self.sleep(0)  # a killed task starts no further request
        for seconds in self._gate.waits(self.settings.requests_per_minute):
            self.sleep(seconds)
        answer = transport.send(method, url, headers, body, timeout)
        self._gate.answered(throttled=answer.status in (429, 503))
        self._note_date(answer.headers.get("Date"))
        return answer

    def _retrying(self, what: str, attempt: Callable[[], T]) -> T:
        def before_sleep(error: DotyposError, seconds: float, tries: int) -> None:
            if isinstance(error, DotyposApiError) and error.status in (429, 503):
                if error.retry_after is None:
                    self._gate.close(seconds)
                else:  # without this thread's jitter: everybody adds their own
                    self._gate.close_as_told(error.retry_after)
            log.warning("%s Trying %s again in %.1f s (try %d).", error, what, seconds, tries + 1)

        return retry.policy(self._patience, self._gate, sleep=self.sleep, before_sleep=before_sleep)(attempt)

    def _note_date(self, value: str | None) -> None:
        known = self._server_date
        if value is None or (known is not None and known[0] == value):
            return
        date = server_time(value)
        if date is not None:
            self._server_date = (value, date, time.monotonic())


def _decoded(request: _Request, answer: Answer, decode: Callable[[Answer], T]) -> T:
    try:
        return decode(answer)
    except DotyposResponseError as error:
        raise DotyposResponseError(
            f"{request.method} {request.path} {error}.",
            reason=error.reason,
            status=answer.status,
        ) from None


def _uncertain(request: _Request, why: str, status: int | None = None) -> DotyposUncertainWriteError:
    return DotyposUncertainWriteError(
        f"{request.method} {request.path} may or may not have been carried out: {why} "
        "It was not repeated; look at what is there before you repeat it.",
        method=request.method,
        path=request.path,
        status=status,
    )


def _unreadable(request: _Request, answer: Answer, error: Exception) -> DotyposUnreadableAnswerError:
    """Return the error for a write that is done, whatever its answer is good for."""
    what = (
        str(error)
        if isinstance(error, DotyposResponseError)
        else f"{request.method} {request.path}: its answer could not be made into a result ({type(error).__name__}); "
        "mend response_filter or decode."
    )
    return DotyposUnreadableAnswerError(
        f"{what} The write itself was answered {answer.status}, so it is done; don't repeat it.",
        method=request.method,
        path=request.path,
        status=answer.status,
    )


def _target(answer: Answer) -> str:
    try:
        return redact(urlsplit(answer.headers.get("Location", "")).hostname or "another path")
    except ValueError:
        return "another place"
