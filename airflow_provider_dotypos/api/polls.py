"""Asking for what has changed in lists since watchers last looked: one request a stream, if no more than a page has.

**Requests.** A poll asks each of a list's streams from the oldest position of its watchers on, in the order of the
cursor. A page that isn't full shows all. Behind a full one follows the loss-free walk up to now (``walk``); what
changes meanwhile, the next poll shows. Of lists with null markers, live rows are asked for each time, deleted ones by
every fifth poll. Below each warehouse there is such a list, once for each cursor. The warehouses are listed first, and
again after half an hour: those that aren't deleted.

**Too many changes**, as after a pause of months. A walk through all of them could take more requests than the API
allows, fail, and begin anew, for ever. So a poll gives up after `MOST_WALKED`, and the event has a window alone. Who
isn't far behind gets its rows by one more request: a filter can't be evaluated on a window.

**An empty 404** is most likely an empty list, but a gateway in trouble may answer the same. It counts as no answer: the
stream is missing from the snapshot, and the next poll asks from the same position. So nothing needs to be asked twice.
In a walk it would end the walk early. There it counts if it comes again.

https://docs.api.dotypos.com/api-reference/general/filter, …/sort, …/paging
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from airflow_provider_dotypos.api.entities import Entity, Parent, find_entity
from airflow_provider_dotypos.api.errors import DotyposNotFoundError, DotyposWalkError
from airflow_provider_dotypos.api.exchange import Exchange
from airflow_provider_dotypos.api.listing import ask_page, perform_walk, query_params
from airflow_provider_dotypos.api.page import EMPTY, SECOND, Page
from airflow_provider_dotypos.api.places import ask_cloud
from airflow_provider_dotypos.api.query import MAX_LIMIT, Triple
from airflow_provider_dotypos.api.steps import Flow
from airflow_provider_dotypos.api.streams import Piece, Stream, streams
from airflow_provider_dotypos.api.walk import Batch, Query
from airflow_provider_dotypos.api.watch import ShownRow, Snapshot, State, StreamRows
from airflow_provider_dotypos.api.window import Clocks, Window, milliseconds

log = logging.getLogger(__name__)

#: Deleted rows that need a request of their own are asked for by every so many polls.
DELETED_EVERY = 5

#: Seconds after which what lists lie below, such as warehouses, is listed again.
PARENTS_AGE = 1800.0

#: Seconds to wait, in all, for rows of one instant whose order isn't stable. A window in the event does as well.
PATIENCE = 5.0

#: Most requests by which the walks of one poll go on, a fifth of what the API allows in half an hour [D2].
MOST_WALKED = 30

#: Seconds by which a watcher may be behind and still not count as far behind.
NEAR = 3600.0

#: Streams have the same names in every window that has a beginning.
_ANY_WINDOW = Window(0, SECOND)


def watched_streams(
    entity: Entity, conditions: tuple[Triple, ...] = (), *, deleted: bool = True, one_filter: bool = False
) -> tuple[Stream, ...]:
    """Return the streams of a list that hold all of its changes.

    :param conditions: what the rows have in common.
    :param deleted: whether deleted rows count.
    :param one_filter: whether live and deleted rows are one stream.
    """
    return tuple(
        replace(stream, window=None, earlier=())
        for stream in streams(entity, _ANY_WINDOW, conditions, one_filter and deleted)
        if stream.cursor is not None and (deleted or not stream.deleted)
    )


def requests_per_poll(entity: Entity, *, deleted: bool = True, one_filter: bool = False, parents: int = 1) -> float:
    """Return how many requests a poll takes on average, if no more than a page has changed.

    :param deleted: whether deleted rows count.
    :param one_filter: whether live and deleted rows are one stream.
    :param parents: how many lists it is: one below each parent.
    """
    streams = watched_streams(entity, deleted=deleted, one_filter=one_filter)
    return sum(1 / DELETED_EVERY if stream.deleted else 1 for stream in streams) * parents


class PollQuery(NamedTuple):
    """A query of a poll.

    :param parent: the id of what the list lies below, if anything.
    """

    entity: Entity
    query: Query
    stream: Stream
    parent: str | None = None


class Shown(NamedTuple):
    """What a query has shown.

    :param left: when its request left (epoch ms), by the earlier of both clocks.
    """

    page: Page
    left: int


@dataclass
class _Course:
    """What earlier polls of a list have left: their number, the parents, and when these were listed (epoch ms)."""

    number: int = 0
    parents: tuple[str | None, ...] = ()
    parents_at: int = 0


class Polls:
    """The polls of a cloud's lists through one client. Keep it as long as the client.

    :ivar requests: list calls made so far.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._courses: dict[str, _Course] = {}
        self.requests = 0

    def poll(
        self,
        entity: Entity,
        states: Iterable[State],
        *,
        deleted: bool = True,
        conditions: tuple[Triple, ...] = (),
        walk: bool = True,
    ) -> Flow[Snapshot]:
        """Return the flow that asks for what has changed since the oldest of some states.

        :param deleted: whether one of the watchers wants deleted rows.
        :param conditions: sent to the server, where a poll is for one watcher alone.
        :param walk: whether to read all, if more than a page has changed. Otherwise its first and last rows are shown.
        """
        states = tuple(states)
        course = self._courses.setdefault(entity.name, _Course())
        now = yield from self.now()
        if entity.parent is None:
            course.parents, course.parents_at = (None,), now
        elif now - course.parents_at >= PARENTS_AGE * 1000:
            yield from self._list_parents(entity.parent, course)
        streams = watched_streams(entity, conditions, deleted=deleted, one_filter=self._reads_as_one(entity))
        shown: dict[str, StreamRows] = {}
        left = MOST_WALKED
        for parent in course.parents:
            for stream in streams:
                if stream.deleted and course.number % DELETED_EVERY:
                    continue
                name = _name(parent, stream)
                starts = [state.start(name) for state in states]
                before = self.requests
                try:
                    rows = yield from self._read(entity, stream, parent, starts, walk, left)
                except DotyposNotFoundError:
                    if entity.parent is None:
                        raise
                    yield from self._list_parents(entity.parent, course)
                    if parent in course.parents:
                        raise
                    break
                left -= self.requests - before - 1
                if rows is not None:
                    shown[name] = rows
        course.number += 1
        known = [_name(parent, stream) for parent in course.parents for stream in streams]
        shown = {name: rows for name, rows in shown.items() if name in known}
        return Snapshot(shown, known, course.parents_at, deleted or not entity.has_deleted)

    def cost(self, entity: Entity, *, deleted: bool = True) -> float:
        """Return how many requests a poll takes on average, by what is known of the cloud."""
        course = self._courses.get(entity.name)
        parents = len(course.parents) if course else 1
        one_filter = self._reads_as_one(entity)
        return requests_per_poll(entity, deleted=deleted, one_filter=one_filter, parents=parents)

    def now(self) -> Flow[int]:
        """Return the flow that returns the time (epoch ms) by the earlier of both clocks. It signs in at need."""
        if self._exchange.clocks().server is None:
            yield from self._exchange.sign_in_flow()
        return self._now()

    def ask(self, query: PollQuery) -> Flow[Shown]:
        """Return the flow that asks a query."""
        self.requests += 1
        before = time.monotonic()
        path = query.entity.url_path(query.parent)
        params = query_params(query.entity, query.query)
        page = yield from ask_page(self._exchange, path, params, query.stream.cursor)
        # The answer may have been the first to show the server's clock.
        return Shown(page, _moment(self._exchange.clocks().earlier(time.monotonic() - before)))

    def _read(
        self, entity: Entity, stream: Stream, parent: str | None, starts: Sequence[int], walk: bool, most: int
    ) -> Flow[StreamRows | None]:
        """Read a stream from the earliest of some cursors on; ``None`` if the answer may be no answer.

        :param walk: whether to walk behind a full page. Otherwise the last rows are shown as well.
        :param most: how many requests the walk may take.
        """
        cursor = str(stream.cursor)
        order = (cursor,) if entity.cursor_sortable else ()
        since = min(starts)

        def rows_from(start: int) -> PollQuery:
            conditions = (*stream.conditions, (cursor, "gteq", str(start)))
            return PollQuery(entity, Query(conditions, order), stream, parent)

        query = rows_from(since)
        page, left = yield from self.ask(query)
        if page is EMPTY:
            if entity.in_cloud and not self._exchange.knows_cloud:
                yield from ask_cloud(self._exchange)
            return None
        if not page.is_full(MAX_LIMIT):
            return StreamRows(since, left, [*_rows(page, parent)])
        if order and not walk:
            last, _ = yield from self.ask(query._replace(query=replace(query.query, sort=(f"-{cursor}",))))
            return StreamRows(since, left, [*_rows(page, parent), *_rows(last, parent)], whole=False, counted=False)
        # A clock that is behind the server's may not keep the walk from the rows of this very page.
        end = max([left, *(moment + SECOND for moment in page.moments.values())])
        rows: list[ShownRow] = []

        def take(batch: Batch, page: Page) -> None:
            delivered = set(batch.ids)
            rows.extend(row for row in _rows(page, parent) if row.id in delivered)

        try:
            yield from self._walk(entity, Piece(stream, since, end, parent), take, most)
        except DotyposWalkError as error:
            log.warning(
                "The changed rows of %s can't be listed, so the event names their window: %s", entity.name, error
            )
            near = min((start for start in starts if start >= left - NEAR * 1000), default=since)
            if near > since:
                page = yield from self._ask_surely(rows_from(near))
                if not page.is_full(MAX_LIMIT):
                    rows = [*(row for row in rows if row.cursor < near), *_rows(page, parent)]
                    return StreamRows(since, left, rows, whole=False, unlisted_until=near)
            return StreamRows(since, left, rows, whole=False, unlisted_until=end)
        return StreamRows(since, left, rows, whole=False)

    def _walk(
        self, entity: Entity, piece: Piece, take: Callable[[Batch, Page], None], most: float = math.inf
    ) -> Flow[None]:
        """Walk a piece.

        :param take: receives each batch, and the page that its rows are of.
        :param most: how many requests may be made.
        :raises DotyposWalkError: if that doesn't do, or the rows' order isn't stable.
        """
        last = self.requests + most

        def ask(query: Query) -> Flow[Page]:
            if self.requests >= last:
                raise DotyposWalkError(f"they are more than a poll's {MOST_WALKED} requests show")
            return (yield from self._ask_surely(PollQuery(entity, query, piece.stream, piece.parent)))

        yield from perform_walk(entity, piece, PATIENCE, ask, take)

    def _ask_surely(self, query: PollQuery) -> Flow[Page]:
        """Ask a query, and again if the answer may be no answer."""
        page, _ = yield from self.ask(query)
        if page is EMPTY:
            page, _ = yield from self.ask(query)
        return page

    def _list_parents(self, parent: Parent, course: _Course) -> Flow[None]:
        """Note the parents that aren't deleted."""
        ids: dict[str, None] = {}
        now = self._now()
        piece = Piece(Stream("live", (), None, False), None, now)
        yield from self._walk(find_entity(parent.entity), piece, lambda batch, _: ids.update(dict.fromkeys(batch.ids)))
        course.parents, course.parents_at = tuple(ids), now

    def _reads_as_one(self, entity: Entity) -> bool:
        """Return whether live and deleted rows are asked for by one filter.

        Where null markers were never seen, that hides no row, unless the connection says that it does.
        """
        finding = self._exchange.settings.deleted_filter
        return finding == "shows_null" if entity.null_markers else finding != "hides_null"

    def _now(self) -> int:
        return _moment(self._exchange.clocks())


def _name(parent: str | None, stream: Stream) -> str:
    return f"{parent}-{stream.name}" if parent else stream.name


def _rows(page: Page, parent: str | None) -> Iterator[ShownRow]:
    for id, cursor, deleted, raw in zip(page.ids, page.cursors, page.deleted, page.rows, strict=True):
        if cursor is not None:
            yield ShownRow(id, cursor, deleted, raw, parent)


def _moment(clocks: Clocks) -> int:
    return milliseconds(clocks.now)
