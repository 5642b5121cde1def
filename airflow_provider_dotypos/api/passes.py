"""Reading rows that no value divides: by excluding those seen, and by page numbers where they are too many for that.

Pure: a plan yields the number of the page to read next, receives that page, and returns whether it has certainly seen
every row that stayed.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from airflow_provider_dotypos.api.errors import DotyposValidationError
from airflow_provider_dotypos.api.page import Page
from airflow_provider_dotypos.api.query import MAX_LIMIT, Triple

#: Most characters of ids that one address excludes. The longest URL is unknown [U]; most servers take 8 KB.
MAX_EXCLUDED_CHARACTERS = 6000

#: Seconds before a second pair of passes, and the factor of each further wait.
FIRST_PAUSE, GROWTH = 2.0, 3.0


@dataclass(frozen=True)
class Wait:
    """A pause in which nothing is read."""

    seconds: float


Plan: TypeAlias = Generator["int | Wait", Page, bool]


def there_and_back() -> Plan:
    """Read rows that may leave, but never come: from the first page to the last, and back to the first.

    In a stable order a row that stays only moves up, as rows before it leave. So the number of its page never grows.
    When the last page, N, is read, every such row is on N or a page before it. Then the pages N, N-1, …, 1 are read.
    Each time, a row that stays is on the page read or on one before it: this holds when N is read, and if the row isn't
    on page k when k is read, it is before k, and still is when k-1 is read. When page 1 is read, it can only be there.
    So it is met, however many rows leave meanwhile.

    The order itself shows whether it is stable. No row comes twice on the way there. The rows of a page come back in
    the order in which they went. At most as many rows are new on the way back as are gone, for each row that leaves
    hides at most one. And the last page, read again, must still be the last.
    """
    ids, last = yield from _pass_through()
    places = {id: place for place, id in enumerate(ids)}
    if len(places) < len(ids):
        return False
    if last == 1:
        return True  # one answer showed all
    met: set[str] = set()
    for number in range(last, 0, -1):
        page = yield number
        order = [places[id] for id in page.ids if id in places]
        if order != sorted(order) or (number == last and page.is_full(MAX_LIMIT, number)):
            return False
        met.update(page.ids)
    return len(met - places.keys()) <= len(places.keys() - met)


def until_two_agree(patience: float, paged: bool = True) -> Plan:
    """Read rows that may come and leave, until two passes in a row show the same rows, each once.

    A row that leaves can hide another from one pass, but not from two: the first pass read it before it left, the
    second doesn't show it, so the two differ. After two passes that differ there is a pause.

    :param patience: seconds to wait in all.
    :param paged: whether the list has pages.
    """
    previous: set[str] | None = None
    pause, waited = FIRST_PAUSE, 0.0
    while True:
        ids, last = yield from _pass_through(paged)
        distinct = set(ids) if len(set(ids)) == len(ids) else None
        if last == 1 or (distinct is not None and distinct == previous):
            return True
        if previous is None and distinct is not None:
            previous = distinct
            continue
        waited += pause
        if waited > patience:
            return False
        yield Wait(pause)
        pause *= GROWTH
        previous = None


def _pass_through(paged: bool = True) -> Generator[int | Wait, Page, tuple[list[str], int]]:
    """Read the pages up to a short one or one without new rows; return all ids and the number of the last page."""
    ids: list[str] = []
    met: set[str] = set()
    size = MAX_LIMIT
    number = 0
    while True:
        number += 1
        page = yield number
        is_new = not met.issuperset(page.ids)
        met.update(page.ids)
        ids += page.ids
        if not (paged and is_new and page.is_full(size, number)):
            return ids, number
        if page.promises_more(size, number):
            size = min(size, len(page.rows))  # the server caps pages, and may not say so


def excludable(ids: Iterable[str]) -> list[str]:
    """Return as many of the ids as one address can exclude."""
    room = MAX_EXCLUDED_CHARACTERS
    excluded = []
    for id in ids:
        room -= len(id) + 1
        if room < 0:
            break
        excluded.append(id)
    return excluded


def excluding(ids: Sequence[str]) -> tuple[Triple, ...]:
    """Return the conditions that exclude the ids."""
    return (("id", "notin", ",".join(ids)),) if ids else ()


def spared_fields(names: tuple[str, ...], refusal: DotyposValidationError) -> tuple[str, ...]:
    """Return the sort fields that a refusal doesn't name; none of them if it names none."""
    said = [refusal.refusal.message, *(text for violation in refusal.violations for text in violation)]
    named = set(re.findall(r"\w+", " ".join(filter(None, said))))
    spared = tuple(name for name in names if name not in named)
    return spared if len(spared) < len(names) else ()
