"""Access tokens that renew themselves.

The chain: client id and secret (per application) -> refresh token (per cloud, doesn't expire) -> access token (a JWT,
about an hour, for one cloud). This file decides; ``client`` performs the sign-in.

https://docs.api.dotypos.com/authorization
"""

from __future__ import annotations

import base64
import copy
import hashlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from airflow_provider_dotypos.api.errors import DotyposCancelledError, DotyposError

#: Assumed life of a token that doesn't tell its own, in seconds: "one hour by default, not guaranteed" [D2].
DEFAULT_LIFE = 3600.0

#: The longest life that is believed, in seconds: a year.
_LONGEST_LIFE = 366 * 86_400.0

#: A refused token is replaced at once. The one in its place, if it is refused as well, is replaced after a pause, which
#: doubles: however many threads try again and again, they sign in about nine times in two minutes.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_FORGOTTEN_AFTER = 2 * _LONGEST_PAUSE


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


class TokenSource:
    """Access tokens for one (base URL, refresh token, cloud): one sign-in at a time, however many threads ask.

    A token is an immutable value, read without a lock. Only a renewal takes the lock; it looks again once it has it.
    """

    def __init__(self) -> None:
        self._token: AccessToken | None = None
        self._failure: tuple[float, DotyposError] | None = None
        self._replaced_at = -_FORGOTTEN_AFTER
        self._pause = 0.0
        self._lock = threading.Lock()

    def current(self, sign_in: Callable[[], str]) -> AccessToken:
        """Return a token that isn't due for renewal, signing in by `sign_in` (returns the JWT) if need be."""
        token = self._token
        return token if token and time.monotonic() < token.renew_at else self._renew(token, sign_in)

    def replace(self, refused: AccessToken, sign_in: Callable[[], str]) -> AccessToken:
        """Return a token other than `refused`, which the API has just refused; `refused` itself if it is too new.

        Signing in again and again for tokens that are refused doesn't help, and each sign-in is a request.
        """
        token = self._token
        if token and token is not refused:
            return token
        if time.monotonic() < self._replaced_at + self._pause:
            return refused
        return self._renew(refused, sign_in, replacing=True)

    def _renew(self, stale: AccessToken | None, sign_in: Callable[[], str], *, replacing: bool = False) -> AccessToken:
        asked_at = time.monotonic()
        with self._lock:
            if self._token is not None and self._token is not stale:
                return self._token
            # A thread that waited while a sign-in failed shares its failure, and doesn't knock again. Each raises an
            # error of its own: a traceback grows with every raise.
            if self._failure and self._failure[0] >= asked_at:
                raise copy.copy(self._failure[1]) from None
            started = time.monotonic()
            try:
                token = AccessToken.issued(sign_in(), started)
            except DotyposCancelledError:
                raise
            except DotyposError as error:
                self._failure = (time.monotonic(), copy.copy(error))
                raise
            self._failure = None
            if replacing:
                self._lengthen_pause()
            self._token = token
            return token

    def _lengthen_pause(self) -> None:
        now = time.monotonic()
        in_a_row = now < self._replaced_at + _FORGOTTEN_AFTER
        self._pause = min(2 * self._pause, _LONGEST_PAUSE) if in_a_row else _FIRST_PAUSE
        self._replaced_at = now


_sources: dict[str, TokenSource] = {}
_sources_lock = threading.Lock()


def token_source(base_url: str, refresh_token: str, cloud_id: int | None) -> TokenSource:
    """Return this process's source of tokens for these credentials.

    Sources are told apart by what the credentials are (as a digest), never by connection id: two connections of one
    id may exist, and one may change.
    """
    key = hashlib.sha256(repr((base_url, refresh_token, cloud_id)).encode()).hexdigest()
    with _sources_lock:
        source = _sources.get(key)
        if source is None:
            source = _sources[key] = TokenSource()
        return source


def forget_tokens() -> None:
    """Forget every token of this process (tests, and long-lived processes that want a clean start)."""
    with _sources_lock:
        _sources.clear()


def _reset_locks() -> None:
    """Give a forked child fresh locks: one held by another thread of the parent would never be released here."""
    global _sources_lock
    _sources_lock = threading.Lock()
    for source in _sources.values():
        source._lock = threading.Lock()


os.register_at_fork(after_in_child=_reset_locks)


class _Claims(msgspec.Struct):
    exp: float | None = None
    iat: float | None = None


def _life(token: str) -> float:
    """Return a JWT's life in seconds, as it tells it; other claims are undocumented and not looked at."""
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
