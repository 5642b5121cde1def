"""Rows into DuckDB, which reads Arrow's memory as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pyarrow as pa

from airflow_provider_dotypos.transfers.sql.encoding.rows import EncodedRows

#: What the rows are called while they are copied.
_NAME = "_dotypos_rows"


class RegisteredRows(EncodedRows[pa.RecordBatch]):
    """Copies rows into a table of DuckDB."""

    keeps_nul: ClassVar[bool] = True

    def _encode(self, arrays: list[pa.Array]) -> tuple[pa.RecordBatch, int]:
        batch = pa.RecordBatch.from_arrays(arrays, [column.name for column in self.columns])
        return batch, batch.nbytes

    def _copy(self, connection: Any, staging: str, pieces: Sequence[pa.RecordBatch]) -> None:
        connection.register(_NAME, pa.Table.from_batches(pieces))
        connection.execute(f"INSERT INTO {staging} ({self.listed}) SELECT * FROM {_NAME}")
        connection.unregister(_NAME)  # a transaction that failed takes no more statements, and takes this back itself
