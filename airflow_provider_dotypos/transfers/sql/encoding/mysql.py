"""Rows into MySQL and MariaDB, packed: their drivers put parameters into the statement's text, where others may see it.

The list of processes, the log of slow statements and the general log hold a statement's text. So rows are sent as one
compressed JSON text a statement, which the server unpacks: a person who looks at the statement sees no value of a row.
That also takes the client a quarter of the time of an ``INSERT`` with a value for each column.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
import pyarrow as pa

from airflow_provider_dotypos.transfers.sql.encoding.forms import naive_time_texts, values_of
from airflow_provider_dotypos.transfers.sql.encoding.rows import EncodedRows


class PackedRows(EncodedRows[bytes]):
    """Inserts rows into a table of MySQL or MariaDB."""

    keeps_nul: ClassVar[bool] = True

    def _encode(self, arrays: list[pa.Array]) -> tuple[bytes, int]:
        """Return rows as ``UNCOMPRESS`` takes them: the length of their JSON, and it compressed."""
        rows = msgspec.json.encode(list(zip(*map(_values_of, arrays), strict=True)))
        packed = len(rows).to_bytes(4, "little") + zlib.compress(rows, 1)
        return packed, len(packed)

    def _copy(self, connection: Any, staging: str, pieces: Sequence[bytes]) -> None:
        numbers = range(len(self.columns))
        # Texts become what the target's columns hold: exactly, as every value fits its column already.
        paths = ", ".join(f"c{i} LONGTEXT PATH '$[{i}]' ERROR ON ERROR" for i in numbers)
        into = f"{staging} ({self.listed})".replace("%", "%%")  # which marks parameters
        sql = (
            f"INSERT INTO {into} SELECT {', '.join(f'c{i}' for i in numbers)} FROM "
            f"JSON_TABLE(CONVERT(UNCOMPRESS(%s) USING utf8mb4), '$[*]' COLUMNS ({paths})) AS packed"
        )
        cursor = connection.cursor()
        for packed in pieces:
            cursor.execute(sql, (packed,))
        cursor.close()


def _values_of(array: pa.Array) -> list[Any]:
    if pa.types.is_timestamp(array.type):
        return naive_time_texts(array).to_pylist()  # type: ignore[no-any-return]
    return values_of(array.cast(pa.int8()) if pa.types.is_boolean(array.type) else array)
