"""Sales by branch and business day, as a table or files hold them."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from airflow_provider_dotypos.sales.business_days import BusinessDay
from airflow_provider_dotypos.sales.figures import Amounts, Figures, RowChoice, total


class DailySales:
    """Collects the sales of rows.

    :param days: the days, each of which begins where the one before ends.
    :param choice: which rows count.
    """

    def __init__(self, days: Sequence[BusinessDay], figures: Figures, choice: RowChoice) -> None:
        self.days = days
        self.figures = figures
        self.choice = choice
        self._begins = [day.begins for day in days]
        self._amounts: defaultdict[tuple[int | None, int], list[Amounts]] = defaultdict(list)

    @property
    def begins(self) -> int:
        """The first moment of the first day."""
        return self.days[0].begins

    @property
    def ends(self) -> int:
        """The first moment after the last day."""
        return self.days[-1].ends

    @property
    def branches(self) -> set[int | None]:
        """The branches that have sales; rows may have none."""
        return {branch for branch, _ in self._amounts}

    def day_of(self, moment: int) -> int | None:
        """Return the number of the day that a moment belongs to, from 0; ``None`` if to none."""
        return bisect_right(self._begins, moment) - 1 if self.begins <= moment < self.ends else None

    def add(
        self, branch: int | None, day: int, deciding: Sequence[Any], sums: Sequence[Decimal], number: int = 1
    ) -> None:
        """Add some rows, if they count.

        :param deciding: values of the fields that decide whether they count, which they have in common.
        :param sums: of the fields that are summed.
        :param number: how many rows there are.
        """
        if self.choice.counts(*deciding):
            self._amounts[branch, day].append((*sums, Decimal(number)) if self.figures.counted else tuple(sums))

    def between(self, branch: int | None, first: int, last: int) -> Amounts:
        """Return the sales of a branch on the days ``[first, last)``."""
        chosen = (amounts for day in range(first, last) for amounts in self._amounts.get((branch, day), ()))
        return total(chosen, len(self.figures.names))
