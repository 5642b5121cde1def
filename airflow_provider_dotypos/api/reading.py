"""Reading entities through a client: single rows, plain lists, and the loss-free walk."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from airflow_provider_dotypos.api import window as windows
from airflow_provider_dotypos.api.budget import DotyposBudgetError, judge
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.entities import CLOUDS, Entity, find_entity, find_list, id_text
from airflow_provider_dotypos.api.errors import (
    DotyposInputError,
    DotyposValidationError,
    DotyposWalkError,
)
from airflow_provider_dotypos.api.listing import ask_page, query_params
from airflow_provider_dotypos.api.markers import LIVE_AND_DELETED, Division
from airflow_provider_dotypos.api.page import EMPTY, Page, decode_row
from airflow_provider_dotypos.api.passes import Wait
from airflow_provider_dotypos.api.places import Places, row_of
from airflow_provider_dotypos.api.polls import Polls
from airflow_provider_dotypos.api.query import (
    MAX_LIMIT,
    Filter,
    Triple,
    filter_text,
    include_names,
    list_params,
    window_conditions,
)
from airflow_provider_dotypos.api.settling import Settling
from airflow_provider_dotypos.api.streams import Piece, Stream, streams
from airflow_provider_dotypos.api.walk import RUN_AGAIN, Batch, Query, walk
from airflow_provider_dotypos.api.watch import Snapshot, State

Row = dict[str, Any]


class Reader:
    """Reads one cloud's entities.

    :ivar requests: list calls made so far.
    """

    def __init__(self, client: DotyposClient) -> None:
        self._client = client
        self._counting = threading.Lock()
        self._settling = Settling(client)
        self._places = Places(client)
        self._polls = Polls(client)
        self.requests = 0

    @property
    def cloud_id(self) -> int:
        """The cloud.

        :raises DotyposConfigurationError: if none is named.
        """
        return self._client.settings.require_cloud_id()

    @property
    def cloud(self) -> str:
        """The cloud for people, see `Settings.cloud`."""
        return self._client.settings.cloud

    @property
    def concurrency(self) -> int:
        """Most requests under way at once, as the client's settings say."""
        return self._client.settings.max_concurrency

    @property
    def may_split(self) -> bool:
        """Whether a range may be split among threads, which costs requests. A request budget allows none for that."""
        return self._client.settings.request_budget is None

    def get(
        self,
        name: str,
        id: int | str | None = None,
        *,
        include: str | Sequence[str] | None = None,
        **parents: object,
    ) -> Row:
        """Return one row, its values as the API gives them (numbers as text).

        :param id: the row's id; none for an entity that is one object, such as the manifest.
        :param parents: what the entity lies below, such as ``warehouse_id=5``.
        :raises DotyposInputError: if there is no such call: an id is missing, or one too many.
        :raises DotyposNotFoundError: if there is no such row.
        """
        entity = find_entity(name)
        if not entity.single:
            raise DotyposInputError(f"{name} has no call for a single row; read its list with rows()")
        path = entity.url_path(entity.parent_id(parents))
        if entity.listed:
            path += f"/{id_text(id, f'{name}: an id')}"
        elif id is not None:
            raise DotyposInputError(f"{name} is one object and has no rows: call get({name!r}) without an id")
        params = {"include": ",".join(include_names(entity, include)) or None}
        return self._client.call("GET", path, params=params, decode=row_of)

    def rows(
        self,
        name: str,
        *,
        filter: Filter = None,
        sort: str | Sequence[str] | None = None,
        include: str | Sequence[str] | None = None,
        limit: int = MAX_LIMIT,
        **parents: object,
    ) -> Iterator[Row]:
        """Yield the rows of a list, page by page.

        Deleted rows are hidden, as the API does, unless the filter names ``deleted``. Page numbers over changing data
        can skip or repeat rows: for anything that must be whole, use `changes`.

        :param limit: rows per request, 1 to 100.
        :param parents: what the entity lies below, such as ``warehouse_id=5``.
        """
        entity = find_list(name)
        parent = entity.parent_id(parents)
        path = entity.url_path(parent)
        params = list_params(entity, filter=filter, sort=sort, include=include, limit=limit)
        number = 0
        size = limit
        before: Page | None = None
        while True:
            number += 1
            asked = params | {"page": str(number)} if entity.paged else {}
            page = self._page(path, asked)
            if page is EMPTY and number == 1:
                self._places.check(entity, parent)
                page = self._page(path, asked)
            if before is not None and before.contradicted_by(size, number, page):
                page = self._page(path, asked)  # rows may have left meanwhile: the second answer is believed
            if page.is_cut_short(size, number):
                page = self._page(path, asked)  # the next page's number counts from full ones
            if before is not None and page.ids and page.ids == before.ids:
                raise DotyposWalkError(f"GET {path}: page {number} repeats page {number - 1}. {RUN_AGAIN}")
            yield from map(decode_row, page.rows)
            if not entity.paged or not page.is_full(size, number):
                return
            if page.promises_more(size, number):
                size = min(size, len(page.rows))  # the server caps pages, and may not say so
            before = page

    def page(
        self,
        entity: Entity,
        conditions: tuple[Triple, ...] = (),
        number: int = 1,
        limit: int = MAX_LIMIT,
        *,
        include: str | None = None,
        parent: str | None = None,
    ) -> Page:
        """Return one page of a list. An empty first page is believed once its cloud or parent is known to exist.

        :param number: which page, from 1 on.
        :param limit: rows to ask for, 1 to 100.
        :param parent: the id of what the entity lies below.
        """
        params = list_params(entity, filter=conditions, include=include, limit=limit, page=number)
        page = self._page(entity.url_path(parent), params if entity.paged else {}, None)
        if page is EMPTY and number == 1:
            self._places.check(entity, parent)
        return page

    def changes(
        self,
        name: str,
        window: windows.Window,
        *,
        filter: Filter = None,
        include: str | Sequence[str] | None = None,
        settle: float = windows.SETTLE,
        division: Division | None = None,
        **parents: object,
    ) -> Iterator[Row]:
        """Yield every row that changed in `window`, deleted ones included: the loss-free walk, row by row.

        :param settle: seconds that a change may need to show in the API.
        :param division: how the rows are divided into streams.
        :param parents: what the entity lies below; by default below each one.
        """
        entity = find_list(name)
        conditions = window_conditions(entity, filter)
        included = include_names(entity, include)
        parent = entity.parent_id(parents)
        division = division or Division()
        self.ready(entity, window, settle)
        one_filter, undated = self.reads_as_one(entity, window, division), division.has_undated(window)
        for piece in self.pieces(entity, window, conditions, parent, undated, division, one_filter):
            for batch in self.walk(entity, piece, included):
                yield from map(decode_row, batch.rows)

    def ready(self, entity: Entity, window: windows.Window, settle: float = windows.SETTLE) -> None:
        """Wait until all changes of the window show.

        :param settle: seconds that a change may need to show in the API.
        """
        if entity.cursors:
            self._settling.wait_for(window.until, settle)

    def pieces(
        self,
        entity: Entity,
        window: windows.Window,
        conditions: tuple[Triple, ...] = (),
        parent: str | None = None,
        without_cursor: bool = True,
        division: Division | None = None,
        one_filter: bool = False,
    ) -> Iterator[Piece]:
        """Yield what is to be walked for a window: each stream whole, below each parent.

        Parents are read from the API; one that is given is checked to exist.

        :param conditions: what the rows have in common, from `window_conditions`.
        :param parent: the id of the parent to read below; ``None`` for all.
        :param without_cursor: whether to read rows without a cursor, too, which belong to no window, or to each.
        :param division: how parents are divided into streams.
        :param one_filter: whether live and deleted rows are one stream, see `reads_as_one`.
        """
        for id in self._parents(entity, parent, window, division or Division()):
            for stream in streams(entity, window, conditions, one_filter):
                if without_cursor or stream.cursor is not None or not entity.cursors:
                    yield Piece(stream, window.since, window.until, id)

    def reads_as_one(self, entity: Entity, window: windows.Window, division: Division) -> bool:
        """Return whether live and deleted rows of a window are read by one filter, as wanted, or as known to be safe.

        The connection says what is known of lists of which the division knows nothing.
        """
        return entity.deleted_filterable and division.is_one(entity, window, self._client.settings.deleted_filter)

    def markers_by_filter(self, entity: Entity, id: str) -> Sequence[bool | None]:
        """Return the soft-delete marker of a row, if the filter for live and deleted rows shows it."""
        params = {"limit": "1", "page": "1", "filter": filter_text((LIVE_AND_DELETED, ("id", "eq", id)))}
        return self._page(entity.url_path(), params).deleted

    def poll(
        self,
        entity: Entity,
        states: Iterable[State],
        *,
        deleted: bool = True,
        conditions: tuple[Triple, ...] = (),
        walk: bool = True,
    ) -> Snapshot:
        """Return what has changed in a list since the oldest of some watchers' states (see ``Polls.poll``)."""
        return self._client.run(self._polls.poll(entity, states, deleted=deleted, conditions=conditions, walk=walk))

    def poll_cost(self, entity: Entity, *, deleted: bool = True) -> float:
        """Return how many requests a poll takes on average (see ``Polls.cost``)."""
        return self._polls.cost(entity, deleted=deleted)

    def now(self) -> int:
        """Return the time (epoch ms) by the earlier of both clocks. The server's is known by then."""
        return self._client.run(self._polls.now())

    def tail(self, until: int, settle: float = windows.SETTLE) -> windows.Window | None:
        """Return the window from `until` up to the latest second that has settled; ``None`` if that isn't later."""
        settled = self.settled(settle)
        return windows.Window(until, settled) if settled > until else None

    def settled(self, settle: float = windows.SETTLE) -> int:
        """Return the latest second that has settled, in epoch milliseconds, by the earlier of both clocks.

        The server's is known since its first answer: see `meet`.
        """
        return self._settling.latest(settle)

    def walk(self, entity: Entity, piece: Piece, include: tuple[str, ...] = ()) -> Iterator[Batch]:
        """Walk a piece. Several threads may call it at once, each for a piece of its own.

        :param include: the child lists to nest, from `include_names`.
        """
        included = ",".join(include) or None
        path = entity.url_path(piece.parent)
        steps = walk(entity, piece, self._client.patience.faults)
        step = next(steps, None)
        together = 0  # requests since all that was read has been complete
        left: float | None = None  # when the first request left since rows were last delivered
        while step is not None:
            if isinstance(step, Query):
                together += 1
                left = time.monotonic() if left is None else left
                try:
                    page = self._confirmed(entity, step, piece, path, included)
                except DotyposValidationError as refusal:
                    step = steps.throw(refusal)
                except DotyposBudgetError as error:
                    where = "one instant" if piece.stream.cursor else "no cursor"
                    raise judge(error, together, f"the rows of {where} (stream {piece.name})") from None
                else:
                    step = steps.send(page)
                continue
            if isinstance(step, Wait):
                self._client.sleep(random.uniform(0.5, 1) * step.seconds)
            else:
                together = together if step.covered is None else 0
                yield step if left is None else replace(step, read_at=left)
                left = None
            step = next(steps, None)

    def cancel(self) -> None:
        """End every wait at once and start no further request."""
        self._client.cancel()

    def check_cancelled(self) -> None:
        """Raise if the task was killed.

        :raises DotyposCancelledError: it was.
        """
        self._client.sleep(0)

    def meet(self) -> None:
        """Sign in, unless an answer has shown the server's clock already. It costs no request more."""
        self._settling.meet()

    def check_cloud(self) -> Row:
        """Return the cloud's row, so that a wrong cloud doesn't pass for an empty list, see `Places`."""
        return self._places.check_cloud()

    def clouds(self) -> list[Row]:
        """Return the clouds that the refresh token may use, by a token without a cloud."""
        return list(self.rows(CLOUDS))

    def _confirmed(self, entity: Entity, query: Query, piece: Piece, path: str, include: str | None) -> Page:
        """Answer a walk's query.

        An answer counts only if the window's end had settled when it was asked for, by the clocks known since. An empty
        404 ends a stream, so it counts only if the 404 comes again (a gateway in trouble may answer the same), and if
        something shows that what the list lies below exists.
        """
        window = piece.stream.window
        while True:
            left = time.monotonic()
            page = self._answer(entity, query, path, include, piece.stream)
            if page is EMPTY:
                self._places.check(entity, piece.parent, again=query.again)
                page = self._answer(entity, query, path, include, piece.stream)
            if window is None or self._settling.counts(window.until, left):
                return page

    def _answer(self, entity: Entity, query: Query, path: str, include: str | None, stream: Stream) -> Page:
        return self._page(path, query_params(entity, query, include), stream.cursor, stream.earlier)

    def _page(
        self, path: str, params: Mapping[str, str | None], cursor: str | None = None, earlier: tuple[str, ...] = ()
    ) -> Page:
        with self._counting:
            self.requests += 1
        return self._client.run(ask_page(self._client, path, params, cursor, earlier))

    def _parents(
        self, entity: Entity, parent: str | None, window: windows.Window, division: Division
    ) -> Iterator[str | None]:
        """Yield the id of each parent that there is, or the one given; ``None`` if the entity lies below its cloud."""
        if entity.parent is None:
            yield None
        elif parent is None:
            above = find_entity(entity.parent.entity)
            rows = [*self.rows(above.name, filter=[LIVE_AND_DELETED])]
            if not self.reads_as_one(above, window, division):
                # Both kinds by one answer first: by two, a parent that is restored in between would be missed.
                shown = [*self.rows(above.name)]
                unmarked = next((str(row["id"]) for row in shown if row.get("deleted") is None), None)
                division.learn(above, unmarked, whole=True, filtered=self.markers_by_filter)
                rows += shown
            ids = {str(row["id"]): None for row in rows}
            self._places.note_parents(ids)
            yield from ids
        else:
            self._places.check(entity, parent, again=True)  # the id may be mistyped
            yield parent
