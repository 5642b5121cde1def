"""The table of what the API holds: entities, their paths, cursors, fields, and what may be asked of each field.

Adding an entity is adding one row to ``entity_table``; nothing else in the package knows an entity by name.

A row's fields are written ``name:type?/GROUPS^``. ``?`` marks a documented nullable field (treat every field but
``id`` as nullable all the same). GROUPS are the groups of filter operators that the API documents for the field:
E ``eq ne``, N ``gt gteq lt lteq``, S ``like``, M ``in notin``, B ``bin bex``. ``^`` marks a sortable field;
``id`` is sortable on no entity. ``!`` marks personal data: what names, reaches, places or describes a person or a sole
trader, and free text in which somebody may (references such as ``_customerId`` aren't marked: without the rows that
they lead to they name nobody). ``type`` is the documented type, not the JSON kind: answers carry every number as text.

``mark`` is how certain the row is: D documented by the vendor, D2 documented second-hand.

https://docs.api.dotypos.com/api-reference/general/filter, /api-reference/general/sort
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from airflow_provider_dotypos.api.errors import DotyposInputError

DOCS = "https://docs.api.dotypos.com"

#: Operators of the API's filter groups (page /api-reference/general/filter). It is ``gteq``, not ``gte``.
OPERATORS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "E": ("eq", "ne"),
        "N": ("gt", "gteq", "lt", "lteq"),
        "S": ("like",),
        "M": ("in", "notin"),
        "B": ("bin", "bex"),
    }
)


@dataclass(frozen=True)
class Field:
    """One field of an entity: its documented type, what the API lets one ask of it, whether it is personal data."""

    name: str
    type: str
    nullable: bool
    operators: tuple[str, ...]
    sortable: bool
    personal: bool


@dataclass(frozen=True)
class Child:
    """A child list that can be nested in an entity's rows.

    :param entity: the name of the entity that its rows are of.
    :param parent: their field that holds the parent's id.
    """

    entity: str
    parent: str


@dataclass(frozen=True)
class Entity:
    """One entity of the API.

    :param path: path below ``/v2/clouds/{cloud}`` (or from ``/v2`` on, when it starts with ``/v2``), with the
        ``{placeholders}`` of what it lies below.
    :param cursors: the fields that order its changes; empty when it can only be read as a snapshot. Two where no
        single field moves with every change (warehouse products).
    :param cursor_sortable: whether lists can be sorted by the cursor, or only filtered.
    :param deleted_filterable: whether ``deleted`` can be filtered by; lists hide deleted rows unless it is.
    :param totals: whether list answers carry ``totalItemsCount`` (orders and order items never do).
    :param paged: whether lists come in the paging envelope.
    :param includes: the child lists that its rows can nest, by the name that ``include`` takes.
    :param listed: whether there is a list at all; ``single``: whether there is a GET of one row.
    :param writes: the documented write calls, such as ``"POST array"``.
    """

    name: str
    path: str
    fields: Mapping[str, Field] = field(repr=False)
    cursors: tuple[str, ...]
    cursor_sortable: bool
    deleted_filterable: bool
    totals: bool
    paged: bool
    listed: bool
    single: bool
    includes: Mapping[str, Child]
    writes: tuple[str, ...]
    primary_key: tuple[str, ...]
    mark: str
    docs: str
    unstable: bool

    @property
    def has_deleted(self) -> bool:
        """Whether rows carry the soft-delete marker ``deleted``."""
        return "deleted" in self.fields

    @property
    def placeholders(self) -> tuple[str, ...]:
        """What has to be named to reach the entity below its cloud, such as ``("warehouse_id",)``."""
        return tuple(re.findall(r"\{(\w+)\}", self.path))

    @property
    def tie_breakers(self) -> tuple[str, ...]:
        """Further fields to sort by after the cursor: whatever tells rows of one instant apart (booleans don't)."""
        return tuple(
            f.name for f in self.fields.values() if f.sortable and f.type != "boolean" and f.name not in self.cursors
        )

    def field(self, name: str) -> Field:
        """Return the field called `name`.

        :raises DotyposInputError: the entity has no such field; the message offers the nearest name.
        """
        try:
            return self.fields[name]
        except KeyError:
            raise DotyposInputError(
                f"{self.name} has no field {name!r}{nearest(name, self.fields)}. Fields: {', '.join(self.fields)}"
            ) from None


def find_entity(name: str) -> Entity:
    """Return the entity called `name` (a path segment of the API, such as ``order-items``).

    :raises DotyposInputError: there is no such entity; the message offers the nearest name.
    """
    try:
        return entities()[name]
    except (KeyError, TypeError):
        raise DotyposInputError(
            f"Dotypos has no entity {name!r}{nearest(str(name), entities())}. Entities: {', '.join(entities())}"
        ) from None


@functools.cache
def entities() -> Mapping[str, Entity]:
    """Return every readable entity by name, in alphabetical order."""
    # Imported here, so that a module that only names an entity doesn't pay for the whole table.
    from airflow_provider_dotypos.api.entity_table import ROWS

    table = (_entity(**row) for row in ROWS)
    return MappingProxyType({row.name: row for row in sorted(table, key=lambda row: row.name)})


def cloud_lists() -> list[str]:
    """Return the names of all entities that a cloud has a list of: whatever can be extracted of it."""
    return [name for name, found in entities().items() if found.listed and not found.path.startswith("/")]


def nearest(name: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the known name nearest to `name`, or nothing when none is near."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


_FIELD = re.compile(
    r"(?P<name>\w+):(?P<type>[\w\[\]]+)(?P<null>\?)?(?:/(?P<groups>[ENSMB]+))?(?P<sort>\^)?(?P<personal>!)?"
)


def _parse_field(text: str) -> Field:
    match = _FIELD.fullmatch(text)
    if match is None:
        raise ValueError(f"the entity table holds a field it can't read: {text!r}")
    return Field(
        name=match["name"],
        type=match["type"],
        nullable=match["null"] is not None,
        operators=tuple(name for group in match["groups"] or "" for name in OPERATORS[group]),
        sortable=match["sort"] is not None,
        personal=match["personal"] is not None,
    )


def _entity(
    name: str,
    fields: str,
    *,
    path: str = "",
    cursors: tuple[str, ...] = ("versionDate",),
    cursor_sortable: bool = True,
    deleted_filterable: bool = True,
    totals: bool = True,
    paged: bool = True,
    listed: bool = True,
    single: bool = True,
    includes: Mapping[str, str] = MappingProxyType({}),
    writes: str = "",
    primary_key: tuple[str, ...] = ("id",),
    mark: str,
    docs: str,
    unstable: bool = False,
) -> Entity:
    by_name = {f.name: f for f in map(_parse_field, fields.split())}
    return Entity(
        name=name,
        path=path or name,
        fields=MappingProxyType(by_name),
        cursors=cursors,
        cursor_sortable=cursor_sortable,
        deleted_filterable=deleted_filterable and bool(by_name.get("deleted")),
        totals=totals,
        paged=paged,
        listed=listed,
        single=single,
        includes=MappingProxyType({key: Child(*child.split(".")) for key, child in includes.items()}),
        writes=tuple(writes.split(", ")) if writes else (),
        primary_key=primary_key,
        mark=mark,
        docs=DOCS + docs,
        unstable=unstable,
    )
