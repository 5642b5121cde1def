"""A request's body: values that JSON has an exact form for, and nothing else.

JSON encoders convert as much as they can: NaN becomes null, bytes become base64, a set becomes an array in any order.
So a write would change rows silently. Here a value is sent as it is, or refused with its place in the body.

https://docs.api.dotypos.com/api-reference/general/data-types
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from numbers import Integral, Rational, Real
from typing import cast

import msgspec

from airflow_provider_dotypos.api.errors import DotyposInputError

_DEEPEST = 50
_SHOWN_KEY = 40
#: Decimal numbers of up to so many places before or behind the point are written out, without an exponent.
_WRITTEN_OUT = 50
_LEFT_AS_THEY_ARE = (bytes, bytearray, memoryview, datetime, timedelta, Decimal)


def encode_body(body: object) -> bytes:
    """Return a body as JSON.

    :param body: an object or an array, or the JSON of one from `read_text`.
    :raises DotyposInputError: if it is neither, or if JSON has no exact form for a value in it.
    """
    if isinstance(body, msgspec.Raw):
        return bytes(body)
    if isinstance(body, str):
        raise DotyposInputError(
            "json must be an object or an array (a dict or a list), not text. If it is JSON, pass json.loads(text); if "
            "a template rendered it, DotyposOperator takes JSON text (end the template with | tojson), or set "
            "render_template_as_native_obj=True on the DAG"
        )
    plain = _plain(body, "json", 0)
    if not isinstance(plain, (dict, list)):
        raise DotyposInputError(f"json must be an object or an array (a dict or a list), not {_kind(body)}")
    return msgspec.json.encode(plain)


def read_text(text: str, argument: str = "json") -> msgspec.Raw:
    """Return the JSON text of an object or an array as a body to be sent unchanged.

    :param argument: what the caller's argument is called.
    :raises DotyposInputError: if it is anything else.
    """
    try:
        body, why = msgspec.json.decode(text), ""
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        body, why = None, f" ({error})" if isinstance(error, msgspec.DecodeError) else ""
    if not isinstance(body, (dict, list)):
        raise DotyposInputError(
            f"{argument} is text, but not that of a JSON object or array{why}: if a template rendered it, end the "
            "template with | tojson, or set render_template_as_native_obj=True on the DAG"
        )
    return msgspec.Raw(text.encode())


def decimal_text(value: Decimal) -> str:
    """Return a finite decimal number as text with all its digits: without an exponent, unless it is very long."""
    return format(value, "f") if abs(value.adjusted()) < _WRITTEN_OUT else str(value)


def _plain(value: object, place: str, depth: int) -> object:
    """Return a value made of dicts, lists, texts, numbers, booleans and None alone."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _plain(value.value, place, depth)
    if isinstance(value, str):
        return _text(value, place)
    if isinstance(value, Decimal):
        return _decimal(value, place)
    if isinstance(value, datetime):
        return _time(value, place)
    if isinstance(value, Real):
        return _number(value, place)
    if depth == _DEEPEST:
        raise DotyposInputError(f"json can't be sent: {place[:200]} is nested too deeply, or holds itself")
    if isinstance(value, Mapping):
        return {_key(key, place): _plain(item, _below(place, key), depth + 1) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return [_plain(item, f"{place}[{index}]", depth + 1) for index, item in enumerate(value)]
    return _plain(_converted(value, place), place, depth + 1)


def _key(key: object, place: str) -> str:
    if not isinstance(key, str):
        raise _refusal(f"a key of {place}", key, "field names are text")
    return _text(key, f"a key of {place}")


def _below(place: str, key: object) -> str:
    return f"{place}.{str(key)[:_SHOWN_KEY]}"


def _text(value: str, place: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        cure = "correct the text"
        raise _refusal(place, value, cure, shown="text with half of a character (a lone surrogate)") from None
    return str.__str__(value)


def _decimal(value: Decimal, place: str) -> str:
    """Return a decimal number as text, which keeps every digit; the API also takes numbers as text [C2]."""
    if not value.is_finite():
        raise _refusal(place, value, "JSON has no such number; send a number, or None for null", shown=str(value))
    return decimal_text(value)


def _number(value: Real, place: str) -> int | float:
    if isinstance(value, Integral):
        try:
            return int(value)
        except TypeError:  # numpy's timedelta64 passes for an integer
            raise _refusal(place, value, "send a number") from None
    if isinstance(value, Rational):
        raise _refusal(place, value, "send a Decimal or a float")
    number = float(value)
    if not math.isfinite(number):
        raise _refusal(place, value, "JSON has no such number; send a number, or None for null", shown=str(number))
    return number


def _time(value: datetime, place: str) -> str:
    """Return a time in the API's form, ISO 8601 with milliseconds, or with microseconds if it has any."""
    if value != value:  # pandas' "not a time" passes for one, but has no offset
        raise _refusal(place, value, "send a time, or None for null", shown=str(value))
    if value.utcoffset() is None:
        raise _refusal(place, value, "it has no time zone: give it one, such as tzinfo=timezone.utc")
    return value.isoformat(timespec="microseconds" if value.microsecond % 1000 else "milliseconds")


def _converted(value: object, place: str) -> object:
    """Return a dataclass, a UUID and the like as JSON has them; values inside aren't converted yet."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise _refusal(place, value, "decode it to text")
    if isinstance(value, Set):
        raise _refusal(place, value, "it has no order: send a list")
    if isinstance(value, timedelta):
        raise _refusal(place, value, "send a number of seconds, or a time")
    try:
        return cast("object", msgspec.to_builtins(value, builtin_types=_LEFT_AS_THEY_ARE))
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise _refusal(place, value, "send text, a number, a datetime with zone, a dict or a list") from None


def _refusal(place: str, value: object, cure: str, shown: str = "") -> DotyposInputError:
    return DotyposInputError(f"json can't be sent: {place} is {shown or _kind(value)}; {cure}")


def _kind(value: object) -> str:
    return f"a value of type {type(value).__name__}"
