"""The columns of an entity's rows: which there are, of what kind, and which of them are wanted.

The entity table says what fields there are; a selection says which of them go into a file. Both are the same for every
part of a set, whatever rows come.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

from airflow_provider_dotypos.api.characters import REPLACEMENT
from airflow_provider_dotypos.api.entities import Entity, Field, entities, find_entity
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.names import nearest, split_names

#: Counts the changes of names, kinds or order that readers of earlier files would notice.
SCHEMA_VERSION = 1

#: The column for fields without a column and values that don't fit theirs: one JSON object, as text.
UNKNOWN = "_unknown"

#: What a column holds: whole numbers of 64 or 32 bits, decimal numbers, times in UTC, truth values, text, lists of
#: texts or whole numbers, JSON of any shape, or rows of a child entity.
Kind: TypeAlias = Literal["long", "int", "decimal", "timestamp", "boolean", "text", "texts", "ints", "json", "rows"]

NULL = msgspec.Raw(b"null")

Names: TypeAlias = "str | Sequence[str] | None"

_KINDS: Mapping[str, Kind] = {
    "long": "long",
    "int": "int",
    "short": "int",
    "double": "decimal",
    "decimal": "decimal",
    "timestamp": "timestamp",
    "boolean": "boolean",
    "string": "text",
    "enum": "text",  # lists of values are open [A]
    "string[]": "texts",
    "int[]": "ints",
    "object": "json",
    "object[]": "json",
}


_IN_WORDS: Mapping[Kind, str] = {
    "long": "a whole number of 64 bits",
    "int": "a whole number of 32 bits",
    "decimal": "a number",
    "timestamp": "a time",
    "boolean": "true or false",
    "text": "text",
    "texts": "a list of texts",
    "ints": "a list of whole numbers",
    "json": "JSON",
    "rows": "a list of rows",
}


class Column(msgspec.Struct, frozen=True):
    """One column.

    :param name: the API's name of the field.
    :param nullable: whether the API documents it as nullable; in a file every column is, as a value that doesn't fit
        leaves a null.
    :param personal: whether it holds personal data.
    :param rows: the columns of a child list's rows.
    """

    name: str
    kind: Kind
    nullable: bool = True
    personal: bool = False
    rows: Columns | None = None


@dataclass(frozen=True)
class Columns:
    """The columns of rows, in their order, and what becomes of the other fields.

    :param entity: the entity of the rows.
    :param left_out: names of fields that aren't wanted.
    :param others: whether fields that the entity table doesn't know are wanted.
    """

    entity: str
    columns: tuple[Column, ...]
    left_out: frozenset[str] = frozenset()
    others: bool = True

    @functools.cached_property
    def names_in_order(self) -> tuple[str, ...]:
        """The names of the columns, in their order."""
        return tuple(column.name for column in self.columns)

    @functools.cached_property
    def names(self) -> frozenset[str]:
        """The names of the columns, to look them up."""
        return frozenset(self.names_in_order)

    @functools.cached_property
    def known(self) -> frozenset[str]:
        """The names that the entity table knows, whether they are wanted or not: those of fields and of child lists."""
        entity = entities().get(self.entity)
        return self.names | self.left_out | frozenset(() if entity is None else entity.includes)

    @functools.cached_property
    def whole(self) -> bool:
        """Whether everything is wanted that may come, so that a row needs no cutting."""
        return self.others and not self.left_out and all(child.whole for child in self._children.values())

    def wants(self, name: str) -> bool:
        """Whether the field called `name` is wanted."""
        return name in self.names or (self.others and name not in self.left_out)

    def cut(self, rows: Iterable[msgspec.Raw], misfits: Counter[str]) -> list[msgspec.Raw]:
        """Return rows with the wanted fields only, each with its bytes and in its order as it came.

        :param misfits: counts, by child list, items that aren't rows. They are removed: nothing tells what in them is
            wanted.
        """
        if self.whole:
            return list(rows)
        return [msgspec.Raw(self._cut(members(row, misfits), misfits)) for row in rows]

    @functools.cached_property
    def _children(self) -> dict[str, Columns]:
        return {column.name: column.rows for column in self.columns if column.rows is not None}

    def _cut(self, row: dict[str, msgspec.Raw], misfits: Counter[str]) -> bytes:
        kept = {name: value for name, value in row.items() if self.wants(name)}
        for name, child in self._children.items():
            if name in kept and not child.whole:
                kept[name] = child._cut_list(kept[name], name, misfits)
        return msgspec.json.encode(kept)

    def _cut_list(self, value: msgspec.Raw, name: str, misfits: Counter[str]) -> msgspec.Raw:
        try:
            rows = objects(value, misfits, f"{name}.")
        except msgspec.MsgspecError:
            items, others = child_rows(value)
            misfits[name] += len(others)
            rows = [members(item, misfits, f"{name}.") for item in items] if bytes(value).startswith(b"[") else None
        return NULL if rows is None else msgspec.Raw(b"[" + b",".join(self._cut(row, misfits) for row in rows) + b"]")


def members(row: msgspec.Raw, misfits: Counter[str], prefix: str = "") -> dict[str, msgspec.Raw]:
    """Return a row's fields, each value's bytes as they came; names that aren't UTF-8 are mended.

    :param misfits: counts mended names as ``_unknown``.
    :param prefix: what the names of the row's fields are counted with, such as ``orderItems.``.
    """
    try:
        return _MEMBERS.decode(row)
    except UnicodeDecodeError:
        return _with_mended_names(row, misfits, prefix)


def _with_mended_names(row: msgspec.Raw, misfits: Counter[str], prefix: str) -> dict[str, msgspec.Raw]:
    # Odd bytes stand as private characters until the names are taken apart; then values get theirs back.
    text = bytes(row).decode("utf-8", "surrogateescape").translate(_PRIVATE)
    fields: dict[str, msgspec.Raw] = {}
    for spelled, value in _MEMBERS.decode(text.encode()).items():
        name = spelled.translate(_LOST)
        if name != spelled:
            misfits[prefix + UNKNOWN] += 1
        while name in fields:  # two names that differed in lost characters only
            name += REPLACEMENT
        fields[name] = msgspec.Raw(bytes(value).decode().translate(_ESCAPED).encode("utf-8", "surrogateescape"))
    return fields


def objects(value: msgspec.Raw, misfits: Counter[str], prefix: str = "") -> list[dict[str, msgspec.Raw]] | None:
    """Return the fields of a child list's rows, or ``None`` of a null: all at once, if all is as it should be.

    :param misfits: see `members`.
    :param prefix: see `members`.
    :raises msgspec.MsgspecError: it is neither a list of objects nor null.
    """
    try:
        return _OBJECTS.decode(value)
    except UnicodeDecodeError:  # row by row, so that what is mended in one changes nothing in another
        return [members(item, misfits, prefix) for item in _LISTS.decode(value) or []]


def child_rows(value: msgspec.Raw) -> tuple[list[msgspec.Raw], list[msgspec.Raw]]:
    """Return the rows of a child list, and its items that aren't rows. A value that isn't a list is such an item."""
    try:
        items = _LISTS.decode(value) or []
    except msgspec.MsgspecError:
        return [], [value]
    objects = [item for item in items if bytes(item).startswith(b"{")]
    return objects, [] if len(objects) == len(items) else [item for item in items if not bytes(item).startswith(b"{")]


def columns_of(
    entity: Entity,
    included: Sequence[str] = (),
    *,
    columns: Names = None,
    exclude: Names = None,
    personal_data: bool = True,
) -> Columns:
    """Return the columns of an entity's rows.

    :param included: names of child lists that the rows nest.
    :param columns: only these fields, as a comma-separated text or a sequence, a child list's as ``orderItems.name``.
        ``id``, the key and the fields that order changes are always there; of child lists ``id`` and the parent's id.
    :param exclude: all fields but these, likewise.
    :param personal_data: ``False`` leaves out every field that the entity table marks as personal data, and fields that
        it doesn't know: nobody can vouch for these.
    :raises DotyposInputError: if a name is unknown (the message lists those that exist), or can't be omitted.
    """
    only, without = split_names(columns, "columns"), split_names(exclude, "exclude")
    if columns is not None and not only:
        raise DotyposInputError("columns is empty; leave it out to have all")
    _check_names(entity, included, only + without)
    needed = {"id", *entity.primary_key, *entity.cursors} & set(entity.fields)
    below = {f"{name}.{key}" for name in included for key in ("id", entity.includes[name].parent)}
    if kept := (needed | below) & set(without):
        raise DotyposInputError(f"exclude can't name {', '.join(sorted(kept))}: rows are told apart and ordered by it")
    chosen = _select(entity, included, only, without, personal_data, needed)
    _check_chosen(chosen, only)
    return chosen


def kind_of(entity: str, name: str) -> str | None:
    """Return what a field's column holds, for people, of a child list as ``orderItems.name``; ``None`` if unknown."""
    known = entities().get(entity)
    child, dot, below = name.partition(".")
    if known is not None and dot and child in known.includes:
        return kind_of(known.includes[child].entity, below)
    if known is None or name not in known.fields:
        return "a list of rows" if known is not None and name in known.includes else None
    return _IN_WORDS[column_of(known.fields[name]).kind]


