"""The table of what the API holds: entities with their paths, cursors and fields, and what each of these allows.

To add an entity, add one row to ``entity_table``. No code that reads, extracts or lists entities knows one by name,
except `CLOUDS`, which all others lie below. A nested history names orders and what they nest, the commands' probes the
lists that they examine, the sandbox's shop what it sells, and transfers each parent of a list (``warehouse_id``).

**Fields** stand one a line, as ``name:type(length)?/GROUPS^! marks -> entity  # remark``. All but name and type are
optional:

- ``type`` is the documented type, not the JSON kind: answers carry every number as text.
- ``(length)`` is the most characters that a text may have; in a list, each text [A].
- ``?`` marks a field that is documented as optional: it may be null or missing. Treat every field but ``id`` so.
- ``GROUPS`` are the groups of filter operators that the API documents for the field: E ``eq ne``,
  N ``gt gteq lt lteq``, S ``like``, M ``in notin``, B ``bin bex``.
- ``^`` marks a sortable field. ``id`` is sortable on no entity.
- ``!`` marks personal data: what names, reaches, places, labels or describes a person or a sole trader, and free text
  in which somebody may. References such as ``_customerId`` aren't marked: by themselves they name nobody.
- ``server`` marks a field that no write sets: the server does, or it ignores what is sent [A].
- ``default`` marks a field that a create may leave out although it is never null [A].
- ``-> entity`` names the entity whose id the field holds [A: concluded from the field's name].

**Writes** are the documented calls, separated by blanks. ``POST[]`` and ``PUT[]`` take an array on the list's path; the
brackets hold its documented limit. ``POST`` takes one object there. ``PUT``, ``PATCH`` and ``DELETE`` go to the path of
one row. A create must name each field that has none of ``?``, ``server`` and ``default``.

https://docs.api.dotypos.com/api-reference/general/filter, /api-reference/general/sort, …/methods, …/etags
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import msgspec

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.names import nearest

DOCS = "https://docs.api.dotypos.com"

#: The entity that all others lie below.
CLOUDS = "clouds"

#: How an entity is read: rows in a list and one by one, in a list alone, or as one object.
Kind: TypeAlias = Literal["rows", "list", "object"]

#: The operators of the API's filter groups (page /api-reference/general/filter). It is ``gteq``, not ``gte``.
OPERATORS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "E": ("eq", "ne"),
        "N": ("gt", "gteq", "lt", "lteq"),
        "S": ("like",),
        "M": ("in", "notin"),
        "B": ("bin", "bex"),
    }
)

#: Most rows in the array of a write, where the documents give no limit: that of all entities that have one [A].
BATCH_LIMIT = 100


class Field(msgspec.Struct, frozen=True):
    """One field of an entity.

    :param name: the name that the API gives it.
    :param type: the documented type.
    :param nullable: whether it is documented as optional.
    :param operators: the filter operators that the API allows on it.
    :param sortable: whether lists can be sorted by it.
    :param personal: whether it holds personal data.
    :param max_length: most characters of its text; ``None`` if no limit is documented.
    :param read_only: whether no write can set it.
    :param required: whether a create must name it.
    :param references: the entity whose id it holds, if any.
    """

    name: str
    type: str
    nullable: bool
    operators: tuple[str, ...]
    sortable: bool
    personal: bool
    max_length: int | None
    read_only: bool
    required: bool
    references: str | None

    @property
    def bits(self) -> int:
        """How many bits a whole number has: of ids and flags 64, also where the documents say less [A]."""
        return 64 if self.name.endswith(("id", "Id", "flags")) else {"short": 16, "int": 32}.get(self.type, 64)


class Child(msgspec.Struct, frozen=True):
    """A child list that can be nested in an entity's rows.

    :param entity: the name of the entity that its rows are of.
    :param parent: their field that holds the parent's id.
    """

    entity: str
    parent: str


class Parent(msgspec.Struct, frozen=True):
    """The place that an entity lies below in its path.

    :param entity: the name of the entity that it is a row of, such as ``warehouses``.
    :param noun: what one of them is called, such as ``warehouse``.
    """

    entity: str
    noun: str

    @property
    def argument(self) -> str:
        """The argument that names it in calls, such as ``warehouse_id``."""
        return f"{self.noun}_id"

    @property
    def field(self) -> str:
        """The field of the entity's rows that holds its id, such as ``_warehouseId``."""
        return f"_{self.noun}Id"


class Writes(msgspec.Struct, frozen=True):
    """The write calls that the API documents for an entity.

    :param list_methods: methods of its list's path: ``POST`` creates rows, ``PUT`` replaces or creates them.
    :param row_methods: methods of a row's path: ``PUT`` replaces or creates it, ``PATCH`` changes some of its fields,
        ``DELETE`` marks it as deleted.
    :param posts_array: whether ``POST`` takes an array; otherwise it takes one object.
    :param batch_limit: most rows in an array.
    """

    list_methods: tuple[str, ...] = ()
    row_methods: tuple[str, ...] = ()
    posts_array: bool = False
    batch_limit: int = BATCH_LIMIT

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.list_methods or self.row_methods)

    @property
    def etag_methods(self) -> tuple[str, ...]:
        """The methods that need ``If-Match`` with the ETag of what they change, unless they create it [D]."""
        return tuple(dict.fromkeys(m for m in (*self.list_methods, *self.row_methods) if m in ("PUT", "PATCH")))


