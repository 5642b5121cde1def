"""Bytes that aren't UTF-8 in answers that should be: a till in another encoding, a text cut off within a character.

JSON is UTF-8, so no reader takes them. They become U+FFFD, the sign of a lost character.
"""

from __future__ import annotations

import codecs
from typing import Any

import msgspec

#: The sign of a lost character.
REPLACEMENT = "\ufffd"
#: Bytes that are looked at at once. One emoji makes Python take four bytes for each character of a text, and large
#: pieces of memory come anew from the system every time.
_PIECE = 1 << 15


def is_text(data: bytes) -> bool:
    """Return whether bytes are UTF-8."""
    if data.isascii():
        return True
    view, at = memoryview(data), 0
    try:
        while at < len(view):
            at += codecs.utf_8_decode(view[at : at + _PIECE], "strict", at + _PIECE >= len(view))[1]
    except UnicodeDecodeError:
        return False
    return True


def as_text(data: bytes) -> bytes:
    """Return bytes as UTF-8, with U+FFFD in place of what isn't."""
    return data.decode("utf-8", "replace").encode()


def decode_json(data: bytes | msgspec.Raw) -> Any:
    """Return the value that JSON stands for, with U+FFFD in place of what isn't UTF-8.

    :raises msgspec.DecodeError: it isn't JSON.
    """
    try:
        return msgspec.json.decode(data)
    except UnicodeDecodeError:
        return msgspec.json.decode(as_text(bytes(data)))
