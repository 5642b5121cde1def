"""What the log says of something that fails again and again: at once, and then once an hour."""

from __future__ import annotations

import logging
import time

log = logging.getLogger(__name__)

#: Seconds after which the log repeats what is still so.
REPEAT = 3600.0


class Trouble:
    """One thing that may fail, such as the polls of a list.

    :param what: it, for people.
    :param fails: what can't be done, and what follows from that, for people.
    :param works: what can be done again.
    """

    def __init__(
        self,
        what: str,
        fails: str = "can't be asked. Events wait until it can.",
        works: str = "answers again, and nothing was lost.",
    ) -> None:
        self._what = what
        self._fails = fails
        self._works = works
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
        minutes = (now - self._since) / 60
        since = f" It has been so for {minutes:.0f} minutes." if now - self._since >= REPEAT else ""
        log.warning(
            "%s %s%s The next try is within %.0f s. %s",
            *(self._what, self._fails, since, seconds, str(error) or type(error).__name__),
        )
        self._said, self._said_at = kind, now
        return True

    def end(self) -> None:
        """Note that it works."""
        if self._since is not None:
            log.info("After %.1f minutes, %s %s", (time.monotonic() - self._since) / 60, self._what, self._works)
            self._since = self._said = None


def mistake(of: str) -> Trouble:
    """Return what the log says of our own mistakes."""
    return Trouble(of, "has failed by a mistake of ours. Events wait.", "works again, and nothing was lost.")
