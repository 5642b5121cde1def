"""Finding the days that differ by few reports: the whole span first, halves of it only where it differs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from airflow_provider_dotypos.api.window import iso
from airflow_provider_dotypos.sales.daily_sales import DailySales
from airflow_provider_dotypos.sales.figures import Amounts, difference, shown


@dataclass(frozen=True)
class Difference:
    """A day of a branch, or days that weren't divided further, on which the figures differ.

    :param branch: ``None``: of rows without a branch, which no report shows.
    :param first: number of the first day.
    :param last: number of the last day, plus one.
    :param report: ``None``: there is no such branch.
    """

    branch: int | None
    first: int
    last: int
    held: Amounts
    report: Amounts | None

    def as_mapping(self, sales: DailySales) -> dict[str, Any]:
        """Return it as a task returns it: amounts are text, so that they stay exact."""
        begin, end = sales.days[self.first], sales.days[self.last - 1]
        more = None if self.report is None else difference(self.held, self.report)
        held, report, apart = (
            None if amounts is None else dict(zip(sales.figures.names, map(shown, amounts), strict=True))
            for amounts in (self.held, self.report, more)
        )
        return {
            "branch_id": self.branch,
            "day": begin.date.isoformat(),
            "last_day": end.date.isoformat(),
            "since": iso(begin.begins),
            "until": iso(end.ends),
            "held": held,
            "report": report,
            "difference": apart,
        }


class Comparison:
    """Compares sales with reports.

    :param ask: returns the report's figures of a branch between two moments (epoch milliseconds).
    :param max_reports: how many reports are asked for to divide spans that differ, over all branches. Each branch's
        whole span is asked for besides.
    """

    def __init__(self, sales: DailySales, ask: Callable[[int, int, int], Amounts], max_reports: int) -> None:
        self._sales = sales
        self._ask = ask
        self._left = max_reports

    def differences(self, branch: int) -> list[Difference]:
        """Return the days of a branch that differ, the fewest days at a time that could be found out."""
        whole = len(self._sales.days)
        report = self._report(branch, 0, whole)
        return [] if self._agrees(branch, 0, whole, report) else self._divide(branch, 0, whole, report, asked=True)

    def _divide(self, branch: int, first: int, last: int, report: Amounts, *, asked: bool) -> list[Difference]:
        """Return which of the days ``[first, last)`` differ.

        One half of them is asked for; the other half's report is what remains. That halves the requests. But what is
        shown of a day comes from its own report: a sum's remainder would be wrong if reports didn't add up. If no part
        of what differs does so by itself, the days are shown together.

        :param report: the report of these days.
        :param asked: whether it is one, and no remainder.
        """
        if last - first > 1 and self._left > 0:
            middle = (first + last) // 2
            left = self._further(branch, first, middle)
            halves = ((first, middle, left, True), (middle, last, difference(report, left), False))
            parts = [
                day
                for begin, end, part, own in halves
                if not self._agrees(branch, begin, end, part)
                for day in self._divide(branch, begin, end, part, asked=own)
            ]
            if parts:
                return parts
        if not asked and self._left > 0:
            report = self._further(branch, first, last)
        if self._agrees(branch, first, last, report):
            return []
        return [Difference(branch, first, last, self._held(branch, first, last, report), report)]

    def _agrees(self, branch: int, first: int, last: int, report: Amounts) -> bool:
        return self._held(branch, first, last, report) == report

    def _held(self, branch: int, first: int, last: int, report: Amounts) -> Amounts:
        """Return the sales of some days as a report would show them."""
        return self._sales.figures.as_report(self._sales.between(branch, first, last), report)

    def _further(self, branch: int, first: int, last: int) -> Amounts:
        self._left -= 1
        return self._report(branch, first, last)

    def _report(self, branch: int, first: int, last: int) -> Amounts:
        days = self._sales.days
        return self._ask(branch, days[first].begins, days[last - 1].ends)


def spoken_difference(difference: Mapping[str, Any]) -> str:
    """Return a difference for people.

    :param difference: as a task returns it.
    """
    first, last = difference["day"], difference["last_day"]
    days = first if first == last else f"{first} to {last}"
    branch, report = difference["branch_id"], difference["report"]
    if report is not None:
        apart = difference["difference"]
        figures = [
            f"{name} {amount}" + (f" instead of {report[name]} ({apart[name]})" if Decimal(apart[name]) else "")
            for name, amount in difference["held"].items()
        ]
        return f"branch {branch}, {days}: {', '.join(figures)}"
    why = "rows without a branch" if branch is None else f"branch {branch}, which Dotypos doesn't know"
    amounts = ", ".join(f"{name} {amount}" for name, amount in difference["held"].items())
    return f"{why}, {days}: {amounts}"