class Entity(msgspec.Struct, frozen=True):
    """One entity of the API.

    :param name: the name that it has in the API's paths, such as ``order-items``.
    :param path: path below ``/v2/clouds/{cloud}`` (or from ``/v2`` on, when it starts with ``/v2``), with a
        ``{placeholder}`` for what it lies below. `url_path` makes it the path of a call.
    :param parent: what it lies below, other than its cloud.
    :param kind: how it is read.
    :param fields: its fields, by their names.
    :param cursors: the fields that order its changes; empty when it can only be read as a snapshot. Two where no
        single field moves with every change (warehouse products).
    :param totals: whether list answers carry ``totalItemsCount`` (orders and order items never do).
    :param paged: whether lists come in the paging envelope.
    :param includes: the child lists that its rows can nest, by the name that ``include`` takes.
    :param writes: the write calls that the API documents for it.
    :param primary_key: the fields that tell its rows apart within a cloud.
    :param mark: how certain the row of the table is: ``D`` documented by the vendor, ``D2`` documented second-hand.
    :param docs: the address of the API's page about it.
    :param unstable: whether the vendor says that its fields may change.
    :param null_markers: whether rows were seen whose ``deleted`` is null [C1].
    """

    name: str
    path: str
    parent: Parent | None
    kind: Kind
    fields: Mapping[str, Field]
    cursors: tuple[str, ...]
    totals: bool
    paged: bool
    includes: Mapping[str, Child]
    writes: Writes
    primary_key: tuple[str, ...]
    mark: str
    docs: str
    unstable: bool
    null_markers: bool

    def __repr__(self) -> str:
        return f"Entity({self.name!r})"

    @property
    def listed(self) -> bool:
        """Whether there is a list of its rows."""
        return self.kind != "object"

    @property
    def single(self) -> bool:
        """Whether there is a GET of one row, or of the one object that it is."""
        return self.kind != "list"

    @property
    def in_cloud(self) -> bool:
        """Whether it lies below a cloud."""
        return not self.path.startswith("/")

    @property
    def has_deleted(self) -> bool:
        """Whether rows carry the soft-delete marker ``deleted``."""
        return "deleted" in self.fields

    @property
    def deleted_filterable(self) -> bool:
        """Whether lists can be filtered by ``deleted``; they hide deleted rows unless they are."""
        return self.has_deleted and bool(self.fields["deleted"].operators)

    @property
    def cursor_sortable(self) -> bool:
        """Whether lists can be sorted by the cursor, or only filtered."""
        return all(self.fields[name].sortable for name in self.cursors)

    @property
    def tie_breakers(self) -> tuple[str, ...]:
        """Further fields to sort by after the cursor: those that can tell rows of one instant apart (no booleans)."""
        sortable = (f for f in self.fields.values() if f.sortable and f.type != "boolean")
        return tuple(f.name for f in sortable if f.name not in self.cursors)

    def field(self, name: str) -> Field:
        """Return the field called `name`.

        :raises DotyposInputError: if the entity has no such field; the message offers the nearest name.
        """
        try:
            return self.fields[name]
        except KeyError:
            raise DotyposInputError(
                f"{self.name} has no field {name!r}{nearest(name, self.fields)}. Fields: {', '.join(self.fields)}"
            ) from None

    def parent_id(self, named: Mapping[str, object]) -> str | None:
        """Return the id of the parent that `named` holds, such as ``{"warehouse_id": 5}``; ``None`` if it holds none.

        :raises DotyposInputError: if it names what the entity doesn't lie below, or if an id isn't a whole number.
        """
        ids = {argument: id for argument, id in named.items() if id not in (None, "")}
        known = self.parent.argument if self.parent else ""
        if unknown := sorted(ids.keys() - {known}):
            raise DotyposInputError(f"{self.name} takes no {', '.join(unknown)}")
        return id_text(ids[known], known) if known in ids else None

    def url_path(self, parent: str | None = None) -> str:
        """Return the path of its list or object as a call takes it: below the cloud, or after a ``/`` below ``/v2``.

        :param parent: the id of what it lies below.
        :raises DotyposInputError: if the parent is missing.
        """
        if self.parent is None:
            return self.path.removeprefix("/v2")
        if parent is None:
            raise DotyposInputError(f"{self.name} lies below a {self.parent.noun}: name it by {self.parent.argument}=")
        return self.path.format(**{self.parent.argument: parent})


