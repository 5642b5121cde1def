"""What failures are called, and the facts that each carries; ``retry_table`` says which are tried again.

A refusal's message says the method, the path, the status, the API's ``reason`` and the cure. No error holds a secret:
everything from outside goes through ``redact``. A refusal that isn't Dotypos's own says nothing about the call, as
something in between answered (``refusals.is_foreign``).

https://docs.api.dotypos.com/api-reference/general/common-error-responses
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, cast

import msgspec

from airflow_provider_dotypos.api import retry_table
from airflow_provider_dotypos.api.redaction import redact as redact
from airflow_provider_dotypos.api.refusals import (
    IN_BETWEEN,
    STALE_TOKEN_CODES,
    facts_of,
    is_foreign,
    retry_after_seconds,
    violations_of,
)
from airflow_provider_dotypos.api.retry_table import Verdict, verdict

#: What to do when an access token that was just issued is refused.
FRESH_TOKEN_REFUSED = (
    "Even a fresh access token was refused, which usually passes; if it continues, check the connection with its "
    "Test button."
)

#: Where a refresh token comes from, for a message's cure; the command is there on every version of Airflow.
HOW_TO_CONNECT = "in Airflow: Admin > Connect Dotypos; or run python -m airflow_provider_dotypos connect --conn-id ID"


class DotyposError(Exception):
    """The root of all errors of this provider.

    :ivar status: HTTP status of the answer, or ``None``.
    :ivar reason: the API's code, such as ``CLOUD_FORBIDDEN``, or why an answer can't be used, or ``None``.
    :ivar sent: whether the request may have reached the server.
    :ivar tries: how often the call was tried before the client gave up, or ``None``.
    :ivar waited: seconds from its first try until the client gave up, or ``None``.
    :ivar connection: id of the Airflow connection, once the error has reached a task.
    :ivar retry_at: when the same call may succeed (UTC), or ``None``.
    :ivar too_long_to_wait: whether that is longer than is worth holding a worker slot for.
    :ivar brought_rows: whether the task has stored rows, so that its next attempt has less to do.
    """

    status: int | None = None
    reason: str | None = None
    sent: bool = False
    tries: int | None = None
    waited: float | None = None
    connection: str | None = None
    retry_at: datetime | None = None
    too_long_to_wait: bool = False
    brought_rows: bool = False

    def __str__(self) -> str:
        """Return the message, with the connection if it is known."""
        return super().__str__() + (f" (connection {self.connection!r})" if self.connection is not None else "")

    @property
    def reasons(self) -> frozenset[str]:
        """All that is known of why it failed."""
        return frozenset() if self.reason is None else frozenset({self.reason})

    @property
    def permanent(self) -> bool:
        """Whether trying the same again can't help, so that an Airflow task fails at once."""
        return verdict(self) in (Verdict.FAIL, Verdict.ASK)

    @property
    def passing(self) -> bool:
        """Whether trying the same again soon may well help, so that the client does."""
        return verdict(self) is Verdict.RETRY

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what pickle and copy make the error of: what it holds, past the constructors of subclasses."""
        kind, args, *state = cast("tuple[Any, ...]", super().__reduce__())
        return _restored, (kind, args), *state


def _restored(kind: type[DotyposError], args: tuple[Any, ...]) -> DotyposError:
    error = kind.__new__(kind, *args)
    builtin: Any = next(base for base in kind.__mro__ if base.__module__ == "builtins")
    builtin.__init__(error, *args)  # an ImportError, for instance, keeps its message apart
    return error


class DotyposInputError(DotyposError, ValueError):
    """Something was asked that can't be sent: an unknown entity or field, a bad filter, path or window."""


class DotyposConfigurationError(DotyposError, ValueError):
    """The connection lacks something or holds something unusable; the message names the form field."""


class DotyposMissingTokenError(DotyposConfigurationError):
    """The connection holds no refresh token: the cloud was never connected."""


class DotyposWalkError(DotyposError):
    """The API's answers can't be walked without losing rows (wrong order, rows outside the window, endless ties)."""


class DotyposCancelledError(DotyposError):
    """The task was killed while it waited."""


class DotyposConnectionError(DotyposError):
    """No whole answer arrived: refused, reset, timed out, or cut off.

    :ivar sent: whether the request may have reached the server (a write must not be repeated then).
    :ivar unreachable: whether no connection could be made: the host refuses it, or has no address.
    """

    def __init__(self, message: str, *, sent: bool = True, unreachable: bool = False) -> None:
        super().__init__(message)
        self.sent = sent
        self.unreachable = unreachable


