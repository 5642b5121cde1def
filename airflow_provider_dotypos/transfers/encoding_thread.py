"""Where writers of a format that holds rows for a while do their work: in one thread, within one limit of memory."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

_T = TypeVar("_T")

#: Memory for the rows that all writers together hold, in bytes, give or take one batch.
HELD_BYTES = 16 * 2**20


class Holder(Protocol):
    """A writer that holds rows."""

    @property
    def held_bytes(self) -> int:
        """Memory that its rows take, in bytes."""

    def write_held(self) -> None:
        """Write its rows, and hold them no longer."""


class EncodingThread(AbstractContextManager["EncodingThread"]):
    """Does the work of writers, in one thread: allocators keep memory for each thread that ever used them.

    Whenever writers hold more than the limit, the fullest writes what it holds: a few threads hold much each, many
    threads little. A context manager: afterwards the thread is gone.

    :param limit: memory for the rows that all writers together hold, in bytes.
    """

    def __init__(self, limit: int = HELD_BYTES) -> None:
        self._limit = limit
        self._thread = ThreadPoolExecutor(1, "dotypos-encode")  # which starts with the first work
        self._holders: list[Holder] = []

    def run(self, work: Callable[[], _T]) -> _T:
        """Do work in the encoder's thread; return its result or raise what it raises."""
        return self._thread.submit(work).result()

    def __exit__(self, *exception: object) -> None:
        self._thread.shutdown()

    # What follows is for work that runs in the encoder's thread; so it needs no lock.

    def add(self, holder: Holder) -> None:
        """Count what a writer holds from now on."""
        self._holders.append(holder)

    def remove(self, holder: Holder) -> None:
        """Stop counting a writer. Does nothing for an unknown one."""
        self._holders = [other for other in self._holders if other is not holder]

    def make_room(self) -> None:
        """Let writers write, until they hold no more than the limit."""
        while sum(holder.held_bytes for holder in self._holders) > self._limit:
            max(self._holders, key=lambda holder: holder.held_bytes).write_held()
