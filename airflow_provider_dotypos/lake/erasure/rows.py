"""A row without a person's data, in the form that the API gives it. Pure.

Of a row that is theirs each field with personal data becomes blank, and fields that the entity table doesn't know are
removed. A value that doesn't fit its field becomes null. Nobody can vouch for these. Numbers, ids and references stay,
so sums don't change. All other fields keep their bytes, and so does every row that isn't theirs, those of other
persons in the same list of children among them.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import msgspec

from airflow_provider_dotypos.api.blanks import NOBODY, blank_of
from airflow_provider_dotypos.api.entities import Entity, Field, find_entity
from airflow_provider_dotypos.api.page import decode_row
from airflow_provider_dotypos.lake.erasure.person import Person, Row
from airflow_provider_dotypos.transfers.rows.columns import NULL, UNKNOWN, child_rows, column_of, members
from airflow_provider_dotypos.transfers.rows.looking import fits

_BLANKS = frozenset({b"null", b'""', b"[]", msgspec.json.encode(NOBODY)})


class RowEraser:
    """Takes a person's data out of rows.

    :ivar fields: how many values were taken out, by field (of nested children as ``orderItems.note``; of fields without
        a column as ``_unknown``).
    """

    def __init__(self, person: Person) -> None:
        self._person = person
        self.fields: Counter[str] = Counter()

    def edit(self, entity: str, row: msgspec.Raw) -> msgspec.Raw:
        """Return a row without the person's data: the same object, if it holds none of it."""
        theirs = self._person.owns(entity, decoded(row))
        return self._edited(find_entity(entity), row, theirs, "")

    def _edited(self, entity: Entity, row: msgspec.Raw, theirs: bool, prefix: str) -> msgspec.Raw:
        fields = members(row, Counter())
        twice = _names_twice(row) if theirs else set()
        self.fields.update(prefix + name for name in twice)
        changed = bool(twice)  # the last value alone counts, and stays
        for name, value in list(fields.items()):
            if name in entity.includes:
                new = self._edited_list(entity, name, value, theirs, prefix)
            elif theirs:
                new = self._blanked(entity, name, value, prefix)
            else:
                continue
            if new is value:
                continue
            changed = True
            if new is None:
                del fields[name]
            else:
                fields[name] = new
        return msgspec.Raw(msgspec.json.encode(fields)) if changed else row

    def _blanked(self, entity: Entity, name: str, value: msgspec.Raw, prefix: str) -> msgspec.Raw | None:
        """Return what a field of the person's row holds then; ``None`` if it is to be removed."""
        field = entity.fields.get(name)
        if field is None:
            self.fields[prefix + UNKNOWN] += 1
            return None
        if not field.personal:
            if name in self._person.reach.fields(entity.name) or is_harmless(field, value):
                return value
            self.fields[prefix + name] += 1
            return NULL
        if bytes(value).strip() in _BLANKS:
            return value
        self.fields[prefix + name] += 1
        return msgspec.Raw(msgspec.json.encode(blank_of(field)))

    def _edited_list(
        self, entity: Entity, name: str, value: msgspec.Raw, theirs: bool, prefix: str
    ) -> msgspec.Raw | None:
        """Return a child list. What isn't a row doesn't stay in one of theirs: it may be anything."""
        if bytes(value) in _BLANKS:
            return value
        child = find_entity(entity.includes[name].entity)
        rows, others = child_rows(value)
        edited = [
            self._edited(child, row, theirs or self._person.owns(child.name, decoded(row)), f"{prefix}{name}.")
            for row in rows
        ]
        if theirs and others:
            self.fields[f"{prefix}{name}"] += len(others)
            return _list(edited)
        if all(new is old for new, old in zip(edited, rows, strict=True)):
            return value
        return _list([*edited, *others])


def is_harmless(field: Field, value: msgspec.Raw) -> bool:
    """Return whether a value of a field that isn't personal may stay: it fits the field, or it is a number."""
    text = msgspec.Raw(bytes(value).decode("utf-8", "replace").encode())
    return bytes(text)[:1] in b"-0123456789" or fits(column_of(field).kind, text)


def decoded(row: msgspec.Raw) -> Row:
    """Return a row's values, whatever bytes they have."""
    try:
        values: dict[str, Any] = _ROWS.decode(row)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return decode_row(row)
    return values


def _names_twice(row: msgspec.Raw) -> set[str]:
    """Return the names that a JSON object has more than once."""
    pairs: list[tuple[str, Any]] = json.loads(bytes(row).decode("utf-8", "replace"), object_pairs_hook=list)
    return {name for name, times in Counter(name for name, _ in pairs).items() if times > 1}


def _list(rows: list[msgspec.Raw]) -> msgspec.Raw:
    return msgspec.Raw(b"[" + b",".join(rows) + b"]")


_ROWS = msgspec.json.Decoder(dict[str, Any])
