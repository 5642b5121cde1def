"""Sealed text, which the browser keeps for us and can neither read nor change: encrypted, signed, expiring.

Several API servers share a secret key but no memory. So what must outlive a request goes to the browser and comes back
sealed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import Any

import msgspec
from cryptography.fernet import Fernet, InvalidToken


class BrokenSealError(Exception):
    """Not sealed here, or not for this purpose."""


class ExpiredSealError(BrokenSealError):
    """Sealed here, but too long ago."""


class Seals:
    """Seals and opens with one secret key.

    :param secret_key: all API servers share it, and nobody else knows it.
    """

    def __init__(self, secret_key: str) -> None:
        self._secret_key = secret_key

    def seal(self, purpose: str, content: dict[str, Any]) -> str:
        """Return content as text that only ``open`` with the same purpose can read."""
        return self._fernet(purpose).encrypt(msgspec.json.encode(content)).decode()

    def open(self, purpose: str, sealed: str | None, *, life: int) -> dict[str, Any]:
        """Return what was sealed.

        :param life: seconds after which a seal counts as expired.
        :raises BrokenSealError: if it can't be opened.
        :raises ExpiredSealError: if it is too old.
        """
        fernet, data = self._fernet(purpose), (sealed or "").encode()
        try:
            opened = fernet.decrypt(data)
        except InvalidToken:
            raise BrokenSealError(purpose) from None
        if time.time() - fernet.extract_timestamp(data) > life:
            raise ExpiredSealError(purpose)
        content: dict[str, Any] = msgspec.json.decode(opened)
        return content

    def digest(self, purpose: str, *values: str) -> str:
        """Return a keyed digest, which lets values be compared with others later, but not guessed."""
        return hmac.new(self._key(purpose), msgspec.json.encode(values), hashlib.sha256).hexdigest()

    def _fernet(self, purpose: str) -> Fernet:
        return Fernet(base64.urlsafe_b64encode(self._key(purpose)))

    def _key(self, purpose: str) -> bytes:
        # A key for each purpose: what was sealed as one thing can't be opened as another.
        return hashlib.sha256(f"airflow-provider-dotypos {purpose} {self._secret_key}".encode()).digest()
