"""Writing one part: rows into a staging file, counted and digested as they pass. Here as JSON lines."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

import msgspec

from airflow_provider_dotypos.api.page import one_line
from airflow_provider_dotypos.transfers.columns import Columns


class RowWriter(ABC):
    """A staging file that takes rows; each format is a subclass.

    :param path: where to write.
    :ivar rows: rows written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self._staging = StagingFile(path)

    @property
    def bytes(self) -> int:
        """Bytes in the file so far."""
        return self._staging.bytes

    @abstractmethod
    def write(self, rows: Iterable[msgspec.Raw]) -> None:
        """Append rows: the API's bytes of a JSON object each."""

    @abstractmethod
    def _finish(self) -> None:
        """Write what is still to be written."""

    def close(self) -> str:
        """Finish the file, on the disk for good; return its SHA-256 in hex."""
        self._finish()
        return self._staging.finish()

    def discard(self) -> None:
        """Leave nothing behind."""
        self._staging.discard()


class StagingFile(io.RawIOBase):
    """A file being written, whose bytes are counted and digested as they pass.

    :param path: where to write.
    :ivar bytes: bytes written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        self._sha256 = hashlib.sha256()
        self.bytes = 0

    def writable(self) -> bool:
        """Whether it takes bytes: yes."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Append bytes; after `discard` they go nowhere."""
        if self._file.closed:
            return len(data)
        self._sha256.update(data)
        self.bytes += len(data)
        return self._file.write(data)

    def finish(self) -> str:
        """Bring it on the disk for good; return its SHA-256 in hex."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._sha256.hexdigest()

    def discard(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        self._path.unlink(missing_ok=True)


class TextWriter(RowWriter):
    """A staging file of text, compressed or not.

    :param path: where to write. :param gzip_level: 1 to 9, or ``None`` to leave it uncompressed.
    """

    def __init__(self, path: Path, gzip_level: int | None) -> None:
        super().__init__(path)
        # No name and no time in the header: the same rows make the same bytes.
        self._text: StagingFile | gzip.GzipFile = (
            self._staging if gzip_level is None else gzip.GzipFile("", "wb", gzip_level, fileobj=self._staging, mtime=0)
        )

    def _finish(self) -> None:
        if isinstance(self._text, gzip.GzipFile):
            self._text.close()


class PartWriter(TextWriter):
    """A staging file of JSON lines: rows as they came, byte for byte, or cut down to some columns.

    :param path: where to write. :param gzip_level: 1 to 9, or ``None`` to leave it uncompressed.
    :param columns: what to keep of each row; left out, everything.
    """

    def __init__(self, path: Path, gzip_level: int | None, columns: Columns | None = None) -> None:
        super().__init__(path, gzip_level)
        self._columns = columns

    def write(self, rows: Iterable[msgspec.Raw]) -> None:
        """Append rows, a line each, their bytes as they came."""
        lines = list(rows) if self._columns is None else self._columns.cut(rows)
        if not lines:
            return
        data = b"\n".join(lines)
        if b"\r" in data or data.count(b"\n") >= len(lines):
            data = b"\n".join(one_line(row) for row in lines)
        self._text.write(data)
        self._text.write(b"\n")
        self.rows += len(lines)
