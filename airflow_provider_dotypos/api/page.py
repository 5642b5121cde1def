"""Reading a list answer: the envelope, the rows as untouched bytes, and the few fields of a row that a walk needs.

Tolerant where the API is undecided: numbers as text or as numbers, the envelope or a bare array, fields null or
missing, timestamps with or without a fraction, in any zone, or as epoch milliseconds. Strict where an answer
contradicts itself, for then rows could be missing.

https://docs.api.dotypos.com/api-reference/general/paging, …/data-types
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec

from airflow_provider_dotypos.api.characters import decode_json, without_half_characters, without_mark
from airflow_provider_dotypos.api.errors import DotyposResponseError
from airflow_provider_dotypos.api.retry_table import CONTRADICTION, NOT_JSON

#: A second in milliseconds: the tick of an API that shows no fraction of it.
SECOND = 1000


@dataclass(frozen=True)
class Page:
    """One page of a list. Its counts are those of the answer, ``None`` where it gives none.

    :param rows: each row's bytes, as they came.
    :param ids: each row's id, as text.
    :param cursors: each row's cursor in epoch milliseconds.
    :param deleted: whether each row is marked as deleted; ``None`` without a marker or with null, which means that it
        isn't [D].
    :param number: the number of this page.
    :param rows_on_page: number of its rows.
    :param per_page: number of rows of a full page.
    :param total: number of rows in all.
    :param next_page: the number of the next page.
    :param last_page: the number of the last page.
    :param tick: the finest step its cursors show, in milliseconds: 1, or 1000 if none shows a fraction.
    :param earlier: each row's values of cursors that come before, one sequence a cursor, in epoch milliseconds.
    :param elsewhere: ids of rows that another stream delivers, as the walk found.
    :param etag: the answer's ``ETag``: one value over its rows, in their order [D].
    """

    rows: Sequence[msgspec.Raw]
    ids: Sequence[str]
    cursors: Sequence[int | None]
    deleted: Sequence[bool | None]
    number: int | None = None
    rows_on_page: int | None = None
    per_page: int | None = None
    total: int | None = None
    next_page: int | None = None
    last_page: int | None = None
    tick: int = SECOND
    earlier: Sequence[Sequence[int | None]] = ()
    elsewhere: frozenset[str] = frozenset()
    etag: str | None = None

    @property
    def moments(self) -> dict[str, int]:
        """The rows' cursors by their ids."""
        return {id: moment for id, moment in zip(self.ids, self.cursors, strict=True) if moment is not None}

    def moment(self, index: int) -> int:
        """Return the cursor of a row that has one."""
        moment = self.cursors[index]
        if moment is None:
            raise TypeError("every row of a stream with a cursor was checked to have one")
        return moment

    def size(self, asked: int) -> int:
        """Return the number of rows of a full page: the limit asked for, unless the server caps it lower."""
        return min(asked, self.per_page) if self.per_page else asked

    def promises_more(self, asked: int, number: int = 1) -> bool:
        """Return whether the answer itself says that there are more rows than this page and those before it show.

        :param asked: the limit asked for.
        :param number: which page was asked for.
        """
        shown = (number - 1) * self.size(asked) + len(self.rows)
        return max(self.next_page or 0, self.last_page or 0) > number or (self.total or 0) > shown

    def rows_left(self, asked: int) -> int:
        """Return the least number of rows, by this first page's answer, that it doesn't show."""
        return max((self.total or 0) - len(self.rows), int(self.promises_more(asked)))

    def rows_in_all(self, asked: int) -> int:
        """Return the least number of rows in all, by this first page's answer."""
        return len(self.rows) + self.rows_left(asked)

    def is_full(self, asked: int, number: int = 1) -> bool:
        """Return whether there may be more rows than this page and those before it show.

        A short page is the end [D], unless the answer promises more or is a bare list, which says nothing of pages. A
        missing ``nextPage`` after a full page isn't the end: clients distrust it [C2]. A page without rows always is,
        as `check_page` refuses one that promises more.

        :param asked: the limit asked for.
        :param number: which page this is.
        """
        if not self.rows:
            return False
        says_nothing = self.per_page is None and self.total is None
        return len(self.rows) >= self.size(asked) or self.promises_more(asked, number) or says_nothing

    def is_cut_short(self, asked: int, number: int = 1) -> bool:
        """Return whether this page has fewer rows than a full one, although its answer says that there are more.

        The server may cap its pages without saying so, or have lost rows of this one.

        :param asked: the limit asked for.
        :param number: which page this is.
        """
        return 0 < len(self.rows) < self.size(asked) and self.promises_more(asked, number)

    def contradicted_by(self, asked: int, number: int, after: Page) -> bool:
        """Return whether the next page repeats this one, or is empty although this one promised more.

        The next page may still be right, as rows may have left in between.

        :param asked: the limit asked for.
        :param number: the number of the next page.
        """
        return self.ids == after.ids if after.rows else self.promises_more(asked, number - 1)


