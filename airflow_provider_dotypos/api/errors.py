"""What the API's refusals are called, and what to do about each.

Every error tells the method, the path, the status, the API's ``reason`` and the cure; no error ever holds a secret:
whatever comes from outside goes through ``redact``. ``permanent`` says that trying the same again can't help.
A refusal that isn't Dotypos's own says nothing about the call: something in between answered (``refusals.is_foreign``).

https://docs.api.dotypos.com/api-reference/general/common-error-responses
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any, cast

from airflow_provider_dotypos.api.redaction import redact as redact
from airflow_provider_dotypos.api.refusals import IN_BETWEEN, STALE_TOKEN, facts_of, is_foreign, violations_of

#: Where a refresh token comes from, for a message's cure; the command is there on every version of Airflow.
CONNECT_ANEW = "in Airflow: Admin > Connect Dotypos; in a shell: python -m airflow_provider_dotypos connect"

#: A longer ``Retry-After`` than this, in seconds, isn't waited out: it would hold a worker slot for nothing.
LONGEST_RETRY_AFTER = 600.0


class DotyposError(Exception):
    """The root of all errors of this provider.

    :ivar permanent: trying the same again can't help, so an Airflow task should fail at once.
    :ivar passing: trying the same again soon may well help, so the client does.
    """

    permanent = False
    passing = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how pickle and copy make the error anew: from what it holds, past the constructors of subclasses."""
        kind, args, *state = cast("tuple[Any, ...]", super().__reduce__())
        return _restored, (kind, args), *state


def _restored(kind: type[DotyposError], args: tuple[Any, ...]) -> DotyposError:
    error = kind.__new__(kind, *args)
    builtin: Any = next(base for base in kind.__mro__ if base.__module__ == "builtins")
    builtin.__init__(error, *args)  # an ImportError, for instance, keeps its message apart
    return error


class DotyposInputError(DotyposError, ValueError):
    """Something was asked that can't be sent: an unknown entity or field, a bad filter, path or window."""

    permanent = True


class DotyposConfigurationError(DotyposError, ValueError):
    """The connection lacks something or holds something unusable; the message names the form field."""

    permanent = True


class DotyposMissingTokenError(DotyposConfigurationError):
    """The connection holds no refresh token: the cloud was never connected."""


class DotyposWalkError(DotyposError):
    """The API's answers can't be walked without losing rows (wrong order, rows outside the window, endless ties)."""


class DotyposCancelledError(DotyposError):
    """The task was killed while it waited."""


class DotyposConnectionError(DotyposError):
    """No whole answer arrived: refused, reset, timed out, or cut off.

    :ivar sent: whether the request may have reached the server (a write must not be repeated then).
    """

    passing = True

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class DotyposTlsError(DotyposConnectionError):
    """The server's certificate can't be trusted, or it doesn't speak TLS."""

    permanent = True
    passing = False


class DotyposAnswerTooLargeError(DotyposConnectionError):
    """An answer was larger than any that Dotypos means to give, and wasn't read to its end."""

    passing = False


class DotyposEnvironmentError(DotyposError):
    """The worker's environment allows no call: its proxy or certificates; the message names the variable."""

    permanent = True


class DotyposClockError(DotyposError):
    """The clocks of this machine and of the server differ too much to tell whether a window is over."""


class DotyposWriteError(DotyposError):
    """A write went out, and its answer doesn't say what came of it. It isn't repeated, by Airflow neither.

    :ivar method: HTTP method.
    :ivar path: path below the API's host.
    :ivar sent: whether anything was sent.
    :ivar status: HTTP status of the answer, or ``None`` if none arrived.
    """

    permanent = True

    def __init__(self, message: str, *, method: str, path: str, sent: bool = True, status: int | None = None) -> None:
        super().__init__(message)
        self.method = method
        self.path = path
        self.sent = sent
        self.status = status


class DotyposUncertainWriteError(DotyposWriteError):
    """A write may or may not have been carried out: no answer came back, or none of Dotypos's own.

    Look at what is there before you repeat it.
    """


class DotyposUnreadableAnswerError(DotyposWriteError):
    """A write is done (its answer is a 2xx), but its answer can't be read or made into a result. Don't repeat it."""


