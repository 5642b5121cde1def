"""What a set consists of: parts, files of children, and the ranges of cursors that they cover."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from airflow_provider_dotypos.transfers.rows.new_fields import NewField

#: How the name of a part ends that has no file, see `Part.is_rowless`.
ROWLESS = ".rowless"

#: What stands for the stream in a part that was merged of several, and in its name.
MERGED = "merged"


class StreamRange(msgspec.Struct, frozen=True):
    """A range of one stream's cursors.

    :param stream: which disjoint part of the rows it belongs to, such as ``live`` or ``deleted``.
    :param low: its first cursor, in epoch ms; ``None`` from the beginning.
    :param high: the first cursor after it; both are ``None`` for rows without a cursor.
    """

    stream: str
    low: int | None
    high: int | None


class ChildFile(msgspec.Struct, frozen=True):
    """The rows of a child list that came with the rows of a part, or of several, in a file of their own.

    :param name: the file's name.
    :param rows: how many rows it holds.
    :param bytes: its size.
    :param sha256: the SHA-256 of its bytes.
    :param covers: the ranges of the rows that they came with; empty if these are those of the part that lists it.
    """

    name: str
    rows: int
    bytes: int
    sha256: str
    covers: tuple[StreamRange, ...] = ()


class Part(msgspec.Struct, frozen=True):
    """One file of a set, and the files of children that belong to it.

    :param name: the file's name.
    :param stream: which disjoint part of the rows it belongs to, such as ``live`` or ``deleted``; ``merged`` if the
        file was merged of several parts.
    :param low: first cursor of those that it covers completely, in epoch ms; ``None`` from the beginning.
    :param high: first cursor after them; both are ``None`` for rows without a cursor, and for merged parts.
    :param rows: rows in it.
    :param bytes: its size.
    :param sha256: of its bytes, in hex.
    :param origin: the task instance that wrote it, in short.
    :param package_version: the package that wrote it.
    :param misfits: how many values didn't fit their column, by field (of children in files of their own as
        ``order-items.quantity``): they are kept as they came (where there are columns, in ``_unknown``), except
        where they may hold fields that weren't wanted. Of JSON lines, values of other types count in the rows that were
        looked at.
    :param new_fields: fields that the entity table doesn't know, by table.
    :param children: files of flattened child lists, by their entity's name.
    :param covers: what a merged part covers, in the order of its rows.
    """

    name: str
    stream: str
    low: int | None
    high: int | None
    rows: int
    bytes: int
    sha256: str
    origin: str = ""
    package_version: str = ""
    misfits: dict[str, int] = {}
    new_fields: dict[str, dict[str, NewField]] = {}
    children: dict[str, ChildFile] = {}
    covers: tuple[StreamRange, ...] = ()

    @property
    def is_rowless(self) -> bool:
        """Whether it only says that its range holds no rows. It has no files then, and no manifest lists it."""
        return self.name.endswith(ROWLESS)

    @property
    def ranges(self) -> tuple[StreamRange, ...]:
        """The ranges that it covers."""
        return self.covers or (StreamRange(self.stream, self.low, self.high),)

    @property
    def sizes(self) -> dict[str, int]:
        """All its files, with their sizes in bytes."""
        return {file.name: file.bytes for file in self.files}

    @property
    def digests(self) -> dict[str, str]:
        """All its files, with their SHA-256."""
        return {file.name: file.sha256 for file in self.files}

    @property
    def files(self) -> tuple[Part | ChildFile, ...]:
        """All its files."""
        return () if self.is_rowless else (self, *self.children.values())


class Contents(NamedTuple):
    """What a set holds.

    :param child_files: by entity, files of children that don't belong to one part alone.
    """

    parts: tuple[Part, ...]
    child_files: dict[str, tuple[ChildFile, ...]]

    @property
    def files(self) -> list[Part | ChildFile]:
        """All files."""
        of_parts = [file for part in self.parts for file in part.files]
        return of_parts + [file for files in self.child_files.values() for file in files]

    @property
    def sizes(self) -> dict[str, int]:
        """All files, with their sizes in bytes."""
        return {file.name: file.bytes for file in self.files}

    @property
    def digest(self) -> str:
        """What tells these files from others: a digest of their SHA-256."""
        return hashlib.sha256("".join(file.sha256 for file in self.files).encode()).hexdigest()[:16]

    def children(self, child: str) -> list[ChildFile]:
        """Return the files of a child entity."""
        of_parts = [part.children[child] for part in self.parts if child in part.children]
        return [*of_parts, *self.child_files.get(child, ())]


def joined(ranges: Iterable[StreamRange]) -> list[StreamRange]:
    """Return ranges in order. Those of one stream that touch or overlap become one.

    Of rows without a cursor, one range is left of each stream.
    """
    joined: list[StreamRange] = []
    for range in sorted(set(ranges), key=_in_order):
        last = joined[-1] if joined else None
        if last is not None and last.stream == range.stream and _meet(last, range):
            joined[-1] = StreamRange(range.stream, last.low, max(last.high or 0, range.high or 0))
        else:
            joined.append(range)
    return joined


def _in_order(range: StreamRange) -> tuple[str, float, bool]:
    return range.stream, float("-inf") if range.low is None else range.low, range.high is not None


def _meet(earlier: StreamRange, later: StreamRange) -> bool:
    """Return whether two ranges of a stream, of which the second begins later, touch or overlap."""
    if earlier.high is None or later.high is None:
        return False
    return later.low is None or later.low <= earlier.high