def _check_chosen(chosen: Columns, only: Iterable[str]) -> None:
    """Raise if a column was asked for that is omitted as personal data."""
    names = set(chosen.names)
    names |= {f"{column.name}.{name}" for column in chosen.columns if column.rows for name in column.rows.names}
    if lost := set(only) - names:
        raise DotyposInputError(
            f"columns asks for {', '.join(sorted(lost))}, which holds personal data, and personal_data is False"
        )


def _select(
    entity: Entity, included: Sequence[str], only: list[str], without: list[str], personal_data: bool, needed: set[str]
) -> Columns:
    whole = [column_of(field) for field in entity.fields.values()]
    whole += [_child(entity, name, _below(name, only), _below(name, without), personal_data) for name in included]
    wanted = needed | {name.split(".")[0] for name in only}
    chosen = tuple(
        column
        for column in whole
        if (not only or column.name in wanted) and column.name not in without and (personal_data or not column.personal)
    )
    left_out = {column.name for column in whole} - {column.name for column in chosen}
    return Columns(entity.name, chosen, frozenset(left_out), others=personal_data and not only)


def column_of(field: Field) -> Column:
    """Return the column of a field."""
    kind = _KINDS[field.type]
    return Column(field.name, "long" if kind == "int" and field.bits == 64 else kind, field.nullable, field.personal)


