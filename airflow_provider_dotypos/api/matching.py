"""Filters, evaluated on rows that a poll has shown: one poll serves watchers with different filters.

An answer must mean the same as the server's. So a condition is refused, when a DAG is parsed, if the API doesn't say
for certain what it means, or if an answer doesn't show what it is about. What is refused, and why:

- Conditions on lists such as ``tags``: how the API compares a list isn't documented [U].
- ``ne`` and ``notin`` on a field that may be null, unless they name null: whether they hold for null isn't documented.
- Times to a fraction of a second, and ``gt`` and ``lteq`` on times: answers may show whole seconds only [U], filters
  are exact. ``gteq`` and ``lt`` with a whole second mean the same for both.
- ``like`` with ``%``, ``_`` or a backslash, which may be wildcards [U].
- ``in`` and ``notin`` on ``deleted``: whether they hold for null isn't documented. For ``eq`` and ``ne`` null counts as
  not deleted [D].

A value that can't be read as its documented type matches: an event too many is better than one too few.

https://docs.api.dotypos.com/api-reference/general/filter, …/data-types
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeAlias

from airflow_provider_dotypos.api.entities import OPERATORS, Entity, Field
from airflow_provider_dotypos.api.errors import DotyposInputError, DotyposResponseError
from airflow_provider_dotypos.api.page import SECOND, timestamp
from airflow_provider_dotypos.api.query import Triple

#: Returns whether a field's value, as a row gives it, meets a condition.
Matcher: TypeAlias = Callable[[Any], bool]

_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gteq": operator.ge,
    "lt": operator.lt,
    "lteq": operator.le,
}
_WHOLE_TYPES = ("short", "int", "long")
_WHOLE = re.compile(r"-?\d{1,19}", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,20}(?:\.\d{1,20})?", re.ASCII)
_MILLISECONDS = re.compile(r"-?\d{1,15}", re.ASCII)
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_BOOLEANS = {"0": False, "1": True, "false": False, "true": True}
_NULLS = frozenset({"null", "notnull"})


def matcher(entity: Entity, condition: Triple) -> Matcher:
    """Return what evaluates a condition that `query.conditions` has checked.

    :raises DotyposInputError: if it can't be evaluated for certain; the message says what can.
    """
    name, action, value = condition
    field = entity.fields[name]
    try:
        if field.type.endswith("[]"):
            raise ValueError("how the API compares a list isn't documented")
        if field.name == "deleted":
            return _marker_matcher(action, value)
        if action in _COMPARE:
            return _comparison(field, action, value)
        if action == "like":
            return _likeness(value)
        if action in OPERATORS["B"]:
            return _bits(action, value)
        return _equality(field, action, value)
    except ValueError as error:
        raise DotyposInputError(
            f"filter: {'|'.join(condition)} can't be evaluated on rows of {entity.name} for certain: {error}. Write "
            "another condition, or filter in the DAG"
        ) from None


def _marker_matcher(action: str, value: str) -> Matcher:
    """Evaluate a condition on the soft-delete marker, where null counts as not deleted [D]."""
    if action in OPERATORS["M"]:
        raise ValueError(
            f"whether {action} holds for null isn't documented; write deleted|eq|1 or deleted|eq|0. Rows of both kinds "
            "are shown by deleted=True"
        )
    wanted = _read_value("boolean", value) == (action == "eq")
    return _in_doubt_true("boolean", lambda marker: marker is wanted, null=not wanted)


def _comparison(field: Field, action: str, value: str) -> Matcher:
    bound, compare = _read_value(field.type, value), _COMPARE[action]
    if field.type == "timestamp" and (bound % SECOND or action in ("gt", "lteq")):
        raise ValueError("answers may show times to the second only; use gteq or lt with a whole second")
    return _in_doubt_true(field.type, lambda number: compare(number, bound), null=False)


def _likeness(value: str) -> Matcher:
    if re.search(r"[%_\\]", value):
        raise ValueError("whether %, _ and a backslash are wildcards isn't documented")
    part = value.casefold()
    return _in_doubt_true("string", lambda text: part in text.casefold(), null=False)


def _bits(action: str, value: str) -> Matcher:
    mask = _read_value("long", value)
    wanted = mask if action == "bin" else 0
    return _in_doubt_true("long", lambda flags: flags & mask == wanted, null=False)


def _equality(field: Field, action: str, value: str) -> Matcher:
    texts = value.split(",") if action in OPERATORS["M"] else [value]
    negated = action in ("ne", "notin")
    nulls = _NULLS.intersection(texts)
    if negated and field.nullable and not nulls:
        raise ValueError(f"whether {action} holds for null isn't documented; name it as well: notin|{value},null")
    values = {_read_value(field.type, text) for text in texts if text not in _NULLS}
    if field.type == "timestamp" and values:
        raise ValueError("answers may show times to the second only; use gteq and lt with whole seconds")
    return _in_doubt_true(
        field.type,
        lambda read: ("notnull" in nulls or read in values) != negated,
        null=("null" in nulls) != negated,
    )


def _in_doubt_true(kind: str, matches: Callable[[Any], bool], *, null: bool) -> Matcher:
    """Return what reads a row's value as its documented type, and evaluates it; a value that can't be read matches.

    :param null: whether null matches.
    """

    def evaluate(value: Any) -> bool:
        if value is None:
            return null
        try:
            return matches(_read_shown(kind, value))
        except (ValueError, TypeError, LookupError, ArithmeticError, DotyposResponseError):
            return True

    return evaluate


def _read_shown(kind: str, value: Any) -> Any:
    """Return a value of a row as its documented type. Numbers come as text or as numbers [D, C7]."""
    if kind == "timestamp":
        return timestamp(value)
    if kind == "boolean":
        return value if isinstance(value, bool) else _BOOLEANS[str(value)]
    if kind in _WHOLE_TYPES:
        return int(str(value))
    if kind == "double":
        return float(value)
    if kind == "decimal":
        return Decimal(str(value))
    return value if isinstance(value, str) else str(value)


def _read_value(kind: str, text: str) -> Any:
    """Return a condition's value as the documented type of its field.

    :raises ValueError: if the text isn't one; the message says which text would be.
    """
    if kind == "timestamp":
        if not (_MILLISECONDS.fullmatch(text) or _ISO.fullmatch(text)):
            raise ValueError("a time is epoch milliseconds, or ISO 8601 such as 2026-01-15T12:00:00.000Z or …+01:00")
        try:
            return timestamp(text)
        except DotyposResponseError:
            raise ValueError("a time is one of the calendar, in the years 1 to 9999") from None
    if kind == "boolean":
        if text not in _BOOLEANS:
            raise ValueError("a value is 0, 1, false or true")
        return _BOOLEANS[text]
    if kind in _WHOLE_TYPES:
        if not _WHOLE.fullmatch(text):
            raise ValueError("a value is a whole number")
        return int(text)
    if kind in ("double", "decimal"):
        if not _NUMBER.fullmatch(text):
            raise ValueError("a value is a number such as 41.5, without an exponent")
        return float(text) if kind == "double" else Decimal(text)
    if text == "":
        raise ValueError("a listed value is empty")
    return text
