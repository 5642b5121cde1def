"""Rows into PostgreSQL, by COPY: Arrow writes the text, so that no value passes through Python.

Neither the statement nor its parameters hold a value, so that ``pg_stat_activity`` doesn't either.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from airflow_provider_dotypos.transfers.sql.encoding.forms import decimal_texts
from airflow_provider_dotypos.transfers.sql.encoding.rows import EncodedRows

#: Quotes tell an empty text from a null.
_CSV = pyarrow.csv.WriteOptions(include_header=False, quoting_style="all_valid")
#: Bytes that psycopg2 asks for at once.
_READ_BYTES = 2**18


class CopiedRows(EncodedRows[pa.Buffer]):
    """Copies rows into a table of PostgreSQL."""

    def _encode(self, arrays: list[pa.Array]) -> tuple[pa.Buffer, int]:
        """Return rows as lines of CSV."""
        texts = [_printable(array) for array in arrays]
        lines = pa.BufferOutputStream()
        pyarrow.csv.write_csv(pa.RecordBatch.from_arrays(texts, [str(i) for i in range(len(texts))]), lines, _CSV)
        text = lines.getvalue()
        return text, text.size

    def _copy(self, connection: Any, staging: str, pieces: Sequence[pa.Buffer]) -> None:
        sql = f"COPY {staging} ({self.listed}) FROM STDIN (FORMAT csv, ENCODING 'UTF8')"
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL TimeZone = 'UTC'")  # the times of the text are in it, and don't say so
            if hasattr(cursor, "copy_expert"):
                cursor.copy_expert(sql, _Pieces(pieces), _READ_BYTES)
                return
            with cursor.copy(sql) as copy:
                for piece in pieces:
                    copy.write(piece)


class _Pieces(io.RawIOBase):
    """Pieces of text as a file, which is what psycopg2 reads."""

    def __init__(self, pieces: Iterable[pa.Buffer]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def _printable(array: pa.Array) -> pa.Array:
    """Return a column as Arrow's writer takes it, and PostgreSQL its text."""
    kind = array.type
    if array.null_count == len(array):
        return pa.nulls(len(array), pa.string())
    if pa.types.is_timestamp(kind):
        return array.cast(pa.timestamp(kind.unit))  # written ten times as fast as with its zone
    if pa.types.is_decimal(kind):
        return decimal_texts(array)
    if pa.types.is_list(kind):
        return _list_literals(array)
    return array


def _list_literals(lists: pa.Array) -> pa.Array:
    """Return lists as PostgreSQL's literals, such as ``{"one","a \\"second\\" one",NULL}``."""
    items = lists.flatten()
    if pa.types.is_string(items.type):
        items = pc.replace_substring(pc.replace_substring(items, "\\", "\\\\"), '"', '\\"')
        items = pc.binary_join_element_wise('"', items, '"', "")
    items = pc.fill_null(items.cast(pa.string()), "NULL")
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(lengths.cast(pa.int64()))])
    joined = pc.binary_join(pa.ListArray.from_arrays(offsets.cast(pa.int32()), items), ",")
    literals = pc.binary_join_element_wise("{", joined, "}", "")
    return pc.if_else(pc.is_valid(lists), literals, pa.scalar(None, pa.string()))
