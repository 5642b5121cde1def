"""Bytes that aren't UTF-8 in answers that should be: a till in another encoding, a text cut off within a character.

JSON is UTF-8, so no reader takes them. They become U+FFFD, the sign of a lost character.
"""

from __future__ import annotations

import codecs
import re
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
    """Return the value that JSON stands for, with U+FFFD in place of what isn't UTF-8 or is half of a character.

    :raises msgspec.DecodeError: it isn't JSON.
    """
    try:
        return msgspec.json.decode(data)
    except UnicodeDecodeError:
        return decode_json(as_text(bytes(data)))
    except msgspec.DecodeError:
        if (mended := without_half_characters(bytes(data))) == data:
            raise
        return decode_json(mended)


def without_half_characters(body: bytes) -> bytes:
    """Return JSON with U+FFFD for escapes that are half of a character, as a text cut off within an emoji ends with.

    No decoder takes these, so one such note would keep its page from ever being read.
    """
    return _ESCAPES.sub(lambda escape: rb"\ufffd" if _HALF.fullmatch(escape[0]) else escape[0], body)


_ESCAPES = re.compile(rb"\\(?:u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|u\w{4}|.)", re.DOTALL)
_HALF = re.compile(rb"\\u[dD][89a-fA-F]\w\w")
