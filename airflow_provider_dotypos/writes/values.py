"""Values on their way into the API: read from a source, written in the API's form, compared with what a row holds.

The API's form is what its answers hold: numbers as text with all their digits, times in UTC with milliseconds. One
value has one form, whatever the source is, so a plan doesn't depend on whether its rows came as CSV or from a database.
No number passes through a float, but for the comparison of doubles, which are floats at the other end as well.

https://docs.api.dotypos.com/api-reference/general/data-types
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from numbers import Integral, Rational, Real
from typing import Any, NoReturn
from uuid import UUID

import msgspec

from airflow_provider_dotypos.api.body import decimal_text
from airflow_provider_dotypos.api.entities import Field
from airflow_provider_dotypos.api.errors import DotyposInputError, DotyposResponseError
from airflow_provider_dotypos.api.page import SECOND, timestamp
from airflow_provider_dotypos.api.window import iso, milliseconds

#: Lists whose order means nothing [A]. The order of EANs and PLUs does: lists are sorted by the first one [D2].
UNORDERED = frozenset({"tags", "allergens", "features", "_defaultProductIds"})

#: From here on a float skips whole numbers, so one that holds an id may have lost digits.
_EXACT_FLOATS = 2**53

#: Zeros before or behind a number's digits, of which doubles have no more.
_FARTHEST = 324

#: Numbers of seconds since 1970 in the years 2001 to 2286. As milliseconds they lie in the spring of 1970.
_SECONDS = range(10**9, 10**10)

_TRUTHS: Mapping[str, bool] = {"true": True, "false": False, "1": True, "0": False}

#: What MySQL gives of a BIT(1), in which many applications keep booleans.
_BITS: Mapping[bytes, bool] = {b"\0": False, b"\1": True}

_PANDAS_MISSING = ("NaTType", "NAType")


def read_value(field: Field, value: object) -> Any:
    """Return a value of a source in the API's form; ``None`` stays ``None``.

    :raises ValueError: if the field can't hold it. The message says which value could, and what kind this one is, and
        holds nothing of it.
    """
    read = _read(field, value)
    if field.max_length is not None:
        for text in read if isinstance(read, list) else [read]:
            if isinstance(text, str) and len(text) > field.max_length:
                raise ValueError(f"must have at most {field.max_length} characters: shorten the text")
    return read


def same(field: Field, a: object, b: object) -> bool:
    """Return whether two values of a field mean the same, each in any form that the API or a source may write.

    Doubles are compared as doubles: of 20 digits that are sent, 17 come back. Times are compared to the second if one
    of them shows no fraction, as answers may show none [U]. An empty list is null. Where a text can't be null, null is
    an empty text, and a deletion marker of null is false [D].
    """
    try:
        first, second = _comparable(field, a), _comparable(field, b)
    except (ValueError, ArithmeticError):  # a row holds what its field can't, so there is no other form to compare
        return a == b
    if field.type == "timestamp" and None not in (first, second) and 0 in (first % SECOND, second % SECOND):
        return bool(first // SECOND == second // SECOND)
    return bool(first == second)


def _comparable(field: Field, value: object) -> Any:
    """Return what equals the same of another value if both mean the same."""
    read = _read(field, value)
    if field.type.endswith("[]"):
        return (frozenset if field.name in UNORDERED else tuple)(read or ())
    if read is None:
        return False if field.name == "deleted" else "" if field.type == "string" and not field.nullable else None
    if field.type == "double":
        return float(read)
    if field.type == "decimal":
        return Decimal(read)
    if field.type == "timestamp":
        return timestamp(read)
    if field.type == "object":
        return {name: text for name, text in read.items() if text is not None}
    return read


def _read(field: Field, value: object) -> Any:
    if isinstance(value, Enum):
        value = value.value
    if value is None:
        return None
    reader = _READERS.get(field.type)
    if reader is None:
        raise ValueError("can't be written")
    return reader(field, value)


def _whole(field: Field, value: object) -> str:
    expected = "a whole number such as 42"
    number = _number(value, expected)
    if number != number.to_integral_value():
        raise ValueError(f"must be {expected}, not one with a fraction")
    if _may_have_lost_digits(value, number):
        raise ValueError(f"must be {expected} with all its digits; a float or an exponent loses some: read it as text")
    limit = 1 << (field.bits - 1)
    if not -limit <= number < limit:
        raise ValueError(f"must be a whole number of at most {field.bits} bits, not a larger one")
    return str(int(number))


def _may_have_lost_digits(value: object, number: Decimal) -> bool:
    """Return whether a whole number was a float, here or where its text was written, that was too large to be exact."""
    if isinstance(value, str) and "e" in value.lower():  # spreadsheets write ids of 16 digits so
        return True
    exact = isinstance(value, (Integral, Decimal)) or (isinstance(value, str) and "." not in value)
    return not exact and abs(number) >= _EXACT_FLOATS


def _fractional(field: Field, value: object) -> str:
    number = _number(value, "a number such as 41.5")
    if field.type == "double" and abs(number) >= _EXACT_FLOATS:
        raise ValueError("must be a number below 2**53: a double, which the API keeps, loses digits of larger ones")
    text = decimal_text(number)
    if "." in text and "E" not in text:
        text = text.rstrip("0").rstrip(".")
    return text if number else "0"


def _number(value: object, expected: str) -> Decimal:
    """Return a number, exact.

    :param expected: what it must be, for the error.
    :raises ValueError: if it isn't one, or isn't finite.
    """
    number: Decimal | None = None
    if isinstance(value, Decimal):
        number = value
    elif isinstance(value, Integral) and not isinstance(value, bool):
        number = Decimal(int(value))
    elif isinstance(value, Real) and not isinstance(value, (bool, Rational)):
        # The text of numpy's numbers of four bytes has the digits that they were given.
        number = Decimal(repr(float(value)) if isinstance(value, float) else str(value))
    elif isinstance(value, str):
        number = _parsed(value)
        if number is None and value.count(",") == 1 and _parsed(value.replace(",", ".")) is not None:
            raise ValueError(f"must be {expected}: write a point in place of the comma")
    if number is None or number.is_nan():
        _refuse(value, expected)
    if number.is_infinite() or abs(number.adjusted()) > _FARTHEST:
        _refuse(value, expected, kind="one so large or so small")
    return number


def _parsed(text: str) -> Decimal | None:
    """Return the number that a text is; ``None`` if it isn't one."""
    if not text.isascii() or "_" in text:  # Python also reads 1_000 and the digits of other scripts
        return None
    try:
        return Decimal(text.strip())
    except InvalidOperation:
        return None


