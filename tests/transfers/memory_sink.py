"""A sink in memory: the least that the engine needs, and a place that several attempts share."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from airflow_provider_dotypos.api.streams import Piece
from airflow_provider_dotypos.api.walk import Batch
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.transfers.sink import SupersededError, Walked

Row = dict[str, Any]


@dataclass(frozen=True)
class StoredPart:
    """A range of a stream, and its rows."""

    stream: str
    low: int | None
    high: int | None
    content: tuple[Row, ...]

    @property
    def rows(self) -> int:
        return len(self.content)


@dataclass(frozen=True)
class Loaded:
    """What an attempt has committed."""

    window: Window
    walked: Walked
    parts: tuple[StoredPart, ...]

    @property
    def rows(self) -> list[Row]:
        return [row for part in self.parts for row in part.content]


@dataclass
class Place:
    """Where rows go.

    :ivar parts: of all attempts, until one commits.
    """

    parts: list[StoredPart] = field(default_factory=list)
    committed: Loaded | None = None


class MemorySink(AbstractContextManager["MemorySink"]):
    """An attempt to bring a window's rows to a place.

    :param operation: called before anything that other attempts can see, and after it with ``True``.
    :ivar mine: the parts of this attempt: kept ones and written ones.
    :ivar opened: pieces for which it opened a writer.
    """

    def __init__(
        self,
        window: Window,
        place: Place,
        max_part_bytes: int = 10**9,
        operation: Callable[[bool], None] = lambda done: None,
    ) -> None:
        self.max_part_bytes = max_part_bytes
        self.mine: list[StoredPart] = []
        self.opened: list[Piece] = []
        self.written = 0
        self._window = window
        self.place = place
        self.lock = threading.Lock()
        self.operation = operation
        operation(False)
        self.finished = place.committed

    def __exit__(self, *exception: object) -> None:
        pass

    @property
    def has_kept_rows(self) -> bool:
        return self.written > 0

    def kept(self, piece: Piece) -> Iterator[StoredPart]:
        self.operation(False)
        parts = [part for part in self.place.parts if part.stream == piece.name and part.high is not None]
        end = _start(piece.lo)
        for part in sorted(parts, key=lambda part: _start(part.low)):
            if _start(part.low) >= end and (part.high or 0) <= piece.hi:
                end = part.high or 0
                self.mine.append(part)
                yield part

    def open(self, piece: Piece) -> MemoryPartWriter:
        self.opened.append(piece)
        return MemoryPartWriter(piece, self)

    def commit(self, walked: Walked, check_cancelled: Callable[[], None]) -> Loaded:
        self.operation(False)
        if self.place.committed is not None:
            return self.place.committed
        loaded = Loaded(self._window, walked, tuple(part for part in self.mine if part.content))
        self.place.committed = loaded
        self.place.parts.clear()
        self.operation(True)
        return loaded

    def give_way(self) -> Loaded:
        self.operation(False)
        assert self.place.committed is not None
        return self.place.committed

    def leave(self) -> None:
        pass


class MemoryPartWriter:
    """Holds a piece's rows until their part ends."""

    def __init__(self, piece: Piece, sink: MemorySink) -> None:
        self._piece = piece
        self._sink = sink
        self._rows: list[Row] = []
        self.size = 0

    def write(self, batch: Batch) -> None:
        decoded = [msgspec.json.decode(row) for row in batch.rows]
        assert [str(row["id"]) for row in decoded] == list(batch.ids)
        self._rows += decoded
        self.size += sum(map(len, batch.rows))

    def end(self, low: int | None, high: int | None) -> None:
        if not self._rows and (high is None or low == high):
            return
        sink = self._sink
        sink.operation(False)
        with sink.lock:
            if sink.place.committed is not None:
                raise SupersededError
            part = StoredPart(self._piece.name, low, high, tuple(self._rows))
            sink.place.parts.append(part)
            sink.mine.append(part)
            sink.written += part.rows if high is not None else 0
        self._rows, self.size = [], 0
        sink.operation(True)

    def discard(self) -> None:
        self._rows, self.size = [], 0


def overlaps(parts: Sequence[StoredPart]) -> list[tuple[StoredPart, StoredPart]]:
    """Return parts of one stream whose ranges overlap."""
    ordered = sorted(
        (part for part in parts if part.high is not None), key=lambda part: (part.stream, _start(part.low))
    )
    return [
        (one, other)
        for one, other in itertools.pairwise(ordered)
        if one.stream == other.stream and (one.high or 0) > _start(other.low)
    ]


def _start(low: int | None) -> float:
    return float("-inf") if low is None else low