def _child(entity: Entity, name: str, only: list[str], without: list[str], personal_data: bool) -> Column:
    child = entity.includes[name]
    needed = {"id", child.parent}
    return Column(name, "rows", rows=_select(find_entity(child.entity), (), only, without, personal_data, needed))


def _below(name: str, names: Iterable[str]) -> list[str]:
    """Return the fields of the child list `name` among `names`, without its name in front."""
    return [given.split(".", 1)[1] for given in names if given.startswith(f"{name}.")]


def _check_names(entity: Entity, included: Sequence[str], names: Iterable[str]) -> None:
    below = {child: find_entity(entity.includes[child].entity).fields for child in included}
    known = dict.fromkeys([*entity.fields, *included])
    known |= dict.fromkeys(f"{child}.{name}" for child, fields in below.items() for name in fields)
    for name in names:
        if name not in known:
            raise DotyposInputError(
                f"{entity.name} has no field {name!r}{nearest(name, known)}. There are: {', '.join(known)}"
            )


_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
#: Python's escapes of odd bytes as characters of the last private plane, which no text holds; the way back; and to what
#: is lost for good.
_PRIVATE = {0xDC00 + byte: 0x10FE00 + byte for byte in range(0x80, 0x100)}
_ESCAPED = {private: escape for escape, private in _PRIVATE.items()}
_LOST = dict.fromkeys(_ESCAPED, REPLACEMENT)
_LISTS: msgspec.json.Decoder[list[msgspec.Raw] | None] = msgspec.json.Decoder(list[msgspec.Raw] | None)
_OBJECTS: msgspec.json.Decoder[list[dict[str, msgspec.Raw]] | None] = msgspec.json.Decoder(
    list[dict[str, msgspec.Raw]] | None
)
