"""The formats that parts are written in, and how their ids are read again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias, cast

from airflow_provider_dotypos.transfers.files.formats.delimited import CsvWriter
from airflow_provider_dotypos.transfers.files.formats.encoder import EncodingThread
from airflow_provider_dotypos.transfers.files.formats.jsonl import JsonLinesWriter
from airflow_provider_dotypos.transfers.files.formats.parquet import ParquetWriter, require_pyarrow
from airflow_provider_dotypos.transfers.files.formats.part_ids import part_ids
from airflow_provider_dotypos.transfers.files.formats.writer import RowWriter
from airflow_provider_dotypos.transfers.rows.columns import Columns

Name: TypeAlias = Literal["jsonl", "parquet", "csv"]


@dataclass(frozen=True)
class FileFormat:
    """A format, and how it is compressed.

    :param gzip_level: 1 to 9, or ``None`` for no gzip (Parquet compresses by itself, with zstd).
    """

    name: Name = "jsonl"
    gzip_level: int | None = None

    @classmethod
    def read(cls, name: str, compression: str | None) -> FileFormat:
        """Return the format of files that are there already, as their manifest tells it."""
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

        :raises PyarrowMissingError: for Parquet, without pyarrow.
        """
        if self.name == "parquet":
            require_pyarrow()

    def writer(self, path: Path, columns: Columns, encoder: EncodingThread) -> RowWriter:
        """Return a writer of one part, which may do its work in the encoder."""
        if self.name == "parquet":
            return ParquetWriter(path, columns, encoder)
        if self.name == "csv":
            return CsvWriter(path, columns, self.gzip_level)
        return JsonLinesWriter(path, self.gzip_level, columns)

    def ids(self, part: BinaryIO) -> Iterator[Sequence[int]]:
        """Yield the ids of a part's rows, some thousand at a time."""
        return part_ids(part, self.name, self.compression)
