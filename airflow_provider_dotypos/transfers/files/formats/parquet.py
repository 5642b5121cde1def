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

Text that isn't UTF-8 is kept in its column, with U+FFFD for what is lost, and counted as a misfit.
A value of another kind leaves a null in its column. A value that is only finer than its column (a time with
microseconds, a number with 20 decimals) is cut there. Both are counted as misfits, and are in ``_unknown`` as they
came. There is one exception: if only some fields of a child list are wanted, items that aren't objects are dropped,
because nothing tells what in them isn't wanted.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from airflow_provider_dotypos import __version__
from airflow_provider_dotypos.transfers.encoding_thread import EncodingThread
from airflow_provider_dotypos.transfers.errors import PyarrowMissingError
from airflow_provider_dotypos.transfers.files.formats.writer import Edit, RowWriter
from airflow_provider_dotypos.transfers.rows.api_form import rows_of_arrays
from airflow_provider_dotypos.transfers.rows.columns import SCHEMA_VERSION, Columns

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.files.formats.chosen import Chosen

#: Rows that a row group holds at most, give or take one batch; `EncodingThread` bounds its memory. While a row group is
#: written, it takes as much memory again.
ROW_GROUP_ROWS = 65_536

#: Rows, and bytes of JSON, that are decoded at once: few enough to stay in a processor's cache. Until then each writer
#: keeps them, and the answers that they came in, so the bound on bytes bounds memory where rows are large.
BATCH_ROWS, BATCH_BYTES = 500, 2**19


class ParquetWriter(RowWriter):
    """A staging file of Parquet, compressed by zstd. ``bytes`` grows by whole row groups.

    :param path: where to write.
    :param columns: which columns, see ``columns_of``.
    :param encoder: does all that concerns Arrow; shared by the writers of an extraction.
    :raises PyarrowMissingError: if pyarrow isn't installed.
    """

    def __init__(self, path: Path, columns: Columns, encoder: EncodingThread) -> None:
        self._arrow, self._parquet = require_pyarrow()
        super().__init__(path)
        self._columns = columns
        self._encoder = encoder
        self._pending: list[msgspec.Raw] = []
        self._pending_bytes = 0
        self._batches: list[Any] = []
        self._held_rows = self.held_bytes = 0
        encoder.run(self._open)

    def write(self, rows: Iterable[msgspec.Raw]) -> None:
        """Append rows."""
        for row in rows:
            self.rows += 1
            self._pending.append(row)
            self._pending_bytes += len(row)
            if len(self._pending) >= BATCH_ROWS or self._pending_bytes >= BATCH_BYTES:
                self._encoder.run(self._encode)

    def discard(self) -> None:
        """Leave nothing behind."""
        self._encoder.run(self._abandon)

    def _append(self, part: BinaryIO) -> None:
        self._encoder.run(lambda: self._reencode(part))

    def _append_chosen(self, part: BinaryIO, chosen: Chosen) -> None:
        self._encoder.run(lambda: self._choose(part, chosen))

    def _append_edited(self, part: BinaryIO, positions: Sequence[int], edit: Edit) -> None:
        self._encoder.run(lambda: self._edit(part, positions, edit))

    def _finish(self) -> None:
        self._encoder.run(self._complete)

    # What follows runs in the encoder's thread.

    def write_held(self) -> None:
        """Write the rows held as a row group."""
        if self._batches:
            self._file.write_table(self._table.together(self._batches), row_group_size=self._held_rows)
            self._batches, self._held_rows, self.held_bytes = [], 0, 0
            self._table.release_memory()

    def _open(self) -> None:
        self._table = self._arrow.Table(self._columns)
        self.misfits = self._table.misfits  # child lists' fields as ``orderItems.name``
        self.new_fields = self._table.new_fields
        schema = self._table.schema.with_metadata(
            {
                "dotypos.entity": self._columns.entity,
                "dotypos.schema_version": str(SCHEMA_VERSION),
                "dotypos.package_version": __version__,
            }
        )
        # Ids differ in every row: a dictionary of them would only be in the way.
        dictionaries = [path for path in self._arrow.leaves(schema) if path.split(".")[-1] != "id"]
        self._file = self._parquet.ParquetWriter(
            self._arrow.file(self._staging), schema, compression="zstd", use_dictionary=dictionaries
        )
        self._encoder.add(self)

    def _encode(self) -> None:
        if not self._pending:
            return
        batch = self._table.batch(self._pending)
        self._pending, self._pending_bytes = [], 0
        self._hold(batch)

    def _reencode(self, part: BinaryIO) -> None:
        for _, batch in self._read(part):
            self._hold(batch)

    def _choose(self, part: BinaryIO, chosen: Chosen) -> None:
        for begin, batch in self._read(part):
            self._hold(batch.filter(chosen.mask(begin, batch.num_rows)))

    def _edit(self, part: BinaryIO, positions: Sequence[int], edit: Edit) -> None:
        for begin, batch in self._read(part):
            first, last = (bisect.bisect_left(positions, row) for row in (begin, begin + batch.num_rows))
            whole_from = 0
            for row in (position - begin for position in positions[first:last]):
                self._hold(batch.slice(whole_from, row - whole_from))
                self._hold(self._table.batch([edit(msgspec.Raw(msgspec.json.encode(self._row(batch, row))))]))
                whole_from = row + 1
            self._hold(batch.slice(whole_from))

    def _row(self, batch: Any, row: int) -> dict[str, Any]:
        """Return a row of a batch in the form that the API gives it."""
        arrays = dict(zip(batch.schema.names, batch.slice(row, 1).columns, strict=True))
        return rows_of_arrays(arrays, self._columns)[0]

    def _read(self, part: BinaryIO) -> Iterator[tuple[int, Any]]:
        """Yield the batches of a finished file, each with the position of its first row."""
        begin = 0
        with self._parquet.ParquetFile(part) as file:
            for batch in file.iter_batches(BATCH_ROWS, use_threads=False):
                yield begin, batch
                begin += batch.num_rows

    def _hold(self, batch: Any) -> None:
        if not batch.num_rows:
            return
        self._batches.append(batch)
        self._held_rows += batch.num_rows
        self.held_bytes += batch.nbytes
        if self._held_rows >= ROW_GROUP_ROWS:
            self.write_held()
        self._encoder.make_room()

    def _complete(self) -> None:
        self._encode()
        self._encoder.remove(self)
        self.write_held()
        self._file.close()

    def _abandon(self) -> None:
        self._encoder.remove(self)
        super().discard()
        self._file.close()  # or it would write its end when it is collected


def require_pyarrow(purpose: str = "file_format='parquet'") -> tuple[Any, Any]:
    """Return the module that makes Arrow columns, and ``pyarrow.parquet``: imported here, as it takes its time.

    :param purpose: what needs it, as an error's sentence begins.
    :raises PyarrowMissingError: if pyarrow isn't installed.
    """
    try:
        import pyarrow.parquet

        from airflow_provider_dotypos.transfers.rows import arrow
    except ImportError as error:
        raise PyarrowMissingError(
            f"{purpose} needs pyarrow ({error}): pip install 'airflow-provider-dotypos[parquet]'"
        ) from error
    return arrow, pyarrow.parquet
