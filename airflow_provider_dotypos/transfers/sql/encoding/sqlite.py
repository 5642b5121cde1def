"""Rows into SQLite: a statement with parameters, which no log holds, for many rows at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pyarrow as pa

from airflow_provider_dotypos.transfers.sql.encoding.forms import values_of
from airflow_provider_dotypos.transfers.sql.encoding.rows import EncodedRows


class InsertedRows(EncodedRows[list[pa.Array]]):
    """Inserts rows into a table of SQLite."""

    keeps_nul: ClassVar[bool] = True

    def _encode(self, arrays: list[pa.Array]) -> tuple[list[pa.Array], int]:
        return arrays, sum(array.nbytes for array in arrays)

    def _copy(self, connection: Any, staging: str, pieces: Sequence[list[pa.Array]]) -> None:
        marks = ", ".join("?" for _ in self.columns)
        sql = f"INSERT INTO {staging} ({self.listed}) VALUES ({marks})"
        for arrays in pieces:
            connection.executemany(sql, zip(*map(values_of, arrays), strict=True))
