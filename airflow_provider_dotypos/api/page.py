"""Reading a list answer: the envelope, the rows as untouched bytes, and of each row just what a walk needs to know.

Tolerant where the API is undecided: numbers as text or as numbers, the envelope or a bare array, fields null or left
out, timestamps with or without a fraction, in any zone, or as epoch milliseconds.

https://docs.api.dotypos.com/api-reference/general/paging, …/data-types
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec

from airflow_provider_dotypos.api.errors import DotyposResponseError

SECOND = 1000
"""A second in milliseconds: the tick of an API that shows no fraction of it."""


@dataclass(frozen=True)
class Page:
    """One page of a list.

    :param rows: each row's bytes, as they came.
    :param ids: each row's id, as text. :param cursors: each row's cursor in epoch milliseconds.
    :param deleted: whether each row is marked as deleted (a marker of null, or none, counts as not [D]).
    :param per_page: rows a full page has, as the answer tells. :param total: rows in all, where it tells.
    :param next_page: whether the answer names a next page.
    :param tick: the finest step its cursors show, in milliseconds: 1, or 1000 if none shows a fraction.
    """

    rows: Sequence[msgspec.Raw]
    ids: Sequence[str]
    cursors: Sequence[int | None]
    deleted: Sequence[bool]
    per_page: int | None = None
    total: int | None = None
    next_page: bool = False
    tick: int = SECOND

    def size(self, asked: int) -> int:
        """Return how many rows a full page has: what was asked for, unless the server caps it lower."""
        return min(asked, self.per_page) if self.per_page else asked

    def is_full(self, asked: int, number: int = 1) -> bool:
        """Whether there may be more rows than this page and those before it show.

        A short page is the end [D], unless the answer itself says otherwise (a next page, a higher total) or says
        nothing of pages at all (a bare list). A missing ``nextPage`` after a full page is no end: clients distrust it
        [C2]. A page without rows always is.

        :param asked: the limit asked for. :param number: which page this is.
        """
        if not self.rows:
            return False
        told = self.per_page is not None or self.total is not None
        size = self.size(asked)
        more = self.total is not None and self.total > (number - 1) * size + len(self.rows)
        return len(self.rows) >= size or self.next_page or more or not told


EMPTY = Page((), (), (), ())


class _Envelope(msgspec.Struct):
    data: list[msgspec.Raw]
    perPage: str | int | None = None  # noqa: N815 (the API's own names)
    totalItemsCount: str | int | None = None  # noqa: N815
    nextPage: str | int | None = None  # noqa: N815


_envelopes = msgspec.json.Decoder(_Envelope)
_bare_lists = msgspec.json.Decoder(list[msgspec.Raw])


def read_page(body: bytes, cursor: str | None) -> Page:
    """Return the page that `body` holds.

    :param cursor: the field whose values become ``Page.cursors``.
    :raises DotyposResponseError: the body isn't a list answer; the message holds none of its content.
    """
    try:
        bare = body.lstrip()[:1] == b"["
        envelope = _Envelope(_bare_lists.decode(body)) if bare else _envelopes.decode(body)
        keys = _keys(cursor).decode(b"[" + b",".join(envelope.data) + b"]")
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        if (mended := _without_half_characters(body)) != body:
            return read_page(mended, cursor)
        kind = {b"<": "a web page", b"{": "a JSON object", b"[": "a JSON list"}.get(body.lstrip()[:1], "no JSON")
        raise DotyposResponseError(
            f"answered {kind} ({len(body)} bytes) that is not a Dotypos list: {type(error).__name__} "
            f"({_structure(error)})",
            passing=True,
        ) from None
    tick = SECOND
    cursors: list[int | None] = []
    for key in keys:
        moment = None if key.cursor is None else timestamp(key.cursor)
        if moment is not None and moment % SECOND:
            tick = 1
        cursors.append(moment)
    return Page(
        rows=envelope.data,
        ids=[_id(key.id) for key in keys],
        cursors=cursors,
        deleted=[key.deleted in _TRUE for key in keys],
        per_page=_count(envelope.perPage),
        total=_count(envelope.totalItemsCount),
        next_page=envelope.nextPage is not None,
        tick=tick,
    )


def _without_half_characters(body: bytes) -> bytes:
    """Return JSON with U+FFFD for escapes that are half of a character, as a text cut off within an emoji ends with.

    No decoder takes these, so one such note would keep its page from ever being read.
    """
    return _ESCAPES.sub(lambda escape: rb"\ufffd" if _HALF.fullmatch(escape[0]) else escape[0], body)


_ESCAPES = re.compile(rb"\\(?:u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|u\w{4}|.)", re.DOTALL)
_HALF = re.compile(rb"\\u[dD][89a-fA-F]\w\w")


def one_line(row: msgspec.Raw) -> bytes | msgspec.Raw:
    """Return a row's bytes without line breaks (JSON holds none but between its tokens: pretty-printed answers)."""
    data = bytes(row)
    return msgspec.json.format(data, indent=-1) if b"\n" in data or b"\r" in data else row


