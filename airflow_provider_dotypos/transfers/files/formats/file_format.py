"""The formats that parts are written in, and how they are read again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeAlias, cast, get_args

import msgspec

from airflow_provider_dotypos.api.errors import DotyposInputError

if TYPE_CHECKING:
    import pyarrow

    from airflow_provider_dotypos.transfers.encoding_thread import EncodingThread
    from airflow_provider_dotypos.transfers.files.formats.chosen import Chosen
    from airflow_provider_dotypos.transfers.files.formats.part_versions import Numbers
    from airflow_provider_dotypos.transfers.files.formats.writer import RowWriter
    from airflow_provider_dotypos.transfers.rows.columns import Columns

#: Size in bytes at which a part ends unless another is asked for.
PART_BYTES = 64 * 2**20

Name: TypeAlias = Literal["jsonl", "parquet", "csv"]
NAMES = get_args(Name)


class FileFormat(msgspec.Struct, frozen=True):
    """A format, and how it is compressed.

    :param gzip_level: 1 to 9, or ``None`` for no gzip (Parquet compresses by itself, with zstd).
    """

    name: Name = "jsonl"
    gzip_level: int | None = None

    @classmethod
    def of(cls, name: str, compression: str | None = None, compression_level: int = 1) -> FileFormat:
        """Return the format that an operator asks for.

        :raises DotyposInputError: if there is no such format, or it isn't compressed like this.
        """
        if name not in NAMES:
            raise DotyposInputError(f"file_format must be one of {', '.join(NAMES)}, not {name!r}")
        if compression not in (None, "gzip"):
            raise DotyposInputError(f"compression must be None or 'gzip', not {compression!r}")
        if compression and name == "parquet":
            raise DotyposInputError(
                "compression is for jsonl and csv: omit it for parquet, which compresses its columns by itself (zstd)"
            )
        if compression_level not in (1, 2, 3):
            raise DotyposInputError(f"compression_level must be 1, 2 or 3, not {compression_level!r}")
        return cls(cast("Name", name), compression_level if compression else None)

    @classmethod
    def read(cls, name: str, compression: str | None) -> FileFormat:
        """Return the format of existing files, as their manifest says."""
        return cls(cast("Name", name), None if compression is None else 1)

    @property
    def compression(self) -> str | None:
        """What files are compressed with as a whole."""
        return None if self.gzip_level is None else "gzip"

    @property
    def suffix(self) -> str:
        """How the names of files end."""
        return f".{self.name}" if self.gzip_level is None else f".{self.name}.gz"

    def check(self) -> None:
        """Raise unless what writes it is installed.

        :raises PyarrowMissingError: if it is Parquet, and pyarrow isn't installed.
        """
        if self.name == "parquet":
            from airflow_provider_dotypos.transfers.files.formats.parquet import require_pyarrow

            require_pyarrow()

    def writer(self, path: Path, columns: Columns, encoder: EncodingThread) -> RowWriter:
        """Return a writer of one part, which may do its work in the encoder."""
        # Imported here: an operator makes a format when its DAG is parsed, and writes when its task runs.
        from airflow_provider_dotypos.transfers.files.formats.delimited import CsvWriter
        from airflow_provider_dotypos.transfers.files.formats.jsonl import JsonLinesWriter
        from airflow_provider_dotypos.transfers.files.formats.parquet import ParquetWriter

        if self.name == "parquet":
            return ParquetWriter(path, columns, encoder)
        if self.name == "csv":
            return CsvWriter(path, columns, self.gzip_level)
        return JsonLinesWriter(path, self.gzip_level, columns)

    def rows(self, part: BinaryIO, columns: Columns, chosen: Chosen | None = None) -> Iterator[dict[str, Any]]:
        """Yield a part's rows, or those that are chosen, in the form that the API gives them."""
        from airflow_provider_dotypos.transfers.files.formats.part_rows import part_rows

        return part_rows(part, self.name, self.compression, columns, chosen)

    def batches(self, part: BinaryIO, columns: Columns, chosen: Chosen | None = None) -> Iterator[pyarrow.RecordBatch]:
        """Yield a part's rows, or those that are chosen, as Arrow's record batches."""
        from airflow_provider_dotypos.transfers.files.formats.part_rows import part_batches

        return part_batches(part, self.name, self.compression, columns, chosen)

    def versions(self, part: BinaryIO, columns: Columns, fields: Sequence[str]) -> Iterator[Numbers]:
        """Yield some fields of a part's rows as columns of numbers."""
        from airflow_provider_dotypos.transfers.files.formats.part_versions import part_versions

        return part_versions(part, self.name, self.compression, columns, fields)

    def ids(self, part: BinaryIO) -> Iterator[Sequence[int]]:
        """Yield the ids of a part's rows, some thousand at a time."""
        from airflow_provider_dotypos.transfers.files.formats.part_ids import part_ids

        return part_ids(part, self.name, self.compression)
