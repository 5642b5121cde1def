"""Finding the days that differ, by few reports. Tests `daily_sales`, too."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos.sales.business_days import BusinessHours
from airflow_provider_dotypos.sales.comparison import Comparison, Difference
from airflow_provider_dotypos.sales.daily_sales import DailySales
from airflow_provider_dotypos.sales.figures import Amounts, RowChoice, find_figures

HOURS = BusinessHours.of("Europe/Prague", "00:00")
DAYS = list(HOURS.days(HOURS.window("2026-03-01", "2026-04-01")))
BRANCH = 7


class Reports:
    """The reports of one branch.

    :ivar asked: the spans asked for, as numbers of days.
    """

    def __init__(self, daily: Mapping[int, int], bias: Callable[[int, int], int] = lambda first, last: 0) -> None:
        self.asked: list[tuple[int, int]] = []
        self._daily = daily
        self._bias = bias

    def __call__(self, branch: int, begins: int, ends: int) -> Amounts:
        first = next(i for i, day in enumerate(DAYS) if day.begins == begins)
        last = next(i for i, day in enumerate(DAYS, 1) if day.ends == ends)
        self.asked.append((first, last))
        amount = sum(self._daily.get(day, 0) for day in range(first, last)) + self._bias(first, last)
        return Decimal(amount), Decimal(0)


def held(daily: Mapping[int, int]) -> DailySales:
    figures = find_figures("order-items")
    sales = DailySales(DAYS, figures, RowChoice())
    for day, amount in daily.items():
        sales.add(BRANCH, day, (), (Decimal(amount), Decimal(0)))
    return sales


def days_that_differ(held_daily: Mapping[int, int], reports: Reports, max_reports: int = 100) -> list[tuple[int, int]]:
    found = Comparison(held(held_daily), reports, max_reports).differences(BRANCH)
    return [(difference.first, difference.last) for difference in found]


def test_one_report_is_enough_if_all_agree() -> None:
    reports = Reports({day: 100 + day for day in range(31)})
    assert days_that_differ({day: 100 + day for day in range(31)}, reports) == []
    assert reports.asked == [(0, 31)]


@pytest.mark.parametrize("day", range(31))
def test_one_day_of_a_month_takes_seven_reports_at_most(day: int) -> None:
    reports = Reports(dict.fromkeys(range(31), 100))
    assert days_that_differ({other: 100 for other in range(31) if other != day}, reports) == [(day, day + 1)]
    assert 5 <= len(reports.asked) <= 7  # the month, halves of it, and at last the day itself
    assert (day, day + 1) in reports.asked


@given(st.sets(st.integers(0, 30)), st.randoms(use_true_random=False))
def test_every_day_that_differs_is_found_and_no_other(wrong: set[int], rng: random.Random) -> None:
    # Powers of three: no differences cancel each other out.
    daily = dict.fromkeys(range(31), 1000)
    reports = Reports({day: amount + (3**day if day in wrong else 0) for day, amount in daily.items()})
    assert days_that_differ(daily, reports) == [(day, day + 1) for day in sorted(wrong)]
    assert len(reports.asked) <= 1 + 7 * max(len(wrong), 0)
    assert len(set(reports.asked)) == len(reports.asked) <= 47  # half as many again as days
    assert {(day, day + 1) for day in wrong} <= set(reports.asked)


def test_what_cancels_itself_out_is_not_seen() -> None:
    """It is documented: only days that are compared by themselves show it."""
    reports = Reports({3: 100, 20: 50})
    assert days_that_differ({3: 50, 20: 100}, reports) == []


def test_reports_that_do_not_add_up_make_no_difference_vanish() -> None:
    reports = Reports({}, bias=lambda first, last: 1 if last - first > 4 else 0)
    found = days_that_differ({}, reports)
    assert found  # no day differs by itself, but spans do
    assert all(last - first > 4 for first, last in found)


def test_reports_that_do_not_add_up_make_no_day_differ() -> None:
    reports = Reports({4: 7}, bias=lambda first, last: 1 if (first, last) == (0, 15) else 0)
    assert (4, 5) in days_that_differ({}, reports)
    assert all(last - first == 1 for first, last in days_that_differ({}, reports) if last <= 15)


def test_days_are_named_together_once_enough_reports_were_asked_for() -> None:
    reports = Reports({day: 3**day for day in range(31)})
    found = days_that_differ({}, reports, max_reports=5)
    assert len(reports.asked) == 6
    assert [day for first, last in found for day in range(first, last)] == list(range(31))
    none = Reports({4: 1})
    assert days_that_differ({}, none, max_reports=0) == [(0, 31)]
    assert len(none.asked) == 1


def test_a_difference_names_its_day_and_its_amounts_exactly() -> None:
    sales = held({28: 100})
    ask = lambda *_: (Decimal("100.10"), Decimal(0))  # noqa: E731
    (found,) = Comparison(sales, ask, 0).differences(BRANCH)
    shown = found.as_mapping(sales)
    assert (shown["day"], shown["last_day"]) == ("2026-03-01", "2026-03-31")
    assert shown["since"] == "2026-02-28T23:00:00.000Z"
    assert shown["until"] == "2026-03-31T22:00:00.000Z"
    assert shown["held"] == {"with VAT": "100", "without VAT": "0"}
    assert shown["report"] == {"with VAT": "100.1", "without VAT": "0"}
    assert shown["difference"] == {"with VAT": "-0.1", "without VAT": "0"}
    without = Difference(None, 28, 29, sales.between(None, 28, 29), None).as_mapping(sales)
    assert (without["branch_id"], without["day"], without["report"], without["difference"]) == (
        None,
        "2026-03-29",
        None,
        None,
    )


def test_a_row_belongs_to_the_day_it_was_completed_on() -> None:
    sales = held({})
    assert [sales.day_of(DAYS[28].begins + by) for by in (-1, 0, 1)] == [27, 28, 28]
    assert sales.day_of(DAYS[0].begins - 1) is None
    assert sales.day_of(DAYS[-1].ends) is None
