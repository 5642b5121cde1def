"""Reading entities through a client: single rows, plain lists, and the loss-free walk."""

from __future__ import annotations

import functools
import logging
import random
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow_provider_dotypos.api import window as windows
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.entities import Entity, find_entity
from airflow_provider_dotypos.api.errors import (
    DotyposConfigurationError,
    DotyposInputError,
    DotyposNotFoundError,
    DotyposResponseError,
    DotyposValidationError,
    DotyposWalkError,
)
from airflow_provider_dotypos.api.http import Answer
from airflow_provider_dotypos.api.page import EMPTY, Page, check_page, decode_row, read_page
from airflow_provider_dotypos.api.passes import Wait
from airflow_provider_dotypos.api.query import MAX_LIMIT, Filter, filter_text, list_params
from airflow_provider_dotypos.api.streams import Piece, streams
from airflow_provider_dotypos.api.walk import Batch, Query, walk

#: Asks for 200 with an empty list instead of 404; whether every list honours it is unknown, so 404 is read as well.
#: https://docs.api.dotypos.com/others/breaking-changes
_LIST_HEADERS = {"Allow-Version": "BC1"}

log = logging.getLogger(__name__)

Row = dict[str, Any]


class Reader:
    """Reads one cloud's entities.

    :ivar requests: list calls made so far.
    """

    def __init__(self, client: DotyposClient) -> None:
        self._client = client
        self._counting = threading.Lock()
        self._cloud_exists = False
        self.requests = 0

    def get(
        self,
        name: str,
        id: int | str | None = None,
        *,
        include: str | Sequence[str] | None = None,
        **placeholders: object,
    ) -> Row:
        """Return one row, its values as the API gives them (numbers as text).

        :param id: the row's id; none for what is one object, such as the manifest.
        :raises DotyposInputError: there is no such call: an id is missing, or one too many.
        :raises DotyposNotFoundError: there is no such row.
        """
        found = find_entity(name)
        if not found.single:
            raise DotyposInputError(f"{name} has no call for a single row; read its list with rows()")
        path = _path(found, placeholders)
        if found.listed:
            path += f"/{_row_id(name, id)}"
        elif id is not None:
            raise DotyposInputError(f"{name} is one object and has no rows: call get({name!r}) without an id")
        params = {"include": list_params(found, include=include).get("include")}
        return self._client.call("GET", path, params=params, decode=_row)

    def rows(
        self,
        name: str,
        *,
        filter: Filter = None,
        sort: str | Sequence[str] | None = None,
        include: str | Sequence[str] | None = None,
        limit: int = MAX_LIMIT,
        **placeholders: object,
    ) -> Iterator[Row]:
        """Yield the rows of a list, page by page; deleted rows are hidden, as the API does, unless the filter names
        ``deleted``.

        Page numbers over changing data can skip or repeat rows: for anything that must be whole, use `changes`.

        :param limit: rows per request, 1 to 100.
        """
        found = _listed(name)
        path = _path(found, placeholders)
        params = list_params(found, filter=filter, sort=sort, include=include, limit=limit)
        number = 0
        size = limit
        before: Page | None = None
        while True:
            number += 1
            asked = params | {"page": str(number)} if found.paged else {}
            page = self._page(path, asked, None)
            if page is EMPTY and number == 1:
                self._check_place(found, placeholders)
            if before is not None and before.contradicted_by(size, number, page):
                page = self._page(path, asked, None)  # rows may have left meanwhile: the second answer is believed
            if page.is_cut_short(size, number):
                page = self._page(path, asked, None)  # the next page's number counts from full ones
            if before is not None and page.ids and page.ids == before.ids:
                raise DotyposWalkError(f"GET {path}: page {number} repeats page {number - 1}; stopped")
            yield from map(decode_row, page.rows)
            if not found.paged or not page.is_full(size, number):
                return
            if page.promises_more(size, number):
                size = min(size, len(page.rows))  # the server caps pages, and may not say so
            before = page

    def changes(
        self,
        name: str,
        window: windows.Window,
        *,
        filter: Filter = None,
        include: str | Sequence[str] | None = None,
        settle: float = windows.SETTLE,
        **placeholders: object,
    ) -> Iterator[Row]:
        """Yield every row that changed in `window`, deleted ones included: the loss-free walk, row by row."""
        for piece in self.pieces(name, window, filter=filter, settle=settle, without_cursor=True, **placeholders):
            for batch in self.walk(name, piece, include=include):
                yield from map(decode_row, batch.rows)

    def pieces(
        self,
        name: str,
        window: windows.Window,
        *,
        filter: Filter = None,
        settle: float | None = windows.SETTLE,
        without_cursor: bool = True,
        **placeholders: object,
    ) -> Iterator[Piece]:
        """Yield what is to be walked for a window: each stream whole, below each parent.

        First it is checked that the cloud is there, and waited until the window's end has settled.

        :param settle: seconds that a change may need to show in the API; ``None``: don't wait for the window's end.
        :param without_cursor: also rows that have none, and so belong to no window, or to each.
        """
        found = _listed(name)
        parts = [part for part in streams(found, window, filter) if without_cursor or part.cursor is not None]
        self.meet()
        if found.cursors and settle is not None:
            seconds = windows.seconds_until_settled(window.until, self._client.clocks(), settle)
            if seconds > 1:
                log.info("Waiting %.0f s until changes up to %s show in the API.", seconds, windows.iso(window.until))
            self._client.sleep(seconds)
        for parent in self._parents(found, placeholders):
            for stream in parts:
                yield Piece(stream, window.since, window.until, parent)

    def tail(self, until: int, settle: float = windows.SETTLE) -> windows.Window | None:
        """Return the window from `until` up to the latest second that has settled; ``None`` if that isn't later."""
        settled = self.settled(settle)
        return windows.Window(until, settled) if settled > until else None

    def settled(self, settle: float = windows.SETTLE) -> int:
        """Return the latest second that has settled, in epoch milliseconds, by the earlier of both clocks.

        The server's is known since its first answer: see `meet`.
        """
        return int(self._client.now().timestamp() - settle) * 1000

    def walk(self, name: str, piece: Piece, *, include: str | Sequence[str] | None = None) -> Iterator[Batch]:
        """Walk a piece; safe to be called by several threads, for a piece each."""
        found = _listed(name)
        included = list_params(found, include=include).get("include")
        path = _path(found, {"warehouse_id": piece.parent} if piece.parent else {})
        steps = walk(found, piece, self._client.patience.faults)
        step = next(steps, None)
        while step is not None:
            if isinstance(step, Query):
                try:
                    page = self._confirmed(found, step, path, included, piece.stream.cursor)
                except DotyposValidationError as refusal:
                    step = steps.throw(refusal)
                else:
                    step = steps.send(page)
                continue
            if isinstance(step, Wait):
                self._client.sleep(random.uniform(0.5, 1) * step.seconds)
            else:
                yield step
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
        """Check that the cloud exists, unless an earlier answer has shown it. Its answer tells the server's clock."""
        if not self._cloud_exists:
            self.check_cloud()

    def check_cloud(self) -> Row:
        """Return the cloud's row: a wrong cloud shows here, not as an empty list. It also tells the server's clock."""
        cloud_id = self._client.settings.cloud_id
        if cloud_id is None:
            raise DotyposConfigurationError("Cloud ID is missing in the Airflow connection, or pass cloud_id")
        try:
            row = self._client.call("GET", f"/clouds/{cloud_id}", decode=functools.partial(_cloud_row, cloud_id))
        except DotyposNotFoundError as error:
            raise DotyposNotFoundError(error.refusal, f"There is no cloud {cloud_id}: check Cloud ID.") from None
        self._cloud_exists = True
        return row

    def clouds(self) -> list[Row]:
        """Return the clouds that the refresh token may use, by a token without a cloud."""
        return list(self.rows("clouds"))

    def _confirmed(self, found: Entity, query: Query, path: str, include: str | None, cursor: str | None) -> Page:
        """Answer a walk's query.

        An empty 404 ends a stream, so it counts only if the cloud is there and it comes again: a gateway in trouble may
        answer the same.
        """
        page = self._answer(found, query, path, include, cursor)
        if page is not EMPTY:
            return page
        try:
            self.check_cloud()
        except DotyposNotFoundError as error:
            raise DotyposWalkError(f"GET {path} is empty, but its cloud has vanished as well: {error}") from None
        return self._answer(found, query, path, include, cursor)

    def _answer(self, found: Entity, query: Query, path: str, include: str | None, cursor: str | None) -> Page:
        params: dict[str, str | None] = {}
        if found.paged:
            params = {"limit": str(MAX_LIMIT), "page": str(query.page), "include": include}
            params["filter"] = filter_text(query.conditions) or None
            params["sort"] = ",".join(query.sort) or None
        return self._page(path, params, cursor)

    def _page(self, path: str, params: Mapping[str, str | None], cursor: str | None) -> Page:
        with self._counting:
            self.requests += 1
        try:
            return self._client.call(
                "GET",
                path,
                params=params,
                headers=_LIST_HEADERS,
                decode=lambda answer: check_page(
                    read_page(answer.body, cursor), int(params.get("limit") or MAX_LIMIT), int(params.get("page") or 1)
                ),
            )
        except DotyposNotFoundError as error:
            # An empty list is a 404 with an empty body, also past the last page. With a body, the path is wrong.
            if error.refusal.empty:
                return EMPTY
            raise

    def _check_place(self, found: Entity, placeholders: Mapping[str, object]) -> None:
        """Raise unless what a list lies below exists: an empty list looks like a wrong path."""
        if found.name != "clouds":
            self.check_cloud()
        if found.placeholders:
            self.get("warehouses", str(placeholders["warehouse_id"]))

    def _parents(self, found: Entity, placeholders: Mapping[str, object]) -> Iterator[str | None]:
        """Yield what the entity lies below (a warehouse, each one unless it is named)."""
        missing = [name for name in found.placeholders if placeholders.get(name) in (None, "")]
        if missing == ["warehouse_id"]:
            rows = [*self.rows("warehouses"), *self.rows("warehouses", filter="deleted|eq|1")]
            yield from {str(row["id"]): None for row in rows}
        elif found.placeholders:
            self._check_place(found, placeholders)
            yield str(placeholders["warehouse_id"])
        else:
            _path(found, placeholders)  # there are none to name
            yield None


