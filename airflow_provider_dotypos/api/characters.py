"""Lost characters in answers, which should be UTF-8: a till uses another encoding, or cuts a text off in a character.

No reader of JSON takes them. They become U+FFFD, the sign of a lost character.
"""

from __future__ import annotations

import codecs
import re
from typing import Any

import msgspec

#: The sign of a lost character.
REPLACEMENT = "\ufffd"
#: Bytes decoded at once. One emoji makes Python take four bytes for each character of a text, and each large piece of
#: memory is requested again from the system.
_PIECE = 1 << 15


def is_text(data: bytes) -> bool:
    """Return whether the bytes are UTF-8."""
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
    """Return the bytes as UTF-8, with U+FFFD in place of bytes that aren't."""
    return data.decode("utf-8", "replace").encode()


def decode_json(data: bytes | msgspec.Raw) -> Any:
    """Return the value that JSON stands for.

    A byte order mark in front is skipped. Bytes that aren't UTF-8 become U+FFFD, and so does half of a character.

    :raises msgspec.DecodeError: if it isn't JSON, or is nested too deeply.
    """
    try:
        try:
            return msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return msgspec.json.decode(without_half_characters(as_text(without_mark(bytes(data)))))
    except RecursionError:
        raise msgspec.DecodeError("JSON is nested too deeply") from None


def without_mark(data: bytes) -> bytes:
    """Return bytes without a byte order mark in front."""
    return data.removeprefix(codecs.BOM_UTF8)


def without_half_characters(data: bytes) -> bytes:
    """Return JSON with U+FFFD for escapes that are half of a character, as when a text is cut off within an emoji.

    No decoder takes these escapes: one note with such an end would keep its page from ever being read.
    """
    return _ESCAPES.sub(lambda escape: rb"\ufffd" if _HALF.fullmatch(escape[0]) else escape[0], data)


_ESCAPES = re.compile(rb"\\(?:u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|u\w{4}|.)", re.DOTALL)
_HALF = re.compile(rb"\\u[dD][89a-fA-F]\w\w")
