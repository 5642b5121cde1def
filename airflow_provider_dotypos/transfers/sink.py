"""Where rows go: what the engine asks of files, databases and whatever comes next.

===========  =============================================================
PieceWriter  cuts a piece of the walk into parts, and keeps ties together
PartWriter   writes parts, one after the other: of a sink
RowWriter    writes the rows of one table into a file: of a format
StagingFile  counts and digests the bytes of that file
===========  =============================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from airflow_provider_dotypos.api.streams import Piece
from airflow_provider_dotypos.api.walk import Batch
from airflow_provider_dotypos.api.window import Window

ResultT_co = TypeVar("ResultT_co", covariant=True)


class SupersededError(Exception):
    """Another attempt has committed meanwhile. The files of this one may be gone."""


class Range(Protocol):
    """A range of a stream's cursors, ``[low, high)`` in epoch milliseconds, whose rows a sink keeps."""

    @property
    def low(self) -> int | None:
        """Its first cursor; ``None`` from the beginning."""

    @property
    def high(self) -> int | None:
        """The first cursor after it; ``None`` if it covers no cursors: its rows have none."""

    @property
    def rows(self) -> int:
        """How many rows it holds; 0 if it only says that there are none."""


class PartWriter(Protocol):
    """Writes one piece's rows as parts, one part after the other."""

    @property
    def size(self) -> int:
        """Bytes of the part under way."""

    def write(self, batch: Batch) -> None:
        """Add a batch's rows to the part under way.

        :param batch: rows of the walk.
        """

    def end(self, low: int | None, high: int | None) -> None:
        """End the part under way: it holds exactly the rows in ``[low, high)``, or none if nothing was written.

        Once the part counts, a later attempt may find it by `Sink.kept`.

        ``end(None, None)`` ends a part of rows without a cursor, which have no range. It counts for this attempt alone.
        If nothing was written, there is nothing to do.

        :param low: the part's first cursor; ``None`` from the beginning.
        :param high: the first cursor after it.
        :raises SupersededError: if another attempt has committed.
        """

    def discard(self) -> None:
        """Leave nothing of the part under way."""


class Sink(Protocol[ResultT_co]):
    """One attempt to bring the rows of a window somewhere. A context manager: it is entered once, finished or not.

    All threads of the engine use it at once, each with part writers of its own.
    """

    #: Size at which a part ends, as soon as it may.
    max_part_bytes: int

    @property
    def finished(self) -> ResultT_co | None:
        """The result, if it was committed earlier and is to be kept: then nothing is done."""

    @property
    def has_kept_rows(self) -> bool:
        """Whether a later attempt could keep rows of this one."""

    def __enter__(self) -> object:
        """Make ready to write."""

    def __exit__(self, *exception: object) -> None:
        """Leave neither a thread nor unfinished parts."""

    def kept(self, piece: Piece) -> Iterable[Range]:
        """Yield the ranges of a piece that earlier attempts completed, in order. None overlaps another.

        The yielded ranges become part of this attempt.

        :param piece: the piece of the walk.
        """

    def open(self, piece: Piece) -> PartWriter:
        """Return a writer for a piece's rows.

        :param piece: the piece of the walk.
        """

    def commit(self, walked: Walked, check_cancelled: Callable[[], None]) -> ResultT_co:
        """Make all count at once, unless another attempt has committed; return the result that counts.

        :param walked: what the walk has read.
        :param check_cancelled: raises if the task was killed; for sinks that have much to do here.
        """

    def give_way(self) -> ResultT_co:
        """Undo what this attempt wrote, and return the result of the one that has committed."""

    def leave(self) -> None:
        """End without a result: leave what later attempts can resume."""


@dataclass(frozen=True)
class Walked:
    """The result of a walk.

    :param tail: the window read after one from the beginning: it holds the changes made meanwhile.
    :param requests: list calls made.
    :param threads: how many walked at once.
    :param one_filter: whether live and deleted rows were read by one filter, which was assumed to hide none.
    :param undated: whether rows without a cursor were read.
    """

    tail: Window | None
    requests: int
    threads: int = 1
    one_filter: bool = False
    undated: bool = True
