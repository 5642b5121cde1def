"""What the log says of something that fails again and again: at once, and then once an hour."""

from __future__ import annotations

import logging
import time

log = logging.getLogger(__name__)

#: Seconds after which the log repeats what is still so.
REPEAT = 3600.0


class Trouble:
    """One thing that fails, such as the polls of a list.

    :param what: it, for people.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._since: float | None = None
        self._said: object = None
        self._said_at = float("-inf")

    def note(self, error: BaseException, seconds: float) -> bool:
        """Note a failure, and return whether the log says so now.

        :param seconds: within how many it is tried again.
        """
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        kind = type(error), getattr(error, "status", None), getattr(error, "reason", None)
        if kind == self._said and now - self._said_at < REPEAT:
            return False
        for_how_long = f" for {(now - self._since) / 60:.0f} minutes" if now - self._since >= REPEAT else ""
        log.warning(
            "%s can't be asked%s. Events wait until it can. The next try is within %.0f s. %s",
            self._what,
            for_how_long,
            seconds,
            error,
        )
        self._said, self._said_at = kind, now
        return True

    def end(self) -> None:
        """Note that it works."""
        if self._since is not None:
            minutes = (time.monotonic() - self._since) / 60
            log.info("%s answers again, after %.1f minutes. Nothing was lost.", self._what, minutes)
            self._since = self._said = None
