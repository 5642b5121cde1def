"""Looking rows up by their keys, up to a hundred a request. Flows, which both clients perform.

**Rows that aren't deleted first.** A list without a filter on ``deleted`` shows all of them, those with a null marker
included. What it doesn't show is asked for once more with ``deleted|in|0,1``: it is deleted, or there is none. In the
other order a row with a null marker would be missed beside a deleted one of the same key, as that filter may hide null
markers [U]. So a key for which nothing comes back was asked for twice, by two filters.

**Whole answers only.** More rows than a page shows may have the values of one request. An answer counts if it says
itself that it shows all. Otherwise its values are halved, and the rows of a single value are read by excluding those
seen (``walk``).

**What no filter can ask for**: a field that the API can't filter by ``in``, and values with a character that a filter
may read in its own way. For these the whole list is read (``read_all``).

https://docs.api.dotypos.com/api-reference/general/filter
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, TypeAlias
from urllib.parse import quote

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.exchange import Exchange
from airflow_provider_dotypos.api.listing import perform_walk
from airflow_provider_dotypos.api.markers import LIVE_AND_DELETED
from airflow_provider_dotypos.api.page import Page, decode_row
from airflow_provider_dotypos.api.places import ask_cloud
from airflow_provider_dotypos.api.query import MAX_LIMIT, Triple, conditions
from airflow_provider_dotypos.api.steps import Flow
from airflow_provider_dotypos.api.streams import Piece, Stream
from airflow_provider_dotypos.api.walk import Batch, Query
from airflow_provider_dotypos.writes.judging import is_deleted
from airflow_provider_dotypos.writes.keys import Key, row_keys
from airflow_provider_dotypos.writes.read_all import ask_surely, read_all

Row: TypeAlias = dict[str, Any]

#: Texts that mean something else in a filter, and characters that divide it or may escape the next one [U].
_NO_VALUES, _ODD = frozenset({"", "null", "notnull"}), frozenset(",;|\\")

#: Most characters that the values of one request may take in its address: 100 values of 256 got a 414.
_ROOM = 4000


def look_up(
    exchange: Exchange, entity: Entity, field: str, values: Iterable[str], *, parent: str | None = None
) -> Flow[dict[str, list[Row]]]:
    """Return the flow that returns the rows with each of some values, by the value. A value without rows is missing.

    Deleted rows come only for values that no other row has.

    :param field: the field, such as ``id``.
    :param values: the values as text, in the API's form. A row of a list field has the values of its entries.
    :param parent: the id of what the entity lies below, such as a warehouse.
    """
    rows = yield from rows_by_key(exchange, entity, (field,), ((value,) for value in values), parent=parent)
    return {value: rows for (value,), rows in rows.items()}


def rows_by_key(
    exchange: Exchange,
    entity: Entity,
    match: Sequence[str],
    keys: Iterable[Key],
    *,
    parent: str | None = None,
    all_deleted: bool = False,
    surely: bool = False,
) -> Flow[dict[Key, list[Row]]]:
    """Return the flow that returns the rows with each of some keys, by the key. A key without rows is missing.

    :param match: the fields that a key is made of.
    :param keys: the keys, one text for each field.
    :param parent: the id of what the entity lies below, such as a warehouse.
    :param all_deleted: whether all deleted rows come. Defaults to those of keys that no other row has.
    :param surely: whether the cloud has to answer before it is believed that no key has a row: an empty list looks like
        a gateway that finds no server. For what creates rows.
    """
    wanted = dict.fromkeys(keys)
    index = asked_index(entity, match, wanted)
    asked = [key for key in wanted if index is not None and can_be_asked(key[index])]
    rows: dict[Key, list[Row]] = {}
    if index is not None and asked:
        list_ = _List(exchange, entity, parent)
        shown = yield from list_.rows(match[index], (key[index] for key in asked))
        rows = _by_key(entity, match, asked, shown)
        missing = [key for key in asked if all_deleted or key not in rows]
        if entity.deleted_filterable and missing:
            if surely and not shown:
                yield from ask_cloud(exchange)
            values = (key[index] for key in missing)
            marked = yield from list_.rows(match[index], values, (LIVE_AND_DELETED,))
            each = {row["id"]: row for row in (*shown, *marked)}
            rows |= _by_key(entity, match, missing, each.values())
    if others := wanted.keys() - set(asked):
        whole: dict[str, Row] = {}

        def take(batch: Batch) -> None:
            decoded = zip(batch.ids, map(decode_row, batch.rows), strict=True)
            whole.update((id, row) for id, row in decoded if not others.isdisjoint(row_keys(entity, match, row)))

        yield from read_all(exchange, entity, take, parent=parent)
        rows |= _by_key(entity, match, others, whole.values())
        if not all_deleted:
            rows |= _by_key(entity, match, others, [row for row in whole.values() if not is_deleted(row)])
    return rows


def asked_index(entity: Entity, match: Sequence[str], keys: Collection[Key]) -> int | None:
    """Return the index of the field by which keys are looked up, the one that tells most apart; ``None`` if none can.

    :param match: the fields that a key is made of.
    """
    fit = [index for index, name in enumerate(match) if "in" in entity.field(name).operators]
    return max(fit, key=lambda index: len({key[index] for key in keys}), default=None)


def can_be_asked(value: str) -> bool:
    """Return whether a filter can surely name a value. Blanks at its ends may be cut off [U]."""
    return value.lower() not in _NO_VALUES and _ODD.isdisjoint(value) and value == value.strip()


def groups(values: Iterable[str]) -> Iterator[list[str]]:
    """Yield the values in as many groups as requests are needed."""
    group: list[str] = []
    room = _ROOM
    for value in values:
        length = len(quote(value, safe="")) + 1
        if group and (len(group) == MAX_LIMIT or length > room):
            yield group
            group, room = [], _ROOM
        group.append(value)
        room -= length
    if group:
        yield group


class _List:
    """A list that is asked for rows."""

    def __init__(self, exchange: Exchange, entity: Entity, parent: str | None) -> None:
        self._exchange = exchange
        self._entity = entity
        self._path = entity.url_path(parent)

    def rows(self, field: str, values: Iterable[str], further: tuple[Triple, ...] = ()) -> Flow[Iterable[Row]]:
        """Ask for the rows with some values under further conditions; each comes once."""
        rows: dict[str, Row] = {}
        waiting = [*groups(dict.fromkeys(values))][::-1]
        while waiting:
            group = waiting.pop()
            terms = (*conditions(self._entity, [(field, "in", group)]), *further)
            page = yield from self._ask(Query(terms))
            if _shows_all(page):
                rows.update(zip(page.ids, map(decode_row, page.rows), strict=True))
            elif len(group) > 1:
                half = len(group) // 2
                waiting += [group[half:], group[:half]]
            else:
                piece = Piece(Stream("rows", terms, None), None, 0)  # without a cursor its end doesn't matter
                yield from perform_walk(
                    self._entity,
                    piece,
                    self._exchange.patience.faults,
                    self._ask,
                    lambda batch, _: rows.update(zip(batch.ids, map(decode_row, batch.rows), strict=True)),
                )
        return rows.values()

    def _ask(self, query: Query) -> Flow[Page]:
        return ask_surely(self._exchange, self._entity, self._path, query)


def _shows_all(page: Page) -> bool:
    """Return whether a page shows all rows of its query. Of a full one only its total says so."""
    return not page.is_full(MAX_LIMIT) or (page.total is not None and not page.promises_more(MAX_LIMIT))


def _by_key(entity: Entity, match: Sequence[str], wanted: Collection[Key], rows: Iterable[Row]) -> dict[Key, list[Row]]:
    by_key: dict[Key, list[Row]] = {}
    for row in rows:
        for key in row_keys(entity, match, row):
            if key in wanted:
                by_key.setdefault(key, []).append(row)
    return by_key
