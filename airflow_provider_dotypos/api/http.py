"""A request and its answer, for both drivers."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from airflow_provider_dotypos.api.characters import decode_json, without_mark
from airflow_provider_dotypos.api.errors import (
    DotyposAnswerTooLargeError,
    DotyposApiError,
    DotyposError,
    DotyposNotFoundError,
    DotyposResponseError,
    error_for,
)
from airflow_provider_dotypos.api.pos_errors import DotyposBusyError
from airflow_provider_dotypos.api.redaction import redact
from airflow_provider_dotypos.api.retry_table import NOT_JSON, REDIRECT

T = TypeVar("T")

#: What the 404 of a POS action may mean.
_SILENT = (
    "The till doesn't answer, because it is off or has no network, or there is no such branch. It may still carry the "
    "action out, unless that has a validity."
)

#: The largest answer that is read, in bytes once it is unzipped: room for a hundred rows of 640 kB each.
LARGEST_ANSWER = 64 * 2**20

#: What to do about an answer that can't be one of Dotypos's.
_ODD_ANSWER = (
    "If it continues, check API base URL in the Airflow connection, and whether a proxy or a cache answers in place of "
    "Dotypos or changes its answers. If neither is the cause, report this message."
)

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_CHUNK = 2**18


@dataclass(frozen=True)
class Request:
    """What is sent.

    :param path: below the API's host, as messages show it.
    :param timeout: for all of the exchange, from connecting to the last byte, in seconds.
    :param largest_answer: size in bytes above which an answer is an error.
    :param harmless: whether it changes nothing, although its method is a write's.
    """

    method: str
    path: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    timeout: float = 60.0
    largest_answer: int = LARGEST_ANSWER
    harmless: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def safe(self) -> bool:
        """Whether it changes nothing, so that it can be sent again."""
        return self.harmless or self.method in _SAFE_METHODS

    @property
    def to_till(self) -> bool:
        """Whether it goes through to a till, so that a 404 or 429 may be about that till alone."""
        return self.method == "POST" and self.path.partition("?")[0].rstrip("/").endswith("/pos-actions")

    def finds_busy(self, answer: Answer) -> bool:
        """Return whether an answer says that its till is busy, and nothing of any other call."""
        return self.to_till and answer.status == 429 and answer.headers.get("Retry-After") is None

    def signed(self, token: str) -> Request:
        """Return the request with an access token."""
        return replace(self, headers={**self.headers, "Authorization": f"Bearer {token}"})


@dataclass(frozen=True)
class Answer:
    """A whole answer: its status, headers (case-insensitive) and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> object:
        """Return the decoded body; ``None`` when it is empty.

        :raises DotyposResponseError: if it isn't JSON, or JSON that can't be held: too deep, or a number too long.
        """
        if not without_mark(self.body).strip():
            return None
        try:
            return decode_json(self.body)
        except msgspec.DecodeError:
            kind = redact(self.headers.get("Content-Type", "")[:80]) or "no content type"
            raise DotyposResponseError(
                f"answered {self.status} with {kind} ({len(self.body)} bytes) that is not JSON",
                reason=NOT_JSON,
            ) from None


class Body:
    """An answer's body as it comes in: unzipped in pieces, so that a small one can't unfold beyond the bound.

    :param encoding: the answer's ``Content-Encoding``. Only gzip, which is asked for, is unzipped.
    """

    def __init__(self, request: Request, encoding: str) -> None:
        self._request = request
        self._zipped = encoding.lower() in ("gzip", "x-gzip")
        self._unzipper = _unzipper()
        self._members = 0
        self._read = io.BytesIO()

    def add(self, piece: bytes) -> None:
        """Take the next bytes.

        :raises DotyposAnswerTooLargeError: if the answer is larger than the request allows.
        :raises zlib.error: if it isn't zipped as it says.
        """
        if not self._zipped:
            self._keep(piece)
            return
        unfolded = b""
        while piece or len(unfolded) == _CHUNK:
            if piece and self._unzipper.eof:  # zipped answers may come in several members
                self._unzipper, self._members = _unzipper(), self._members + 1
            try:
                unfolded = self._unzipper.decompress(piece, _CHUNK)
            except zlib.error:
                if not self._members:
                    raise
                return  # what follows a whole member may be padding
            self._keep(unfolded)
            piece = self._unzipper.unconsumed_tail or self._unzipper.unused_data

    def whole(self) -> bytes:
        """Return all of it."""
        return self._read.getvalue()

    def _keep(self, piece: bytes) -> None:
        if self._read.tell() + len(piece) > self._request.largest_answer:
            raise DotyposAnswerTooLargeError(
                f"{self._request}: the answer is larger than {self._request.largest_answer // 2**20} MiB and was not "
                "read on: check API base URL; if it is Dotypos's, ask for fewer rows or child lists."
            )
        self._read.write(piece)


def _unzipper() -> zlib._Decompress:
    return zlib.decompressobj(zlib.MAX_WBITS | 16)


def sent_headers(request: Request) -> dict[str, str]:
    """Return a request's headers, and those that every request has."""
    return {**request.headers, "Accept-Encoding": "gzip", "User-Agent": "airflow-provider-dotypos"}


def check_answer(request: Request, answer: Answer, secrets: Iterable[str], sign_in: str | None = None) -> Answer:
    """Return an answer that isn't a refusal.

    :param secrets: what no error may hold.
    :param sign_in: see ``Refusal``.
    :raises DotyposError: if it is a refusal or a redirect.
    """
    if answer.status >= 400:
        raise refusal_of(request, answer, secrets, sign_in)
    if 300 <= answer.status < 400 and answer.status != 304:
        raise DotyposResponseError(
            f"{request} was redirected to {_target(answer)} and not followed: tokens go nowhere else. Check API base "
            "URL in the Airflow connection.",
            reason=REDIRECT,
            status=answer.status,
        )
    return answer


def refusal_of(request: Request, answer: Answer, secrets: Iterable[str], sign_in: str | None = None) -> DotyposError:
    """Return the error for an answer whose status is 400 or more."""
    # What the 404 of a silent till holds isn't documented.
    body = b"" if request.to_till and answer.status == 404 else answer.body
    error = error_for(request.method, request.path, answer.status, answer.headers, body, secrets, sign_in)
    if isinstance(error, DotyposApiError) and request.finds_busy(answer):
        return DotyposBusyError(error.refusal)
    if isinstance(error, DotyposNotFoundError) and request.to_till:
        return DotyposNotFoundError(error.refusal, _SILENT)
    return error


def decode_answer(request: Request, answer: Answer, decode: Callable[[Answer], T]) -> T:
    """Return what `decode` makes of an answer; its error names the request."""
    try:
        return decode(answer)
    except DotyposResponseError as error:
        raise DotyposResponseError(
            f"{request} {error}. {_ODD_ANSWER}", reason=error.reason, status=answer.status
        ) from None


def _target(answer: Answer) -> str:
    try:
        return redact(urlsplit(answer.headers.get("Location", "")).hostname or "another path")
    except ValueError:
        return "another place"
