"""What a shop counts as one day."""

from __future__ import annotations

import itertools
from datetime import date, datetime, timezone
from typing import Any

import pytest

from airflow_provider_dotypos.api.window import iso
from airflow_provider_dotypos.exceptions import DotyposInputError
from airflow_provider_dotypos.sales.business_days import BusinessHours

HOUR = 3_600_000


def edges(since: Any, until: Any, day_starts: str = "00:00", zone: str = "Europe/Prague") -> list[tuple[str, str, str]]:
    hours = BusinessHours.of(zone, day_starts)
    days = hours.days(hours.window(since, until))
    return [(str(day.date), iso(day.begins)[:16], iso(day.ends)[:16]) for day in days]


def test_days_begin_at_midnight_of_the_shops_clocks() -> None:
    assert edges("2026-03-28", "2026-03-31") == [
        ("2026-03-28", "2026-03-27T23:00", "2026-03-28T23:00"),
        ("2026-03-29", "2026-03-28T23:00", "2026-03-29T22:00"),  # clocks go forward: 23 hours
        ("2026-03-30", "2026-03-29T22:00", "2026-03-30T22:00"),
    ]
    assert edges(date(2026, 10, 25), date(2026, 10, 26)) == [("2026-10-25", "2026-10-24T22:00", "2026-10-25T23:00")]


def test_a_shop_that_closes_after_midnight_begins_its_days_later() -> None:
    assert edges("2026-03-28", "2026-03-30", "04:00") == [
        ("2026-03-28", "2026-03-28T03:00", "2026-03-29T02:00"),
        ("2026-03-29", "2026-03-29T02:00", "2026-03-30T02:00"),
    ]


@pytest.mark.parametrize(("day", "begins"), [("2026-03-29", "2026-03-29T01:30"), ("2026-10-25", "2026-10-25T00:30")])
def test_a_beginning_that_clocks_skip_or_repeat_is_one_moment(day: str, begins: str) -> None:
    hours = BusinessHours.of("Europe/Prague", "02:30")
    first, *_ = hours.days(hours.window(day, "2026-12-01"))
    assert (str(first.date), iso(first.begins)[:16]) == (day, begins)


def test_instants_cut_the_first_and_the_last_day() -> None:
    since = datetime(2026, 3, 28, 1, tzinfo=timezone.utc)
    assert edges(since, "2026-03-29T12:00:00+02:00", "04:00") == [
        ("2026-03-27", "2026-03-28T01:00", "2026-03-28T03:00"),
        ("2026-03-28", "2026-03-28T03:00", "2026-03-29T02:00"),
        ("2026-03-29", "2026-03-29T02:00", "2026-03-29T10:00"),
    ]


def test_a_year_has_no_gap_and_no_day_twice() -> None:
    hours = BusinessHours.of("Europe/Prague", "03:00")
    days = list(hours.days(hours.window("2026-01-01", "2027-01-01")))
    assert len({day.date for day in days}) == len(days) == 365
    assert all(day.ends == following.begins for day, following in itertools.pairwise(days))
    assert sorted({(day.ends - day.begins) // HOUR for day in days}) == [23, 24, 25]


def test_the_last_whole_days_before_a_moment() -> None:
    hours = BusinessHours.of("Europe/Prague", "04:00")
    early = datetime(2026, 3, 30, 1, 59, tzinfo=timezone.utc)  # 03:59, still the day before
    assert [str(day.date) for day in hours.days(hours.last_days(2, early))] == ["2026-03-27", "2026-03-28"]
    assert [str(day.date) for day in hours.days(hours.last_days(1, early.replace(hour=2)))] == ["2026-03-29"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("2026-03-29", "2026-03-29"), "empty"),
        (("2026-03-30", "2026-03-29"), "reversed"),
        (("yesterday", "2026-03-29"), "since must be"),
        (("2026-02-30", "2026-03-29"), "calendar"),
        ((datetime(2026, 3, 1), "2026-03-29"), "since has no time zone"),
        (("2026-03-01", "2026-03-29", "24:00"), "day_starts"),
        (("2026-03-01", "2026-03-29", 4), "day_starts"),
        (("2026-03-01", "2026-03-29", "04:00", "Prague"), "IANA"),
    ],
    ids=str,
)
def test_what_is_no_span_is_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(DotyposInputError, match=message):
        edges(*arguments)
