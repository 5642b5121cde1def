"""What the API's refusals are called, and what to do about each.

Every error tells the method, the path, the status, the API's ``reason`` and the cure; no error ever holds a secret:
whatever comes from outside goes through ``redact``. ``permanent`` says that trying the same again can't help.

https://docs.api.dotypos.com/api-reference/general/common-error-responses
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

import msgspec

#: Where a refresh token comes from, for a message's cure; the command is there on every version of Airflow.
CONNECT_ANEW = "in Airflow: Admin > Connect Dotypos; in a shell: python -m airflow_provider_dotypos connect"

#: A longer ``Retry-After`` than this, in seconds, isn't waited out: it would hold a worker slot for nothing.
LONGEST_RETRY_AFTER = 600.0

_SECRET_SHAPES = re.compile(
    # Authorization values, JSON Web Tokens, and token or secret parameters, wherever an answer echoes them.
    r"(?P<scheme>\b(?:Bearer|User)\s+)[^\s\"',;]{12,}"
    r"|\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?"
    r"|(?P<name>\b(?:access_?token|refresh_?token|token|client_?secret|secret|password|signature)[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;}]+",
    re.IGNORECASE,
)


def redact(text: str, secrets: Iterable[str | None] = ()) -> str:
    """Return `text` with the given secrets, and everything that has the shape of one, replaced by ``***``."""
    for secret in sorted({s for s in secrets if s and len(s) >= 4}, key=len, reverse=True):
        text = text.replace(secret, "***")
    return _SECRET_SHAPES.sub(lambda m: (m["scheme"] or m["name"] or "") + "***", text)


class DotyposError(Exception):
    """The root of all errors of this provider.

    :ivar permanent: trying the same again can't help, so an Airflow task should fail at once.
    :ivar passing: trying the same again soon may well help, so the client does.
    """

    permanent = False
    passing = False


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


class DotyposUncertainWriteError(DotyposError):
    """A write went out and no answer came back: it may or may not have been carried out. Look before you repeat it."""

    permanent = True


class DotyposResponseError(DotyposError):
    """An answer that can't be one of Dotypos's: a redirect, a web page, or JSON of another shape.

    An undecodable body may be a passing fault of a proxy; a redirect is a wrong address for good.
    """

    def __init__(self, message: str, *, passing: bool = False, permanent: bool = False) -> None:
        super().__init__(message)
        self.passing = passing
        self.permanent = permanent


class DotyposApiError(DotyposError):
    """The API refused a call.

    :ivar method: HTTP method. :ivar path: path below the API's host. :ivar status: HTTP status.
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
    """401: the refresh token was refused, or isn't valid for this cloud."""

    permanent = True
    cure = (
        "The refresh token is wrong or revoked, or is not valid for this cloud: check Refresh Token and Cloud ID "
        f"in the Airflow connection, or connect the cloud anew ({CONNECT_ANEW})."
    )


class DotyposPermissionError(DotyposApiError):
    """403: the token may not do this (foreign cloud, missing permission, licence too low)."""

    permanent = True
    cure = "The token may not do this; ask who connected the cloud for the permission."

    _CURES: Mapping[str, str] = {
        "CLOUD_FORBIDDEN": "The token is not for this cloud: check Cloud ID in the Airflow connection.",
        "LICENSE_UPGRADE_REQUIRED": "The cloud's Dotypos licence does not include this; upgrade it.",
        "ACCESS_TOKEN_EXPIRED": "Even a fresh access token was refused; check the connection with its Test button.",
        "INVALID_ACCESS_TOKEN": "Even a fresh access token was refused; check the connection with its Test button.",
    }

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal, self._CURES.get(refusal.reason or ""))


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

    :param retry_after: seconds the API asks to wait. :param empty: whether the answer had no body.
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
) -> DotyposApiError:
    """Return the error for an answer whose status is 400 or more; bodies may be empty, HTML or JSON of any shape."""
    secrets = tuple(secrets)
    facts = _facts(body)
    violations = tuple(
        (field and redact(field, secrets)[:80], redact(message, secrets))
        for field, message in _violations(facts.get("violations"))
    )
    message = facts.get("message")
    listed = "; ".join(f"{field or 'request'}: {message}" for field, message in violations)
    refusal = Refusal(
        method=method,
        path=redact(path, secrets),
        status=status,
        reason=redact(str(facts["reason"]), secrets)[:80] if facts.get("reason") else None,
        message=redact(str(message), secrets)[:500] if message else listed[:500] or None,
        violations=violations,
        retry_after=retry_after_seconds(headers.get("Retry-After")),
        empty=not body.strip(),
    )
    kind = _KINDS.get(status) or (DotyposServerError if status >= 500 else DotyposApiError)
    error = kind(refusal)
    if kind is DotyposApiError:
        error.permanent = True
    return error


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


def _facts(body: bytes) -> dict[str, object]:
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return decoded if isinstance(decoded, dict) else {}


def _violations(found: object) -> list[tuple[str | None, str]]:
    """Read violations as ``{fieldName, message}``; one client sees ``path`` (a list) instead of ``fieldName``."""
    pairs = []
    for violation in found if isinstance(found, list) else []:
        if isinstance(violation, dict):
            name = violation.get("fieldName")
            if name is None and isinstance(violation.get("path"), list):
                name = ".".join(map(str, violation["path"]))
            pairs.append((str(name) if name is not None else None, str(violation.get("message") or "invalid")))
    return pairs