class DotyposTlsError(DotyposConnectionError):
    """The server's certificate can't be trusted, or it doesn't speak TLS."""


class DotyposAnswerTooLargeError(DotyposConnectionError):
    """An answer was larger than any that Dotypos means to give, and wasn't read to its end."""


class DotyposEnvironmentError(DotyposError):
    """The worker's environment allows no call: its proxy or certificates; the message names the variable."""


class DotyposClockError(DotyposError):
    """The clocks of this machine and of the server differ too much to tell whether a window is over."""


class DotyposWriteError(DotyposError):
    """A write went out, and its answer doesn't say what came of it. Neither the client nor Airflow repeats it.

    :ivar method: HTTP method.
    :ivar path: path below the API's host.
    :ivar sent: whether anything was sent.
    :ivar status: HTTP status of the answer, or ``None`` if none arrived.
    """

    def __init__(self, message: str, *, method: str, path: str, sent: bool = True, status: int | None = None) -> None:
        super().__init__(message)
        self.method = method
        self.path = path
        self.sent = sent
        self.status = status


class DotyposUncertainWriteError(DotyposWriteError):
    """A write may or may not have been carried out: no answer came back, or none of Dotypos's own.

    Check whether it was done before you repeat it.
    """


class DotyposUnreadableAnswerError(DotyposWriteError):
    """A write is done (its answer is a 2xx), but its answer can't be read or made into a result. Don't repeat it."""


