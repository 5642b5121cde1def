"""A limit that knows how full its windows were: a budget that nothing comes near to proves nothing."""

from __future__ import annotations

from airflow_provider_dotypos.sandbox import Limit


class RecordedLimit(Limit):
    """A sliding limit that keeps when it let requests in.

    A sliding one is the strictest: what it lets in, a fixed one lets in, too.
    """

    def __init__(self, requests: int, seconds: float) -> None:
        super().__init__(requests, seconds, window="sliding")
        self._moments: dict[str, list[float]] = {}

    def admit(self, key: str) -> float | None:
        """Let a request in and return None, or return the seconds until one would be let in."""
        seconds = super().admit(key)
        if seconds is None:
            self._moments.setdefault(key, []).append(self.clock())
        return seconds

    @property
    def fullest(self) -> int:
        """How many requests it let in, in the fullest of all windows."""
        return max((self._in_fullest_window(moments) for moments in self._moments.values()), default=0)

    def _in_fullest_window(self, moments: list[float]) -> int:
        most, first = 0, 0
        for last, moment in enumerate(moments):
            while moment - moments[first] >= self.seconds:
                first += 1
            most = max(most, last - first + 1)
        return most
