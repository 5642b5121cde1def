"""One list call: what is sent for a query, and the page that its answer is; and a walk of such calls.

Flows, which both clients perform.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.errors import DotyposNotFoundError, DotyposValidationError
from airflow_provider_dotypos.api.exchange import Exchange
from airflow_provider_dotypos.api.headers import EMPTY_LISTS
from airflow_provider_dotypos.api.page import EMPTY, Page, check_page, read_page
from airflow_provider_dotypos.api.passes import Wait
from airflow_provider_dotypos.api.query import MAX_LIMIT, filter_text
from airflow_provider_dotypos.api.steps import Flow, Sleep
from airflow_provider_dotypos.api.streams import Piece
from airflow_provider_dotypos.api.walk import Batch, Query, walk


def query_params(entity: Entity, query: Query, include: str | None = None) -> dict[str, str | None]:
    """Return the query parameters that ask a walk's query.

    :param include: the child lists to nest, separated by commas.
    """
    if not entity.paged:
        return {}
    return {
        "limit": str(MAX_LIMIT),
        "page": str(query.page),
        "include": include,
        "filter": filter_text(query.conditions) or None,
        "sort": ",".join(query.sort) or None,
    }


def ask_page(
    exchange: Exchange,
    path: str,
    params: Mapping[str, str | None],
    cursor: str | None = None,
    earlier: tuple[str, ...] = (),
) -> Flow[Page]:
    """Return the flow that asks for a page of a list.

    :param path: the list's path, from `Entity.url_path`.
    :param cursor: the field whose values become ``Page.cursors``.
    :param earlier: fields whose values become ``Page.earlier``.
    """
    size, number = int(params.get("limit") or MAX_LIMIT), int(params.get("page") or 1)
    try:
        page = yield from exchange.flow(
            "GET",
            path,
            params=params,
            headers=EMPTY_LISTS,
            decode=lambda answer: replace(
                check_page(read_page(answer.body, cursor, earlier), size, number), etag=answer.headers.get("ETag")
            ),
        )
    except DotyposNotFoundError as error:
        # An empty list is a 404 with an empty body, also past the last page. With a body, the path is wrong.
        if error.refusal.empty:
            return EMPTY
        raise
    if not path.startswith("/"):
        exchange.note_cloud()
    return page


def perform_walk(
    entity: Entity,
    piece: Piece,
    patience: float,
    ask: Callable[[Query], Flow[Page]],
    take: Callable[[Batch, Page], None],
) -> Flow[None]:
    """Return the flow that walks a piece (see ``walk``).

    :param patience: seconds to wait, in all, for a list that changes during each reading.
    :param ask: asks one query.
    :param take: receives each batch, and the page that its rows are of.
    :raises DotyposWalkError: if the rows' order isn't stable.
    """
    page = EMPTY
    steps = walk(entity, piece, patience)
    step = next(steps, None)
    while step is not None:
        if isinstance(step, Query):
            try:
                page = yield from ask(step)
            except DotyposValidationError as refusal:
                step = steps.throw(refusal)
            else:
                step = steps.send(page)
            continue
        if isinstance(step, Wait):
            yield Sleep(step.seconds)
        else:
            take(step, page)
        step = next(steps, None)
