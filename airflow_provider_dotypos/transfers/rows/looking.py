"""Looking at a few rows of every page, for fields that the entity table doesn't know and values of other types.

JSON lines hold rows as they came, so nothing else looks at them. The API adds a field to all rows of a list at once,
so a few rows of each page are enough to see one that each row has. It costs little: they are decoded into a type that
knows all fields, and only if that fails are they taken apart. Of a text the type doesn't say whether it is a number or
a time. That is looked at in one row of each part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from airflow_provider_dotypos.api.characters import is_text
from airflow_provider_dotypos.transfers.rows import lenient
from airflow_provider_dotypos.transfers.rows.columns import Columns, Kind, child_rows, members
from airflow_provider_dotypos.transfers.rows.new_fields import NewFields

#: Rows of a page that are looked at, at most.
ROWS_OF_A_PAGE = 2


class Looking:
    """Looks at rows of a table.

    :param columns: of its rows.
    :param values: whether values are looked at, too. Formats with columns count by themselves what doesn't fit.
    """

    def __init__(self, columns: Columns, *, values: bool) -> None:
        self._columns = columns
        self._values = values
        self._usual = msgspec.json.Decoder(list[_record(columns, values=values)])  # type: ignore[misc]

    def look(self, rows: Sequence[msgspec.Raw], new_fields: NewFields, misfits: Counter[str], *, first: bool) -> None:
        """Look at a few rows of a page.

        :param new_fields: receives what isn't known.
        :param misfits: counts the values that don't fit their fields.
        :param first: whether these are the first rows of a part: one of them is looked at closely.
        """
        if not rows:
            return
        few = rows[:1] if len(rows) == 1 else [rows[0], rows[-1]]
        try:
            self._usual.decode(b"[" + b",".join(few) + b"]")
        except (msgspec.MsgspecError, ValueError):
            pass
        else:
            if not (first and self._values):
                return
            few = few[:1]
        for row in few:
            self._look_closely(row, self._columns, "", new_fields, misfits)

    def _look_closely(
        self, row: msgspec.Raw, columns: Columns, prefix: str, new_fields: NewFields, misfits: Counter[str]
    ) -> None:
        fields = members(row, Counter())  # mended names are counted where rows are written
        kinds = {column.name: column for column in columns.columns}
        known = columns.known
        for name, value in fields.items():
            column = kinds.get(name)
            if column is None:
                if name not in known:
                    new_fields.note(prefix + name, value)
            elif column.rows is not None:
                objects, others = child_rows(value)
                for item in objects:
                    self._look_closely(item, column.rows, f"{prefix}{name}.", new_fields, misfits)
                if others and self._values:
                    misfits[prefix + name] += 1
            elif self._values and is_text(bytes(value)) and not _fits(column.kind, value):
                misfits[prefix + name] += 1


def _record(columns: Columns, *, values: bool) -> type[msgspec.Struct]:
    """Return the type of rows as they usually come. Rows with other fields, or values of other types, don't match."""
    types: dict[str, Any] = dict.fromkeys(columns.known, msgspec.Raw)
    for column in columns.columns:
        if column.rows is not None:
            types[column.name] = list[_record(column.rows, values=values)] | None  # type: ignore[misc]
        elif values:
            types[column.name] = _TYPES[column.kind]
    names = {f"c{number}": name for number, name in enumerate(types)}
    return msgspec.defstruct(
        "Row",
        [(attribute, types[name], None) for attribute, name in names.items()],
        rename=names,
        forbid_unknown_fields=True,
        gc=False,
    )


def _fits(kind: Kind, value: msgspec.Raw) -> bool:
    try:
        _READ[kind](value)
    except lenient.MisfitError:
        return False
    return True


def _of_text(read: Callable[[str], object]) -> Callable[[msgspec.Raw], object]:
    def read_text(value: msgspec.Raw) -> object:
        text = lenient.text(value)
        return None if text is None else read(text)

    return read_text


def _ints(value: msgspec.Raw) -> object:
    return [None if text is None else lenient.whole(text, 32) for text in lenient.texts(value) or ()]


_NUMBER_OR_TEXT = str | int | float | None
_TYPES: Mapping[Kind, Any] = {
    **dict.fromkeys(("long", "int", "decimal", "timestamp", "text"), _NUMBER_OR_TEXT),
    "boolean": bool | int | str | None,
    "texts": list[_NUMBER_OR_TEXT] | _NUMBER_OR_TEXT,
    "ints": list[_NUMBER_OR_TEXT] | _NUMBER_OR_TEXT,
    "json": msgspec.Raw,
}
_READ: Mapping[Kind, Callable[[msgspec.Raw], object]] = {
    "long": _of_text(lambda text: lenient.whole(text, 64)),
    "int": _of_text(lambda text: lenient.whole(text, 32)),
    "decimal": _of_text(lenient.decimal),
    "timestamp": _of_text(lenient.moment),
    "boolean": lenient.truth,
    "text": lenient.text,
    "texts": lenient.texts,
    "ints": _ints,
    "json": lambda value: value,
}
