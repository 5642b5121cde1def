"""The query of a list: filter, sort and paging, read strictly and carried out over rows.

It is stricter than the real API may be: a parameter that would quietly do the wrong thing there is refused here.
https://docs.api.dotypos.com/api-reference/general/filter, /sort, /paging
"""

from __future__ import annotations

import operator
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_dotypos.api.entities import OPERATORS, Entity, Field
from airflow_provider_dotypos.sandbox.api import wire
from airflow_provider_dotypos.sandbox.behaviour import Behaviour
from airflow_provider_dotypos.sandbox.errors import RefusedError, Violation, invalid
from airflow_provider_dotypos.sandbox.shop.table import Row, Table

DEFAULT_LIMIT = 20  # [D]
MAX_LIMIT = 100  # [D]

_ALL_OPERATORS = frozenset(name for names in OPERATORS.values() for name in names)
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gteq": operator.ge,
    "lt": operator.lt,
    "lteq": operator.le,
}


@dataclass(frozen=True)
class Condition:
    """One ``field|operator|value`` of a filter.

    :param value: the value, read.
    :param matches: whether a row's value meets the condition.
    """

    field: str
    operator: str
    value: Any
    matches: Callable[[Any], bool]


@dataclass(frozen=True)
class Query:
    """All that decides which rows a list returns, and in which order.

    :param sort: fields, each with whether it sorts downwards.
    """

    page: int
    limit: int
    conditions: tuple[Condition, ...]
    sort: tuple[tuple[str, bool], ...]
    include: tuple[str, ...]
    named_filters: tuple[str, ...]


def parse(entity: Entity, params: Mapping[str, str], behaviour: Behaviour) -> Query:
    """Read the query parameters of a list.

    :raises RefusedError: if there are violations: 400 with them all.
    """
    violations: list[Violation] = []

    def read(part: Callable[..., Any], *args: Any) -> Any:
        try:
            return part(*args)
        except RefusedError as refusal:
            violations.extend(refusal.violations)
            return ()

    known = {"page", "limit", "filter", "sort"}
    known |= {"include"} if entity.includes else set()
    known |= {"namedFilter"} if entity.name == "orders" else set()
    for name in params:
        if name == "perPage":
            # The real API presumably ignores it, and answers 20 rows [A]; two clients fell for that [C2].
            violations.append((name, "unknown query parameter: the page size parameter is limit"))
        elif name not in known:
            violations.append((name, f"unknown query parameter; known: {', '.join(sorted(known))}"))
    page = read(_page_number, params.get("page", "1"))
    limit = read(_page_size, params.get("limit", str(DEFAULT_LIMIT)), behaviour)
    conditions = read(_conditions, entity, params.get("filter", ""), behaviour)
    sort = read(_sort, entity, params.get("sort", ""), behaviour)
    include = read(_names, "include", params.get("include", ""), ",", entity.includes)
    named = read(_names, "namedFilter", params.get("namedFilter", ""), ";", ("openOrders", "orderItems.openOrderItems"))
    if violations:
        raise RefusedError(400, violations=violations)
    return Query(page, limit, conditions, sort, include, named)


def _page_number(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text) or int(text) < 1:
        raise invalid("page", "must be a whole number of at least 1")
    return int(text)


def _page_size(text: str, behaviour: Behaviour) -> int:
    if not re.fullmatch(r"\d{1,9}", text) or int(text) < 1:
        raise invalid("limit", f"must be a whole number from 1 to {MAX_LIMIT}")
    if int(text) > MAX_LIMIT and behaviour.over_limit == "refused":  # [U], see Behaviour
        raise invalid("limit", f"must be at most {MAX_LIMIT}")
    return min(int(text), MAX_LIMIT)


def _names(parameter: str, text: str, separator: str, known: Sequence[str]) -> tuple[str, ...]:
    names = tuple(name for name in text.split(separator) if name)
    for name in names:
        if name not in known:
            raise invalid(parameter, f"unknown name {name!r}; known: {', '.join(known)}")
    return names


def _sort(entity: Entity, text: str, behaviour: Behaviour) -> tuple[tuple[str, bool], ...]:
    keys = []
    for part in filter(None, text.split(",")):
        name = part.removeprefix("-")
        field = entity.fields.get(name)
        refused = f"{entity.name}.{name}" in behaviour.unsortable
        if field is None or not field.sortable or refused:  # id is sortable on no entity [D2]
            raise invalid("sort", f"can't sort by {name!r}")
        keys.append((name, part.startswith("-")))
    return tuple(keys)


def _conditions(entity: Entity, text: str, behaviour: Behaviour) -> tuple[Condition, ...]:
    return tuple(_condition(entity, part, behaviour) for part in _split(text, ";", behaviour) if part)


def _split(text: str, separator: str, behaviour: Behaviour) -> list[str]:
    """Split a filter. Whether a separator can be escaped inside a value is a switch [U]."""
    parts = text.split(separator)
    if behaviour.filter_escapes == "none":
        return parts
    whole = [parts[0]]
    for part in parts[1:]:
        if (len(whole[-1]) - len(whole[-1].rstrip("\\"))) % 2:  # this separator is escaped
            whole[-1] += separator + part
        else:
            whole.append(part)
    return whole


def _unescaped(text: str, behaviour: Behaviour) -> str:
    """Return a value of a filter without its escapes."""
    return text if behaviour.filter_escapes == "none" else re.sub(r"\\(.)", r"\1", text)


