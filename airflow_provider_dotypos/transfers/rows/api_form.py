"""Rows in the form that the API gives them, made again of what CSV and Parquet hold: numbers and times as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_dotypos.api.characters import decode_json
from airflow_provider_dotypos.transfers.rows.columns import UNKNOWN, Column, Columns, Kind

if TYPE_CHECKING:
    import pyarrow

#: Kinds whose values CSV holds as JSON.
_STRUCTURED: frozenset[Kind] = frozenset({"texts", "ints", "json", "rows"})


def row_of_cells(names: Sequence[str], cells: Sequence[str], kinds: Mapping[str, Kind]) -> msgspec.Raw:
    """Return a record of CSV as the row that it was written from.

    An empty cell is a null. A field that the row didn't have is a null, too.

    :param names: the file's header.
    :param kinds: what columns hold, by their names.
    """
    row: dict[str, Any] = {name: _of_cell(cell, kinds.get(name)) for name, cell in zip(names, cells, strict=True)}
    unknown = row.pop(UNKNOWN, None)
    return msgspec.Raw(msgspec.json.encode(row if unknown is None else row | _MEMBERS.decode(unknown)))


def rows_of_arrays(arrays: Mapping[str, pyarrow.Array], columns: Columns) -> list[dict[str, Any]]:
    """Return Arrow's columns as the rows that they were written from.

    Values that didn't fit their column are back in their place.
    """
    known = {column.name: column for column in columns.columns}
    lists = [_of_array(array, known.get(name)) for name, array in arrays.items()]
    return [_complete(dict(zip(arrays, values, strict=True))) for values in zip(*lists, strict=True)]


def _of_cell(cell: str, kind: Kind | None) -> Any:
    if cell == "":
        return None
    if kind == "boolean":
        return _TRUTHS.get(cell, cell)
    if kind in _STRUCTURED and cell[0] in "[{":
        try:
            return _VALUES.decode(cell)
        except msgspec.MsgspecError:  # a text that looks like the beginning of JSON
            return cell
    return cell


def _of_array(array: pyarrow.Array, column: Column | None) -> list[Any]:
    """Return one column's values."""
    if array.null_count == len(array):  # most columns of most rows: a look at each value would take long
        return [None] * len(array)
    arrow = str(array.type)
    if arrow.startswith(("list<element: struct", "list<item: struct")):
        return _of_lists(array, column.rows if column is not None else None)
    if arrow.startswith("list<"):
        return [None if items is None else [_text(item) for item in items] for items in array.to_pylist()]
    if arrow.startswith(("int", "decimal", "timestamp")):
        return [None if text is None else _text_of_arrow(text, arrow) for text in array.cast("string").to_pylist()]
    values: list[Any] = array.to_pylist()
    if column is not None and column.kind == "json":
        return [None if text is None else decode_json(text.encode()) for text in values]
    return values


def _of_lists(array: pyarrow.Array, columns: Columns | None) -> list[Any]:
    """Return child lists, each as a list of rows."""
    structs = array.flatten()
    names = [field.name for field in structs.type]
    rows = iter(rows_of_arrays(dict(zip(names, structs.flatten(), strict=True)), columns or Columns("", ())))
    lengths = array.value_lengths().to_pylist()
    return [None if length is None else list(islice(rows, length)) for length in lengths]


def _complete(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with what didn't fit its columns."""
    unknown = row.pop(UNKNOWN, None)
    return row if unknown is None else row | decode_json(unknown.encode())


def _text(value: Any) -> Any:
    return str(value) if type(value) is int else value


def _text_of_arrow(text: str, arrow: str) -> str:
    if arrow.startswith("timestamp"):
        return text.replace(" ", "T")
    if "E" in text:  # Arrow's spelling of small decimals
        text = f"{Decimal(text):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


_TRUTHS = {"true": True, "false": False}
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_VALUES = msgspec.json.Decoder(msgspec.Raw)
