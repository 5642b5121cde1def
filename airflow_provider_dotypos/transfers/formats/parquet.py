"""Writing one part as Parquet: columns typed by the entity table, the same in every part, and nothing lost.

==================  ==========================================================================================
API                 column
==================  ==========================================================================================
ids, long, flags    int64
integer, short      int32
double, decimal     decimal128(38, 18): exact, never a float on its way
timestamp           timestamp[ms, UTC]
boolean             bool
text, enum          string
lists of text       list<string> (of one text in place of a list: that one)
allergens           list<int32>
nested objects      string: their JSON, as it came
child lists         list<struct>, typed like the child entity
everything else     ``_unknown``: per row one JSON object, as text, of the fields that the entity table doesn't know and
                    of values that don't fit their column, as they came; structs have one of their own
==================  ==========================================================================================

A value that is no such value at all leaves a null in its column. One that is only finer than its column (a time with
microseconds, a number with 20 decimals) is cut there. Both are counted as misfits, and are in ``_unknown`` as they
came.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from airflow_provider_dotypos import __version__
from airflow_provider_dotypos.api.errors import DotyposError
from airflow_provider_dotypos.transfers.formats.columns import SCHEMA_VERSION, Columns
from airflow_provider_dotypos.transfers.formats.writer import RowWriter

ROW_GROUP_ROWS = 65_536
ROW_GROUP_BYTES = 16 * 2**20
"""What a row group holds at most, in rows and (unless told otherwise) in bytes of memory, give or take one batch. A
writer holds one row group, and while it writes it as much again."""

BATCH_ROWS = 500
BATCH_BYTES = 2**20
"""Rows, and bytes of JSON, that are decoded at once: few enough to stay in a processor's cache."""


class PyarrowMissingError(DotyposError, ImportError):
    """Parquet was asked for, and pyarrow isn't installed."""

    permanent = True


class ParquetWriter(RowWriter):
    """A staging file of Parquet, compressed by zstd. ``bytes`` grows by whole row groups.

    :param path: where to write. :param columns: which columns, see ``columns_of``.
    :param row_group_bytes: memory that the rows of a row group take at most, about.
    :raises PyarrowMissingError: pyarrow isn't installed.
    """

    def __init__(self, path: Path, columns: Columns, row_group_bytes: int = ROW_GROUP_BYTES) -> None:
        arrow, parquet = require_pyarrow()
        super().__init__(path)
        self._table = arrow.Table(columns)
        self._row_group_bytes = row_group_bytes
        self.misfits = self._table.misfits  # child lists' fields as ``orderItems.name``
        schema = self._table.schema.with_metadata(
            {
                "dotypos.entity": columns.entity,
                "dotypos.schema_version": str(SCHEMA_VERSION),
                "dotypos.package_version": __version__,
            }
        )
        # Ids differ in every row: a dictionary of them would only be in the way.
        dictionaries = [path for path in arrow.leaves(schema) if path.split(".")[-1] != "id"]
        self._file = parquet.ParquetWriter(
            arrow.file(self._staging), schema, compression="zstd", use_dictionary=dictionaries
        )
        self._pending: list[msgspec.Raw] = []
        self._pending_bytes = 0
        self._batches: list[Any] = []
        self._held_rows = self._held_bytes = 0

    def write(self, rows: Iterable[msgspec.Raw]) -> None:
        """Append rows."""
        for row in rows:
            self.rows += 1
            self._pending.append(row)
            self._pending_bytes += len(row)
            if len(self._pending) >= BATCH_ROWS or self._pending_bytes >= BATCH_BYTES:
                self._decode()

    def discard(self) -> None:
        """Leave nothing behind."""
        super().discard()
        self._file.close()  # or it would write its end when it is collected

    def _finish(self) -> None:
        self._decode()
        self._write_row_group()
        self._file.close()

    def _decode(self) -> None:
        if not self._pending:
            return
        batch = self._table.batch(self._pending)
        self._pending, self._pending_bytes = [], 0
        self._batches.append(batch)
        self._held_rows += batch.num_rows
        self._held_bytes += batch.nbytes
        if self._held_rows >= ROW_GROUP_ROWS or self._held_bytes >= self._row_group_bytes:
            self._write_row_group()

    def _write_row_group(self) -> None:
        if self._batches:
            self._file.write_table(self._table.together(self._batches), row_group_size=self._held_rows)
            self._batches, self._held_rows, self._held_bytes = [], 0, 0
            self._table.release_memory()


def require_pyarrow() -> tuple[Any, Any]:
    """Return the module that makes Arrow columns, and ``pyarrow.parquet``: imported here, as it takes its time.

    :raises PyarrowMissingError: pyarrow isn't installed.
    """
    try:
        import pyarrow.parquet

        from airflow_provider_dotypos.transfers.formats import arrow
    except ImportError as error:
        raise PyarrowMissingError(
            f"file_format='parquet' needs pyarrow ({error}): pip install 'airflow-provider-dotypos[parquet]'"
        ) from error
    return arrow, pyarrow.parquet