EMPTY = Page((), (), (), ())


class _Envelope(msgspec.Struct, rename="camel"):
    data: list[msgspec.Raw]
    current_page: str | int | float | None = None
    total_items_on_page: str | int | float | None = None
    per_page: str | int | float | None = None
    total_items_count: str | int | float | None = None
    next_page: str | int | float | None = None
    last_page: str | int | float | None = None


_envelopes = msgspec.json.Decoder(_Envelope)
_bare_lists = msgspec.json.Decoder(list[msgspec.Raw])


def read_page(body: bytes, cursor: str | None, earlier: tuple[str, ...] = ()) -> Page:
    """Return the page that `body` holds.

    :param cursor: the field whose values become ``Page.cursors``.
    :param earlier: fields whose values become ``Page.earlier``.
    :raises DotyposResponseError: if the body isn't a list answer; the message holds none of its content.
    """
    body = without_mark(body)
    try:
        bare = body.lstrip()[:1] == b"["
        envelope = _Envelope(_bare_lists.decode(body)) if bare else _envelopes.decode(body)
        keys = _keys(cursor, earlier).decode(b"[" + b",".join(envelope.data) + b"]")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if not isinstance(error, RecursionError) and (mended := without_half_characters(body)) != body:
            return read_page(mended, cursor, earlier)
        kind = {b"<": "a web page", b"{": "a JSON object", b"[": "a JSON list"}.get(body.lstrip()[:1], "no JSON at all")
        raise DotyposResponseError(
            f"answered with {kind} ({len(body)} bytes), not a Dotypos list: {type(error).__name__} "
            f"({_structure(error)})",
            reason=NOT_JSON,
        ) from None
    cursors = _moments(key.cursor for key in keys)
    return Page(
        rows=envelope.data,
        ids=[_id(key.id) for key in keys],
        cursors=cursors,
        deleted=[None if key.deleted is None else key.deleted in _TRUE for key in keys],
        number=_count(envelope.current_page),
        rows_on_page=_count(envelope.total_items_on_page),
        per_page=_count(envelope.per_page),
        total=_count(envelope.total_items_count),
        next_page=_next_page(envelope.next_page),
        last_page=_count(envelope.last_page),
        tick=tick_of(cursors),
        earlier=[_moments(getattr(key, f"earlier{index}") for key in keys) for index in range(len(earlier))],
    )


def check_page(page: Page, asked: int, number: int) -> Page:
    """Return the page, unless its answer contradicts itself in a way that could hide rows.

    A total lower than the rows shown hides none, and may have been counted at another moment. Nor is a short page that
    promises more refused: a walk continues behind its last row, and readers by page number ask for it once more
    (`Page.is_cut_short`).

    :param asked: the limit asked for.
    :param number: which page was asked for.
    :raises DotyposResponseError: if it does; the client then asks again.
    """
    if page.rows_on_page not in (None, len(page.rows)):
        why = f"says that it has {page.rows_on_page} rows, and has {len(page.rows)}"
    elif not page.rows and page.promises_more(asked, number):
        why = "has no rows, and says that there are more"
    elif page.rows and page.number not in (None, number):
        why = f"says that it is page {page.number}, and page {number} was asked for"
    else:
        return page
    raise DotyposResponseError(f"answered with a list that contradicts itself: it {why}", reason=CONTRADICTION)


def decode_row(row: msgspec.Raw) -> dict[str, Any]:
    """Return a row's values as the API gives them, with U+FFFD in place of what isn't UTF-8.

    :raises DotyposResponseError: if a number in it is too large for any kind of number.
    """
    try:
        values: dict[str, Any] = decode_json(row)
    except msgspec.DecodeError as error:
        raise DotyposResponseError(
            f"answered with a row that can't be read: {type(error).__name__} ({_structure(error)})"
        ) from None
    return values


def one_line(row: msgspec.Raw) -> bytes | msgspec.Raw:
    """Return a row's bytes without the line breaks of a pretty-printed answer: JSON has them between tokens only."""
    data = bytes(row)
    return msgspec.json.format(data, indent=-1) if b"\n" in data or b"\r" in data else row


