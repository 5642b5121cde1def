"""The window ``[since, until)`` of an extraction: UTC, milliseconds, half-open, and only in the settled past."""

from __future__ import annotations

import calendar
import re
from datetime import date, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from airflow_provider_dotypos.api.errors import DotyposClockError, DotyposInputError

#: Seconds until a change shows in the API [C2]; a window's end is never read earlier.
SETTLE = 60.0

#: The longest `settle`, in seconds: a day.
LONGEST_SETTLE = 86_400.0

#: A day, in milliseconds.
DAY = 86_400_000

#: Later than any cursor (the last day that Python knows), in epoch milliseconds.
OPEN_END = 253_402_214_400_000

#: Clocks differ by seconds. A window that ends further in the future than this is a mistake.
_FURTHEST_AHEAD = timedelta(minutes=5)

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Window(msgspec.Struct, frozen=True):
    """Half-open and in epoch milliseconds; ``since=None`` means from the beginning."""

    since: int | None
    until: int

    @classmethod
    def of(cls, since: str | date | None, until: str | date, *, timezone: str | None = None) -> Window:
        """Return the window between two times.

        :param since: first instant inside, as a datetime with a zone, ISO 8601 text with one, or a bare date (text or a
            ``date``), which needs `timezone`; ``None`` for everything before `until`.
        :param until: first instant after.
        :param timezone: IANA name of the zone in which bare dates begin, such as ``Europe/Prague``.
        :raises DotyposInputError: if a time can't be read or has no zone, or the window is empty or reversed.
        """
        start = None if since is None else instant(since, "since", timezone)
        end = instant(until, "until", timezone)
        if start is not None and start >= end:
            between = f"since={iso(start)}, until={iso(end)}"
            if start > end:
                raise DotyposInputError(f"the window is reversed: {between}")
            raise DotyposInputError(
                f"the window is empty: {between}. A plain cron schedule in Airflow 3 gives data_interval_start == "
                "data_interval_end; compute since instead, e.g. since='{{ (dag_run.run_after - "
                "macros.timedelta(days=1)).isoformat() }}', until='{{ dag_run.run_after.isoformat() }}'"
            )
        return cls(start, end)

    @classmethod
    def named(cls, name: str) -> Window | None:
        """Return the window that has a `name`, or ``None`` if none has."""
        since, _, until = name.partition("_")
        try:
            window = cls(None if since == "start" else _from_compact(since), _from_compact(until))
        except ValueError:
            return None
        return window if window.name == name else None

    @property
    def begin(self) -> float:
        """Where it begins, as a number that can be compared: minus infinity if it is from the beginning."""
        return float("-inf") if self.since is None else self.since

    @property
    def name(self) -> str:
        """The window as part of a folder's name."""
        return f"{'start' if self.since is None else compact(self.since)}_{compact(self.until)}"


def instant(value: str | date, name: str, timezone_name: str | None = None) -> int:
    """Return a time as epoch milliseconds.

    :param name: its name in an error.
    :raises DotyposInputError: see `Window.of`.
    """
    if isinstance(value, datetime):
        return milliseconds(value, name)
    text = value.isoformat() if isinstance(value, date) else value.strip() if isinstance(value, str) else ""
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        if not timezone_name:
            raise DotyposInputError(
                f"{name}={text!r} is a bare date: name its zone with timezone=, such as 'Europe/Prague', or give a "
                "time with an offset"
            )
        zone = time_zone(timezone_name)
        try:
            return milliseconds(datetime.fromisoformat(text).replace(tzinfo=zone), name)
        except ValueError:
            raise DotyposInputError(f"{name}={text!r} isn't a date of the calendar") from None
    try:
        # Python 3.10 reads no Z.
        moment = datetime.fromisoformat(re.sub(r"[Zz]$", "+00:00", text))
    except ValueError:
        raise DotyposInputError(
            f"{name} must be a datetime, or ISO 8601 text such as 2026-01-15T12:00:00+00:00, not "
            f"{type(value).__name__} {str(value)[:60]!r}"
        ) from None
    return milliseconds(moment, name)


