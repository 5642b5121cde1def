"""Rows in the form that they are copied in: what the encoders of all databases share. Needs pyarrow.

Rows are typed by the code that writes Parquet (``rows/arrow.py``), so they get the same columns, and the same
`UNKNOWN`, as in a file. They are typed some hundreds at a time, because an Arrow column costs a call, however few its
values, and each time they are put into the form that the database takes. So little more than that form is held.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import msgspec
import pyarrow as pa

from airflow_provider_dotypos.api.errors import DotyposResponseError
from airflow_provider_dotypos.transfers.rows import arrow
from airflow_provider_dotypos.transfers.sql.dialects.base import RowEncoder
from airflow_provider_dotypos.transfers.sql.encoding.mending import mend_json, mend_moments, mend_text
from airflow_provider_dotypos.transfers.sql.names import LOAD_ID, READ_AT, REMOVED_AT

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.encoding_thread import EncodingThread
    from airflow_provider_dotypos.transfers.rows.columns import Columns
    from airflow_provider_dotypos.transfers.rows.new_fields import NewFields
    from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect
    from airflow_provider_dotypos.transfers.sql.tables import SqlColumn, SqlTable
    from airflow_provider_dotypos.transfers.sql.transaction import Transaction

#: Rows, or bytes of JSON, that are enough to be typed, give or take a page: they should stay in a processor's cache.
BATCH_ROWS, BATCH_BYTES = 500, 2**19

PieceT = TypeVar("PieceT")

_MICROSECONDS = pa.timestamp("us", "UTC")


class EncodedRows(RowEncoder, Generic[PieceT]):
    """Holds a table's rows in pieces of some hundreds.

    :param columns: of the rows as they come.
    :param thread: does all that concerns Arrow.
    """

    #: Whether the database takes the character NUL in texts.
    keeps_nul: ClassVar[bool] = False

    def __init__(
        self,
        dialect: Dialect,
        table: SqlTable,
        columns: Columns,
        cloud_id: int,
        thread: EncodingThread,
    ) -> None:
        self.dialect = dialect
        self.columns = [column for column in table.columns if column.name != REMOVED_AT]
        self._entity = table.entity
        self._keys = [column for column in table.columns if column.name in table.key[1:]]
        self._cloud_column, self._cloud_id = table.key[0], cloud_id
        self._thread = thread
        self._rows = arrow.Table(_only(table, columns))
        self.clear()

    @property
    def bytes(self) -> int:
        """Memory that the rows take, in bytes."""
        return self._pending_bytes + self._pieces_bytes

    @property
    def rows(self) -> int:
        """How many rows it holds."""
        return len(self._pending) + self._pieces_rows

    @property
    def misfits(self) -> Counter[str]:
        """How many values of each field of the rows held don't fit their column; complete once they are copied."""
        return +self._rows.misfits

    @property
    def new_fields(self) -> NewFields:
        """Which fields of the rows held the entity table doesn't know; complete once they are copied."""
        return self._rows.new_fields

    @property
    def listed(self) -> str:
        """The names of the columns that are copied, as a statement holds them."""
        return self.dialect.listed(column.name for column in self.columns)

    def add(self, rows: Sequence[msgspec.Raw], read_at: datetime) -> None:
        """Add rows that were read at a time.

        :raises DotyposResponseError: if a row can't have a key.
        """
        self._pending += rows
        self._pending_moments += [(read_at - _EPOCH) // timedelta(microseconds=1)] * len(rows)
        self._pending_bytes += sum(map(len, rows))
        if len(self._pending) >= BATCH_ROWS or self._pending_bytes >= BATCH_BYTES:
            self._thread.run(self._encode_pending)

    def copy(self, transaction: Transaction, staging: str) -> None:
        """Copy all rows into a staging table, in a transaction, and keep them.

        :raises DotyposResponseError: if a row can't have a key.
        """
        self._thread.run(self._encode_pending)
        if self._pieces:
            transaction.use(lambda connection: self._copy(connection, staging, self._pieces))

    def clear(self) -> None:
        """Forget the rows, and what was odd in them."""
        self._forget_pending()
        self._pieces: list[PieceT] = []
        self._pieces_rows = self._pieces_bytes = 0
        self._rows.misfits.clear()
        self._rows.new_fields.clear()

    @abstractmethod
    def _encode(self, arrays: list[pa.Array]) -> tuple[PieceT, int]:
        """Return rows as a piece, and how many bytes of memory it takes.

        :param arrays: of `columns`, in their order.
        """

    @abstractmethod
    def _copy(self, connection: Any, staging: str, pieces: Sequence[PieceT]) -> None:
        """Copy pieces into a staging table.

        :param connection: the driver's.
        """

    # What follows runs in the encoding thread.

    def _encode_pending(self) -> None:
        if not self._pending:
            return
        batch = mend_moments(self._rows.batch(self._pending), self._pending, self._rows.misfits)
        self._check_keys(batch)
        moments = pa.array(self._pending_moments, _MICROSECONDS)
        self._forget_pending()
        piece, size = self._encode(self._arrays(self._mended(batch), moments))
        self._pieces.append(piece)
        self._pieces_rows += len(batch)
        self._pieces_bytes += size

    def _arrays(self, batch: pa.RecordBatch, moments: pa.Array) -> list[pa.Array]:
        """Return the arrays of all columns, in their order."""
        arrays = {
            self._cloud_column: pa.repeat(pa.scalar(self._cloud_id, pa.int64()), len(batch)),
            READ_AT: moments,
            LOAD_ID: pa.repeat(pa.scalar(self.load_id, pa.string()), len(batch)),
        }
        arrays |= {c.name: batch.column(_source(c)) for c in self.columns if c.name not in arrays}
        return [arrays[column.name] for column in self.columns]

    def _forget_pending(self) -> None:
        self._pending: list[msgspec.Raw] = []
        self._pending_moments: list[int] = []
        self._pending_bytes = 0

    def _check_keys(self, batch: pa.RecordBatch) -> None:
        for column in self._keys:
            if batch.column(column.field).null_count:
                raise DotyposResponseError(
                    f"{self._entity}: {column.field} of a row is missing or isn't a whole number of 64 bits, so the "
                    "row has no key, and can't be loaded"
                )

    def _mended(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return rows as the database takes them; what had to be changed counts as misfits."""
        for i, column in enumerate(self.columns):
            source = _source(column)
            if column.kind == "json":
                mended = mend_json(batch.column(source), self.keeps_nul)
            elif column.kind in ("text", "texts") and not self.keeps_nul:
                mended = mend_text(batch.column(source))
            else:
                continue
            if mended is not None:
                array, changed = mended
                self._rows.misfits[source] += changed
                i = batch.schema.get_field_index(source)
                batch = batch.set_column(i, batch.schema.field(i), array)
        return batch


def _source(column: SqlColumn) -> str:
    """Return what a column is called among those of the rows."""
    return column.field or column.name


def _only(table: SqlTable, columns: Columns) -> Columns:
    """Return the columns of rows without those that the table has no column for, such as the cloud's id."""
    fields = {column.field for column in table.columns}
    kept = tuple(column for column in columns.columns if column.name in fields)
    return replace(columns, columns=kept, left_out=columns.left_out | (columns.names - {c.name for c in kept}))


_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
