"""Writing one part: rows as lines into a staging file, counted and digested as they pass."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import msgspec

from airflow_provider_dotypos.api.page import one_line


class PartWriter:
    """A staging file of JSON lines.

    :param path: where to write. :param gzip_level: 1 to 9, or ``None`` to leave it uncompressed.
    :ivar rows: rows written.
    """

    def __init__(self, path: Path, gzip_level: int | None) -> None:
        self.path = path
        self.rows = 0
        self._file = path.open("wb")
        self._digest = _Digest(self._file)
        # No name and no time in the header: the same rows make the same bytes.
        self._lines: BinaryIO | gzip.GzipFile | _Digest = (
            self._digest if gzip_level is None else gzip.GzipFile("", "wb", gzip_level, fileobj=self._digest, mtime=0)
        )

    @property
    def bytes(self) -> int:
        """Bytes in the file so far."""
        return self._digest.bytes

    def write(self, rows: Iterable[msgspec.Raw]) -> None:
        """Append rows, a line each, their bytes as they came."""
        lines = list(rows)
        if not lines:
            return
        data = b"\n".join(lines)
        if b"\r" in data or data.count(b"\n") >= len(lines):
            data = b"\n".join(one_line(row) for row in lines)
        self._lines.write(data)
        self._lines.write(b"\n")
        self.rows += len(lines)

    def close(self) -> str:
        """Finish the file, on the disk for good; return its SHA-256 in hex."""
        if isinstance(self._lines, gzip.GzipFile):
            self._lines.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._digest.hexdigest()

    def discard(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        self.path.unlink(missing_ok=True)


class _Digest(io.RawIOBase):
    """Passes bytes on to a file, counting and digesting them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self.bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._sha256.update(data)
        self.bytes += len(data)
        return self._file.write(data)

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()
