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
from airflow_provider_dotypos.transfers.rows.columns import NULL, Columns, Kind, child_rows, members
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
        self._usual = _decoder(columns, values=values, others=False)
        self._of_usual_types = _decoder(columns, values=values, others=True)

    def look(self, rows: Sequence[msgspec.Raw], new_fields: NewFields, misfits: Counter[str], *, first: bool) -> None:
        """Look at a few rows of a page.

        :param new_fields: receives what isn't known.
        :param misfits: counts the values that don't fit their fields.
        :param first: whether these are the first rows of a part: one of them is looked at closely.
        """
        few = rows if len(rows) < ROWS_OF_A_PAGE else [rows[0], rows[-1]]
        data = b"[" + b",".join(few) + b"]"
        usual = _matches(self._usual, data)
        odd_values = self._values and not usual and not _matches(self._of_usual_types, data)
        for number, row in enumerate(few):
            closely = odd_values or (first and self._values and number == 0)
            if closely or not usual:
                _look_at(row, self._columns, "", new_fields, misfits if closely else None)


def _look_at(
    row: msgspec.Raw, columns: Columns, prefix: str, new_fields: NewFields, misfits: Counter[str] | None
) -> None:
    """Look at a row.

    :param misfits: counts the values that don't fit; ``None`` to look at names alone.
    """
    fields = members(row, Counter())  # mended names are counted where rows are written
    for name in fields.keys() - columns.known:
        new_fields.note(prefix + name, fields[name])
    for column in columns.columns:
        if column.rows is not None:
            objects, others = child_rows(fields.get(column.name, NULL))
            for item in objects:
                _look_at(item, column.rows, f"{prefix}{column.name}.", new_fields, misfits)
            if others and misfits is not None:
                misfits[prefix + column.name] += 1
        elif misfits is not None and (value := fields.get(column.name)) is not None:
            # What isn't UTF-8 is counted where rows are written.
            if is_text(bytes(value)) and not fits(column.kind, value):
                misfits[prefix + column.name] += 1


def _matches(decoder: msgspec.json.Decoder[Any], data: bytes) -> bool:
    try:
        decoder.decode(data)
    except (msgspec.MsgspecError, ValueError):
        return False
    return True


def _decoder(columns: Columns, *, values: bool, others: bool) -> msgspec.json.Decoder[Any]:
    """Return a decoder of rows that takes them only if they are as usual.

    :param values: whether values must be of their types.
    :param others: whether fields may come that aren't known.
    """
    return msgspec.json.Decoder(list[_record(columns, values=values, others=others)])  # type: ignore[misc]


def _record(columns: Columns, *, values: bool, others: bool) -> type[msgspec.Struct]:
    types: dict[str, Any] = dict.fromkeys(columns.known, msgspec.Raw)
    for column in columns.columns:
        if column.rows is not None:
            types[column.name] = list[_record(column.rows, values=values, others=others)] | None  # type: ignore[misc]
        elif values:
            types[column.name] = _TYPES[column.kind]
    names = {f"c{number}": name for number, name in enumerate(types)}
    return msgspec.defstruct(
        "Row",
        [(attribute, types[name], None) for attribute, name in names.items()],
        rename=names,
        forbid_unknown_fields=not others,
        gc=False,
    )


def fits(kind: Kind, value: msgspec.Raw) -> bool:
    """Return whether a value fits a column of a kind. One that isn't UTF-8 isn't for this."""
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
