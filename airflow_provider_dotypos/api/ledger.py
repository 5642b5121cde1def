"""What processes have claimed of a request budget: the ledger that they share, one text for all of them.

The ledger is kept where Airflow keeps values for tasks, and there is no compare-and-set: two processes that read and
write at once would overwrite each other. ``spending`` makes up for that.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

import msgspec

log = logging.getLogger(__name__)


class Register(Protocol):
    """Where the ledger is kept: one text, read and written whole.

    :ivar name: what it is called, for people.
    """

    name: str

    def read(self) -> str | None:
        """Return the text; ``None`` if there is none."""

    def write(self, text: str) -> None:
        """Replace the text."""


class Entry(NamedTuple):
    """Requests that count.

    :param until: until when (monotonic seconds).
    """

    requests: int
    until: float


#: Entries by their names, which begin with their process's own.
Entries = Mapping[str, Entry]


def decode_entries(text: str | None, longest: float) -> dict[str, Entry]:
    """Return the entries that still count.

    :param longest: seconds that an entry can count at most. One that counts for longer was written by a wrong clock.
    """
    try:
        stored = msgspec.json.decode(text or "{}", type=dict[str, tuple[int, float]])
    except msgspec.MsgspecError:  # somebody has edited it
        log.warning("The ledger of the request budget holds something else. It begins anew.")
        return {}
    ahead = time.monotonic() - time.time()
    now = time.monotonic()
    entries = {name: Entry(max(0, requests), until + ahead) for name, (requests, until) in stored.items()}
    return {name: entry for name, entry in entries.items() if now < entry.until <= now + longest}


def encode_entries(entries: Entries) -> str:
    """Return the text of entries: small, and without anything secret."""
    ahead = time.time() - time.monotonic()
    stored = {name: (requests, math.ceil(until + ahead)) for name, (requests, until) in entries.items() if requests}
    return msgspec.json.encode(stored).decode()


def free_requests(most: int, entries: Iterable[Entry]) -> int:
    """Return how many of a number of requests are free; below 0 if more than that number count."""
    return most - sum(entry.requests for entry in entries)


def seconds_until_free(wanted: int, most: int, entries: Iterable[Entry]) -> float:
    """Return the seconds until so many of a number of requests are free."""
    waiting = sorted(entries, key=lambda entry: entry.until)
    free, until = free_requests(most, waiting), float("-inf")
    for entry in waiting:
        if free >= wanted:
            break
        free, until = free + entry.requests, entry.until
    return max(0.0, until - time.monotonic())
