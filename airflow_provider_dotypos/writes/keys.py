"""Keys: how a source's row and a cloud's row are known to be the same one.

A key is one text for each field that rows are matched by, in their order. It is the same of a source's value and of an
answer's, however each is spelled.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

from airflow_provider_dotypos.api.entities import Entity, Field
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.names import split_names
from airflow_provider_dotypos.writes.values import UNORDERED, read_value

#: What tells rows apart where no field is meant to hold a key of ours: the API refuses a second row of these [D2].
NATURAL_KEYS: Mapping[str, tuple[str, ...]] = {
    "portions": ("portion", "price"),
    "product-ingredients": ("_parentProductId", "_productId"),  # not refused, but a second one says nothing [A]
    "tags": ("name",),
    "taxes": ("value",),
    "warehouse-branches": ("_branchId", "_warehouseId"),
}

_UNFIT_TYPES = ("object", "object[]", "int[]", "boolean")

#: One text for each field that rows are matched by.
Key: TypeAlias = tuple[str, ...]


def check_match(entity: Entity, match: str | Sequence[str]) -> tuple[str, ...]:
    """Return the fields that rows are matched by.

    :param match: their names, as one comma-separated text or a sequence.
    :raises DotyposInputError: if there are none, or if one is unknown, doubled or can't tell rows apart.
    """
    names = tuple(split_names(match, "match"))
    if not names:
        natural = NATURAL_KEYS.get(entity.name)
        hint = f", which is {', '.join(natural)} of {entity.name}" if natural else ", such as externalId or id"
        raise DotyposInputError(f"match is empty: name the field that tells rows apart{hint}")
    if len(set(names)) < len(names):
        raise DotyposInputError(f"match names a field twice: {', '.join(names)}")
    for name in names:
        field = entity.field(name)
        if field.type in _UNFIT_TYPES or name in UNORDERED or name == "deleted":
            raise DotyposInputError(f"match: {name} can't tell rows of {entity.name} apart")
        if name in ("_cloudId", *entity.cursors):
            raise DotyposInputError(f"match: {name} isn't of the rows' own; match by a field that only you change")
    return names


def source_key(entity: Entity, match: Sequence[str], values: Mapping[str, Any]) -> Key:
    """Return the key of a source's row, whose values are in the API's form.

    :raises ValueError: if a value is missing, or can't be one row's key. The message begins with the field's name.
    """
    return tuple(_source_text(entity.fields[name], values.get(name)) for name in match)


def row_keys(entity: Entity, match: Sequence[str], row: Mapping[str, Any]) -> list[Key]:
    """Return the keys of a cloud's row.

    It has several if it is matched by a list such as ``ean``, and none if a field is empty.
    """
    return list(itertools.product(*(_texts(entity.fields[name], row.get(name)) for name in match)))


def _source_text(field: Field, value: Any) -> str:
    texts = _texts(field, value)
    if not texts:
        raise ValueError(f"{field.name} is empty, and rows are matched by it")
    if len(texts) > 1:
        raise ValueError(f"{field.name} has {len(texts)} values, and rows are matched by it: name one")
    return texts[0]


def _texts(field: Field, value: Any) -> list[str]:
    """Return the texts by which a field's value is known, none of a value that it can't hold."""
    try:
        read = read_value(field, value)
    except ValueError:
        return []
    values = read if isinstance(read, list) else [] if read is None else [read]
    return list(dict.fromkeys(_spelled(field, value) for value in values if value != ""))


def _spelled(field: Field, value: str) -> str:
    # Of 20 digits that a source has, a double keeps 17.
    return str(Decimal(repr(float(value)))) if field.type == "double" else value
