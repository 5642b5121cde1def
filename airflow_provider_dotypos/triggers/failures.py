"""What is known of a cloud's failures: what nobody needs to ask for now, and for how long."""

from __future__ import annotations

import copy
import random
import time
from datetime import datetime, timezone
from typing import NamedTuple

from airflow_provider_dotypos.api.budget import DotyposBudgetError
from airflow_provider_dotypos.api.errors import (
    DotyposApiError,
    DotyposConnectionError,
    DotyposError,
    DotyposRateLimitError,
)
from airflow_provider_dotypos.api.retry_table import SIGN_IN
from airflow_provider_dotypos.triggers.trouble import Trouble

#: Seconds after which something is tried again that fails for good until somebody has repaired it. Then the polls of a
#: cloud follow each other at their pace, and all are to work again within five minutes.
TRY_AGAIN = 180.0

#: After a fault a list is asked again after its interval, and then ever more seldom, up to so many seconds.
LONGEST_WAIT = 300.0

#: A throttled cloud is let alone for so many seconds more than it asks for, so that tasks go first.
BEHIND_TASKS = 60.0


class Outage(NamedTuple):
    """Why something can't be asked before somebody has repaired it.

    :param until: when it is tried again (monotonic seconds).
    """

    error: DotyposError
    until: float


class Failures:
    """The failures of one cloud, by the names of its lists; those of the whole cloud are by ``None``.

    :param cloud: what the cloud is called in the log.
    :ivar rests_until: until when nobody asks, as it throttles (monotonic seconds).
    """

    def __init__(self, cloud: str) -> None:
        self._cloud = cloud
        self._outages: dict[str | None, Outage] = {}
        self._troubles: dict[str | None, Trouble] = {}
        self._refusals = 0
        self.rests_until = 0.0

    def outage(self, name: str | None) -> Outage | None:
        """Return why a list can't be asked for the longest; ``None`` if it can."""
        known = [self._outages[key] for key in {name, None} if key in self._outages]
        return max(known, key=lambda outage: outage.until, default=None)

    def check(self, name: str | None) -> None:
        """Raise what a list would be answered that can't be asked now.

        :raises DotyposError: if it can't.
        """
        outage = self.outage(name)
        if outage is not None and time.monotonic() < outage.until:
            raise copy.copy(outage.error)  # several tasks raise it

    def note(self, error: DotyposError, name: str | None) -> None:
        """Note that a list couldn't be asked."""
        what = None if _is_of_whole_cloud(error) else name
        now, seconds = time.monotonic(), LONGEST_WAIT
        if error.permanent:
            seconds = random.uniform(0.9, 1.0) * TRY_AGAIN
            self._outages[what] = Outage(error, now + seconds)
        elif isinstance(error, (DotyposRateLimitError, DotyposBudgetError)):
            seconds = self._rest(error)
            self.rests_until = now + seconds
        trouble = self._troubles.setdefault(what, Trouble(self._cloud if what is None else f"{what} of {self._cloud}"))
        trouble.note(error, seconds)

    def note_success(self, name: str | None) -> None:
        """Note that a list has answered, and so the cloud."""
        self._refusals = 0
        for what in {name, None}:
            self._outages.pop(what, None)
            if what in self._troubles:
                self._troubles.pop(what).end()

    def _rest(self, error: DotyposError) -> float:
        """Return for how many seconds a cloud is let alone that throttles, or of whose budget nothing is left."""
        asked = 0.0
        if error.retry_at is not None:
            asked = (error.retry_at - datetime.now(timezone.utc)).total_seconds()
        if isinstance(error, DotyposBudgetError):  # it says when a task is worth running again; a poll needs less
            return min(max(asked, BEHIND_TASKS), LONGEST_WAIT)
        self._refusals += 1
        own = min(LONGEST_WAIT, BEHIND_TASKS * 2.0 ** min(self._refusals - 1, 10))
        return max(0.0, asked) + random.uniform(0.8, 1.0) * own


def _is_of_whole_cloud(error: DotyposError) -> bool:
    """Return whether an error of one list says that no other list can be asked either."""
    return (
        SIGN_IN in error.reasons
        or isinstance(error, (DotyposRateLimitError, DotyposBudgetError, DotyposConnectionError))
        or (error.permanent and not isinstance(error, DotyposApiError))
    )
