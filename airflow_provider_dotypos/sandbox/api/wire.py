"""Values between the shop and the wire: the form of rows in an answer, and reading values of a request.

Inside, a time is an int of epoch milliseconds, and a number is an int, float or Decimal. Outside, every number is a
JSON string [D, C7], and a time is ISO 8601 with a zone [C4].
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from airflow_provider_dotypos.api.entities import entities
from airflow_provider_dotypos.sandbox.behaviour import Behaviour
from airflow_provider_dotypos.sandbox.shop.table import Row, Table

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)")
WHOLE_TYPES = frozenset({"short", "int", "long"})
NUMBER_TYPES = WHOLE_TYPES | {"double", "decimal"}
_JSON_TYPES: Mapping[str, tuple[type, str]] = {
    "object": (dict, "must be an object"),
    "boolean": (bool, "must be true or false"),
}


@functools.cache
def time_fields() -> frozenset[str]:
    """Return the names of all fields that hold a time; nested objects use the same names."""
    return frozenset(f.name for e in entities().values() for f in e.fields.values() if f.type == "timestamp")


def write_time(ms: int, behaviour: Behaviour) -> str:
    """Return a time as answers write it: the form is a switch [U]. Precision is cut, not rounded."""
    hours = 1 if behaviour.timestamp_zone == "+01:00" else 0
    moment = _EPOCH + timedelta(milliseconds=ms, hours=hours)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    if behaviour.timestamp_precision == "ms":
        text += f".{ms % 1000:03d}"
    return text + behaviour.timestamp_zone


def write_number(value: int | float | Decimal) -> str:
    """Return a number as text, never with an exponent, and without a needless ``.0``."""
    if isinstance(value, float):
        text = repr(value)
        if text.endswith(".0"):
            return text[:-2]
        return format(Decimal(text), "f") if "e" in text else text
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def write_value(name: str, value: Any, behaviour: Behaviour) -> Any:
    """Return a stored value as it stands in an answer's JSON."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, (int, float, Decimal)):
        if name in time_fields():
            return write_time(int(value), behaviour)
        if behaviour.numbers == "text":
            return write_number(value)
        return float(value) if isinstance(value, Decimal) else value
    if isinstance(value, Mapping):
        return write_row(value, behaviour)
    return [write_value(name, item, behaviour) for item in value]


def write_row(row: Mapping[str, Any], behaviour: Behaviour) -> dict[str, Any]:
    """Return a stored row as it stands in an answer's JSON; how nulls look is a switch [U]."""
    if behaviour.nulls == "omitted":
        return {k: write_value(k, v, behaviour) for k, v in row.items() if v is not None}
    return {k: write_value(k, v, behaviour) for k, v in row.items()}


def encode_row(row: Mapping[str, Any], behaviour: Behaviour) -> bytes:
    """Return a stored row as the JSON of an answer."""
    return msgspec.json.encode(write_row(row, behaviour))


def drifted(entity: str, row: Row, behaviour: Behaviour) -> Row:
    """Return a row of a list with the fields and the types that no document names, which are switches."""
    if not behaviour.added_fields and not behaviour.changed_types:
        return row
    changed = dict(row)
    for name in _fields_of(entity, behaviour.changed_types):
        if changed.get(name) is not None:
            changed[name] = {"value": changed[name]}
    return changed | dict.fromkeys(_fields_of(entity, behaviour.added_fields), "new")


def _fields_of(entity: str, names: tuple[str, ...]) -> list[str]:
    return [name.partition(".")[2] for name in names if name.partition(".")[0] == entity]


def encode_stored(table: Table, row: Row, behaviour: Behaviour) -> bytes:
    """Return a row of `table` as JSON, encoded once for each state and behaviour."""
    key = table.key(row)
    kept = table.answers.get(key)
    if kept is None or kept[0] is not row or kept[1] is not behaviour:
        kept = table.answers[key] = (row, behaviour, encode_row(drifted(table.entity.name, row, behaviour), behaviour))
    return kept[2]


def read_time(text: str) -> int:
    """Read a time as requests may write it: epoch milliseconds, or ISO with ``Z`` or an offset [D].

    :raises ValueError: if it is neither, such as with a ``+`` that wasn't encoded and arrived as a space.
    """
    if re.fullmatch(r"-?\d{1,16}", text):
        return int(text)
    match = _ISO.fullmatch(text)
    if match is None:
        raise ValueError("must be epoch milliseconds or ISO 8601 with a zone")
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    zone = match[8]
    offset = 0
    if zone != "Z":
        offset = (int(zone[1:3]) * 60 + int(zone[-2:])) * (-1 if zone[0] == "-" else 1)
    moment = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc) - timedelta(minutes=offset)
    return (moment - _EPOCH) // timedelta(milliseconds=1) + int((match[7] or "").ljust(3, "0")[:3])


def read_text(text: str, kind: str) -> Any:
    """Read the text of a value in a query by its field's documented type.

    :raises ValueError: if the text doesn't fit the type. The message says which text would.
    """
    if kind == "timestamp":
        return read_time(text)
    if kind in WHOLE_TYPES:
        if not re.fullmatch(r"-?\d{1,19}", text):
            raise ValueError("must be a whole number")
        return int(text)
    if kind in NUMBER_TYPES:
        try:
            number = Decimal(text)
        except InvalidOperation:
            raise ValueError("must be a number") from None
        if not number.is_finite():
            raise ValueError("must be a number")
        return number if kind == "decimal" else float(number)
    if kind == "boolean":
        try:
            return {"0": False, "1": True, "false": False, "true": True}[text]
        except KeyError:
            raise ValueError("must be 0, 1, false or true") from None
    return text


def read_json(value: Any, kind: str) -> Any:
    """Read a value of a request's JSON body by its field's type. Numbers may be sent as numbers or text [C2].

    :raises ValueError: if the value doesn't fit the type. The message says which value would.
    """
    if value is None:
        return None
    if kind.endswith("[]"):
        if not isinstance(value, list):
            raise ValueError("must be an array")
        return [read_json(item, kind[:-2]) for item in value]
    if kind in NUMBER_TYPES or kind == "timestamp":
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError("must be a number or its text")
        return read_text(value if isinstance(value, str) else write_number(value), kind)
    json_type, message = _JSON_TYPES.get(kind, (str, "must be text"))
    if not isinstance(value, json_type):
        raise ValueError(message)
    return value
