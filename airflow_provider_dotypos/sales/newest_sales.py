"""When each branch has sold something last: as a table or sets hold it, or as the cloud shows it by few requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import Any

from airflow_provider_dotypos.api.page import timestamp
from airflow_provider_dotypos.sales.business_days import BusinessDay
from airflow_provider_dotypos.sales.daily_sales import DailySales
from airflow_provider_dotypos.sales.figures import FIGURES, RowChoice

#: The list whose rows are sales.
ENTITY = "orders"

#: Rows of one request.
_PAGE = 100

#: Rows of a branch that are asked for to find its last sale: the newest ones may be movements of cash.
_OF_BRANCH = 20

#: Returns the rows of a list by a filter, the newest first, as the hook does.
NewestRows = Callable[[str, int], Iterator[Mapping[str, Any]]]


class NewestSales(DailySales):
    """Collects when each branch has sold something last. Readers of daily sales fill it: a moment is a day of its own.

    :param choice: which rows count.
    :param begins: from which moment on sales count, in epoch milliseconds.
    :param ends: the first moment after.
    :ivar newest: by branch, in epoch milliseconds.
    """

    def __init__(self, choice: RowChoice, begins: int, ends: int) -> None:
        whole = BusinessDay(date.min, begins, ends)
        super().__init__([whole], replace(FIGURES[ENTITY], fields=(), names=(), counted=False), choice)
        self.newest: dict[int, int] = {}

    def day_of(self, moment: int) -> int | None:
        """Return the moment itself, if it counts."""
        return moment if self.begins <= moment < self.ends else None

    def add(
        self, branch: int | None, day: int, deciding: Sequence[Any], sums: Sequence[Decimal], number: int = 1
    ) -> None:
        """Add rows of a branch, if they count.

        :param day: when the newest of them was completed.
        """
        if branch is not None and self.choice.counts(*deciding):
            self.newest[branch] = max(day, self.newest.get(branch, day))


def sales_choice(document_types: str | Sequence[str] | None) -> RowChoice:
    """Return which orders are sales.

    :param document_types: types of documents that count. ``None``: all but those that move cash or repeat receipts.
    """
    return RowChoice.of(FIGURES[ENTITY], document_types, count_canceled=True, count_unpaid=True)


def ask_newest(newest: NewestSales, branches: Mapping[int, int], ask: NewestRows) -> None:
    """Ask the cloud for the newest sales of branches: one request for all, and one for each that it doesn't show.

    :param branches: by branch, from when on a sale is new enough (epoch milliseconds).
    :param ask: asks for rows.
    """
    if branches:
        _add(newest, ask(f"completed|gteq|{min(branches.values())}", _PAGE), _PAGE)
    for branch in branches:
        if branch not in newest.newest:
            _add(newest, ask(f"_branchId|eq|{branch};completed|gteq|1", _OF_BRANCH), _OF_BRANCH)


def _add(newest: NewestSales, rows: Iterator[Mapping[str, Any]], most: int) -> None:
    for row in islice(rows, most):
        completed, branch = row.get("completed"), row.get("_branchId")
        if completed is not None and branch is not None:
            # A till whose clock is ahead has sold by now at the latest.
            moment = min(timestamp(completed), newest.ends - 1)
            newest.add(int(branch), moment, [row.get(name) for name in newest.choice.fields], ())
