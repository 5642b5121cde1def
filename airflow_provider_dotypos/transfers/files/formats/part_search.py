"""Looking for rows in a written part by a few of their fields: in little memory, and without reading the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, TypedDict

import msgspec

from airflow_provider_dotypos.api.characters import decode_json
from airflow_provider_dotypos.api.page import decode_row
from airflow_provider_dotypos.transfers.files.formats.file_format import FileFormat
from airflow_provider_dotypos.transfers.files.formats.parquet import require_pyarrow
from airflow_provider_dotypos.transfers.files.formats.part_rows import ROWS_AT_ONCE, in_batches, text_rows
from airflow_provider_dotypos.transfers.rows.api_form import rows_of_arrays
from airflow_provider_dotypos.transfers.rows.columns import UNKNOWN, Columns

#: Fields of rows, and of those that child lists nest in them: ``{"": ("id",), "orderItems": ("id", "_customerId")}``.
Fields = Mapping[str, Sequence[str]]

#: The rows of a batch that were looked for: its number of rows, and their positions in the part.
Found = tuple[int, list[int]]

#: Text on one line without which a row can't be one that is looked for.
Needle = bytes


def look_through(
    part: BinaryIO,
    file_format: FileFormat,
    columns: Columns,
    fields: Fields,
    wanted: Callable[[Mapping[str, Any]], bool],
    needle: Needle = b"",
) -> Iterator[Found]:
    """Yield where rows are that are looked for, some thousand rows at a time.

    :param part: a file that can be read (for Parquet: and seeked).
    :param fields: what `wanted` sees of rows; it may see more.
    :param wanted: says whether a row is looked for.
    :param needle: bytes that the JSON of such a row has; rows of text without them are passed over.
    """
    start = 0
    for rows in _rows(part, file_format, columns, fields, needle):
        yield len(rows), [start + i for i, row in enumerate(rows) if row is not None and wanted(row)]
        start += len(rows)


def rows_at(
    part: BinaryIO, file_format: FileFormat, columns: Columns, positions: Sequence[int]
) -> Iterator[tuple[int, list[msgspec.Raw]]]:
    """Yield the rows of a part at some positions as JSON in the API's form, with the number of rows read for them.

    :param positions: from 0, in ascending order.
    """
    at = iter(positions)
    next_one = next(at, None)
    start = 0
    for rows, take in _whole_rows(part, file_format, columns):
        chosen: list[int] = []
        while next_one is not None and next_one < start + rows:
            chosen.append(next_one - start)
            next_one = next(at, None)
        start += rows
        yield rows, take(chosen) if chosen else []


def _rows(
    part: BinaryIO, file_format: FileFormat, columns: Columns, fields: Fields, needle: Needle
) -> Iterator[Sequence[Mapping[str, Any] | None]]:
    """Yield rows with at least these fields, as far as they have them; ``None`` for those without the needle."""
    if file_format.name == "parquet":
        _, parquet = require_pyarrow()
        file = parquet.ParquetFile(part)
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=_leaves(file, fields)):
            rows = batch.to_pylist()
            for row in rows:
                _complete(row, fields)
            yield rows
        return
    decode = _decoder(fields)
    for rows in in_batches(text_rows(part, file_format.name, file_format.compression, columns)):
        yield [decode(row) if needle in bytes(row) else None for row in rows]


def _whole_rows(
    part: BinaryIO, file_format: FileFormat, columns: Columns
) -> Iterator[tuple[int, Callable[[Sequence[int]], list[msgspec.Raw]]]]:
    """Yield batches: their number of rows, and what returns some of them."""
    if file_format.name == "parquet":
        _, parquet = require_pyarrow()
        for batch in parquet.ParquetFile(part).iter_batches(ROWS_AT_ONCE):
            yield batch.num_rows, lambda chosen, batch=batch: _taken(batch, chosen, columns)  # type: ignore[misc]
        return
    for rows in in_batches(text_rows(part, file_format.name, file_format.compression, columns)):
        yield len(rows), lambda chosen, rows=rows: [rows[i] for i in chosen]  # type: ignore[misc]


def _taken(batch: Any, chosen: Sequence[int], columns: Columns) -> list[msgspec.Raw]:
    taken = batch.take(chosen)
    rows = rows_of_arrays(dict(zip(taken.schema.names, taken.columns, strict=True)), columns)
    return [msgspec.Raw(msgspec.json.encode(row)) for row in rows]


def _leaves(file: Any, fields: Fields) -> list[str]:
    """Return the paths of a file's columns that hold some fields."""
    schema = file.metadata.schema
    paths = [schema.column(i).path for i in range(len(schema))]
    wanted = {(parent, name) for parent, names in fields.items() for name in (*names, UNKNOWN)}
    return [path for path in paths if _field_of(path) in wanted]


def _complete(row: dict[str, Any], fields: Fields) -> None:
    """Give a row, and those that it nests, what didn't fit its columns."""
    unknown = row.pop(UNKNOWN, None)
    if unknown is not None:
        row |= decode_json(unknown.encode())
    for name in fields:
        items = row.get(name) if name else None
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict) and item.get(UNKNOWN) is not None:
                item |= decode_json(item[UNKNOWN].encode())


def _field_of(path: str) -> tuple[str, str]:
    """Return the child list and the field that a column is of; lists of values are fields, too."""
    parent, separator, rest = path.partition(".")
    names = rest.split(".")
    return (parent, names[2]) if separator and len(names) > 2 else ("", parent)


def _decoder(fields: Fields) -> Callable[[msgspec.Raw], Mapping[str, Any]]:
    """Return what reads some fields of a row. It reads the whole row, if that has another form than usual."""
    nested = {
        name: list[TypedDict("Child", dict.fromkeys(names, Any), total=False)] | None  # type: ignore[misc,operator]
        for name, names in fields.items()
        if name
    }
    row = TypedDict("Row", {**dict.fromkeys(fields.get("", ()), Any), **nested}, total=False)  # type: ignore[misc]
    decoder = msgspec.json.Decoder(row)

    def decode(raw: msgspec.Raw) -> Mapping[str, Any]:
        try:
            return decoder.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return decode_row(raw)

    return decode
