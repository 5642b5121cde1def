"""How far an extraction is, in the task's log."""

from __future__ import annotations

import threading
import time

from airflow_provider_dotypos.api.list_log import list_log
from airflow_provider_dotypos.api.pieces import Pieces
from airflow_provider_dotypos.api.window import duration
from airflow_provider_dotypos.transfers.wording import count

log = list_log(__name__)


class Progress:
    """Logs how far an extraction is, at a human pace: after 5 s, then less and less often, down to once a minute.

    :param name: what rows are, such as ``orders``.
    :param kept: rows that an earlier attempt has left.
    """

    def __init__(self, name: str, kept: int = 0) -> None:
        self._name = name
        self._kept = kept
        self._lock = threading.Lock()
        self._rows = 0
        self._started = time.monotonic()
        self._next = 5.0

    def report(self, rows: int, requests: int, pieces: Pieces) -> None:
        """Count rows that were delivered, and log how far the extraction is if it is time to.

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
        done = self._kept + self._rows
        left = pieces.rows_left
        ahead = ""
        if left is not None and rate:
            requests_left = count(pieces.requests_left, "requests")
            ahead = f"{done / (done + left):.0%}, about {requests_left} and {duration(left / rate)} left: "
        log.info(
            "%s%s so far (%s in %s, %s rows/s).",
            ahead,
            count(done, self._name),
            count(requests, "pages"),
            duration(elapsed),
            f"{rate:,.0f}",
        )
