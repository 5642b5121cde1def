"""Looking for rows in a written part by a few of their fields: in little memory, and without reading the others."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, BinaryIO, TypedDict

import msgspec

from airflow_provider_dotypos.api.characters import decode_json
from airflow_provider_dotypos.api.page import decode_row
from airflow_provider_dotypos.transfers.files.formats.file_format import FileFormat
from airflow_provider_dotypos.transfers.files.formats.parquet import require_pyarrow
from airflow_provider_dotypos.transfers.files.formats.part_rows import ROWS_AT_ONCE, in_batches, text_rows
from airflow_provider_dotypos.transfers.rows.api_form import rows_of_arrays
from airflow_provider_dotypos.transfers.rows.columns import UNKNOWN, Columns
from airflow_provider_dotypos.transfers.rows.lenient import ids_of_64_bits

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
    ids: Collection[str],
    needle: Needle = b"",
) -> Iterator[Found]:
    """Yield where rows are that are looked for, some thousand rows at a time.

    :param part: a file that can be read (for Parquet: and seeked).
    :param fields: what `wanted` sees of rows; it may see more.
    :param wanted: says whether a row is looked for.
    :param ids: a row that is looked for holds one of these in one of the fields. Of Parquet, others aren't made at all.
    :param needle: bytes that the JSON of such a row has; rows of text without them are passed over.
    """
    start = 0
    for rows, candidates in _candidates(part, file_format, columns, fields, ids, needle):
        yield rows, [start + i for i, row in candidates if wanted(row)]
        start += rows


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


def _candidates(
    part: BinaryIO, file_format: FileFormat, columns: Columns, fields: Fields, ids: Collection[str], needle: Needle
) -> Iterator[tuple[int, Iterable[tuple[int, Mapping[str, Any]]]]]:
    """Yield batches: their number of rows, and those rows that may be looked for, each with its position.

    Such a row has at least these fields, as far as it has them.
    """
    if file_format.name == "parquet":
        _, parquet = require_pyarrow()
        file = parquet.ParquetFile(part)
        filtered = _IdFilter(fields, ids)
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=_leaves(file, fields)):
            positions = filtered.positions(batch)
            rows = batch.take(positions).to_pylist() if positions else []
            for row in rows:
                _complete(row, fields)
            yield batch.num_rows, zip(positions, rows, strict=True)
        return
    decode = _decoder(fields)
    for some in in_batches(text_rows(part, file_format.name, file_format.compression, columns)):
        yield len(some), ((i, decode(row)) for i, row in enumerate(some) if needle in bytes(row))


class _IdFilter:
    """Finds the rows of Arrow's batches that may hold one of some ids, without making objects of the others."""

    def __init__(self, fields: Fields, ids: Collection[str]) -> None:
        import pyarrow
        import pyarrow.compute

        self._types, self._compute = pyarrow.types, pyarrow.compute
        self._ids = pyarrow.array(ids_of_64_bits(ids), pyarrow.int64())
        # What fits no column is JSON, which has the field's name.
        names = {*fields, *chain.from_iterable(fields.values())} - {""}
        self._unknown = f'"(?:{"|".join(map(re.escape, sorted(names)))})"'

    def positions(self, batch: Any) -> list[int]:
        """Return where rows are that may hold an id."""
        found = (self._in(column, name) for name, column in zip(batch.schema.names, batch.columns, strict=True))
        return sorted(set().union(*found))

    def _in(self, values: Any, name: str) -> set[int]:
        kind, compute = values.type, self._compute
        if self._types.is_struct(kind):
            children = zip(kind.names, values.flatten(), strict=True)
            return set().union(*(self._in(child, name) for name, child in children))
        if self._types.is_list(kind):
            parents = compute.list_parent_indices(values)
            return {parents[i].as_py() for i in self._in(compute.list_flatten(values), name)}
        if name == UNKNOWN:
            may_be = compute.match_substring_regex(values, self._unknown)
        elif self._types.is_integer(kind):
            may_be = compute.is_in(values, self._ids)
        else:
            may_be = compute.is_valid(values)
        return set(compute.indices_nonzero(may_be).to_pylist())


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
