"""Where the last successful extraction ended: the watermark, kept in the state store of an asset (Airflow 3.3).

It moves only once a set is committed. A task that dies between the two finds its set again when it is retried, because
the window that it began with is kept in its own state store; and a run of its own time, whatever happened before, reads
from the watermark on. So no crash makes a gap.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any, Protocol

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.window import Window, instant, iso

log = logging.getLogger(__name__)


class StateStore(Protocol):
    """What is used of Airflow's state stores."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key."""

    def set(self, key: str, value: Any) -> None:
        """Keep a value, which JSON can hold."""


class NothingNewError(Exception):
    """A run's window lies before the watermark: later runs have read it already."""


class Watermark:
    """The watermark of one stream of extractions.

    :param asset: the state store of the asset. :param task: that of the task instance, which its retries share.
    :param key: what it is called there, see `watermark_key`.
    """

    def __init__(self, asset: StateStore, task: StateStore, key: str) -> None:
        self._asset = asset
        self._task = task
        self.key = key

    def window(self, until: int, *, start: int | None = None, lookback: int = 0) -> Window:
        """Return the window to extract: from the watermark to `until`; for a retry, the one that its first try began.

        :param until: epoch milliseconds. :param start: where the first run begins; ``None``: at the beginning.
        :param lookback: milliseconds before the watermark to read again.
        :raises NothingNewError: the watermark isn't before `until`.
        :raises DotyposInputError: the watermark is no time, or `start` isn't before `until`.
        """
        reached = self.read()
        begun = self._task.get(self.key)
        if begun is not None and _still_holds(begun, until, reached):
            return Window(begun["since"], until)
        if reached is not None and reached >= until:
            raise NothingNewError(
                f"what changed before {iso(until)} has been read by later runs: the watermark {self.key} is at "
                f"{iso(reached)}. To read that time again, give since and until, or set the watermark back"
            )
        since = start if reached is None else reached - lookback
        if since is not None and since >= until:
            raise DotyposInputError(f"start={iso(since)} is not before until={iso(until)}")
        log.info("The watermark %s is at %s.", self.key, "the beginning" if reached is None else iso(reached))
        self._task.set(self.key, {"since": since, "until": until, "reached": reached})
        return Window(since, until)

    def read(self) -> int | None:
        """Return where it is, in epoch milliseconds; ``None`` before the first success.

        :raises DotyposInputError: what is kept there is no time.
        """
        kept = self._asset.get(self.key)
        if kept is None:
            return None
        try:
            return instant(kept, "it")
        except DotyposInputError as error:
            raise DotyposInputError(f"the watermark {self.key} was set to {kept!r}: {error}") from None

    def move(self, window: Window, *, start: int | None = None) -> None:
        """Move it up to the end of a window that was extracted: never back, and never past what nobody has read.

        :param start: where a first run begins: where the watermark is, if there is none.
        """
        reached = self.read()
        at = start if reached is None else reached
        if window.since is not None and (at is None or at < window.since):
            where = "removed" if reached is None else f"set back to {iso(reached)}"
            log.warning("The watermark %s was %s meanwhile; it stays so.", self.key, where)
        elif reached is None or reached < window.until:
            self._asset.set(self.key, iso(window.until))
            log.info("The watermark %s is at %s now.", self.key, iso(window.until))


def watermark_key(cloud_id: int, entity: str, *identity: object) -> str:
    """Return what a watermark is called.

    :param identity: what else tells apart what goes on each for itself: the destination, and the shape of sets.
    """
    digest = hashlib.sha256("\n".join(str(one or "") for one in identity).encode()).hexdigest()[:8]
    return f"dotypos/{cloud_id}/{entity}/{digest}"


def _still_holds(begun: dict[str, Any], until: int, reached: int | None) -> bool:
    """Return whether the window of an earlier try is still the one to extract: nobody has set the watermark since, but
    for runs that got past it.
    """
    return begun["until"] == until and (begun["reached"] == reached or (reached is not None and reached >= until))
