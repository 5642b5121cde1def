"""Looking rows up by the values of a field, up to a hundred a request. A flow, which both clients perform.

**Rows that aren't deleted first.** A list without a filter on ``deleted`` shows all of them, those with a null marker
included. What it doesn't show is asked for once more with ``deleted|in|0,1``: it is deleted, or there is none. In the
other order a row with a null marker would be missed beside a deleted one of the same key, as that filter may hide null
markers [U]. So a value for which nothing comes back was asked for twice, by two filters.

**Whole answers only.** More rows than a page shows may have the values of one request. An answer counts if it says
itself that it shows all. Otherwise its values are halved, and the rows of a single value are read by excluding those
seen (``walk``).

https://docs.api.dotypos.com/api-reference/general/filter
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias
from urllib.parse import quote

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.exchange import Exchange
from airflow_provider_dotypos.api.listing import ask_page, perform_walk, query_params
from airflow_provider_dotypos.api.markers import LIVE_AND_DELETED
from airflow_provider_dotypos.api.page import EMPTY, Page, decode_row
from airflow_provider_dotypos.api.places import ask_cloud
from airflow_provider_dotypos.api.query import MAX_LIMIT, Triple, conditions
from airflow_provider_dotypos.api.steps import Flow
from airflow_provider_dotypos.api.streams import Piece, Stream
from airflow_provider_dotypos.api.walk import Batch, Query

Row: TypeAlias = dict[str, Any]

#: Texts that mean something else in a filter, and characters for which it has no escape.
_NO_VALUES, _NO_ESCAPE = frozenset({"", "null", "notnull"}), frozenset(",;|")

#: Most characters that the values of one request may take in its address: 100 values of 256 got a 414.
_ROOM = 4000


def look_up(
    exchange: Exchange, entity: Entity, field: str, values: Iterable[str], *, parent: str | None = None
) -> Flow[dict[str, list[Row]]]:
    """Return the flow that returns the rows with each of some values, by the value. A value without rows is missing.

    Deleted rows come only for values that no other row has.

    :param field: the field, of which the API allows ``in``.
    :param values: the values as text, in the API's form. A row of a list field has the values of its entries.
    :param parent: the id of what the entity lies below, such as a warehouse.
    :raises DotyposInputError: if the API doesn't allow such a filter, or has no escape for a value.
    """
    asked = _Asked(exchange, entity, parent)
    wanted = dict.fromkeys(values)
    rows = yield from asked.rows_of(field, wanted, ())
    missing = [value for value in wanted if value not in rows]
    if entity.deleted_filterable and missing:
        rows |= yield from asked.rows_of(field, missing, (LIVE_AND_DELETED,))
    return rows


def can_be_asked(value: str) -> bool:
    """Return whether a filter can name a value: the API has no escape for the characters that divide it [U]."""
    return value not in _NO_VALUES and _NO_ESCAPE.isdisjoint(value)


def groups(values: Iterable[str]) -> Iterator[list[str]]:
    """Yield the values in as many groups as requests are needed."""
    group: list[str] = []
    room = _ROOM
    for value in values:
        length = len(quote(value)) + 1
        if group and (len(group) == MAX_LIMIT or length > room):
            yield group
            group, room = [], _ROOM
        group.append(value)
        room -= length
    if group:
        yield group


class _Asked:
    """One list that is asked for rows."""

    def __init__(self, exchange: Exchange, entity: Entity, parent: str | None) -> None:
        self._exchange = exchange
        self._entity = entity
        self._path = entity.url_path(parent)

    def rows_of(self, field: str, values: Iterable[str], further: tuple[Triple, ...]) -> Flow[dict[str, list[Row]]]:
        """Ask for the rows with some values under further conditions."""
        wanted = dict.fromkeys(values)
        rows_of: dict[str, list[Row]] = {}
        known: set[str] = set()
        waiting = [*groups(wanted)][::-1]
        while waiting:
            group = waiting.pop()
            terms = (*conditions(self._entity, [(field, "in", group)]), *further)
            page = yield from self._ask(Query(terms))
            if _shows_all(page):
                rows = dict(zip(page.ids, map(decode_row, page.rows), strict=True))
            elif len(group) > 1:
                half = len(group) // 2
                waiting += [group[half:], group[:half]]
                continue
            else:
                rows = yield from self._read_whole(terms)
            for id, row in rows.items():
                if id not in known:  # otherwise it has two of the values
                    known.add(id)
                    for value in _texts(row.get(field)):
                        if value in wanted:
                            rows_of.setdefault(value, []).append(row)
        return rows_of

    def _ask(self, query: Query) -> Flow[Page]:
        """Ask for a page, and once more if the answer may be that of a gateway in trouble, or of a wrong cloud."""
        params = query_params(self._entity, query)
        page = yield from ask_page(self._exchange, self._path, params)
        if page is EMPTY:
            if self._entity.in_cloud and not self._exchange.knows_cloud:
                yield from ask_cloud(self._exchange)
            page = yield from ask_page(self._exchange, self._path, params)
        return page

    def _read_whole(self, terms: tuple[Triple, ...]) -> Flow[dict[str, Row]]:
        """Read all rows that meet some conditions, by their ids, whatever changes meanwhile."""
        rows: dict[str, Row] = {}

        def take(batch: Batch, page: Page) -> None:
            rows.update(zip(batch.ids, map(decode_row, batch.rows), strict=True))

        piece = Piece(Stream("rows", terms, None), None, 0)  # without a cursor its end doesn't matter
        yield from perform_walk(self._entity, piece, self._exchange.patience.faults, self._ask, take)
        return rows


def _shows_all(page: Page) -> bool:
    """Return whether a page shows all rows of its query. Of a full one only its total says so."""
    return not page.is_full(MAX_LIMIT) or (page.total is not None and not page.promises_more(MAX_LIMIT))


def _texts(value: Any) -> list[str]:
    """Return a row's value as texts: of a list one for each entry."""
    entries = value if isinstance(value, list) else [value]
    return [str(entry) for entry in entries if entry is not None]
