"""Personal data where people read it: a mark in its place, by which equal values can be recognized."""

from __future__ import annotations

import hashlib
import hmac

#: Hex digits of a mark: enough to tell the values of a plan apart.
_DIGITS = 12


def hashed(value: object, salt: str) -> str:
    """Return the mark of a value. Within one plan equal values have equal marks.

    Phone numbers and e-mail addresses can be guessed by trying, so the salt must be secret: it is in the plan's file.

    :param value: the value, in the API's form. ``None`` and empty text have no mark and are returned as text.
    :param salt: the plan's, from its header.
    """
    if value is None or value == "":
        return "null" if value is None else '""'
    return f"#{hmac.new(salt.encode(), repr(value).encode(), hashlib.sha256).hexdigest()[:_DIGITS]}"