def milliseconds(moment: datetime, name: str = "time") -> int:
    """Return `moment` as epoch milliseconds.

    :raises DotyposInputError: if it has no time zone, or lies outside of the years 1 to 9999 in UTC.
    """
    if moment.tzinfo is None:
        raise DotyposInputError(
            f"{name} has no time zone: {moment.isoformat()}; add an offset, such as +00:00 "
            "(timezone= is for bare dates alone)"
        )
    # Not by subtraction: that of pendulum's datetimes, which Airflow passes, doesn't give a timedelta.
    try:
        return calendar.timegm(moment.utctimetuple()) * 1000 + moment.microsecond // 1000
    except OverflowError:
        raise DotyposInputError(f"{name} lies outside of the years 1 to 9999 in UTC: {moment.isoformat()}") from None


def time_zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name, such as ``Europe/Prague``.

    :raises DotyposInputError: if there is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise DotyposInputError(f"timezone {name!r} is not an IANA time zone such as 'Europe/Prague'") from None


class Clocks(msgspec.Struct, frozen=True):
    """The time here and, once an answer has shown it, at the server (UTC)."""

    local: datetime
    server: datetime | None = None

    @property
    def now(self) -> datetime:
        """The earlier of both: a moment before it is past by either clock."""
        return self.local if self.server is None else min(self.local, self.server)

    def earlier(self, seconds: float) -> Clocks:
        """Return what they showed some seconds ago."""
        ago = timedelta(seconds=seconds)
        return Clocks(self.local - ago, None if self.server is None else self.server - ago)

    @property
    def text(self) -> str:
        """Both, for a message."""
        here = f"{self.local:%Y-%m-%dT%H:%M:%S}Z here"
        return here if self.server is None else f"{here}, {self.server:%Y-%m-%dT%H:%M:%S}Z at Dotypos"


def check_settle(settle: object) -> None:
    """Raise unless `settle` is a number of seconds that can be waited.

    :raises DotyposInputError: if it isn't.
    """
    if isinstance(settle, bool) or not isinstance(settle, (int, float)) or not 0 <= settle <= LONGEST_SETTLE:
        raise DotyposInputError(f"settle must be a number of seconds from 0 to {LONGEST_SETTLE:g}, not {settle!r}")


def seconds_until_settled(until: int, clocks: Clocks, settle: float = SETTLE) -> float:
    """Return how many seconds to wait before a window can be read. It is never shortened: that would leave a gap.

    :param until: the window's end, in epoch milliseconds.
    :param clocks: the time.
    :param settle: seconds that a change may need to show in the API.
    :raises DotyposInputError: if the window ends more than some minutes in the future, or `settle` is out of bounds.
    :raises DotyposClockError: if the window ends in the future by one of both clocks only.
    """
    check_settle(settle)
    ahead = _ahead(until, clocks.now)
    if ahead <= _FURTHEST_AHEAD:
        return max(0.0, ahead.total_seconds() + settle)
    if clocks.server is not None and _ahead(until, max(clocks.local, clocks.server)) <= _FURTHEST_AHEAD:
        apart = abs(clocks.local - clocks.server).total_seconds()
        behind = "Dotypos's clock" if clocks.server < clocks.local else "this machine's clock"
        raise DotyposClockError(
            f"until={iso(until)} has passed by one clock only. It is {clocks.text}: {behind} is {duration(apart)} "
            "behind. Have the wrong clock set, or try again later: a cache may have answered with an old Date"
        )
    raise DotyposInputError(
        f"until={iso(until)} lies {duration(ahead.total_seconds())} in the future (it is {clocks.text}): the future "
        "can't be extracted"
    )


def _ahead(until: int, now: datetime) -> timedelta:
    return timedelta(milliseconds=until) - (now - _EPOCH)


def duration(seconds: float) -> str:
    """Return a number of seconds for people, in minutes, hours or days from two of them on."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return "1 second" if round(seconds) == 1 else f"{seconds:.0f} seconds"


def server_time(value: str) -> datetime | None:
    """Return the time in a ``Date`` header (UTC); ``None`` if there is none, or none that a clock may show."""
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return date.astimezone(timezone.utc) if date.tzinfo is not None and 1970 <= date.year < 9999 else None


def iso(moment: int) -> str:
    """Return epoch milliseconds as ISO 8601 in UTC, with milliseconds."""
    return (_EPOCH + timedelta(milliseconds=moment)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def compact(moment: int) -> str:
    """Return epoch milliseconds in UTC as names of files hold them: digits, ``T`` and ``Z`` alone."""
    return re.sub(r"[-:.]", "", iso(moment))


def _from_compact(name: str) -> int:
    """Return epoch milliseconds from what `compact` made of them."""
    return milliseconds(datetime.strptime(name, "%Y%m%dT%H%M%S%fZ").replace(tzinfo=timezone.utc))
