"""Reading a whole list, deleted rows included, so that no row is missed that is there all the time. A flow.

The walk goes up to no end: a row's cursor only moves up, so a row that changes meanwhile lies ahead of the walk until a
page shows it. It may come twice then, and the later one counts. Only a row that is created while the list is read, and
shows late, can be missed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from itertools import pairwise

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.exchange import Exchange
from airflow_provider_dotypos.api.listing import ask_page, perform_walk, query_params
from airflow_provider_dotypos.api.page import EMPTY, Page
from airflow_provider_dotypos.api.places import ask_cloud
from airflow_provider_dotypos.api.steps import Flow
from airflow_provider_dotypos.api.streams import Piece, streams
from airflow_provider_dotypos.api.walk import Batch, Query
from airflow_provider_dotypos.api.window import DAY, OPEN_END, Window, milliseconds


def read_all(
    exchange: Exchange, entity: Entity, take: Callable[[Batch], None], *, parent: str | None = None
) -> Flow[None]:
    """Return the flow that reads all rows of a list.

    :param take: receives each batch of rows.
    :param parent: the id of what the entity lies below.
    :raises DotyposWalkError: if the answers can't be walked without losing rows.
    """
    path = entity.url_path(parent)
    for piece in _pieces(entity, milliseconds(exchange.now())):
        ask = functools.partial(ask_surely, exchange, entity, path, cursor=piece.stream.cursor)
        yield from perform_walk(entity, piece, exchange.patience.faults, ask, lambda batch, _: take(batch))


def ask_surely(exchange: Exchange, entity: Entity, path: str, query: Query, cursor: str | None = None) -> Flow[Page]:
    """Ask for a page, and once more if the answer may be that of a gateway in trouble, or of a wrong cloud.

    :param path: the list's path, from `Entity.url_path`.
    :param cursor: the field whose values become ``Page.cursors``.
    """
    params = query_params(entity, query)
    page = yield from ask_page(exchange, path, params, cursor)
    if page is EMPTY:
        if entity.in_cloud and not exchange.knows_cloud:
            yield from ask_cloud(exchange)
        page = yield from ask_page(exchange, path, params, cursor)
    return page


def _pieces(entity: Entity, now: int) -> Iterator[Piece]:
    """Yield what is to be walked. Where ranges are halved, the future comes in pieces of its own, as it is empty."""
    for stream in streams(entity, Window(None, OPEN_END)):
        cuts = (None, OPEN_END) if entity.cursor_sortable or stream.cursor is None else (None, now, now + DAY, OPEN_END)
        for low, high in pairwise(cuts):
            if high is not None:
                yield Piece(stream, low, high)
