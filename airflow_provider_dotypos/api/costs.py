"""What reading costs: requests from rows and streams, and time from requests. Arithmetic alone; nothing is asked."""

from __future__ import annotations

import math

from airflow_provider_dotypos.api.budget import Budget
from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.passes import MAX_EXCLUDED_CHARACTERS
from airflow_provider_dotypos.api.query import MAX_LIMIT
from airflow_provider_dotypos.api.streams import Stream, streams
from airflow_provider_dotypos.api.window import Window

#: Rows that a full page of a walk in order brings: its last row comes again with the next page (``walk``, 2).
_NEW_ROWS = MAX_LIMIT - 1

#: Characters that the id of a row takes in an address: most ids have 16 digits, and a comma follows.
_ID_CHARACTERS = 17


def stream_requests(entity: Entity, stream: Stream, rows: int) -> int:
    """Return how many requests it takes one thread to walk a stream of so many rows.

    Rows are taken to be spread evenly, a few in an instant. Many rows of one instant cost more.
    """
    if not entity.paged:
        return 1
    if stream.cursor is None:
        pages = rows // MAX_LIMIT + 1
        is_read_twice = pages > 1 and not _can_exclude(entity, rows)
        return pages * 2 if is_read_twice else pages
    if entity.cursor_sortable:
        return max(rows - 1, 0) // _NEW_ROWS + 1
    halvings = math.ceil(math.log2(rows / _NEW_ROWS)) if rows > _NEW_ROWS else 0
    return (2 << halvings) - 1


def list_requests(entity: Entity, window: Window, rows: int, *, one_filter: bool, lists: int = 1) -> int:
    """Return how many requests it takes one thread to read a window of a list, without the sign-in.

    Few rows are deleted or without a cursor, so each stream but the first is taken to be one page.

    :param rows: rows of the window, in all lists together.
    :param one_filter: whether live and deleted rows are one stream.
    :param lists: how many lists it is: one below each parent.
    """
    first, *others = (
        stream
        for stream in streams(entity, window, one_filter=one_filter)
        if stream.cursor is not None or not entity.cursors or window.since is None
    )
    requests = stream_requests(entity, first, -(-rows // max(lists, 1))) + len(others)
    if window.since is None:  # what changed meanwhile is read as well
        requests += sum(stream.cursor is not None for stream in (first, *others))
    parents = 0 if entity.parent is None else 1 if one_filter and window.since is not None else 2
    return requests * lists + parents


def nested_requests(entity: Entity, requests: int) -> int:
    """Return how many requests a list takes as a part of a history, in which orders bring their items and payments.

    :param requests: what it takes by itself.
    """
    # Orders are read to their open end. Of what they bring, pages are compared, and payments without an order are read.
    return {"orders": requests + 1, "order-items": 2, "money-logs": 3}.get(entity.name, requests)


def seconds_needed(requests: int, budget: Budget) -> float:
    """Return the seconds that a budget makes so many requests take, if nothing of it is used."""
    return max(0, math.ceil(requests / budget.requests) - 1) * budget.seconds


def _can_exclude(entity: Entity, rows: int) -> bool:
    """Return whether one address has room to exclude all of the rows by their ids."""
    return "in" in entity.fields["id"].operators and rows * _ID_CHARACTERS <= MAX_EXCLUDED_CHARACTERS
