"""When branches are open: weekdays and times by the clocks of a zone, and holidays."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from airflow_provider_dotypos.api.entities import id_text
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.window import milliseconds, time_zone

#: Hours by weekdays, such as ``{"mon-fri": "08:00-20:00"}``; several spans a day as ``"08:00-12:00, 13:00-18:00"``.
Weekly: TypeAlias = Mapping[str, str]

#: Days on which branches are closed: dates, or a function of a day and a branch's id.
Holidays: TypeAlias = Collection["date | str"] | Callable[[date, int], bool]

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = timedelta(days=1)

#: Minutes of a day.
_MINUTES = 24 * 60

#: How far back opening hours are looked for, in days.
FARTHEST = 31


@dataclass(frozen=True)
class _Week:
    """The spans of each weekday, from Monday on: minutes after midnight, beyond 24 hours past the next one."""

    spans: tuple[tuple[tuple[int, int], ...], ...]


#: Of a shop that is always open.
_ALWAYS = _Week((((0, _MINUTES),),) * 7)


@dataclass(frozen=True)
class OpeningHours:
    """When branches are open.

    :param zone: whose clocks count.
    :param usual: of branches that have no hours of their own.
    :param own: by branch.
    :param is_holiday: whether a branch is closed on a day.
    """

    zone: ZoneInfo
    usual: _Week = _ALWAYS
    own: Mapping[int, _Week] = field(default_factory=dict)
    is_holiday: Callable[[date, int], bool] = lambda day, branch: False

    @classmethod
    def of(cls, hours: Mapping[str | int, str | Weekly] | None, timezone: str, holidays: Holidays = ()) -> OpeningHours:
        """Return opening hours as an operator is given them.

        :param hours: by weekdays, and by ids of branches that differ. ``None``: always open.
        :param timezone: the zone's IANA name.
        :raises DotyposInputError: if one can't be read.
        """
        zone = time_zone(timezone)
        is_holiday = _read_holidays(holidays)
        if hours is None:
            return cls(zone, is_holiday=is_holiday)
        if not isinstance(hours, Mapping):
            raise DotyposInputError(
                "opening_hours must be a mapping such as {'mon-fri': '08:00-20:00'}, not "
                f"{type(hours).__name__} (no template)"
            )
        weekly = {days: spans for days, spans in hours.items() if not isinstance(spans, Mapping)}
        own = {
            int(id_text(branch, "a branch in opening_hours")): _read_week(week)
            for branch, week in hours.items()
            if isinstance(week, Mapping)
        }
        return cls(zone, _read_week(weekly) if weekly else _ALWAYS, own, is_holiday)

    def is_open(self, branch: int, moment: int) -> bool:
        """Return whether a branch is open at a moment (epoch milliseconds)."""
        return any(begins <= moment < ends for begins, ends in self._spans_before(branch, moment + 1))

    def open_for(self, branch: int, since: int, until: int) -> int:
        """Return for how many milliseconds a branch is open between two moments, 31 days back at most."""
        total = 0
        for begins, ends in self._spans_before(branch, until):
            if ends <= since:
                break
            total += ends - max(begins, since)
        return total

    def begin_of(self, branch: int, until: int, opened: int) -> int:
        """Return the last moment from which a branch is open for so many milliseconds until another moment.

        If the branch wasn't open that long in 31 days, this is 31 days before.
        """
        left = opened
        for begins, ends in self._spans_before(branch, until):
            if ends - begins >= left:
                return ends - left
            left -= ends - begins
        return until - FARTHEST * milliseconds_of(_DAY)

    def _spans_before(self, branch: int, until: int) -> Iterator[tuple[int, int]]:
        """Yield when a branch is open before a moment, the last span first. No two of them overlap."""
        week = self.own.get(branch, self.usual)
        today = datetime.fromtimestamp(until / 1000, self.zone).date()
        later = until
        for back in range(FARTHEST + 1):
            day = today - back * _DAY
            spans = () if self.is_holiday(day, branch) else reversed(week.spans[day.weekday()])
            for begins, ends in spans:
                first, end = self._moment(day, begins), min(later, self._moment(day, ends))
                if first < end:
                    yield first, end
                    later = first

    def _moment(self, day: date, minutes: int) -> int:
        days, minute = divmod(minutes, _MINUTES)
        return milliseconds(datetime.combine(day + days * _DAY, time(minute // 60, minute % 60), self.zone))


def milliseconds_of(span: timedelta) -> int:
    """Return a span of time in milliseconds."""
    return span // timedelta(milliseconds=1)


def _read_holidays(holidays: Holidays) -> Callable[[date, int], bool]:
    if callable(holidays):
        return holidays
    if isinstance(holidays, str) or not isinstance(holidays, Collection):
        raise DotyposInputError(
            "holidays must be a list of dates, or a function of a day and a branch's id, not "
            f"{type(holidays).__name__} (no template)"
        )
    days = frozenset(map(_read_day, holidays))
    return lambda day, branch: day in days


def _read_day(day: date | str) -> date:
    if isinstance(day, date):
        return day.date() if isinstance(day, datetime) else day
    try:
        return date.fromisoformat(day)
    except (TypeError, ValueError):
        raise DotyposInputError(f"holidays: a day must be a date such as '2026-12-25', not {day!r}") from None


def _read_week(weekly: Mapping[Any, Any]) -> _Week:
    spans: list[tuple[tuple[int, int], ...]] = [()] * 7
    for days, hours in weekly.items():
        for number in _read_weekdays(days):
            if spans[number]:
                raise DotyposInputError(
                    f"opening_hours: {_WEEKDAYS[number]} is named twice: write all hours of a day together"
                )
            spans[number] = _read_spans(days, hours)
    return _Week(tuple(spans))


def _read_weekdays(days: object) -> Iterator[int]:
    """Yield the numbers of the weekdays in ``mon-fri`` or ``sat, sun``."""
    for part in str(days).lower().split(","):
        first, _, last = (name.strip() for name in part.partition("-"))
        if first not in _WEEKDAYS or (last or first) not in _WEEKDAYS:
            raise DotyposInputError(
                f"opening_hours: {days!r} must be weekdays, such as 'mon-fri' or 'sat, sun', or a branch's id with a "
                "mapping of its hours"
            )
        begin, end = _WEEKDAYS.index(first), _WEEKDAYS.index(last or first)
        yield from (number % 7 for number in range(begin, end + 1 if end >= begin else end + 8))


def _read_spans(days: str, hours: object) -> tuple[tuple[int, int], ...]:
    """Return the spans in ``08:00-12:00, 13:00-18:00``; none if the text is empty or ``closed``."""
    spans: list[tuple[int, int]] = []
    text = hours.strip() if isinstance(hours, str) else None
    for part in text.split(",") if text and text != "closed" else ():
        match = re.fullmatch(r" ?(\d{1,2}):(\d{2}) ?- ?(\d{1,2}):(\d{2}) ?", part)
        begins, ends = (int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])) if match else (0, 0)
        ends += 24 * 60 if ends <= begins else 0
        fits = (
            match is not None and max(int(match[2]), int(match[4])) < 60 and max(begins, int(match[3]) * 60) <= 24 * 60
        )
        if not fits or (spans and (begins < spans[-1][1] or ends - spans[0][0] > 24 * 60)):
            text = None
            break
        spans.append((begins, ends))
    if text is None:
        raise DotyposInputError(
            f"opening_hours: the hours of {days} must be written like '08:00-20:00' or '08:00-12:00, 13:00-18:00', in "
            f"order, or 'closed', not {hours!r}"
        )
    return tuple(spans)
