"""Lines about deliveries in the API server's log: few, whatever anybody sends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

#: Seconds between two lines of one kind.
PAUSE = 3600.0

#: Most kinds that are told apart. Further ones get no line before one of these hasn't had any for `PAUSE`.
MOST_KINDS = 200


class Notices:
    """Writes a warning when something happens, and at most once an hour how often it has.

    :param clock: seconds, never set back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        #: By kinds: when the next line may be written, and how often it has happened since the last one.
        self._kinds: dict[str, tuple[float, int]] = {}

    def warn(self, kind: str) -> None:
        """Write what has happened.

        :param kind: the line itself, without what anybody could make up.
        """
        now = self._clock()
        with self._lock:
            if kind not in self._kinds and len(self._kinds) >= MOST_KINDS:
                past = next((known for known, (next_at, _) in self._kinds.items() if now >= next_at), None)
                if past is None:
                    return
                del self._kinds[past]
            next_at, silent = self._kinds.get(kind, (now, 0))
            due = now >= next_at
            self._kinds[kind] = (now + PAUSE, 0) if due else (next_at, silent + 1)
        if due:
            log.warning("Webhooks: %s%s", kind, f" ({silent} more since the last such line)" if silent else "")


notices = Notices()
