"""How fast the polls of a cloud may follow each other, so that they keep to their part of its budget."""

from __future__ import annotations

from airflow_provider_dotypos.api.budget import KNOWN_LIMIT, Budget

#: The polls of a cloud use this part of a budget. So many requests of that may leave at once, and so many are kept for
#: what no poll plans: a sign-in an hour, and the check of the cloud at the start.
SHARE, AT_ONCE, UNPLANNED = 2, 3, 2


class Pace:
    """A leaky bucket: each request fills it a little, and a poll leaves when there is room for what it asks.

    So in any window of the budget's length not more than half of the budget leaves. A poll of more requests than may
    leave at once waits until the bucket is empty.

    :param budget: of all who ask the cloud.
    :ivar seconds_per_request: how far requests are apart in the long run.
    """

    def __init__(self, budget: Budget | None) -> None:
        budget = budget or KNOWN_LIMIT
        self.seconds_per_request = budget.seconds / max(1, budget.requests // SHARE - AT_ONCE - UNPLANNED)
        self._empty_at = 0.0

    def wait(self, requests: float, now: float) -> float:
        """Return the seconds until a poll may leave.

        :param requests: how many it will make.
        """
        room = max(0.0, AT_ONCE - requests) * self.seconds_per_request
        return max(0.0, self._empty_at - room - now)

    def spend(self, requests: float, now: float) -> None:
        """Note requests that have left."""
        self._empty_at = max(self._empty_at, now) + requests * self.seconds_per_request