def _text(field: Field, value: object) -> str:
    expected = "text"
    if isinstance(value, str):
        text = str.__str__(value)
    elif isinstance(value, Integral) and not isinstance(value, bool):
        text = str(int(value))
    elif (isinstance(value, Decimal) and value.is_finite() and value.as_tuple().exponent == 0) or isinstance(
        value, UUID
    ):
        text = str(value)
    elif isinstance(value, (Real, Decimal)) and not isinstance(value, bool):
        _refuse(value, expected, "format the number as text, as it should stand there")
    elif isinstance(value, (bytes, bytearray, memoryview)):
        _refuse(value, expected, "decode it")
    else:
        _refuse(value, expected)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must be text, not one with half of a character (a lone surrogate)") from None
    if "\0" in text:  # databases that keep text refuse it [A]
        raise ValueError("must be text without the character NUL")
    return text


def _boolean(field: Field, value: object) -> bool:
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):  # numpy has one of its own
        return bool(value)
    if isinstance(value, bytes) and value in _BITS:
        return _BITS[value]
    if isinstance(value, (str, Integral)) and (truth := _TRUTHS.get(str(value).strip().lower())) is not None:
        return truth
    _refuse(value, "true or false (1 or 0)")


def _time(field: Field, value: object) -> str:
    expected = "a time with its zone, such as 2026-01-15T12:00:00+01:00"
    if isinstance(value, datetime):
        if value != value:  # pandas' "not a time" passes for one
            _refuse(value, expected)
        if value.utcoffset() is None:
            raise ValueError(f"must be {expected}, not one without: a zone can't be guessed")
        try:
            return iso(milliseconds(value))
        except DotyposInputError:  # its message has the value
            raise ValueError("must lie in the years 1 to 9999, in UTC") from None
    if isinstance(value, date) or (isinstance(value, str) and _is_date(value.strip())):
        raise ValueError(f"must be {expected}, not a bare date: a zone can't be guessed")
    if isinstance(value, str):
        text = value.strip()
    elif (isinstance(value, Real) and not isinstance(value, bool)) or isinstance(value, Decimal):
        text = str(int(_number(value, expected)))
    else:
        _refuse(value, expected)
    try:
        moment = timestamp(text)
    except (DotyposResponseError, OverflowError):
        _refuse(value, expected)
    if moment in _SECONDS and text.isdigit():
        raise ValueError("must be milliseconds since 1970, not seconds: multiply by 1000, or write ISO 8601")
    return iso(moment)


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == len("2026-01-15")


def _list(field: Field, value: object) -> list[str]:
    """Return a list's items. One value in place of a list is that alone; a text may be the JSON of a list."""
    expected = "a list, or one value"
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = _json(value, list) or value
    if isinstance(value, str) and not value.strip():
        _refuse(value, expected, "give [] for none", kind="an empty text")
    if isinstance(value, (Mapping, set, frozenset)):
        _refuse(value, expected)
    if hasattr(value, "tolist"):  # an array of numpy or pyarrow
        value = value.tolist()
    items = value if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray)) else [value]
    read = _whole if field.type == "int[]" else _text
    return [read(field, item) for item in items]


def _translations(field: Field, value: object) -> dict[str, str | None]:
    """Return texts by the code of their language: the only objects that writes may hold [D2]."""
    expected = 'texts by language, such as {"en": "Tea"}'
    if isinstance(value, str):
        value = _json(value, dict) or value
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        _refuse(value, expected)
    return {name: None if text is None else _text(field, text) for name, text in value.items()}


def _json(text: str, kind: type) -> Any:
    """Return the list or object that a text is the JSON of; ``None`` if it isn't."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _refuse(value: object, expected: str, cure: str = "", *, kind: str = "") -> NoReturn:
    """Raise ValueError for a value that isn't as expected.

    :param cure: what to do about it.
    :param kind: what it is. Defaults to its type.
    """
    name = type(value).__name__
    nan = value.is_nan() if isinstance(value, Decimal) else isinstance(value, float) and math.isnan(value)
    if not kind and (nan or name in _PANDAS_MISSING):
        kind = "NaN, which pandas has for missing values" if nan else f"a missing value of pandas ({name})"
        cure = "give None for null"
    elif not kind:
        kind = "a text of another form" if isinstance(value, str) else f"a value of type {name}"
    raise ValueError(f"must be {expected}, not {kind}" + (f"; {cure}" if cure else ""))


_READERS: Mapping[str, Callable[[Field, Any], Any]] = {
    **dict.fromkeys(("short", "int", "long"), _whole),
    **dict.fromkeys(("double", "decimal"), _fractional),
    **dict.fromkeys(("string", "enum"), _text),
    **dict.fromkeys(("string[]", "int[]"), _list),
    "boolean": _boolean,
    "timestamp": _time,
    "object": _translations,
}
