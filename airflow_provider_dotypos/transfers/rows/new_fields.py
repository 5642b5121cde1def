"""Fields in rows that the entity table doesn't know: their names, the kinds of their values, and in how many rows.

The API adds fields without notice. That is news, not a failure. No value is kept. Names come from outside, so they are
few, short and printable before anything else sees them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

#: Most fields of a table that are told apart. The others count as `OTHERS`.
MOST_FIELDS = 30

#: Most characters of a name; a longer one is cut.
LONGEST_NAME = 64

#: The name under which fields count that are too many.
OTHERS = "…"

_KINDS = {
    **dict.fromkeys(b"-0123456789", "number"),
    **dict.fromkeys(b"tf", "boolean"),
    ord('"'): "text",
    ord("["): "list",
    ord("{"): "object",
    ord("n"): "null",
}


class NewField(msgspec.Struct, frozen=True):
    """A field that the entity table doesn't know.

    :param kinds: what its values are: ``text``, ``number``, ``boolean``, ``list``, ``object``. ``null`` alone if no
        row had a value.
    :param rows: in how many rows it came, of those that were looked at.
    :param exact: whether all rows were looked at. Of JSON lines a few of every page are.
    """

    kinds: tuple[str, ...]
    rows: int
    exact: bool = True

    @property
    def kind(self) -> str:
        """The kinds, as a text."""
        return " or ".join(self.kinds)


#: Fields that the entity table doesn't know, by table, and by name.
NewFieldsByTable = Mapping[str, Mapping[str, NewField]]


class NewFields:
    """Collects the unknown fields of a table's rows.

    :param exact: whether it is shown all rows.
    """

    def __init__(self, *, exact: bool = True) -> None:
        self.exact = exact
        self._kinds: dict[str, set[str]] = {}
        self._rows: dict[str, int] = {}

    def note(self, name: str, value: msgspec.Raw) -> None:
        """Note a field of a row.

        :param name: its name, of a field of a child list as ``orderItems.name``.
        """
        if name not in self._rows:
            name = shown_name(name)
            if name not in self._rows and len(self._rows) >= MOST_FIELDS:
                name = OTHERS
        self._kinds.setdefault(name, set()).add(_kind(value))
        self._rows[name] = self._rows.get(name, 0) + 1

    def clear(self) -> None:
        """Forget all fields."""
        self._kinds.clear()
        self._rows.clear()

    @property
    def fields(self) -> dict[str, NewField]:
        """The fields, by name, in order."""
        return {
            name: NewField(_sorted(self._kinds[name]), rows, self.exact) for name, rows in sorted(self._rows.items())
        }


def sum_new_fields(several: Iterable[NewFieldsByTable]) -> dict[str, dict[str, NewField]]:
    """Return the fields of several parts, sets or loads together, with no more names than one of them may have."""
    summed: dict[str, dict[str, NewField]] = {}
    for tables in several:
        for table, fields in tables.items():
            into = summed.setdefault(table, {})
            for name, field in fields.items():
                known = name if name in into or len(into) < MOST_FIELDS else OTHERS
                before = into.get(known)
                into[known] = field if before is None else _together(before, field)
    return {table: dict(sorted(fields.items())) for table, fields in sorted(summed.items()) if fields}


def short_form(tables: NewFieldsByTable | None) -> dict[str, dict[str, str]]:
    """Return tables' fields with the kinds of their values alone, as tasks return them."""
    return {table: {name: field.kind for name, field in fields.items()} for table, fields in (tables or {}).items()}


def shown_name(name: str) -> str:
    """Return a name from outside, short and printable."""
    cut = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}{OTHERS}"
    return cut if cut.isprintable() else "".join(letter if letter.isprintable() else "\ufffd" for letter in cut)


def _together(one: NewField, other: NewField) -> NewField:
    return NewField(_sorted({*one.kinds, *other.kinds}), one.rows + other.rows, one.exact and other.exact)


def _sorted(kinds: set[str]) -> tuple[str, ...]:
    return tuple(sorted(kinds - {"null"})) or ("null",)


def _kind(value: msgspec.Raw) -> str:
    return _KINDS[bytes(value)[0]]
