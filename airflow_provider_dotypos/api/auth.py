"""Access tokens: how one is had, which one is taken, and when it is renewed.

The chain: client id and secret (per application) -> refresh token (per cloud, doesn't expire) -> access token (a JWT,
about an hour, for one cloud). ``connector`` is about the refresh token. A sign-in exchanges it for an access token.

https://docs.api.dotypos.com/authorization
"""

from __future__ import annotations

import base64
import copy
import re
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from airflow_provider_dotypos.api.errors import DotyposCancelledError, DotyposError, DotyposResponseError
from airflow_provider_dotypos.api.http import Answer, Request, check_answer, decode_answer
from airflow_provider_dotypos.api.refusals import STALE_TOKEN_CODES, facts_of, is_foreign
from airflow_provider_dotypos.api.retry_table import NOT_A_SIGN_IN
from airflow_provider_dotypos.api.settings import Settings

#: Assumed life of a token that doesn't say its own, in seconds: "one hour by default, not guaranteed" [D2].
DEFAULT_LIFE = 3600.0

#: The longest life that is believed, in seconds: a year.
_LONGEST_LIFE = 366 * 86_400.0

#: A refused token is replaced at once. The one in its place, if it is refused as well, is replaced after a pause, which
#: doubles: however many callers try again and again, they sign in about nine times in two minutes.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_FORGOTTEN_AFTER = 2 * _LONGEST_PAUSE

_SIGN_IN_TIMEOUT = 30.0

#: The largest answer to a sign-in that is read, in bytes; one that is meant holds a token of some kilobytes at most.
_LARGEST_SIGN_IN = 2**20


def sign_in_request(settings: Settings, cloud_id: int | None) -> Request:
    """Return the request for an access token to one cloud, or (``None``) to the list of clouds alone.

    The scheme word is "User", the body JSON, and success is 201 or 200 [D2, C15].
    """
    path = "/v2/signin/token"
    return Request(
        "POST",
        path,
        f"{settings.base_url}{path}",
        {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Authorization": f"User {settings.refresh_token}",
        },
        msgspec.json.encode({"_cloudId": cloud_id} if cloud_id is not None else {}),
        min(settings.timeout, _SIGN_IN_TIMEOUT),
        _LARGEST_SIGN_IN,
    )


def token_issued(request: Request, answer: Answer, settings: Settings, cloud_id: int | None) -> str:
    """Return the access token that a sign-in's answer holds.

    :raises DotyposAuthenticationError: if the refresh token is refused.
    :raises DotyposError: if there is none for another reason.
    """
    place = (
        "without a cloud" if cloud_id is None else f"for cloud {cloud_id}, which {settings.origin_of(cloud_id)} names"
    )
    checked = check_answer(request, answer, (settings.refresh_token,), place)
    facts = decode_answer(request, checked, Answer.json)
    token = facts.get("accessToken") if isinstance(facts, dict) else None
    if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
        raise DotyposResponseError(
            f"{request} answered {answer.status} without an access token: check API base URL in the Airflow connection",
            reason=NOT_A_SIGN_IN,
            status=answer.status,
        )
    return token


def token_refused(answer: Answer) -> bool:
    """Return whether a call was refused for its access token, as far as the answer says.

    A 403 may have lost its reason on the way (no body, a gateway's page). With another reason it is about a permission.
    """
    if answer.status != 403:
        return answer.status == 401
    stale = facts_of(answer.body).get("reason") in STALE_TOKEN_CODES
    return stale or not answer.body.strip() or is_foreign(answer.status, answer.body)


@dataclass(frozen=True)
class AccessToken:
    """One access token and when, on this machine's monotonic clock, it is to be renewed."""

    value: str = field(repr=False)
    renew_at: float

    @classmethod
    def issued(cls, value: str, asked_at: float) -> AccessToken:
        """Return the token `value`, asked for at `asked_at` (monotonic seconds).

        Its life is ``exp - iat``, laid on the monotonic clock, so that a wrong local clock doesn't matter. It is
        renewed early, by 120 s or a quarter of its life: a fixed margin would renew short tokens at every call.
        """
        life = _life(value)
        return cls(value, asked_at + life - min(120.0, life / 4))

    @property
    def due(self) -> bool:
        """Whether it is to be renewed."""
        return time.monotonic() >= self.renew_at


