"""What applying a plan costs: requests, and the time that they take of the request budget. Arithmetic alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_dotypos.api.budget import KNOWN_LIMIT, Budget
from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.window import duration
from airflow_provider_dotypos.writes.plan import ACTIONS


def price(entity: Entity, counts: Mapping[Any, int], create: str | None = None) -> dict[str, int]:
    """Return how many requests a plan takes if nothing gets in its way: ``patch`` row by row, ``put`` by lists.

    An update is a GET and a PATCH, or for a whole list a GET and a PUT. The first list has one row. A create is a PUT
    of its own, or a part of a list. By POST it costs look-ups by its key as well, whichever way. A delete is a GET and
    a DELETE, whichever way, also one that anonymizes.

    :param counts: how many rows there are of each op.
    :param create: how rows are created: ``put`` or ``post``. Defaults to ``put`` where the API can do that.
    """
    updates, creates, *deletions = (counts.get(op, 0) for op in ACTIONS)
    deletes = sum(deletions)
    writes = entity.writes
    by_row = by_lists = 2 * deletes
    if create == "post" or (create is None and "PUT" not in writes.row_methods):
        posts = _lists(creates, writes.batch_limit if writes.posts_array else 1)
        # Before each POST its keys are looked up among live rows; then the cloud is asked for, and deleted rows.
        by_row = by_lists = by_row + posts * (4 if entity.deleted_filterable else 2)
        creates = 0
    by_row += 2 * updates + creates
    if "PUT" not in writes.list_methods:
        return {"patch": by_row, "put": by_row}
    by_lists += 2 * _lists(updates, writes.batch_limit) + _lists(creates, writes.batch_limit)
    return {"patch": by_row, "put": by_lists}


def spoken_price(requests: Mapping[str, int], budget: Budget | None = None) -> str:
    """Return what applying costs for people: ``600 requests by PATCH (2 hours at 150/30min), 8 by list PUT``.

    :param requests: the requests of each way.
    :param budget: the connection's. Defaults to the limit that the API is known to have.
    """
    budget = budget or KNOWN_LIMIT
    ways = {"by PATCH": requests["patch"], "by list PUT": requests["put"]}
    if requests["patch"] == requests["put"]:
        ways = {"": requests["patch"]}
    texts: list[str] = []
    for way, count in ways.items():
        noun = "" if texts else " request" if count == 1 else " requests"
        windows = -(-count // budget.requests)
        time = f" ({duration(windows * budget.seconds)} at {budget})" if windows > 1 else ""
        texts.append(f"{count:,}{noun}{' ' if way else ''}{way}{time}")
    return ", ".join(texts)


def _lists(rows: int, limit: int) -> int:
    """Return how many lists so many rows make, the first of which has one row."""
    return min(rows, 1) + -(-max(rows - 1, 0) // limit)
