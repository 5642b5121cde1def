"""Business days: what a shop counts as one day, as moments in UTC.

Their edges are computed here, from the zone's rules. So a database needs no data of time zones, and a day has 23 or 25
hours where clocks change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.window import Window, instant, iso, milliseconds, time_zone

_DAY = timedelta(days=1)


class BusinessDay(NamedTuple):
    """A business day, or what of it lies in a window: ``[begins, ends)``, in epoch milliseconds."""

    date: date
    begins: int
    ends: int


@dataclass(frozen=True)
class BusinessHours:
    """When business days begin.

    :param zone: whose clocks count.
    :param opening: the time at which a business day begins, by these clocks. One that is skipped where clocks go
        forward counts as if they hadn't; one that comes twice counts the first time.
    """

    zone: ZoneInfo
    opening: time

    @classmethod
    def of(cls, timezone: str, day_starts: str) -> BusinessHours:
        """Return business hours by the name of a zone and a time such as ``04:00``.

        :raises DotyposInputError: if one can't be read.
        """
        try:
            opening = datetime.strptime(day_starts, "%H:%M").time()
        except (ValueError, TypeError):
            raise DotyposInputError(f"day_starts must be a time such as '04:00', not {day_starts!r}") from None
        return cls(time_zone(timezone), opening)

    def window(self, since: str | date, until: str | date) -> Window:
        """Return the window between two times.

        :param since: a business day (a bare date, whose first instant is meant), or an instant with a zone.
        :param until: the first business day, or instant, after it.
        :raises DotyposInputError: if a time can't be read, or the window is empty or reversed.
        """
        return Window.of(iso(self._first_instant(since, "since")), iso(self._first_instant(until, "until")))

    def last_days(self, number: int, moment: datetime) -> Window:
        """Return the window of the last whole business days before a moment."""
        today = self._date_of(milliseconds(moment))
        return Window(self._begin(today - number * _DAY), self._begin(today))

    def days(self, window: Window) -> Iterator[BusinessDay]:
        """Yield the business days of a window that has a beginning. The first and the last one may be cut by it."""
        begins = window.since or 0
        day = self._date_of(begins)
        while begins < window.until:
            ends = min(window.until, self._begin(day + _DAY))
            yield BusinessDay(day, begins, ends)
            begins, day = ends, day + _DAY

    def _first_instant(self, time: str | date, name: str) -> int:
        moment = instant(time, name, self.zone.key)
        is_date = len(time.strip()) == len("2026-03-29") if isinstance(time, str) else not isinstance(time, datetime)
        return self._begin(self._local_date(moment)) if is_date else moment

    def _begin(self, day: date) -> int:
        return milliseconds(datetime.combine(day, self.opening, self.zone))

    def _date_of(self, moment: int) -> date:
        """Return the business day that a moment belongs to."""
        local = self._local_date(moment)
        return local if self._begin(local) <= moment else local - _DAY

    def _local_date(self, moment: int) -> date:
        return datetime.fromtimestamp(moment / 1000, self.zone).date()
