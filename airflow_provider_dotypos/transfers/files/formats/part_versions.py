"""Reading a few fields of a written part again, as numbers: what tells versions of rows apart, in little memory."""

from __future__ import annotations

import csv
import functools
import gzip
import itertools
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from airflow_provider_dotypos.api.page import timestamp
from airflow_provider_dotypos.transfers.files.formats.parquet import require_pyarrow
from airflow_provider_dotypos.transfers.files.formats.part_rows import csv_records
from airflow_provider_dotypos.transfers.rows.columns import Columns, Kind

if TYPE_CHECKING:
    import pyarrow

#: Stands for a null, and is lower than any number that a field holds.
NULL = -(2**63)

#: Rows that are read at once.
ROWS_AT_ONCE = 4000

#: A column for each field, of 64-bit numbers.
Numbers = Sequence["array[int]"]


def part_versions(
    part: BinaryIO, file_format: str, compression: str | None, columns: Columns, fields: Sequence[str]
) -> Iterator[Numbers]:
    """Yield some fields of a part's rows, a column each, some thousand rows at a time.

    Ids are numbers, times are epoch milliseconds, truth values are 1 and 0. A null is `NULL`, as is a field that the
    part doesn't have, and a number of more than 64 bits: Parquet's columns don't hold those either.

    :param part: a file that can be read (for Parquet: and seeked).
    :param file_format: ``jsonl``, ``parquet`` or ``csv``.
    :param compression: ``gzip`` or ``None``; of no account for Parquet, which knows by itself.
    :param columns: the columns of the part.
    :raises ValueError: if the file isn't of that format, or a field isn't a number, a time or a truth value.
    """
    kinds = {column.name: column.kind for column in columns.columns}
    if file_format == "parquet":
        yield from _of_parquet(part, fields)
        return
    plain = gzip.GzipFile(fileobj=part) if compression == "gzip" else part
    reads = [_READS[kinds.get(name, "long")] for name in fields]
    read = _of_lines if file_format == "jsonl" else _of_records
    for values in read(plain, fields):
        yield [array("q", map(read, column)) for read, column in zip(reads, values, strict=True)]


def _of_parquet(part: BinaryIO, fields: Sequence[str]) -> Iterator[Numbers]:
    _, parquet = require_pyarrow()
    file = parquet.ParquetFile(part)
    known = [name for name in fields if name in file.schema_arrow.names]
    for batch in file.iter_batches(ROWS_AT_ONCE, columns=known):
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        yield [_numbers(columns[name]) if name in columns else array("q", [NULL]) * batch.num_rows for name in fields]


def _numbers(values: pyarrow.Array) -> array[int]:
    """Return whole numbers, times or truth values as 64-bit numbers."""
    import pyarrow
    from pyarrow import compute

    if pyarrow.types.is_timestamp(values.type):
        values = values.cast(pyarrow.timestamp("ms", values.type.tz))
    filled = compute.fill_null(values.cast(pyarrow.int64()), NULL)
    return array("q", memoryview(filled.buffers()[1]).cast("q")[filled.offset : filled.offset + len(filled)])


def _of_lines(file: BinaryIO | gzip.GzipFile, fields: Sequence[str]) -> Iterator[list[tuple[Any, ...]]]:
    decoder = _decoder(tuple(fields))
    while chunk := list(itertools.islice(file, ROWS_AT_ONCE)):
        try:
            rows = decoder.decode(b"[" + b",".join(chunk) + b"]")
        except msgspec.MsgspecError as error:
            raise ValueError(f"a row of the part can't be read: {type(error).__name__}") from None
        yield list(zip(*map(msgspec.structs.astuple, rows), strict=True))


def _of_records(file: BinaryIO | gzip.GzipFile, fields: Sequence[str]) -> Iterator[list[list[Any]]]:
    """An empty cell is a null."""
    records = csv_records(file)
    header = next(records, [])
    positions = [header.index(name) if name in header else None for name in fields]
    while chunk := list(itertools.islice(records, ROWS_AT_ONCE)):
        if any(len(record) != len(header) for record in chunk):
            raise csv.Error("a record has more or fewer fields than the header")
        yield [
            [None] * len(chunk) if position is None else [record[position] or None for record in chunk]
            for position in positions
        ]


@functools.cache
def _decoder(fields: tuple[str, ...]) -> msgspec.json.Decoder[list[Any]]:
    value = bool | str | int | float | None
    row = msgspec.defstruct(
        "Row",
        [(f"c{i}", value, None) for i in range(len(fields))],
        rename={f"c{i}": name for i, name in enumerate(fields)},
        gc=False,
    )
    return msgspec.json.Decoder(list[row])  # type: ignore[valid-type]


def _number(value: Any) -> int:
    number = NULL if value is None else int(value)
    return number if NULL < number < -NULL else NULL


def _moment(value: Any) -> int:
    return NULL if value is None else timestamp(value)


def _truth(value: Any) -> int:
    return NULL if value is None else int(value in _TRUE)


_TRUE = (True, "true", "1")
_READS: dict[Kind, Callable[[Any], int]] = {"long": _number, "int": _number, "timestamp": _moment, "boolean": _truth}
