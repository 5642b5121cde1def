"""Writing one part as JSON lines: the API's own bytes, a row a line."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from airflow_provider_dotypos.api.characters import is_text
from airflow_provider_dotypos.api.page import one_line
from airflow_provider_dotypos.transfers.files.formats.writer import Edit, TextWriter
from airflow_provider_dotypos.transfers.rows.columns import Columns
from airflow_provider_dotypos.transfers.rows.readable import readable


class JsonLinesWriter(TextWriter):
    """A staging file of JSON lines: rows as they came, byte for byte, or cut down to some columns.

    :param path: where to write.
    :param gzip_level: 1 to 9, or ``None`` to leave it uncompressed.
    :param columns: what to keep of each row. Defaults to everything.
    """

    def __init__(self, path: Path, gzip_level: int | None, columns: Columns | None = None) -> None:
        super().__init__(path, gzip_level)
        self._columns = columns or Columns("", ())

    def write(self, rows: Iterable[msgspec.Raw]) -> None:
        """Append rows, a line each, their bytes as they came; what isn't UTF-8 is mended, or no reader takes it."""
        lines: Sequence[msgspec.Raw] = self._columns.cut(rows, self.misfits)
        if not lines:
            return
        data = b"\n".join(lines)
        if not is_text(data):
            lines = readable(lines, self._columns, self.misfits)
            data = b"\n".join(lines)
        if b"\r" in data or data.count(b"\n") >= len(lines):
            data = b"\n".join(one_line(row) for row in lines)
        self._text.write(data)
        self._text.write(b"\n")
        self.rows += len(lines)

    def _records(self, text: BinaryIO | gzip.GzipFile) -> Iterator[bytes]:
        return iter(text)

    def _edited(self, record: bytes, edit: Edit) -> bytes:
        return bytes(one_line(edit(msgspec.Raw(record.rstrip(b"\n"))))) + b"\n"
