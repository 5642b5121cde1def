"""Whose rows are whose: which rows of which entities are a customer's, by the entity table's references alone. Pure.

A row is the person's

1. if it is the customer's own row, or if it *names* the customer: one of its fields holds the customer's id;
2. or if it *refers* to such a row and names no other customer: a payment of the person's order, an order that was made
   of it, an entry of the person's account;
3. or if it is of a child list of one of these (the items of an order). Whom it names itself makes no difference.

It ends there. Entries of an account refer to each other in a chain, and an entry may pay another person's order: to
follow references to the end would lead into that person's rows.

The same row may lie in several places and versions, and not each of them names the customer. So first the ids are
collected everywhere: `note` of each row, and then `note_related` of each row. Then `owns` says whose a row is.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from airflow_provider_dotypos.api.entities import Child, entities, find_entity
from airflow_provider_dotypos.transfers.rows.lenient import MisfitError, whole

#: The entity of the persons who can be erased: what the command ``erase customer`` is about.
CUSTOMERS = "customers"

#: How many bits an id has.
_BITS = 64

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Reach:
    """Which entities can hold rows of a person, and by which fields one sees it.

    :param subject: the entity of the person's own row.
    :param naming: the fields that hold the person's id, by entity.
    :param referring: the fields that hold the id of a row that may name the person, by entity, and whose id.
    :param children: of entities that are child lists, which lists they are of, by the parent's entity.
    """

    subject: str
    naming: Mapping[str, tuple[str, ...]]
    referring: Mapping[str, Mapping[str, str]]
    children: Mapping[str, Mapping[str, Child]]

    @functools.cached_property
    def entities(self) -> tuple[str, ...]:
        """The entities that can hold rows of a person."""
        reached = {self.subject, *self.naming, *self.referring}
        return tuple(name for name in entities() if name in reached)

    def noting(self) -> tuple[str, ...]:
        """Return the entities whose rows, or what they nest, can name the person."""
        return tuple(name for name in self.entities if {name, *self._nested(name)} & self.naming.keys())

    def relating(self) -> tuple[str, ...]:
        """Return the entities that have child lists, and whose rows can refer to rows that name the person."""
        return tuple(name for name in self.entities if name in self.children and name in self.referring)

    def fields(self, entity: str) -> tuple[str, ...]:
        """Return the fields by which one sees whose a row is."""
        return ("id", *self.naming.get(entity, ()), *self.referring.get(entity, ()))

    def personal(self, entity: str) -> tuple[str, ...]:
        """Return the fields of an entity that hold personal data."""
        return tuple(field.name for field in find_entity(entity).fields.values() if field.personal)

    def both(self, entity: str) -> tuple[str, ...]:
        """Return the fields by which one sees whose a row is, and those that hold personal data."""
        return (*self.fields(entity), *self.personal(entity))

    def _nested(self, entity: str) -> set[str]:
        return {child.entity for child in find_entity(entity).includes.values()}


@functools.cache
def reach_of(subject: str = CUSTOMERS) -> Reach:
    """Return what the entity table says of an entity's persons."""
    naming = _referring_to({subject})
    naming.pop(subject, None)  # who names another customer isn't that customer
    referring = _referring_to(set(naming))
    return Reach(
        subject,
        {name: tuple(fields) for name, fields in naming.items()},
        referring,
        {name: entity.includes for name in {*naming, *referring} if (entity := find_entity(name)).includes},
    )


def _referring_to(targets: set[str]) -> dict[str, dict[str, str]]:
    """Return the fields that hold ids of some entities' rows, by entity, and of which entity."""
    fields = {
        name: {field.name: field.references for field in entity.fields.values() if field.references in targets}
        for name, entity in entities().items()
        if entity.listed and entity.in_cloud
    }
    return {
        name: {field: str(target) for field, target in targets.items()} for name, targets in fields.items() if targets
    }