class DotyposResponseError(DotyposError):
    """An answer that can't be one of Dotypos's: a redirect, a web page, or JSON of another shape.

    An undecodable body or a gateway's refusal may be a passing fault; a redirect is a wrong address for good.

    :ivar status: HTTP status of the answer, where it is known.
    """

    def __init__(
        self, message: str, *, passing: bool = False, permanent: bool = False, status: int | None = None
    ) -> None:
        super().__init__(message)
        self.passing = passing
        self.permanent = permanent
        self.status = status


class DotyposApiError(DotyposError):
    """The API refused a call.

    :ivar method: HTTP method.
    :ivar path: path below the API's host.
    :ivar status: HTTP status.
    :ivar reason: the API's reason code, such as ``CLOUD_FORBIDDEN``, or ``None``.
    :ivar retry_after: seconds the API asks to wait, or ``None``.
    :ivar retry_at: when that is over (UTC), or ``None``.
    :ivar too_long_to_wait: whether it is longer than is worth holding a worker slot for.
    """

    cure = "See the API's message."

    def __init__(self, refusal: Refusal, cure: str | None = None) -> None:
        self.method = refusal.method
        self.path = refusal.path
        self.status = refusal.status
        self.reason = refusal.reason
        self.refusal = refusal
        self.retry_after = refusal.retry_after
        self.retry_at = (
            None if refusal.retry_after is None else datetime.now(timezone.utc) + timedelta(seconds=refusal.retry_after)
        )
        self.too_long_to_wait = (refusal.retry_after or 0.0) > LONGEST_RETRY_AFTER
        told = f" {refusal.reason}" if refusal.reason else ""
        said = f": {refusal.message}" if refusal.message else ""
        super().__init__(f"{refusal.method} {refusal.path} answered {refusal.status}{told}{said}. {cure or self.cure}")


class DotyposAuthenticationError(DotyposApiError):
    """401: the refresh token was refused, or isn't valid for this cloud.

    Passing where a call was refused with an access token that had just been issued: a dead refresh token is refused at
    the sign-in.
    """

    permanent = True
    cure = (
        "The refresh token is wrong or revoked, or is not valid for this cloud: check Refresh Token and Cloud ID "
        f"in the Airflow connection, or connect the cloud anew ({CONNECT_ANEW})."
    )

    def __init__(self, refusal: Refusal, cure: str | None = None, *, passing: bool = False) -> None:
        super().__init__(refusal, cure)
        self.passing, self.permanent = passing, not passing


#: What to do when an access token that was just issued is refused.
FRESH_TOKEN_REFUSED = (
    "Even a fresh access token was refused, which usually passes; if it goes on, check the connection with its Test "
    "button."
)


class DotyposPermissionError(DotyposApiError):
    """403: the token may not do this (foreign cloud, missing permission, licence too low).

    Passing where a call was refused with an access token that had just been issued, as stale or without a reason.
    """

    permanent = True
    cure = "The token may not do this; ask who connected the cloud for the permission."

    _CURES: Mapping[str, str] = {
        "CLOUD_FORBIDDEN": "The token is not for this cloud: check Cloud ID in the Airflow connection.",
        "LICENSE_UPGRADE_REQUIRED": "The cloud's Dotypos licence does not include this; upgrade it.",
        **dict.fromkeys(STALE_TOKEN, FRESH_TOKEN_REFUSED),
    }
    _NO_REASON = "It gave no reason: the fault may pass, or the token may not do this; ask who connected the cloud."

    def __init__(self, refusal: Refusal, *, passing: bool = False) -> None:
        super().__init__(refusal, self._NO_REASON if refusal.empty else self._CURES.get(refusal.reason or ""))
        self.passing, self.permanent = passing, not passing


class DotyposNotFoundError(DotyposApiError):
    """404: no such row or path; without a body it may be an empty list as well."""

    permanent = True
    cure = "There is no such row or path; check the id and the path."

    def __init__(self, refusal: Refusal, cure: str | None = None) -> None:
        if refusal.empty and cure is None:
            cure = (
                "There is no such row or path, or the list is empty: Dotypos answers an empty list like this, too "
                "(DotyposHook.rows tells them apart)."
            )
        super().__init__(refusal, cure)


class DotyposValidationError(DotyposApiError):
    """400: the API found the request invalid.

    :ivar violations: what is wrong, as ``(field or None, message)`` pairs.
    """

    permanent = True
    cure = "Correct the request."

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.violations = refusal.violations


class DotyposConflictError(DotyposApiError):
    """409: the row was changed meanwhile, is referenced, or exists already."""

    permanent = True
    cure = "Read the row again and repeat the change on what it is now."


