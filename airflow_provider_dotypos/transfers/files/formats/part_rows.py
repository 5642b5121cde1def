"""Reading the rows of a written part again, in little memory: in the form that the API gave them, and as Arrow's."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Iterator
from itertools import compress
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import msgspec

from airflow_provider_dotypos.api.page import decode_row
from airflow_provider_dotypos.transfers.files.formats.chosen import Chosen
from airflow_provider_dotypos.transfers.files.formats.delimited import NO_CHARACTER
from airflow_provider_dotypos.transfers.files.formats.parquet import require_pyarrow
from airflow_provider_dotypos.transfers.rows.api_form import row_of_cells, rows_of_arrays
from airflow_provider_dotypos.transfers.rows.columns import Columns

if TYPE_CHECKING:
    import pyarrow

#: Rows, and bytes of JSON, that are read at once, give or take one row.
ROWS_AT_ONCE, BYTES_AT_ONCE = 2000, 2**21

#: Bytes that a store is asked for at once, where it leaves the choice.
_BUFFER = 2**20

#: The longest cell of a CSV file, in characters: Python refuses more than 131,072 by default.
_LONGEST_CELL = 2**31 - 1


def part_rows(
    part: BinaryIO, file_format: str, compression: str | None, columns: Columns, chosen: Chosen | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a part in the form that the API gives them.

    :param part: a file that can be read (for Parquet: and seeked).
    :param file_format: ``jsonl``, ``parquet`` or ``csv``.
    :param compression: ``gzip`` or ``None``; of no account for Parquet, which knows by itself.
    :param columns: the columns of the part.
    :param chosen: which rows are wanted. Defaults to all.
    """
    if file_format == "parquet":
        for batch in _parquet_batches(part, chosen):
            arrays = dict(zip(batch.schema.names, batch.columns, strict=True))
            yield from rows_of_arrays(arrays, columns)
    else:
        yield from map(decode_row, text_rows(part, file_format, compression, columns, chosen))


def part_batches(
    part: BinaryIO, file_format: str, compression: str | None, columns: Columns, chosen: Chosen | None = None
) -> Iterator[pyarrow.RecordBatch]:
    """Yield the rows of a part as record batches, typed like those of Parquet whatever the format is.

    The parameters are those of `part_rows`.
    """
    if file_format == "parquet":
        yield from (batch.replace_schema_metadata(None) for batch in _parquet_batches(part, chosen))
        return
    arrow, _ = require_pyarrow("reading as Arrow")
    table = arrow.Table(columns)
    yield from map(table.batch, in_batches(text_rows(part, file_format, compression, columns, chosen)))


def _parquet_batches(part: BinaryIO, chosen: Chosen | None) -> Iterator[Any]:
    _, parquet = require_pyarrow()
    batches = cast("Iterator[Any]", parquet.ParquetFile(part).iter_batches(ROWS_AT_ONCE))
    if chosen is None:
        yield from batches
        return
    start = 0
    for batch in batches:
        wanted = batch.filter(chosen.mask(start, batch.num_rows))
        start += batch.num_rows
        if wanted.num_rows:
            yield wanted


def text_rows(
    part: BinaryIO, file_format: str, compression: str | None, columns: Columns, chosen: Iterable[bool] | None = None
) -> Iterator[msgspec.Raw]:
    """Yield the rows of a text file as JSON."""
    plain = gzip.GzipFile(fileobj=part) if compression == "gzip" else part
    file = io.BufferedReader(cast("io.RawIOBase", plain), _BUFFER)
    if file_format == "csv":
        return _csv_rows(csv_records(cast("BinaryIO", file)), columns, chosen)
    return map(msgspec.Raw, file if chosen is None else compress(file, chosen))


def csv_records(file: BinaryIO | gzip.GzipFile) -> Iterator[list[str]]:
    """Yield the records of a CSV file, its header first, with `NO_CHARACTER` for NUL."""
    csv.field_size_limit(_LONGEST_CELL)  # of the process; nothing else sets it lower again
    lines = io.TextIOWrapper(cast("BinaryIO", file), "utf-8", newline="")
    return csv.reader(line.replace("\0", NO_CHARACTER) for line in lines)


def _csv_rows(records: Iterator[list[str]], columns: Columns, chosen: Iterable[bool] | None) -> Iterator[msgspec.Raw]:
    header = next(records, [])
    kinds = {column.name: column.kind for column in columns.columns}
    for record in records if chosen is None else compress(records, chosen):
        yield row_of_cells(header, [cell.replace(NO_CHARACTER, "\0") for cell in record], kinds)


def in_batches(rows: Iterable[msgspec.Raw]) -> Iterator[list[msgspec.Raw]]:
    """Yield rows in lists."""
    some: list[msgspec.Raw] = []
    size = 0
    for row in rows:
        some.append(row)
        size += len(row)
        if len(some) >= ROWS_AT_ONCE or size >= BYTES_AT_ONCE:
            yield some
            some, size = [], 0
    if some:
        yield some
