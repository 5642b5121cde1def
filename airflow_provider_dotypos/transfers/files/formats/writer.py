"""Writing one part: rows into a staging file, counted and digested as they pass."""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import os
import shutil
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

import msgspec

from airflow_provider_dotypos.storage.staging import open_private
from airflow_provider_dotypos.transfers.rows.new_fields import NewFields

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.files.formats.chosen import Chosen

#: Takes a row in the form that the API gives it, and returns it edited in the same form.
Edit: TypeAlias = Callable[[msgspec.Raw], msgspec.Raw]

_COPIED_AT_ONCE = 2**18
_RECORDS_AT_ONCE = 500


class RowWriter(ABC):
    """A staging file that takes rows; each format is a subclass.

    :param path: where to write.
    :ivar rows: rows written.
    :ivar misfits: how many values didn't fit their column, by field (of the rows that were looked at: all, once it is
        closed. Taking children out of rows adds items that aren't rows).
    :ivar new_fields: fields that the entity table doesn't know.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self.misfits: Counter[str] = Counter()
        self.new_fields = NewFields()
        self._staging = StagingFile(path)

    @property
    def bytes(self) -> int:
        """Bytes in the file so far."""
        return self._staging.bytes

    @abstractmethod
    def write(self, rows: Iterable[msgspec.Raw]) -> None:
        """Append rows: the API's bytes of a JSON object each."""

    def append(self, part: BinaryIO, rows: int) -> None:
        """Append the rows of a finished file, of the same format and columns.

        :param part: the file, which can be seeked.
        :param rows: how many rows it has.
        """
        self._append(part)
        self.rows += rows

    def append_chosen(self, part: BinaryIO, chosen: Chosen) -> None:
        """Append some rows of a finished file, of the same format and columns, as they are in it.

        :param part: the file, which can be seeked.
        :param chosen: which rows.
        """
        self._append_chosen(part, chosen)
        self.rows += chosen.count

    def append_edited(self, part: BinaryIO, rows: int, positions: Sequence[int], edit: Edit) -> None:
        """Append all rows of a finished file, of the same format and columns, some of them edited.

        :param part: the file, which can be seeked.
        :param rows: how many rows it has.
        :param positions: which rows are edited, in ascending order, from 0.
        :param edit: takes a row in the form that the API gives it, and returns it edited in the same form.
        """
        self._append_edited(part, positions, edit)
        self.rows += rows

    @abstractmethod
    def _append(self, part: BinaryIO) -> None:
        """Append the rows of a finished file."""

    @abstractmethod
    def _append_chosen(self, part: BinaryIO, chosen: Chosen) -> None:
        """Append some rows of a finished file."""

    @abstractmethod
    def _append_edited(self, part: BinaryIO, positions: Sequence[int], edit: Edit) -> None:
        """Append the rows of a finished file, some of them edited."""

    @abstractmethod
    def _finish(self) -> None:
        """Write what is still to be written."""

    def close(self) -> str:
        """Finish the file and sync it to the disk; return its SHA-256 in hex."""
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
        self._file = open_private(path)
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
        """Sync it to the disk and close it; return its SHA-256 in hex."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._sha256.hexdigest()

    def discard(self) -> None:
        """Leave nothing behind."""
        with suppress(OSError):  # a full disk takes no last bytes, which nobody wants
            self._file.close()
        self._path.unlink(missing_ok=True)


class TextWriter(RowWriter):
    """A staging file of text, compressed or not.

    :param path: where to write.
    :param gzip_level: 1 to 9, or ``None`` to leave it uncompressed.
    """

    def __init__(self, path: Path, gzip_level: int | None) -> None:
        super().__init__(path)
        # No name and no time in the header: the same rows make the same bytes.
        self._text: StagingFile | gzip.GzipFile = (
            self._staging if gzip_level is None else gzip.GzipFile("", "wb", gzip_level, fileobj=self._staging, mtime=0)
        )

    def _append(self, part: BinaryIO) -> None:
        with self._text_of(part) as text:
            self._copy(text)

    def _append_chosen(self, part: BinaryIO, chosen: Chosen) -> None:
        with self._text_of(part) as text:
            self._put_records(itertools.compress(self._records(text), chosen))

    def _append_edited(self, part: BinaryIO, positions: Sequence[int], edit: Edit) -> None:
        edited = frozenset(positions)
        with self._text_of(part) as text:
            self._put_records(
                self._edited(record, edit) if number in edited else record
                for number, record in enumerate(self._records(text))
            )

    def _put_records(self, records: Iterator[bytes]) -> None:
        while chunk := list(itertools.islice(records, _RECORDS_AT_ONCE)):
            self._text.write(b"".join(chunk))

    @contextmanager
    def _text_of(self, part: BinaryIO) -> Iterator[BinaryIO | gzip.GzipFile]:
        """Give a finished file's text."""
        # Packed again, not joined as it is: some tools read only the first of several gzip members.
        if isinstance(self._text, gzip.GzipFile):
            with gzip.GzipFile(fileobj=part) as text:
                yield text
        else:
            yield part

    @abstractmethod
    def _records(self, text: BinaryIO | gzip.GzipFile) -> Iterator[bytes]:
        """Yield the records of a finished file's text, each with its end."""

    @abstractmethod
    def _edited(self, record: bytes, edit: Edit) -> bytes:
        """Return a record of an edited row."""

    def _copy(self, text: BinaryIO | gzip.GzipFile) -> None:
        """Append the text of a finished file."""
        shutil.copyfileobj(text, self._text, _COPIED_AT_ONCE)

    def _finish(self) -> None:
        if isinstance(self._text, gzip.GzipFile):
            self._text.close()
