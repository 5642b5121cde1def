"""Telling how far an extraction is, in the task's log."""

from __future__ import annotations

import logging
import threading
import time

from airflow_provider_dotypos.api.pieces import Pieces

log = logging.getLogger(__name__)


class Progress:
    """Tells how far an extraction is, at a human pace: after 5 s, and ever more seldom, up to once a minute.

    :param what: what is extracted.
    :param kept: rows of it that an earlier try has left.
    """

    def __init__(self, what: str, kept: int = 0) -> None:
        self._what = what
        self._kept = kept
        self._lock = threading.Lock()
        self._rows = 0
        self._started = time.monotonic()
        self._next = 5.0

    def tell(self, rows: int, requests: int, pieces: Pieces) -> None:
        """Count rows that were delivered, and log how far it is, if it is time to.

        :param requests: list calls so far.
        :param pieces: what is being walked.
        """
        with self._lock:
            self._rows += rows
            elapsed = time.monotonic() - self._started
            if elapsed < self._next:
                return
            self._next = min(elapsed * 2, elapsed + 60)
        rate = self._rows / elapsed
        left = pieces.rows_left
        ahead = ""
        if left is not None and rate:
            there = self._kept + self._rows
            ahead = f", about {there / (there + left):.0%} of the window, about {left / rate:.0f} s left"
        log.info(
            "%s: %d rows from %d pages in %.0f s (%.0f rows/s)%s",
            self._what,
            self._rows,
            requests,
            elapsed,
            rate,
            ahead,
        )
