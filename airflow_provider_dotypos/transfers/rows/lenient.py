"""Values that aren't in their usual form: what can still be made of them, one by one.

Usual is a number as a JSON string and a time in ISO 8601 with a zone. All else that means the same is taken as well:
bare numbers, whole numbers with a fraction of zero, epoch milliseconds, one text in place of a list, 0 and 1 for truth.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import ROUND_DOWN, Context, Decimal, InvalidOperation

import msgspec

from airflow_provider_dotypos.api.errors import DotyposResponseError
from airflow_provider_dotypos.api.page import timestamp

#: What a decimal column holds: 20 digits before the point, 18 behind it.
DECIMAL_DIGITS, DECIMAL_PLACES = 38, 18

#: The years 1 to 9999 in epoch milliseconds: what readers can show.
FIRST_MOMENT, LAST_MOMENT = -62_135_596_800_000, 253_402_300_799_999

_64_BITS = range(-(2**63), 2**63)


class MisfitError(ValueError):
    """A value doesn't fit its column's type."""


def text(value: msgspec.Raw) -> str | None:
    """Return the text of a JSON string, or of a bare number as it stands there.

    :raises MisfitError: if it is neither, nor null.
    """
    data = bytes(value)
    if data.startswith(b'"'):
        return _decoded(data)
    if data[:1] in b"-0123456789":
        return data.decode()
    if data == b"null":
        return None
    raise MisfitError


def texts(value: msgspec.Raw) -> list[str | None] | None:
    """Return a list's texts; of one text in place of a list: that alone [C1].

    :raises MisfitError: if it is neither, nor null.
    """
    if not bytes(value).startswith(b"["):
        single = text(value)
        return None if single is None else [single]
    return [text(item) for item in _LISTS.decode(value)]


def truth(value: msgspec.Raw) -> bool | None:
    """Return a truth value: true and false, or their text, or 1 and 0.

    :raises MisfitError: if it is none of these, nor null.
    """
    try:
        return _TRUTHS[bytes(value)]
    except KeyError:
        raise MisfitError from None


def whole(value: str, bits: int) -> int:
    """Return a whole number.

    :raises MisfitError: if it isn't one, or is too large for that many bits.
    """
    number = _number(value)
    if -(2 ** (bits - 1)) <= number < 2 ** (bits - 1) and number == number.to_integral_value():
        return int(number)
    raise MisfitError


def ids_of_64_bits(ids: Iterable[str]) -> list[int]:
    """Return the ids that a column of ids can hold, as numbers. Rows of text may hold larger ones."""
    return [number for number in map(int, ids) if number in _64_BITS]


def decimal(value: str) -> tuple[Decimal, bool]:
    """Return a number, cut to the places of a decimal column, and whether that is all of it.

    :raises MisfitError: if it isn't one, or is too large.
    """
    number = _number(value)
    if not -_TOO_LARGE < number < _TOO_LARGE:  # compared as it is: abs() would round
        raise MisfitError
    cut = number.quantize(_LAST_PLACE, ROUND_DOWN, _ROOM)
    return cut, cut == number


def moment(value: str) -> tuple[int, bool]:
    """Return a time as epoch milliseconds, cut, not rounded, and whether that is all of it.

    :raises MisfitError: if it isn't one, has no zone, or lies outside the years 1 to 9999.
    """
    if _NUMBER.fullmatch(value):
        number = _number(value)
    else:
        try:
            number = Decimal(timestamp(value))
        except (DotyposResponseError, OverflowError):
            raise MisfitError from None
    if not FIRST_MOMENT <= number <= LAST_MOMENT:
        raise MisfitError
    exact = number == number.to_integral_value() and not _FINER_THAN_MILLISECONDS.search(value)
    return int(number), exact


def _number(value: str) -> Decimal:
    if not _NUMBER.fullmatch(value):
        raise MisfitError
    try:
        return Decimal(value)
    except InvalidOperation:  # an exponent beyond all bounds
        raise MisfitError from None


def _decoded(data: bytes) -> str:
    try:
        return _STRINGS.decode(data)
    except msgspec.MsgspecError:  # half of a character, as an escape
        raise MisfitError from None


_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_FINER_THAN_MILLISECONDS = re.compile(r":\d\d[.,]\d{3}\d*[1-9]")
_TOO_LARGE = 10 ** (DECIMAL_DIGITS - DECIMAL_PLACES)
_LAST_PLACE = Decimal(1).scaleb(-DECIMAL_PLACES)
_ROOM = Context(prec=2 * DECIMAL_DIGITS)
_STRINGS = msgspec.json.Decoder(str)
_LISTS = msgspec.json.Decoder(list[msgspec.Raw])
_TRUTHS = {
    b"null": None,
    **dict.fromkeys((b"true", b'"true"', b"1", b'"1"'), True),
    **dict.fromkeys((b"false", b'"false"', b"0", b'"0"'), False),
}