class Tokens:
    """The access tokens of one (server, credentials, cloud), shared by threads and loops.

    A token is an immutable value, read without a lock. A renewal is a flow (see ``exchange``) that runs for one thread
    at a time, and for one task of a loop at a time. A thread doesn't wait for a loop, which it may itself block, nor a
    loop for a thread: at worst both sign in, and the later token stays.

    :ivar lock: held by the thread whose renewal runs.
    :ivar latest: the newest token, which may be due or refused; ``None`` before the first sign-in.
    """

    def __init__(self) -> None:
        self.renew_lock()
        self.latest: AccessToken | None = None
        self._failure: DotyposError | None = None
        self._replaced_at = -_FORGOTTEN_AFTER
        self._pause = 0.0

    def renew_lock(self) -> None:
        """Take a fresh lock (in a forked child)."""
        self.lock = threading.Lock()

    def in_place_of(self, refused: AccessToken) -> AccessToken | None:
        """Return what to use in place of a token that the API has just refused; ``None``: renew it.

        It is `refused` itself if it is too new to be replaced. Signing in again and again for tokens that are refused
        doesn't help, and each sign-in is a request.
        """
        if self.latest and self.latest is not refused:
            return self.latest
        return refused if time.monotonic() < self._replaced_at + self._pause else None

    def renewal(
        self, stale: AccessToken | None, sign_in: Generator[Any, Any, str], *, replacing: bool = False
    ) -> Generator[Any, Any, AccessToken]:
        """Return the flow that renews a token, unless somebody has renewed it or failed to since this was called.

        :param stale: the token that is due or was refused, if there is one.
        :param sign_in: returns the new token's JWT.
        :param replacing: whether `stale` was refused.
        """
        # A generator runs only when it is performed, after a wait for its turn; what is known now is passed to it.
        return self._renew(stale, sign_in, replacing, self._failure)

    def _renew(
        self,
        stale: AccessToken | None,
        sign_in: Generator[Any, Any, str],
        replacing: bool,
        known_failure: DotyposError | None,
    ) -> Generator[Any, Any, AccessToken]:
        if self.latest is not None and self.latest is not stale:
            return self.latest
        # Who waited while a sign-in failed shares its failure, and doesn't knock again. Each raises an error of its
        # own: a traceback grows with every raise.
        if self._failure is not None and self._failure is not known_failure:
            raise copy.copy(self._failure) from None
        started = time.monotonic()
        try:
            token = AccessToken.issued((yield from sign_in), started)
        except DotyposCancelledError:
            raise
        except DotyposError as error:
            self._failure = copy.copy(error)
            raise
        self._failure = None
        if replacing:
            self._lengthen_pause()
        self.latest = token
        return token

    def _lengthen_pause(self) -> None:
        now = time.monotonic()
        in_a_row = now < self._replaced_at + _FORGOTTEN_AFTER
        self._pause = min(2 * self._pause, _LONGEST_PAUSE) if in_a_row else _FIRST_PAUSE
        self._replaced_at = now


class _Claims(msgspec.Struct):
    exp: float | None = None
    iat: float | None = None


def _life(token: str) -> float:
    """Return a JWT's life in seconds, as it says; other claims are undocumented and not read."""
    try:
        payload = token.split(".")[1]
        claims = msgspec.json.decode(
            base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=_Claims, strict=False
        )
    except (IndexError, ValueError, RecursionError, msgspec.MsgspecError):
        return DEFAULT_LIFE
    if claims.exp is None or claims.iat is None or not 0 < claims.exp - claims.iat <= _LONGEST_LIFE:
        return DEFAULT_LIFE
    return claims.exp - claims.iat
