"""Refresh tokens and access tokens of the sandbox (page /authorization)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

import msgspec

from airflow_provider_dotypos.sandbox.errors import RefusedError

# Credentials of the form that real ones have [C2], and plainly not real.
CLIENT_ID = "sandbox-client"
CLIENT_SECRET = "5ecbe77e" * 4
REFRESH_TOKEN = "fa4e70ce" * 4

LIFETIME = 3600.0  # one hour by default, "not guaranteed" [D2]


@dataclass(frozen=True)
class Visit:
    """A visit to the connector's consent page, until the person decides."""

    redirect_uri: str
    state: str | None
    since: float


@dataclass(frozen=True)
class _Issued:
    cloud_id: int | None
    clouds: frozenset[int]
    expires: float


class Tokens:
    """The tokens that the sandbox has issued, and the clouds that they are for."""

    def __init__(self, clouds: Iterable[int]) -> None:
        self.lifetime = LIFETIME
        self.refresh: dict[str, frozenset[int]] = {REFRESH_TOKEN: frozenset(clouds)}
        self._key = secrets.token_bytes(32)
        self._access: dict[str, _Issued] = {}

    def connect(self, cloud_id: int) -> str:
        """Return a new refresh token for one cloud. Earlier ones stay good [A: coexistence is U]."""
        token = secrets.token_hex(16)
        self.refresh[token] = frozenset({cloud_id})
        return token

    def sign_in(self, refresh_token: str, cloud_id: int | None) -> str:
        """Return an access token for one cloud, or, without a cloud, one that may only list clouds [D2].

        :raises RefusedError: if the token is wrong, or the cloud isn't the token's: both are the same 401 [D2, C1].
        """
        clouds = self.refresh.get(refresh_token)
        if clouds is None or (cloud_id is not None and cloud_id not in clouds):
            raise RefusedError(401, "INVALID_REFRESH_TOKEN", "Refresh token is invalid or not found")
        issued = time.time()
        # Only standard claims: others are undocumented, and no client should need them.
        subject = secrets.token_hex(8)
        expires = issued + self.lifetime
        claims = {"sub": subject, "iss": "dotypos-sandbox", "iat": int(issued), "exp": int(expires)}
        self._access[subject] = _Issued(cloud_id, clouds, expires)
        signed = f"{_b64(msgspec.json.encode({'alg': 'HS256', 'typ': 'JWT'}))}.{_b64(msgspec.json.encode(claims))}"
        return f"{signed}.{self._signature(signed)}"

    def expire(self) -> None:
        """Let every access token issued so far expire at once."""
        self._access = {name: replace(token, expires=0.0) for name, token in self._access.items()}

    def check(self, access_token: str) -> tuple[int | None, frozenset[int]]:
        """Return the cloud that an access token is for, and the clouds it may list.

        :raises RefusedError: if it is refused by 403, also when it has expired: the API doesn't say 401 here [D2, C3].
        """
        signed, _, signature = access_token.rpartition(".")
        if not signed or not hmac.compare_digest(signature.encode(), self._signature(signed).encode()):
            raise RefusedError(403, "INVALID_ACCESS_TOKEN", "Access token can't be verified")
        encoded = signed.partition(".")[2]
        claims = msgspec.json.decode(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
        token = self._access[claims["sub"]]
        if token.expires <= time.time():
            raise RefusedError(403, "ACCESS_TOKEN_EXPIRED", "Access token expired")
        return token.cloud_id, token.clouds

    def _signature(self, signed: str) -> str:
        return _b64(hmac.new(self._key, signed.encode(), hashlib.sha256).digest())


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
