"""Asking for sales reports: one a branch and span."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow_provider_dotypos.api.errors import DotyposNotFoundError
from airflow_provider_dotypos.api.window import iso
from airflow_provider_dotypos.sales.comparison import Comparison, Difference
from airflow_provider_dotypos.sales.daily_sales import DailySales
from airflow_provider_dotypos.sales.figures import Amounts, total

if TYPE_CHECKING:
    from airflow_provider_dotypos.hooks.dotypos import DotyposHook


class ReportedSales:
    """Asks for reports, and counts them.

    :ivar reports: how many were asked for.
    """

    def __init__(self, hook: DotyposHook, sales: DailySales) -> None:
        self.reports = 0
        self._hook = hook
        self._sales = sales

    def branches(self) -> set[int]:
        """Return the cloud's branches that aren't deleted."""
        return {int(row["id"]) for row in self._hook.rows("branches")}

    def differences(self, branches: Iterable[int | None], max_reports: int) -> list[Difference]:
        """Return the days on which the sales differ from the report.

        :param branches: which to compare; ``None``: rows without a branch.
        :param max_reports: see `Comparison`.
        """
        comparison = Comparison(self._sales, self._ask, max_reports)
        differing: list[Difference] = []
        for branch in sorted(branches, key=lambda branch: (branch is None, branch)):
            if branch is None:
                differing.append(self._without_report(None))
                continue
            try:
                differing += comparison.differences(branch)
            except DotyposNotFoundError:
                differing.append(self._without_report(branch))
        return differing

    def _without_report(self, branch: int | None) -> Difference:
        whole = len(self._sales.days)
        return Difference(branch, 0, whole, self._sales.between(branch, 0, whole), None)

    def _ask(self, branch: int, begins: int, ends: int) -> Amounts:
        self.reports += 1
        figures = self._sales.figures
        try:
            amounts: Amounts = self._hook.request(
                "GET",
                f"branches/{branch}/sales-report",
                params={"dateFrom": iso(begins), "dateTo": iso(ends)},
                decode=lambda answer: figures.read(answer.body),
            )
            return amounts
        except DotyposNotFoundError as error:
            if not error.refusal.empty:
                raise
            # As an empty list is answered. Of a branch that has sales, this differs, too.
            return total((), len(figures.names))