def _listed(name: str) -> Entity:
    found = find_entity(name)
    if not found.listed:
        raise DotyposInputError(f"{name} is one object, not a list: read it with request() or DotyposOperator")
    return found


def _row_id(name: str, id: object) -> str:
    text = str(id).strip()
    if isinstance(id, bool) or not re.fullmatch(r"-?[0-9]{1,19}", text):
        raise DotyposInputError(f"{name}: an id is a whole number, not {type(id).__name__} {str(id)[:40]!r}")
    return text


def _path(found: Entity, placeholders: Mapping[str, object]) -> str:
    given = {name: value for name, value in placeholders.items() if value not in (None, "")}
    unknown = set(given) - set(found.placeholders)
    if unknown:
        raise DotyposInputError(f"{found.name} takes no {', '.join(sorted(unknown))}")
    missing = [name for name in found.placeholders if name not in given]
    if missing:
        raise DotyposInputError(f"{found.name} lies below something: say which with {', '.join(missing)}=")
    for name, value in given.items():
        if isinstance(value, bool) or not str(value).strip().lstrip("-").isdigit():
            raise DotyposInputError(f"{name} is a whole number, not {type(value).__name__} {str(value)[:40]!r}")
    return found.path.removeprefix("/v2").format(**{name: str(value).strip() for name, value in given.items()})


def _cloud_row(cloud_id: int, answer: Answer) -> Row:
    """Return a cloud's row. Something in between may answer 200 with an object of its own."""
    row = _row(answer)
    if str(row.get("id")) != str(cloud_id):
        raise DotyposResponseError(
            f"answered {answer.status} with an object that isn't cloud {cloud_id}: API base URL may not be Dotypos's, "
            "or a proxy answers in its place",
            passing=True,
        )
    return row


def _row(answer: Answer) -> Row:
    found = answer.json()
    if not isinstance(found, dict):
        raise DotyposResponseError(f"answered {answer.status} with {type(found).__name__} where one row was expected")
    return found
