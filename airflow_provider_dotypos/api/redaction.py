"""Keeping secrets out of messages: every text from outside goes through ``redact``."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: The longest foreign text that is searched, in characters: far more than any message holds.
_LONGEST_TEXT = 6000

#: Characters that end each of the shapes below, and also a token without a name in front.
_ENDS_OF_VALUES = frozenset(" \t\r\n\f\v\"',;")

#: Each alternative ends within a bound or takes all that it has searched, so no text makes the search start over.
_SECRET_SHAPES = re.compile(
    # Authorization values, JSON Web Tokens, the tokens of webhooks' addresses, and token or secret parameters, wherever
    # an answer echoes them.
    r"(?P<scheme>\b(?:Bearer|User)\s{1,100})[^\s\"',;]{12,}"
    r"|\b(?-i:eyJ)[\w.-]{8,}"
    r"|\b[0-9a-f]{64}\b"
    r"|(?P<name>\b(?:access_?token|refresh_?token|token|client_?secret|secret|password|signature)"
    r"[\"']?\s{0,100}[=:]\s{0,100}[\"']?)[^\s\"'&,;}]+",
    re.IGNORECASE,
)

#: Modules that DuckDB imports for Python's values.
_OF_DUCKDB = ("pyarrow", "pyarrow.dataset", "pytz", "pandas", "numpy")

#: Characters that would begin a new line in a log, or move a terminal's cursor.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def without_user(address: str) -> str:
    """Return an address without the user name and password that it may hold."""
    scheme, separator, place = address.rpartition("//")
    return f"{scheme}{separator}***@{place.rpartition('@')[2]}" if "@" in place else address


def redact(text: str, secrets: Iterable[str | None] = ()) -> str:
    """Return `text` with the given secrets, and everything with the shape of one, replaced by ``***``.

    A text far too long for a message is cut first, before the last value that the cut would split. Line breaks and
    other control characters become blanks.
    """
    for secret in sorted({s for s in secrets if s and len(s) >= 4}, key=len, reverse=True):
        text = text.replace(secret, "***")
    if len(text) > _LONGEST_TEXT:
        end = _LONGEST_TEXT
        while end and text[end - 1] not in _ENDS_OF_VALUES:
            end -= 1
        text = text[:end] + "…"
    return _CONTROLS.sub(" ", _SECRET_SHAPES.sub(lambda m: (m["scheme"] or m["name"] or "") + "***", text))


def missing_module(error: BaseException) -> str | None:
    """Return the Python module that DuckDB lacks, if that is what its error says. Of its text nothing else is known."""
    begin = "Invalid Input Error: Required module '"
    return next((name for name in _OF_DUCKDB if str(error).startswith(f"{begin}{name}' failed to import")), None)
