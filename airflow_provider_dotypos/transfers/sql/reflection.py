"""Tables as a database has them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class ExistingType(NamedTuple):
    """A column's type as a database has it: ``numeric(10,2)`` is ``numeric`` with the sizes 10 and 2.

    :param sizes: none if the type is as wide as it can be.
    """

    name: str
    sizes: tuple[int, ...] = ()

    @classmethod
    def of(cls, text: str) -> ExistingType:
        """Return the type that a database's own text means."""
        before, _, rest = text.partition("(")
        inside, _, after = rest.partition(")")
        try:
            sizes = tuple(int(size) for size in inside.split(",") if inside)
        except ValueError:  # the values of an enum
            return cls(text)
        return cls(" ".join((before + after).lower().split()), sizes)


@dataclass(frozen=True)
class ExistingColumn:
    """A column as a database has it.

    :param text: its type in the database's words.
    :param fills: whether the database gives a value to rows that name none.
    :param generated: whether no row may give a value.
    """

    name: str
    text: str
    nullable: bool = True
    fills: bool = False
    generated: bool = False


@dataclass(frozen=True)
class ExistingKey:
    """A unique key as a database has it.

    :param columns: empty if it is over expressions.
    :param enforced: whether it holds for all rows, and at once: a merge needs that.
    """

    name: str
    columns: frozenset[str]
    enforced: bool = True

    @classmethod
    def of(cls, name: str, parts: Iterable[str | None], enforced: bool = True) -> ExistingKey:
        """Return a key over parts: columns, or ``None`` for an expression."""
        columns = list(parts)
        return cls(name, frozenset() if None in columns else frozenset(map(str, columns)), enforced)


@dataclass(frozen=True)
class Existing:
    """A table, or a view, as a database has it.

    :param is_table: whether it is a table.
    :param foreign_keys: the names of its foreign keys.
    :param faults: what else keeps rows from being loaded into it, as sentences about it.
    :param durable: whether its rows outlive a crash of the database.
    :param owned: whether the connection's role may add columns.
    :param lacking: what the role isn't granted on it of all that a load can need.
    """

    is_table: bool
    columns: tuple[ExistingColumn, ...]
    keys: tuple[ExistingKey, ...] = ()
    foreign_keys: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    durable: bool = True
    owned: bool = True
    lacking: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns, in their order."""
        return tuple(column.name for column in self.columns)
