"""Taking nested child lists out of rows, so that one walk over parents feeds a table for each entity."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from typing import Any

import msgspec

from airflow_provider_dotypos.api.entities import Child
from airflow_provider_dotypos.transfers.rows.columns import NULL, child_rows, members

Rows = list[msgspec.Raw]


def split_children(
    rows: Iterable[msgspec.Raw], lists: Mapping[str, Child], cut: Container[str] = ()
) -> tuple[Rows, dict[str, Rows], Counter[str]]:
    """Return rows without their child lists, the children by the name of their entity, and counts of what is neither.

    All bytes stay as they came, except in a child that doesn't name its parent: it gets the parent's id, in the field
    that is for it (``_orderId``). What isn't a row of a child list stays in its parent, counted by the list's name.

    :param lists: the child lists to take out, by the field that nests them.
    :param cut: entities of which only some fields are wanted. What isn't a row of them doesn't stay, because nothing
        tells which of it isn't wanted.
    """
    parents: Rows = []
    children: dict[str, Rows] = {child.entity: [] for child in lists.values()}
    misfits: Counter[str] = Counter()
    for row in rows:
        fields = members(row, misfits)
        taken = False
        for key, child in lists.items():
            if key not in fields:
                continue
            objects, others = child_rows(fields[key])
            children[child.entity] += (_with_parent(item, child, fields["id"], misfits) for item in objects)
            misfits[key] += len(others)
            if not others or child.entity in cut:
                del fields[key]
            elif objects:
                fields[key] = msgspec.Raw(b"[" + b",".join(others) + b"]")
            else:
                continue
            taken = True
        parents.append(msgspec.Raw(msgspec.json.encode(fields)) if taken else row)
    return parents, children, misfits


def _with_parent(row: msgspec.Raw, child: Child, parent: msgspec.Raw, misfits: Counter[str]) -> msgspec.Raw:
    if _parents(child.parent).decode(row).parent != NULL:
        return row
    return msgspec.Raw(msgspec.json.encode({**members(row, misfits, f"{child.entity}."), child.parent: parent}))


@functools.cache
def _parents(field: str) -> msgspec.json.Decoder[Any]:
    """Return a decoder of one field's bytes, those of null where it is missing: no value is read, so none can fail."""
    row = msgspec.defstruct("Row", [("parent", msgspec.Raw, NULL)], rename={"parent": field})
    return msgspec.json.Decoder(row)