def _condition(entity: Entity, text: str, behaviour: Behaviour) -> Condition:
    parts = _split(text, "|", behaviour)
    if len(parts) != 3:
        raise invalid("filter", f"{text!r} is not attribute|operation|value")
    name, action, given = parts
    field = entity.fields.get(name)
    if field is None:
        raise invalid("filter", f"unknown attribute {name!r}")
    if action not in _ALL_OPERATORS:
        raise invalid("filter", f"unknown operation {action!r}")  # gte among them: it is gteq
    allowed = field.operators
    if action not in allowed:
        raise invalid("filter", f"operation {action!r} is not allowed on {name!r}; allowed: {', '.join(allowed)}")
    try:
        value, matches = _matcher(field, action, given, behaviour)
    except ValueError as error:
        raise invalid("filter", f"value {given!r} of {name!r} {error}") from None
    return Condition(name, action, value, matches)


def _matcher(field: Field, action: str, given: str, behaviour: Behaviour) -> tuple[Any, Callable[[Any], bool]]:
    texts = _split(given, ",", behaviour) if action in ("in", "notin") else [given]
    texts = [_unescaped(text, behaviour) for text in texts]
    given = texts[0]
    if action in _COMPARE:
        bound, compare = wire.read_text(given, field.type), _COMPARE[action]
        return bound, lambda v: v is not None and compare(v, bound)
    if action == "like":  # ILIKE '%x%' [D]
        needle = given.casefold()
        return needle, lambda v: v is not None and needle in str(v).casefold()
    if action in ("bin", "bex"):  # the value is a mask of bits [A]; flags are signed [D2]
        mask = wire.read_text(given, "long")
        wanted = mask if action == "bin" else 0
        return mask, lambda v: v is not None and v & mask == wanted
    negated = action in ("ne", "notin")
    kind = field.type.removesuffix("[]")
    if field.name == "deleted":
        # null counts as not deleted [D]; what "in" does with it is [U]. null and notnull aren't understood here [D].
        flags = {wire.read_text(text, kind) for text in texts}
        if action == "in" and behaviour.deleted_null == "excluded":
            return flags, lambda v: v is not None and v in flags
        return flags, lambda v: (bool(v) in flags) != negated
    nulls = {"null", "notnull"}.intersection(texts)
    values = {wire.read_text(text, kind) for text in texts if text not in nulls}

    def named(value: Any) -> bool:
        if value is None:
            return "null" in nulls
        if "notnull" in nulls:
            return True
        if isinstance(value, list):  # an array field matches by any of its entries [A]
            return not values.isdisjoint(value)
        return value in values

    # ne and notin match rows without a value, unless null is named: the documented notin|42,null suggests it [A].
    return values, (lambda v: not named(v)) if negated else named


def choose(table: Table, asked: Query, edge: int | None) -> tuple[list[Row], str | None]:
    """Return the rows that a list is made of, and the field that they happen to be sorted by.

    :param edge: rows are shown as they were at this time. None shows their present state.
    """
    entity, conditions, sorted_by = table.entity, list(asked.conditions), None
    cursor = entity.cursors[0] if entity.cursors else None
    bounds = [c for c in conditions if c.field == cursor and c.operator in _COMPARE]
    if edge is None and (bounds or (asked.sort and asked.sort[0][0] == cursor)):
        rows = table.by_cursor().within([(c.operator, c.value) for c in bounds])
        sorted_by = cursor
        conditions = [c for c in conditions if c not in bounds]
    else:
        rows = list(table.states_at(edge))
    for condition in conditions:
        name, matches = condition.field, condition.matches
        rows = [row for row in rows if matches(row[name])]
    if entity.has_deleted and not any(c.field == "deleted" for c in asked.conditions):
        rows = [row for row in rows if not row["deleted"]]  # a null counts as not deleted [D]
    return rows, sorted_by


def page_of(rows: list[Row], query: Query, behaviour: Behaviour, sorted_by: str | None = None) -> list[Row]:
    """Return the page of the chosen rows, sorted.

    Only rows that tie with those of the page under the first sort key need the further keys and the shuffling.

    :param sorted_by: the field that `rows` are already sorted by, ascending.
    """
    start = (query.page - 1) * query.limit
    end = start + query.limit
    if start >= len(rows):
        return []
    if not query.sort:  # the default order is [U]
        if behaviour.ties == "shuffled":
            rows = random.sample(rows, len(rows))
        return rows[start:end]
    (first, descending), *_ = query.sort
    if first != sorted_by:
        rows = _sorted_by(rows, first, descending)
    elif descending:
        rows = rows[::-1]
    low, high = start, min(end, len(rows))
    while low > 0 and rows[low - 1].get(first) == rows[start].get(first):
        low -= 1
    while high < len(rows) and rows[high].get(first) == rows[high - 1].get(first):
        high += 1
    near = rows[low:high]
    if behaviour.ties == "shuffled":
        random.shuffle(near)
    for name, reverse in reversed(query.sort):
        near = _sorted_by(near, name, reverse)
    return near[start - low : end - low]


def _sorted_by(rows: list[Row], name: str, descending: bool) -> list[Row]:
    """Sort rows stably. Null counts as greater than all values, as in most databases [A]."""

    def key(row: Row) -> tuple[bool, Any]:
        value = row.get(name)
        if isinstance(value, list):  # ean and plu sort by their first entry [D2]
            value = value[0] if value else None
        return (value is None, 0 if value is None else value)

    return sorted(rows, key=key, reverse=descending)
