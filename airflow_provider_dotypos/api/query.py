"""Filter, sort, include and paging as request parameters, checked against the entity table before anything is sent.

https://docs.api.dotypos.com/api-reference/general/filter, …/sort, …/paging
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TypeAlias

from airflow_provider_dotypos.api.entities import OPERATORS, Entity
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.names import nearest, split_names
from airflow_provider_dotypos.api.window import milliseconds

Value: TypeAlias = "str | int | float | Decimal | bool | datetime | Sequence[str | int | None] | None"
Condition: TypeAlias = "tuple[str, str, Value]"
#: The API's own grammar (``"paid|eq|true;_branchId|in|1,2"``), or triples that are checked and encoded.
Filter: TypeAlias = "str | Iterable[Condition] | None"
#: A condition as the API takes it.
Triple: TypeAlias = tuple[str, str, str]

#: The API's longest page (page /api-reference/general/paging). More is not described, so it is never asked for.
MAX_LIMIT = 100

_ALL_OPERATORS = tuple(name for group in OPERATORS.values() for name in group)


def conditions(entity: Entity, filter: Filter) -> tuple[Triple, ...]:
    """Return `filter` as ``(field, operator, value)`` texts, each allowed by the API on that field.

    :param filter: the API's grammar as text, or triples whose values are encoded here: datetimes (with a zone) as
        epoch milliseconds, booleans as ``true``/``false``, ``None`` as ``null``, lists joined by commas.
    :raises DotyposInputError: if a field or operator is unknown, if one doesn't allow the other, or if a value holds
        ``;`` or ``|`` (no escape is known) or, in a list, a comma.
    """
    if filter is None or filter == "":
        return ()
    if not isinstance(filter, (str, Iterable)):
        raise DotyposInputError(
            f"filter must be text or (field, operator, value) triples, not {type(filter).__name__} {filter!r}"
        )
    triples = _split(filter) if isinstance(filter, str) else list(filter)
    return tuple(_checked(entity, triple) for triple in triples)


def window_conditions(entity: Entity, filter: Filter) -> tuple[Triple, ...]:
    """Return the conditions of a filter that goes with a window.

    :raises DotyposInputError: if it names a cursor, or asks what the API doesn't allow.
    """
    checked = conditions(entity, filter)
    for name, _, _ in checked:
        if name in entity.cursors:
            raise DotyposInputError(
                f"filter: {name} is the cursor of {entity.name}; the window already filters by it (use since and until)"
            )
    return checked


def filter_text(checked: Iterable[Triple]) -> str:
    """Return conditions in the API's grammar: ``field|operator|value``, joined by ``;`` (which means AND)."""
    return ";".join("|".join(condition) for condition in checked)


def list_params(
    entity: Entity,
    *,
    filter: Filter = None,
    sort: str | Sequence[str] | None = None,
    include: str | Sequence[str] | None = None,
    limit: int = MAX_LIMIT,
    page: int = 1,
) -> dict[str, str]:
    """Return the checked query parameters of a list call (values not yet URL-encoded).

    :param sort: field names, ``-`` in front for descending, as one comma-separated text or a sequence.
    :param include: names of child lists to nest in each row, likewise.
    :param limit: rows per page, 1 to 100.
    :raises DotyposInputError: if a name is unknown, or not allowed for this entity.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_LIMIT:
        raise DotyposInputError(f"limit must be a whole number from 1 to {MAX_LIMIT}, not {limit!r}")
    if isinstance(page, bool) or not isinstance(page, int) or page < 1:
        raise DotyposInputError(f"page must be a whole number from 1 on, not {page!r}")
    params = {"limit": str(limit), "page": str(page)}
    if checked := conditions(entity, filter):
        params["filter"] = filter_text(checked)
    if names := split_names(sort, "sort"):
        for name in names:
            if not entity.field(name.lstrip("-")).sortable:
                sortable = [f.name for f in entity.fields.values() if f.sortable]
                raise DotyposInputError(
                    f"{entity.name} can't be sorted by {name.lstrip('-')!r}; "
                    f"sortable: {', '.join(sortable) or 'nothing'}"
                )
        params["sort"] = ",".join(names)
    if included := include_names(entity, include):
        params["include"] = ",".join(included)
    return params


def include_names(entity: Entity, include: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of child lists to nest, each one that the entity has.

    :param include: names as one comma-separated text or a sequence.
    :raises DotyposInputError: if the entity has no such child list; the message lists those that it has.
    """
    names = tuple(split_names(include, "include"))
    for name in names:
        if name not in entity.includes:
            raise DotyposInputError(
                f"{entity.name} can't include {name!r}{nearest(name, entity.includes)}; "
                f"it can include: {', '.join(entity.includes) or 'nothing'}"
            )
    return names