def timestamp(value: str | int | float) -> int:
    """Return a timestamp of an answer as epoch milliseconds, cut, not rounded.

    :param value: ISO 8601 with ``Z``, ``+00:00`` or ``+0000``, with a fraction or without; or epoch milliseconds.
    :raises DotyposResponseError: it is neither, or has no zone (guessing one would lose rows).
    """
    if not isinstance(value, str):
        return int(value)
    if value[-1:] == "Z" and len(value) in (20, 24):
        text = value[:-1] + "+00:00"  # the usual form, in what every Python's fromisoformat reads
    elif _DIGITS.fullmatch(value):
        return int(value)
    elif match := _ISO.fullmatch(value):
        base, fraction, sign, hours, minutes = match.groups()
        text = f"{base}.{(fraction or '').ljust(3, '0')[:3]}{sign or '+'}{hours or '00'}:{minutes or '00'}"
    else:
        raise DotyposResponseError(f"answered with a timestamp that can't be read: {value[:40]!r}")
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND
    except ValueError:
        raise DotyposResponseError(f"answered with a timestamp that can't be read: {value[:40]!r}") from None


_ID = re.compile(r"-?\d{1,19}")
_SURELY_64_BITS = 18  # characters
_TRUE = (True, "true", "1")
_DIGITS = re.compile(r"-?\d+")
_ISO = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:[.,](\d+))?(?:[Zz]|([+-])(\d\d):?(\d\d)?)")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MILLISECOND = timedelta(milliseconds=1)


@functools.cache
def _keys(cursor: str | None) -> msgspec.json.Decoder[Any]:
    """Return a decoder of the few fields of a row that a walk looks at."""
    row = msgspec.defstruct(
        "Key",
        [
            ("id", str | int | None, None),
            ("deleted", bool | str | int | float | None, None),
            ("cursor", str | int | float | None, None),
        ],
        rename={"cursor": cursor or "versionDate"},
    )
    return msgspec.json.Decoder(list[row])  # type: ignore[valid-type]


def _id(value: str | int | None) -> str:
    """Return a row's id as text; every id is a whole number of at most 64 bits."""
    text = str(value)
    if not _ID.fullmatch(text) or (len(text) > _SURELY_64_BITS and not -(2**63) <= int(text) < 2**63):
        raise DotyposResponseError(
            f"answered with a row whose id is no whole number of 64 bits ({type(value).__name__})"
        )
    return text


def _count(value: str | int | None) -> int | None:
    if isinstance(value, str):
        return int(value) if _DIGITS.fullmatch(value) else None
    return value


def _structure(error: Exception) -> str:
    """Return what msgspec says of the shape; its messages name types and paths, never values."""
    return str(error)[:200]