def find_entity(name: str) -> Entity:
    """Return the entity called `name` (a path segment of the API, such as ``order-items``).

    :raises DotyposInputError: if there is no such entity; the message offers the nearest name.
    """
    try:
        return _read_entity(name)
    except (KeyError, TypeError):
        raise DotyposInputError(
            f"Dotypos has no entity {name!r}{nearest(str(name), entities())}. Entities: {', '.join(entities())}"
        ) from None


def find_list(name: str) -> Entity:
    """Return the entity called `name`, which has a list.

    :raises DotyposInputError: if there is no such entity, or it is one object.
    """
    entity = find_entity(name)
    if not entity.listed:
        raise DotyposInputError(f"{name} is one object, not a list: read it with DotyposOperator or request()")
    return entity


@functools.cache
def entities() -> Mapping[str, Entity]:
    """Return every readable entity by name, in alphabetical order."""
    return MappingProxyType({name: _read_entity(name) for name in sorted(_rows())})


def cloud_lists() -> list[str]:
    """Return the names of all entities that a cloud has a list of: those that can be extracted."""
    return [entity.name for entity in entities().values() if entity.listed and entity.in_cloud]


def id_text(id: object, what: str) -> str:
    """Return an id as text.

    :param what: what it is, as an error's sentence begins.
    :raises DotyposInputError: if it isn't a whole number.
    """
    text = str(id).strip()
    if isinstance(id, bool) or not re.fullmatch(r"-?[0-9]{1,19}", text):
        raise DotyposInputError(f"{what} is a whole number, not {type(id).__name__} {str(id)[:40]!r}")
    return text


_FIELD = re.compile(
    r"(?P<name>\w+):(?P<type>\w+(?:\[\])?)(?:\((?P<length>\d+)\))?(?P<null>\?)?"
    r"(?:/(?P<groups>[ENSMB]+))?(?P<sort>\^)?(?P<personal>!)?"
    r"(?: (?P<mark>server|default))?(?: -> (?P<references>[\w-]+))?(?:  #.*)?"
)
_WRITE = re.compile(r"(?P<method>[A-Z]+)(?P<array>\[(?P<limit>\d*)\])?")
_PARENT = re.compile(r"(?P<entity>[\w-]+)/\{(?P<noun>\w+)_id\}/.+")


@functools.cache
def _rows() -> Mapping[str, Mapping[str, Any]]:
    # Imported here, so that a module that only names an entity doesn't pay for the whole table.
    from airflow_provider_dotypos.api.entity_table import ROWS

    return {row["name"]: row for row in ROWS}


@functools.cache
def _read_entity(name: str) -> Entity:
    """Read one row of the table. A DAG file that names an entity doesn't pay for the others."""
    return _entity(**_rows()[name])


def _entity(
    name: str,
    fields: str,
    *,
    path: str = "",
    kind: Kind = "rows",
    cursors: tuple[str, ...] = ("versionDate",),
    totals: bool = True,
    paged: bool = True,
    includes: Mapping[str, str] = MappingProxyType({}),
    writes: str = "",
    primary_key: tuple[str, ...] = ("id",),
    mark: str,
    docs: str,
    unstable: bool = False,
    null_markers: bool = False,
) -> Entity:
    lines = (line.strip() for line in fields.strip().splitlines())
    below = _PARENT.fullmatch(path)
    return Entity(
        name=name,
        path=path or name,
        parent=Parent(below["entity"], below["noun"]) if below else None,
        kind=kind,
        fields=MappingProxyType({f.name: f for f in (_parse_field(line, bool(writes)) for line in lines)}),
        cursors=cursors,
        totals=totals,
        paged=paged and kind != "object",
        includes=MappingProxyType({key: Child(*child.split(".")) for key, child in includes.items()}),
        writes=_parse_writes(writes),
        primary_key=primary_key,
        mark=mark,
        docs=DOCS + docs,
        unstable=unstable,
        null_markers=null_markers,
    )


def _parse_field(line: str, writable: bool) -> Field:
    match = _FIELD.fullmatch(line)
    if match is None:
        raise ValueError(f"the entity table holds a field that it can't read: {line!r}")
    return Field(
        name=match["name"],
        type=match["type"],
        nullable=match["null"] is not None,
        operators=tuple(name for group in match["groups"] or "" for name in OPERATORS[group]),
        sortable=match["sort"] is not None,
        personal=match["personal"] is not None,
        max_length=int(match["length"]) if match["length"] else None,
        read_only=not writable or match["mark"] == "server",
        required=writable and match["null"] is None and match["mark"] is None,
        references=match["references"],
    )


def _parse_writes(text: str) -> Writes:
    calls = list(_WRITE.finditer(text))
    return Writes(
        list_methods=tuple(call["method"] for call in calls if call["array"] or call["method"] == "POST"),
        row_methods=tuple(call["method"] for call in calls if not call["array"] and call["method"] != "POST"),
        posts_array=any(call["array"] for call in calls if call["method"] == "POST"),
        batch_limit=min((int(call["limit"]) for call in calls if call["limit"]), default=BATCH_LIMIT),
    )