class DotyposPreconditionError(DotyposConflictError):
    """412 or 428: the ETag sent in ``If-Match`` is not the row's, or is missing."""

    cure = "Read the single row, and send its ETag as If-Match (the ETag of a list doesn't fit a single row)."


class DotyposRateLimitError(DotyposApiError):
    """429: too many requests."""

    cure = "Wait; set Requests per minute or lower Max concurrency in the Airflow connection."

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.passing = not self.too_long_to_wait


class DotyposServerError(DotyposApiError):
    """5xx or 408: the server failed; usually passing (501 and 505 are not: it will never do this)."""

    cure = "The fault is on the server's side; try again later."

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.passing = refusal.status not in (501, 505) and not self.too_long_to_wait


@dataclass(frozen=True)
class Refusal:
    """What is known of a refused call: the facts that an error is made of.

    :param retry_after: seconds the API asks to wait.
    :param empty: whether the answer had no body.
    """

    method: str
    path: str
    status: int
    reason: str | None = None
    message: str | None = None
    violations: Sequence[tuple[str | None, str]] = ()
    retry_after: float | None = None
    empty: bool = False


def error_for(
    method: str, path: str, status: int, headers: Mapping[str, str], body: bytes, secrets: Iterable[str | None] = ()
) -> DotyposApiError | DotyposResponseError:
    """Return the error for an answer whose status is 400 or more; bodies may be empty, HTML or JSON of any shape."""
    secrets = tuple(secrets)
    if is_foreign(status, body):
        return DotyposResponseError(
            f"{method} {redact(path, secrets)} answered {status} with "
            f"{redact(headers.get('Content-Type') or 'no content type', secrets)[:80]}: {IN_BETWEEN}",
            passing=True,
            status=status,
        )
    facts = facts_of(body)
    violations = tuple(
        (field and redact(field, secrets)[:80], redact(message, secrets)[:_LONGEST_MESSAGE])
        for field, message in violations_of(facts)
    )
    message = facts.get("message")
    listed = "; ".join(f"{field or 'request'}: {message}" for field, message in violations)
    refusal = Refusal(
        method=method,
        path=redact(path, secrets),
        status=status,
        reason=redact(str(facts["reason"]), secrets)[:80] if facts.get("reason") else None,
        message=redact(str(message), secrets)[:_LONGEST_MESSAGE] if message else listed[:_LONGEST_MESSAGE] or None,
        violations=violations,
        retry_after=retry_after_seconds(headers.get("Retry-After")),
        empty=not body.strip(),
    )
    kind = _KINDS.get(status) or (DotyposServerError if status >= 500 else DotyposApiError)
    error = kind(refusal)
    if kind is DotyposApiError:
        error.permanent = True
    return error


#: Characters of an API's message that an error shows.
_LONGEST_MESSAGE = 500

_KINDS: Mapping[int, type[DotyposApiError]] = {
    400: DotyposValidationError,
    401: DotyposAuthenticationError,
    403: DotyposPermissionError,
    404: DotyposNotFoundError,
    408: DotyposServerError,
    409: DotyposConflictError,
    412: DotyposPreconditionError,
    425: DotyposRateLimitError,
    428: DotyposPreconditionError,
    429: DotyposRateLimitError,
}


def retry_after_seconds(value: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for, at most a day; ``None`` if it can't be read.

    :param value: seconds, or an HTTP date; a number too large to be seconds is taken for a time (epoch s or ms).
    """
    now = now or datetime.now(timezone.utc)
    if value is None or not value.strip():
        return None
    if re.fullmatch(r"\s*\d{1,20}(\.\d+)?\s*", value):
        seconds = float(value)
        if seconds > _EPOCH_SECONDS:
            seconds = (seconds / 1000 if seconds > 1000 * _EPOCH_SECONDS else seconds) - now.timestamp()
    else:
        try:
            moment = parsedate_to_datetime(value)
            zoned = moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)
            seconds = (zoned - now).total_seconds()
        except (ValueError, OverflowError):
            return None
    return min(max(0.0, seconds), _LONGEST_BELIEVED)


#: Larger numbers than this in a Retry-After are times, not seconds.
_EPOCH_SECONDS = 1e9
#: The longest wait that is believed, in seconds: a day.
_LONGEST_BELIEVED = 86_400.0