def timestamp(value: str | int | float) -> int:
    """Return a timestamp of an answer as epoch milliseconds, cut, not rounded.

    :param value: epoch milliseconds, or ISO 8601 with ``Z``, ``+00:00`` or ``+0000``, with a fraction or without. The
        form of Java is read, too: no seconds where they are zero, the zone's name in brackets behind the offset.
    :raises DotyposResponseError: if it is neither, has no zone (guessing one would lose rows), or lies outside the
        years 1 to 9999.
    """
    moment = _moment(value)
    if moment is None or not _FIRST_MOMENT <= moment <= _LAST_MOMENT:
        raise DotyposResponseError(f"answered with a timestamp that can't be read: {str(value)[:40]!r}")
    return moment


def tick_of(moments: Iterable[int | None]) -> int:
    """Return the finest step that moments show, in milliseconds: 1, or 1000 if none shows a fraction of a second."""
    return 1 if any(moment is not None and moment % SECOND for moment in moments) else SECOND


def _moments(values: Iterable[str | int | float | None]) -> list[int | None]:
    return [None if value is None else timestamp(value) for value in values]


def _moment(value: str | int | float) -> int | None:
    if not isinstance(value, str):
        return int(value)
    if value[-1:] == "Z" and len(value) in (20, 24):
        text = value[:-1] + "+00:00"  # the usual form, in what every Python's fromisoformat reads
    elif _DIGITS.fullmatch(value):
        return int(value)
    elif match := _ISO.fullmatch(value):
        day, minute, second, fraction, sign, hours, minutes = match.groups()
        millis = (fraction or "").ljust(3, "0")[:3]
        text = f"{day}T{minute}:{second or '00'}.{millis}{sign or '+'}{hours or '00'}:{minutes or '00'}"
    else:
        return None
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND
    except ValueError:
        return None


_ID = re.compile(r"-?\d{1,19}", re.ASCII)
_SURELY_64_BITS = 18  # characters
_TRUE = (True, "true", "1")
_DIGITS = re.compile(r"-?\d{1,18}", re.ASCII)
_COUNT = re.compile(r"(\d{1,18})(?:\.0+)?", re.ASCII)
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(?::(\d\d)(?:[.,](\d+))?)?"
    r"(?:[Zz]|([+-])(\d\d):?(\d\d)?)(?:\[[^\[\]]*\])*",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MILLISECOND = timedelta(milliseconds=1)
_FIRST_MOMENT = (datetime(1, 1, 1, tzinfo=timezone.utc) - _EPOCH) // _MILLISECOND
_LAST_MOMENT = (datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=timezone.utc) - _EPOCH) // _MILLISECOND


@functools.cache
def _keys(cursor: str | None, earlier: tuple[str, ...]) -> msgspec.json.Decoder[Any]:
    """Return a decoder of the few fields of a row that a walk needs."""
    row = msgspec.defstruct(
        "Key",
        [
            ("id", str | int | None, None),
            ("deleted", bool | str | int | float | None, None),
            ("cursor", str | int | float | None, None),
            *((f"earlier{index}", str | int | float | None, None) for index in range(len(earlier))),
        ],
        rename={
            "cursor": cursor or "versionDate",
            **{f"earlier{index}": name for index, name in enumerate(earlier)},
        },
    )
    return msgspec.json.Decoder(list[row])  # type: ignore[valid-type]


def _id(value: str | int | None) -> str:
    """Return a row's id as text; every id is a whole number of at most 64 bits."""
    text = str(value)
    if not _ID.fullmatch(text) or (len(text) > _SURELY_64_BITS and not -(2**63) <= int(text) < 2**63):
        raise DotyposResponseError(
            f"answered with a row whose id isn't a whole number of 64 bits ({type(value).__name__})"
        )
    return text


def _count(value: str | int | float | None) -> int | None:
    """Return a count, also one written as ``100.0``; ``None`` for anything else, such as -1 for "unknown"."""
    match = None if value is None else _COUNT.fullmatch(str(value))
    return int(match[1]) if match else None


def _next_page(value: str | int | float | None) -> int | None:
    """Return the number of the next page. One named by anything but a number, such as an address, is the largest."""
    if value is None or value == "":
        return None
    number = _count(value)
    return sys.maxsize if number is None else number


def _structure(error: Exception) -> str:
    """Return msgspec's message about the shape; it names types and paths, never values."""
    return str(error)[:200]