@dataclass
class Person:
    """A customer of one cloud, and the ids of their rows as far as they were collected.

    :ivar naming: ids of rows that name the customer, by entity.
    :ivar theirs: the same, and ids of rows that refer to these, of entities with child lists.
    """

    id: str
    reach: Reach = field(default_factory=reach_of)
    naming: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    theirs: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    @property
    def known(self) -> int:
        """How many ids were collected: if there are more, rows that were looked at before may be the person's."""
        return sum(map(len, self.theirs.values()))

    @property
    def ids(self) -> set[str]:
        """The customer's id, and all that were collected: a row of theirs holds one of these."""
        return {self.id}.union(*self.naming.values(), *self.theirs.values())

    def note(self, entity: str, row: Row) -> None:
        """Note the ids of a row, and of those that it nests, as far as they name the person."""
        for name, each, _ in rows_in(entity, row):
            if self.id in self._named(name, each):
                ids = ids_of(each.get("id"))
                self.naming[name] |= ids
                self.theirs[name] |= ids

    def note_related(self, entity: str, row: Row) -> None:
        """Note the id of a row that refers to one that names the person, once all of those are noted."""
        if self.owns(entity, row):
            self.theirs[entity] |= ids_of(row.get("id"))

    def owns(self, entity: str, row: Row, *, nested_in_theirs: bool = False) -> bool:
        """Return whether a row is the person's.

        :param nested_in_theirs: whether it is nested in a row of theirs.
        """
        if entity == self.reach.subject:
            return self.id in ids_of(row.get("id"))
        named = self._named(entity, row)
        if self.id in named or nested_in_theirs or self._is_child_of_theirs(entity, row):
            return True
        if named:  # another customer's
            return False
        if not ids_of(row.get("id")).isdisjoint(self.theirs[entity]):
            return True
        referring = self.reach.referring.get(entity, {})
        return any(not ids_of(row.get(name)).isdisjoint(self.naming[target]) for name, target in referring.items())

    def holds_any(self, entity: str, row: Row) -> bool:
        """Return whether a row is the person's, or nests one that is."""
        return any(
            self.owns(name, each, nested_in_theirs=parent is not None and self.owns(entity, parent))
            for name, each, parent in rows_in(entity, row)
        )

    def _named(self, entity: str, row: Row) -> set[str]:
        """Return the customers that a row names. Negative ids are of what Dotypos brings along, no person's [A]."""
        named = set().union(*(ids_of(row.get(name)) for name in self.reach.naming.get(entity, ())))
        return {id for id in named if not id.startswith("-")}

    def _is_child_of_theirs(self, entity: str, row: Row) -> bool:
        return any(
            child.entity == entity and not ids_of(row.get(child.parent)).isdisjoint(self.theirs[parent])
            for parent, lists in self.reach.children.items()
            for child in lists.values()
        )


def rows_in(entity: str, row: Row) -> Iterator[tuple[str, Row, Row | None]]:
    """Yield a row and those that it nests: the entity, the row, and what it is nested in."""
    yield entity, row, None
    for name, child in find_entity(entity).includes.items():
        items = row.get(name)
        if isinstance(items, list):
            yield from ((child.entity, item, row) for item in items if isinstance(item, Mapping))


def ids_of(value: object) -> set[str]:
    """Return the ids that a field holds, in one spelling: none of a null or 0, several of a list."""
    if isinstance(value, str) and value.startswith("["):  # a list, as CSV holds it in a column of ids
        try:
            return _ids_of_all(_LISTS.decode(value))
        except msgspec.MsgspecError:
            return set()
    if isinstance(value, str):
        return _ids(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return _ids_of_all(value)
    if value is None or isinstance(value, bool):
        return set()
    return _ids(str(value))


def _ids_of_all(values: Iterable[object]) -> set[str]:
    return set().union(*map(ids_of, values))


def _ids(text: str) -> set[str]:
    try:
        number = int(text) if text.isdecimal() and text.isascii() else whole(text.strip(), _BITS)
    except MisfitError:
        return set()
    return {str(number)} if number else set()


_LISTS = msgspec.json.Decoder(list[str | int | None])
