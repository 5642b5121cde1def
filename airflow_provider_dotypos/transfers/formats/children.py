"""Taking nested child lists out of rows, so that one walk over parents feeds a table for each entity."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from airflow_provider_dotypos.api.entities import entity
from airflow_provider_dotypos.api.query import list_params, split_names

Rows = list[msgspec.Raw]


def split_children(
    name: str, rows: Iterable[msgspec.Raw], include: str | Sequence[str]
) -> tuple[Rows, dict[str, Rows]]:
    """Return rows without their child lists, and the children by the name of their entity.

    All bytes stay as they came, but for a child that doesn't name its parent: it gets the parent's id, in the field
    that is for it (``_orderId``). A value that is no list of objects stays in its parent.

    :param name: the entity of `rows`. :param include: the child lists, as a comma-separated text or a sequence.
    :raises DotyposInputError: the entity has no such child list.
    """
    found = entity(name)
    included = {key: found.includes[key] for key in split_names(list_params(found, include=include).get("include"))}
    parents: Rows = []
    children: dict[str, Rows] = {child.entity: [] for child in included.values()}
    for row in rows:
        members = _MEMBERS.decode(row)
        taken = False
        for key, child in included.items():
            listed = _listed(members[key]) if key in members else None
            if listed is not None:
                children[child.entity] += (_with_parent(one, child.parent, members["id"]) for one in listed)
                del members[key]
                taken = True
        parents.append(msgspec.Raw(msgspec.json.encode(members)) if taken else row)
    return parents, children


def _listed(value: msgspec.Raw) -> Rows | None:
    """Return the objects of a list, none of a null, or ``None`` if it isn't a list of objects."""
    try:
        rows = _LISTS.decode(value) or []
    except msgspec.MsgspecError:
        return None
    return rows if all(bytes(row).startswith(b"{") for row in rows) else None


def _with_parent(row: msgspec.Raw, field: str, parent: msgspec.Raw) -> msgspec.Raw:
    if _parents(field).decode(row).parent is not msgspec.UNSET:
        return row
    return msgspec.Raw(msgspec.json.encode({**_MEMBERS.decode(row), field: parent}))


@functools.cache
def _parents(field: str) -> msgspec.json.Decoder[Any]:
    """Return a decoder of one field of a row."""
    row = msgspec.defstruct(
        "Row", [("parent", msgspec.Raw | msgspec.UnsetType, msgspec.UNSET)], rename={"parent": field}
    )
    return msgspec.json.Decoder(row)


_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LISTS = msgspec.json.Decoder(list[msgspec.Raw] | None)