def _split(text: str) -> list[Condition]:
    triples: list[Condition] = []
    for part in filter(str.strip, text.split(";")):
        pieces = part.split("|")
        if len(pieces) != 3:
            raise DotyposInputError(
                f"filter: {part.strip()!r} is not field|operator|value. Conditions are joined by ';'; a value can't "
                "hold ';' or '|', as the API has no escape for them: filter on your side instead"
            )
        name, operator, value = pieces[0].strip(), pieces[1].strip(), pieces[2]
        triples.append((name, operator, value if operator == "like" else ",".join(map(str.strip, value.split(",")))))
    return triples


def _checked(entity: Entity, triple: Condition) -> Triple:
    if not isinstance(triple, (tuple, list)) or len(triple) != 3 or not isinstance(triple[0], str):
        raise DotyposInputError(
            f"filter: a condition is (field, operator, value), not {type(triple).__name__} {triple!r}"
        )
    name, operator, value = triple
    allowed = entity.fields[name].operators if name in entity.fields else ()
    if operator not in allowed:
        raise DotyposInputError(f"filter: {_why_not(entity, name, str(operator), allowed)}")
    return name, operator, _encoded(entity, name, operator, value)


def _why_not(entity: Entity, name: str, operator: str, allowed: tuple[str, ...]) -> str:
    """Return why the API refuses a condition, and which it takes."""
    filterable = {field.name: field.operators for field in entity.fields.values() if field.operators}
    fields = ", ".join(filterable)
    if name not in entity.fields:
        return f"{entity.name} has no field {name!r}{nearest(name, filterable)}. Fields to filter by: {fields}"
    if not allowed:
        return f"the API documents no filter on {entity.name}.{name}. Fields to filter by: {fields}"
    if operator in _ALL_OPERATORS:
        return f"{operator!r} is not allowed on {entity.name}.{name}; allowed: {', '.join(allowed)}"
    hint = nearest(operator, allowed) or nearest(operator, _ALL_OPERATORS)
    return f"{operator!r} isn't an operator{hint}; allowed on {entity.name}.{name}: {', '.join(allowed)}"


def _encoded(entity: Entity, name: str, operator: str, value: Value) -> str:
    where = f"filter on {entity.name}.{name}"
    if isinstance(value, str):
        text = value
    elif isinstance(value, (list, tuple, set, frozenset)):
        if operator not in OPERATORS["M"]:
            raise DotyposInputError(f"{where}: a list goes with in or notin, not with {operator!r}")
        texts = [_text(item, where) for item in value]
        if any("," in item for item in texts):
            raise DotyposInputError(f"{where}: a listed value can't hold a comma: the API has no escape for it")
        text = ",".join(texts)
    else:
        text = _text(value, where)
    if re.search(r"[;|]", text):
        raise DotyposInputError(
            f"{where}: the value can't hold ';' or '|', as the API has no escape for them; filter on your side instead"
        )
    if text == "":
        raise DotyposInputError(f"{where}: the value is empty; compare with null instead (eq null)")
    if text in ("null", "notnull") and operator not in (*OPERATORS["E"], *OPERATORS["M"]):
        raise DotyposInputError(f"{where}: {text} goes with eq, ne, in and notin, not with {operator!r}")
    if "null" in text.split(",") and name == "deleted":
        raise DotyposInputError(f"{where}: null counts as not deleted and can't be asked for; use 0, 1 or in 0,1")
    return text


def _text(value: object, where: str) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return str(milliseconds(value, where))
    if isinstance(value, (str, int, float, Decimal)):
        return str(value)
    raise DotyposInputError(
        f"{where}: can't send a {type(value).__name__}; use text, a number, or a datetime with zone"
    )
