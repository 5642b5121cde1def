"""Counting different ids exactly, in little memory however many there are."""

from __future__ import annotations

import heapq
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import IO

#: Ids kept in memory before a sorted run of them goes to a temporary file (8 bytes each).
RUN_LENGTH = 50_000

#: Runs before they are merged into one: each is an open file.
MOST_RUNS = 32

_READ_AT_ONCE = 8192


class DistinctIds(AbstractContextManager["DistinctIds"]):
    """Counts different ids by sorting them on disk: 8 bytes an id there, a few MiB here. A context manager."""

    def __init__(self) -> None:
        self._files = ExitStack()
        self._ids = array("q")
        self._runs: list[IO[bytes]] = []

    def __exit__(self, *exception: object) -> None:
        self._files.close()

    def add(self, ids: Iterable[str | int]) -> None:
        """Count these ids in: whole numbers of 64 bits, as text or numbers."""
        self._ids.extend(map(int, ids))
        if len(self._ids) >= RUN_LENGTH:
            self._spill()

    def count(self) -> int:
        """Return how many different ids there were."""
        return sum(1 for _ in self) if self._runs else len(set(self._ids))

    def __iter__(self) -> Iterator[int]:
        """Yield the different ids in ascending order."""
        previous: int | None = None
        for id in heapq.merge(*map(_read, self._runs), sorted(self._ids)):
            if id != previous:
                yield id
            previous = id

    def _spill(self) -> None:
        run = tempfile.TemporaryFile(prefix="dotypos-ids-")  # noqa: SIM115 (closed with the stack)
        self._files.callback(run.close)
        array("q", sorted(set(self._ids))).tofile(run)
        self._runs.append(run)
        self._ids = array("q")
        if len(self._runs) >= MOST_RUNS:
            self._merge()

    def _merge(self) -> None:
        """Make one run of all, so that few files are open at once."""
        merged = tempfile.TemporaryFile(prefix="dotypos-ids-")  # noqa: SIM115 (closed with the stack)
        self._files.callback(merged.close)
        chunk = array("q")
        for id in heapq.merge(*map(_read, self._runs)):
            if not chunk or chunk[-1] != id:
                chunk.append(id)
            if len(chunk) > _READ_AT_ONCE:
                chunk[:-1].tofile(merged)
                chunk = chunk[-1:]
        chunk.tofile(merged)
        for run in self._runs:
            run.close()
        self._runs = [merged]


def _read(run: IO[bytes]) -> Iterator[int]:
    run.seek(0)
    while chunk := run.read(8 * _READ_AT_ONCE):
        yield from array("q", chunk)
