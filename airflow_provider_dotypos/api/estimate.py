"""How many rows lists hold, by few requests: a total where the API counts them, otherwise page numbers.

An estimate is no walk. Rows that change meanwhile may be counted twice or not at all.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from airflow_provider_dotypos.api.entities import Entity, find_entity
from airflow_provider_dotypos.api.errors import DotyposError
from airflow_provider_dotypos.api.markers import LIVE_AND_DELETED
from airflow_provider_dotypos.api.page import Page, decode_row
from airflow_provider_dotypos.api.query import MAX_LIMIT, Triple
from airflow_provider_dotypos.api.reach import concerns_all_calls
from airflow_provider_dotypos.api.reading import Reader
from airflow_provider_dotypos.api.window import Window

#: Most requests of an estimate, the sign-in and a check of the cloud included.
MOST_REQUESTS = 60

#: Most requests for one list.
_MOST_FOR_A_LIST = 12

#: Most parents whose lists are counted, such as warehouses. The others are taken to be as long.
_MOST_PARENTS = 5

#: The factor from one page number to the next, until a page is empty.
_GALLOP = 16


@dataclass(frozen=True)
class Rows:
    """A number of rows, as far as it is known.

    :param least: there are at least so many.
    :param most: and at most so many; ``None`` if that isn't known.
    """

    least: int
    most: int | None

    @property
    def likely(self) -> int:
        """The number to reckon with."""
        return self.least if self.most is None else (self.least + self.most) // 2

    @property
    def precision(self) -> str:
        """How certain `likely` is: ``exact``, ``± 3 %`` or ``at least``."""
        if self.most is None:
            return "at least"
        if self.least == self.most:
            return "exact"
        return f"± {math.ceil((self.most - self.least) / (self.most + self.least) * 100)} %"


@dataclass(frozen=True)
class Look:
    """A page to look at.

    :param page: its number.
    :param limit: rows to ask for.
    """

    page: int
    limit: int


Counting: TypeAlias = Generator[Look, Page, Rows]


def count(entity: Entity, allowed: int = _MOST_FOR_A_LIST) -> Counting:
    """Count the rows of a list: yield what to look at, receive that page, return their number.

    The number of the last page is found by a gallop and then by bisection, of the numbers' logarithms: what counts is
    the error beside the number itself.

    :param allowed: most pages to look at, 1 or more.
    """
    if not entity.paged:
        page = yield Look(1, MAX_LIMIT)
        return Rows(len(page.rows), len(page.rows))
    if entity.totals:
        page = yield Look(1, 1)
        if not page.rows or page.total is not None:
            total = page.total or 0
            return Rows(total, total)
        allowed -= 1
    full, empty, size = 0, 0, MAX_LIMIT  # the last page known to be full, the first one known to be empty (0: none)
    while allowed and empty != full + 1:
        number = max(1, full * _GALLOP) if not empty else min(max(math.isqrt(full * empty), full + 1), empty - 1)
        page = yield Look(number, MAX_LIMIT)
        allowed -= 1
        if not page.rows:
            empty = number
        elif page.is_full(MAX_LIMIT, number):
            full, size = number, page.size(MAX_LIMIT)
        else:
            rows = (number - 1) * size + len(page.rows)
            return Rows(rows, rows)
    return Rows(full * size, (empty - 1) * size if empty else None)


def count_children(parents: Rows, page: Page, name: str) -> Rows:
    """Estimate how many children so many rows have, by those of one page.

    :param parents: the number of rows.
    :param page: some of them, with their children.
    :param name: the field that holds the children.
    """
    numbers = [len(row.get(name) or ()) for row in map(decode_row, page.rows)]
    if parents.most is not None and parents.most <= len(numbers):
        return Rows(sum(numbers), sum(numbers))
    if len(numbers) < 2:
        return Rows(sum(numbers), None)
    mean, error = statistics.fmean(numbers), 2 * statistics.stdev(numbers) / math.sqrt(len(numbers))
    most = None if parents.most is None else math.ceil(parents.most * (mean + error))
    return Rows(math.floor(parents.least * max(0.0, mean - error)), most)


@dataclass(frozen=True)
class Counted:
    """What is known of a list.

    :param rows: of all its lists, if it lies below several parents.
    :param lists: how many lists it is: one below each parent, such as a warehouse.
    """

    entity: Entity
    rows: Rows
    lists: int = 1


class ListCounter:
    """Counts the lists of one cloud, by at most `MOST_REQUESTS` requests in all.

    :param reader: reads the cloud.
    :param window: the window to count the rows of; ``None`` for all rows there are.
    :param shows_null: whether the filter for live and deleted rows is known to show rows whose marker is null.
    """

    def __init__(self, reader: Reader, window: Window | None = None, *, shows_null: bool = False) -> None:
        self._reader = reader
        self._window = window
        self._shows_null = shows_null
        self._counted: dict[str, Rows] = {}

    def lists(self, wanted: Iterable[Entity]) -> Iterator[tuple[Entity, Counted | DotyposError]]:
        """Yield each list with what is known of it, or with why it can't be read. Parents come before their children.

        :raises DotyposError: if all others would fail alike. What was yielded before holds.
        """
        waiting = sorted(wanted, key=lambda entity: (not entity.includes, entity.name))
        while waiting:
            entity = waiting.pop(0)
            try:
                counted = self._count(entity, allowed=self._left - sum(map(_least_requests, waiting)))
            except DotyposError as error:
                if concerns_all_calls(error):
                    raise
                yield entity, error
            else:
                self._counted[entity.name] = counted.rows
                yield entity, counted

    @property
    def _left(self) -> int:
        """The list calls left to make, if the client also signs in and checks the cloud."""
        return MOST_REQUESTS - 2 - self._reader.requests

    def _count(self, entity: Entity, allowed: int) -> Counted:
        if entity.parent is not None:
            return self._count_below_parents(entity, entity.parent.entity, allowed)
        if not entity.totals and (rows := self._count_as_children(entity)) is not None:
            return Counted(entity, rows)
        return Counted(entity, self._count_list(entity, allowed))

    def _count_list(self, entity: Entity, allowed: int, parent: str | None = None) -> Rows:
        counting = count(entity, max(1, min(allowed, _MOST_FOR_A_LIST)))
        look = next(counting)
        while True:
            page = self._reader.page(entity, self._conditions(entity), look.page, look.limit, parent=parent)
            try:
                look = counting.send(page)
            except StopIteration as end:
                rows: Rows = end.value
                return rows if self._is_counted_whole(entity) else Rows(rows.least, None)

    def _count_below_parents(self, entity: Entity, parent: str, allowed: int) -> Counted:
        """Count the rows below some of the parents, and take each of the others to have no fewer and no more."""
        parents = self._reader.page(find_entity(parent), (LIVE_AND_DELETED,))
        rows = [self._count_list(entity, 1, id) for id in parents.ids[: max(1, min(allowed - 1, _MOST_PARENTS))]]
        if not rows:
            return Counted(entity, Rows(0, 0), 0)
        lists = max(len(parents.ids), parents.total or 0)
        others = lists - len(rows)
        least = sum(cost.least for cost in rows) + others * min(cost.least for cost in rows)
        most = sum(cost.likely for cost in rows) + others * max(cost.likely for cost in rows)
        return Counted(entity, Rows(least, most if self._is_counted_whole(entity) else None), lists)

    def _count_as_children(self, entity: Entity) -> Rows | None:
        """Estimate a list by a page of rows that can include it, if their number is known."""
        for name, rows in self._counted.items():
            parent = find_entity(name)
            for field, child in parent.includes.items():
                if child.entity == entity.name:
                    middle = 1 + rows.likely // MAX_LIMIT // 2
                    page = self._reader.page(parent, self._conditions(parent), middle, include=field)
                    return count_children(rows, page, field)
        return None

    def _is_counted_whole(self, entity: Entity) -> bool:
        """Return whether one condition shows all rows of the window."""
        has_one_cursor = self._window is None or len(entity.cursors) < 2  # otherwise it is the window of the first
        return has_one_cursor and (not entity.deleted_filterable or self._counts_deleted(entity))

    def _counts_deleted(self, entity: Entity) -> bool:
        """Return whether live and deleted rows are counted; otherwise, where nulls were seen, those that aren't."""
        return entity.deleted_filterable and (self._shows_null or not entity.null_markers)

    def _conditions(self, entity: Entity) -> tuple[Triple, ...]:
        conditions: list[Triple] = []
        if self._counts_deleted(entity):
            conditions.append(LIVE_AND_DELETED)
        if self._window is not None and entity.cursors:
            edges = (("gteq", self._window.since), ("lt", self._window.until))
            conditions += [(entity.cursors[0], operator, str(edge)) for operator, edge in edges if edge is not None]
        return tuple(conditions)


def _least_requests(entity: Entity) -> int:
    return 1 if entity.parent is None else 2  # what it lies below is asked for as well