class DotyposResponseError(DotyposError):
    """An answer that can't be one of Dotypos's: a redirect, a web page, or JSON of another shape.

    :ivar reason: why it can't be one, as ``retry_table`` knows it; ``None`` for what it holds.
    """

    sent = True

    def __init__(self, message: str, *, reason: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status


class DotyposApiError(DotyposError):
    """The API refused a call.

    :ivar method: HTTP method.
    :ivar path: path below the API's host.
    :ivar retry_after: seconds the API asks to wait, or ``None``.
    """

    status: int
    sent = True
    cure = "See the API's message."

    def __init__(self, refusal: Refusal, cure: str | None = None) -> None:
        self.method = refusal.method
        self.path = refusal.path
        self.status = refusal.status
        self.reason = refusal.reason
        self.refusal = refusal
        self.retry_after = refusal.retry_after
        if refusal.retry_after is not None:
            self.retry_at = datetime.now(timezone.utc) + timedelta(seconds=refusal.retry_after)
        self.too_long_to_wait = (refusal.retry_after or 0.0) > retry_table.LONGEST_RETRY_AFTER
        code = f" {refusal.reason}" if refusal.reason else ""
        said = f": {refusal.message}" if refusal.message else ""
        called = f"{refusal.method} {refusal.path}"
        super().__init__(f"{called} answered {refusal.status}{code}{said}. {cure or self._cure_of(refusal)}")

    @property
    def reasons(self) -> frozenset[str]:
        """All that is known of why it failed."""
        facts = {
            retry_table.SIGN_IN: self.refusal.sign_in is not None,
            retry_table.STALE_TOKEN: self.reason in STALE_TOKEN_CODES,
            retry_table.NO_BODY: self.refusal.empty,
            retry_table.LONG_WAIT: self.too_long_to_wait,
        }
        return super().reasons.union(name for name, holds in facts.items() if holds)

    def _cure_of(self, refusal: Refusal) -> str:
        return self.cure


class DotyposAuthenticationError(DotyposApiError):
    """401: the sign-in refused the refresh token, or a call an access token that had just been issued."""

    cure = (
        "The refresh token is not valid for this cloud, or is wrong or revoked: check the cloud's id, and Refresh "
        f"Token in the Airflow connection, or connect the cloud again ({HOW_TO_CONNECT})."
    )

    def _cure_of(self, refusal: Refusal) -> str:
        # A dead refresh token is refused at the sign-in; a call's has just been good for an access token.
        if refusal.sign_in is None:
            return f"It gave no reason. Perhaps {IN_BETWEEN}" if refusal.empty else FRESH_TOKEN_REFUSED
        return f"This was the sign-in {refusal.sign_in}. {self.cure}"


class DotyposPermissionError(DotyposApiError):
    """403: the token may not do this (foreign cloud, missing permission, licence too low)."""

    cure = "The token may not do this; ask who connected the cloud for the permission."

    _CURES: Mapping[str | None, str] = {
        "CLOUD_FORBIDDEN": "The token is not for this cloud: check Cloud ID in the connection, or the cloud_id given.",
        "LICENSE_UPGRADE_REQUIRED": "The cloud's Dotypos licence does not include this; upgrade it.",
        **dict.fromkeys(STALE_TOKEN_CODES, FRESH_TOKEN_REFUSED),
    }
    _NO_REASON = "It gave no reason: the fault may pass, or the token may not do this; ask who connected the cloud."

    def _cure_of(self, refusal: Refusal) -> str:
        return self._NO_REASON if refusal.empty else self._CURES.get(refusal.reason, self.cure)


class DotyposNotFoundError(DotyposApiError):
    """404: no such row or path; without a body it may be an empty list as well."""

    cure = "There is no such row or path; check the id and the path."

    _NO_BODY = (
        "There is no such row or path, or the list is empty: Dotypos answers an empty list like this, too "
        "(DotyposHook.rows tells them apart)."
    )

    def _cure_of(self, refusal: Refusal) -> str:
        return self._NO_BODY if refusal.empty else self.cure


class DotyposValidationError(DotyposApiError):
    """400: the API found the request invalid.

    :ivar violations: what is wrong, as ``(field or None, message)`` pairs.
    """

    cure = "Correct the request."

    def __init__(self, refusal: Refusal, cure: str | None = None) -> None:
        super().__init__(refusal, cure)
        self.violations = refusal.violations


class DotyposConflictError(DotyposApiError):
    """409: the row was changed meanwhile, is referenced, or exists already."""

    cure = "Read the row again and repeat the change on what it is now."


class DotyposPreconditionError(DotyposConflictError):
    """412 or 428: the ETag sent in ``If-Match`` is not the row's, or is missing."""

    cure = "Read the single row, and send its ETag as If-Match (the ETag of a list doesn't fit a single row)."


class DotyposRateLimitError(DotyposApiError):
    """429: too many requests."""

    cure = "Wait. Request budget in the Airflow connection, such as 150/30min, keeps all tasks below the limit."


class DotyposServerError(DotyposApiError):
    """5xx or 408: the server failed."""

    cure = "The fault is on the server's side; try again later."


class Refusal(msgspec.Struct, frozen=True):
    """What is known of a refused call: the facts that an error is made of.

    :param retry_after: seconds the API asks to wait.
    :param empty: whether the answer had no body.
    :param sign_in: to what a refused sign-in was meant, such as ``for cloud 5``; ``None`` for any other call.
    """

    method: str
    path: str
    status: int
    reason: str | None = None
    message: str | None = None
    violations: Sequence[tuple[str | None, str]] = ()
    retry_after: float | None = None
    empty: bool = False
    sign_in: str | None = None


def error_for(
    method: str,
    path: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    secrets: Iterable[str | None] = (),
    sign_in: str | None = None,
) -> DotyposApiError | DotyposResponseError:
    """Return the error for an answer whose status is 400 or more; bodies may be empty, HTML or JSON of any shape.

    :param secrets: what the error must not hold.
    :param sign_in: see ``Refusal``.
    """
    secrets = tuple(secrets)
    if is_foreign(status, body):
        return DotyposResponseError(
            f"{method} {redact(path, secrets)} answered {status} with "
            f"{redact(headers.get('Content-Type') or 'no content type', secrets)[:80]}: {IN_BETWEEN}",
            reason=retry_table.FOREIGN,
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
        sign_in=sign_in,
    )
    if status == 404 and sign_in is not None:
        return _no_sign_in(refusal)
    return (_KINDS.get(status) or (DotyposServerError if status >= 500 else DotyposApiError))(refusal)


def _no_sign_in(refusal: Refusal) -> DotyposResponseError:
    """Return the error for a sign-in's 404, which is neither an empty list nor a missing cloud."""
    said = f": {refusal.message}" if refusal.message else ""
    return DotyposResponseError(
        f"{refusal.method} {refusal.path} answered 404{said}. Every Dotypos has a sign-in, so API base URL in the "
        f"Airflow connection may be wrong, or {IN_BETWEEN}",
        reason=retry_table.FOREIGN if refusal.empty else retry_table.NOT_A_SIGN_IN,
        status=refusal.status,
    )


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
