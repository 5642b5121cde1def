"""When branches are open."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos.exceptions import DotyposInputError
from airflow_provider_dotypos.sales.opening_hours import FARTHEST, OpeningHours
from tests.sales.shops import ms

HOUR = 3_600_000
WEEK = {
    "mon-fri": "08:00-12:00, 13:00-18:00",
    "sat": "09:00-14:00",
    7: {"mon-sun": "17:00-02:00"},
    8: {"sun": "closed"},
}
HOURS = OpeningHours.of(WEEK, "Europe/Prague", ["2026-03-04"])


@pytest.mark.parametrize(
    ("branch", "moment", "is_open"),
    [
        (1, "2026-03-02T08:00", True),  # a Monday
        (1, "2026-03-02T07:59", False),
        (1, "2026-03-02T12:00", False),
        (1, "2026-03-02T17:59", True),
        (1, "2026-03-04T10:00", False),  # a holiday
        (1, "2026-03-07T13:59", True),
        (1, "2026-03-08T10:00", False),
        (7, "2026-03-03T01:59", True),  # still Monday's
        (7, "2026-03-03T02:00", False),
        (7, "2026-03-04T01:00", True),  # the day before a holiday
        (7, "2026-03-04T20:00", False),
        (7, "2026-03-05T01:00", False),
        (8, "2026-03-02T10:00", False),
    ],
)
def test_it_is_open_by_weekday_branch_and_holiday(branch: int, moment: str, is_open: bool) -> None:
    assert HOURS.is_open(branch, ms(moment)) is is_open


def test_only_opening_hours_count_between_two_moments() -> None:
    assert HOURS.open_for(1, ms("2026-03-02T17:30"), ms("2026-03-03T08:30")) == HOUR
    assert HOURS.begin_of(1, ms("2026-03-03T08:30"), HOUR) == ms("2026-03-02T17:30")
    assert HOURS.open_for(1, ms("2026-03-07T13:00"), ms("2026-03-09T09:00")) == 2 * HOUR
    assert HOURS.open_for(1, ms("2026-03-03T18:00"), ms("2026-03-05T08:00")) == 0
    assert HOURS.begin_of(8, ms("2026-03-05T08:00"), 1) == ms("2026-03-05T08:00") - FARTHEST * 24 * HOUR


def test_a_night_in_which_clocks_change_has_its_own_length() -> None:
    bar = OpeningHours.of({"mon-sun": "22:00-06:00"}, "Europe/Prague")
    assert bar.open_for(1, ms("2026-03-28T20:00"), ms("2026-03-29T20:00")) == 7 * HOUR
    assert bar.open_for(1, ms("2026-10-24T20:00"), ms("2026-10-25T20:00")) == 9 * HOUR


def test_without_hours_a_branch_is_always_open_but_on_holidays() -> None:
    always = OpeningHours.of(None, "UTC", lambda day, branch: (day, branch) == (date(2026, 3, 4), 2))
    moment = round(datetime(2026, 3, 4, 12, tzinfo=ZoneInfo("UTC")).timestamp() * 1000)
    assert always.is_open(1, moment)
    assert not always.is_open(2, moment)
    assert always.open_for(1, moment - 30 * HOUR, moment) == 30 * HOUR
    assert always.open_for(2, moment - 30 * HOUR, moment) == 18 * HOUR


times = st.integers(0, 24 * 4 - 1).map(lambda quarter: f"{quarter // 4:02}:{quarter % 4 * 15:02}")
weeks = st.dictionaries(
    st.sampled_from(("mon", "tue", "wed", "thu", "fri", "sat", "sun")),
    st.tuples(times, times).map("-".join),
    max_size=7,
)
moments = st.integers(0, 14 * 24 * 60).map(lambda minute: ms("2026-03-22T00:00") + minute * 60_000)


@given(week=weeks, since=moments, until=moments)
def test_it_is_open_as_many_minutes_as_it_is_open_in(week: dict[str, str], since: int, until: int) -> None:
    hours = OpeningHours.of(week or {"mon": "closed"}, "Europe/Prague")
    since, until = min(since, until), max(since, until)
    since = max(since, until - 3 * 24 * HOUR)
    quarter = 15 * 60_000
    since, until = since // quarter * quarter, until // quarter * quarter
    expected = sum(quarter for moment in range(since, until, quarter) if hours.is_open(1, moment))
    assert hours.open_for(1, since, until) == expected
    if expected:
        begin = hours.begin_of(1, until, expected)
        assert hours.open_for(1, begin, until) == expected
        assert hours.is_open(1, begin)


@pytest.mark.parametrize(
    ("hours", "message"),
    [
        ("08:00-20:00", "must be a mapping such as"),
        ({"monday": "08:00-20:00"}, "must be weekdays, such as 'mon-fri'"),
        ({"mon": "8-20"}, "must be written like '08:00-20:00'"),
        ({"mon": "08:00-20:70"}, "must be written like"),
        ({"mon": "25:00-26:00"}, "must be written like"),
        ({"mon": "13:00-18:00, 08:00-12:00"}, "in order"),
        ({"mon": "08:00-12:00, 11:00-18:00"}, "in order"),
        ({"mon": "08:00-12:00, 13:00-09:00"}, "in order"),
        ({"mon": None}, "must be written like"),
        ({"mon-fri": "08:00-20:00", "fri": "08:00-22:00"}, "fri is named twice"),
        ({"x7": {"mon": "08:00-20:00"}}, "a branch in opening_hours"),
    ],
    ids=repr,
)
def test_hours_that_can_not_be_read_say_how_they_are_written(hours: Any, message: str) -> None:
    with pytest.raises(DotyposInputError, match=message):
        OpeningHours.of(hours, "Europe/Prague")


@pytest.mark.parametrize("holidays", ["2026-12-24", ["24.12.2026"], [20261224], 5], ids=repr)
def test_holidays_are_dates_or_a_function(holidays: Any) -> None:
    with pytest.raises(DotyposInputError, match="holidays"):
        OpeningHours.of(None, "Europe/Prague", holidays)


def test_a_moment_of_a_day_stands_for_the_day() -> None:
    day = datetime(2026, 3, 3, 15, tzinfo=ZoneInfo("UTC")) + timedelta(days=1)
    assert not OpeningHours.of(None, "Europe/Prague", [day]).is_open(1, ms("2026-03-04T10:00"))
