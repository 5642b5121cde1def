"""From an Airflow connection to a Dotypos client. ``api`` has everything that happens to a call."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from airflow_provider_dotypos import _airflow, _compat
from airflow_provider_dotypos.api.headers import with_empty_lists
from airflow_provider_dotypos.api.http import Answer
from airflow_provider_dotypos.api.markers import Division
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.window import SETTLE, Window
from airflow_provider_dotypos.hooks import metrics
from airflow_provider_dotypos.hooks.applying import ApplyCalls
from airflow_provider_dotypos.hooks.arguments import check_conn_id
from airflow_provider_dotypos.hooks.connection import secrets_of, settings_of
from airflow_provider_dotypos.hooks.failures import named_errors
from airflow_provider_dotypos.hooks.lineage import report_lineage, source_of
from airflow_provider_dotypos.hooks.pos_actions import PosCalls
from airflow_provider_dotypos.hooks.stock import StockCalls
from airflow_provider_dotypos.hooks.webhooks import Webhooks
from airflow_provider_dotypos.hooks.writing import PlanCalls
from airflow_provider_dotypos.provider_info import CONN_TYPE, HOOK_NAME

if TYPE_CHECKING:
    from airflow_provider_dotypos.api.client import DotyposClient
    from airflow_provider_dotypos.api.markers import DeletedFilter, UndatedRows
    from airflow_provider_dotypos.api.query import Filter
    from airflow_provider_dotypos.api.reading import Reader, Row
    from airflow_provider_dotypos.api.retry import Patience

log = logging.getLogger(__name__)


class DotyposHook(PlanCalls, ApplyCalls, PosCalls, StockCalls, BaseHook):
    """Authorized, retried calls to the Dotypos API v2 by a connection of type ``dotypos``.

    The constructor does no I/O. The first call reads the connection and signs in. Access tokens are renewed as needed
    and shared within a process; nothing writes them anywhere.

    :param dotypos_conn_id: the Airflow connection.
    :param cloud_id: the cloud to work in. Defaults to the connection's Cloud ID.
    :param max_concurrency: most requests at a time, 1 to 64. Defaults to the connection's.
    :param patience: how long to try again after faults and while throttled. Defaults to ``Patience()``.

    https://docs.api.dotypos.com/authorization
    """

    conn_name_attr = "dotypos_conn_id"
    default_conn_name = "dotypos_default"
    conn_type = CONN_TYPE
    hook_name = HOOK_NAME

    def __init__(
        self,
        dotypos_conn_id: str = default_conn_name,
        cloud_id: int | str | None = None,
        max_concurrency: int | None = None,
        patience: Patience | None = None,
    ) -> None:
        super().__init__()
        self.dotypos_conn_id = dotypos_conn_id
        self.cloud_id = cloud_id
        self.max_concurrency = max_concurrency
        self.patience = patience
        self._client: DotyposClient | None = None
        self._cancelled = False

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return the form's standard fields (Airflow 3.1; later versions read the provider's metadata)."""
        return _compat.form_behaviour()

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the form's own fields (Airflow 3.1; later versions read the provider's metadata)."""
        return _compat.form_widgets()

    def get_conn(self) -> DotyposClient:
        """Return the client: the same one for the life of the hook, safe to share between threads.

        :raises DotyposConfigurationError: if the connection lacks something or holds something unusable.
        """
        from airflow_provider_dotypos.api.client import DotyposClient

        if self._client is None:
            self._client = DotyposClient(
                self._settings(),
                on_token=_airflow.mask_secret,
                patience=self.patience,
                ledger=_airflow.budget_ledger(),
                meter=metrics.task_meter(),
            )
            if self._cancelled:
                self._client.cancel()
        return self._client

    def cancel(self) -> None:
        """End every wait at once and start no further request, for ``on_kill``. This reads no connection."""
        self._cancelled = True
        if self._client is not None:
            self._client.cancel()

    def close(self) -> None:
        """Give back what was claimed of the connection's request budget and not used. Further calls claim again."""
        if self._client is not None:
            self._client.give_back()

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        decode: Callable[[Answer], Any] | None = None,
    ) -> Any:
        """Make any authorized v2 call and return its decoded body (``None`` when it is empty).

        :param method: HTTP method. A write that may have been carried out is never repeated.
        :param path: path below ``/v2/clouds/{cloud}``, such as ``orders/123``; with a leading ``/``, below ``/v2``
            (``/clouds``).
        :param params: query parameters, not encoded.
        :param json: body of the request, an object or an array. Values without an exact form in JSON (NaN, a datetime
            without a zone, bytes, a set) are refused.
        :param headers: further headers, such as ``If-Match``.
        :param decode: makes the result from the whole answer (``status``, ``headers``, ``body``, ``json()``), for
            instance to keep its ``ETag``. Defaults to the decoded body.
        :raises DotyposError: if it fails; ``airflow_provider_dotypos.exceptions`` lists the kinds.

        https://docs.api.dotypos.com/api-reference/general/methods
        """
        sent = with_empty_lists(headers) if str(method).upper() == "GET" else headers
        with self._errors():
            return self.get_conn().call(
                method, path, params=params, json=json, headers=sent, decode=decode or Answer.json
            )

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make any authorized v2 call and return its whole answer: ``status``, ``headers``, ``body`` and ``json()``.

        The header ``ETag`` of a single row is what ``If-Match`` of a later PUT or PATCH needs. Header names are in any
        case: ``answer.headers["etag"]``.

        :param method: HTTP method. A write that may have been carried out is never repeated.
        :param path: see `request`, as the other arguments.
        :param params: query parameters, not encoded.
        :param json: body of the request, an object or an array.
        :param headers: further headers, such as ``If-Match``.
        :raises DotyposError: if it fails; ``airflow_provider_dotypos.exceptions`` lists the kinds.

        https://docs.api.dotypos.com/api-reference/general/methods
        """
        answer: Answer = self.request(
            method, path, params=params, json=json, headers=headers, decode=lambda answer: answer
        )
        return answer

    def get(
        self,
        entity: str,
        id: int | str | None = None,
        *,
        include: str | Sequence[str] | None = None,
        **parents: object,
    ) -> Row:
        """Return one row of an entity, numbers as the API gives them (text).

        :param entity: the entity, such as ``orders``.
        :param id: the row's id. An entity that is one object, such as ``manifest``, has none.
        :param include: child lists to nest.
        :param parents: ids of what the entity lies below, such as ``warehouse_id`` for ``warehouse-products``.
        :raises DotyposNotFoundError: if there is no such row.
        """
        with self._errors():
            row = self._reader().get(entity, id, include=include, **parents)
        self._report(entity)
        return row

    def rows(
        self,
        entity: str,
        *,
        filter: Filter = None,
        sort: str | Sequence[str] | None = None,
        include: str | Sequence[str] | None = None,
        limit: int = 100,
        **parents: object,
    ) -> Iterator[Row]:
        """Yield the rows of a list, page by page.

        The API hides deleted rows, unless the filter names ``deleted`` (``deleted|in|0,1`` for both). Page numbers over
        changing data can skip or repeat rows: use `changes` for anything that must be whole.

        :param entity: the list, such as ``orders``.
        :param filter: text in the API's grammar (``"paid|eq|true;created|gteq|1700000000000"``), or ``(field, operator,
            value)`` triples. Both are checked before anything is sent.
        :param sort: fields, with ``-`` in front for descending.
        :param include: child lists to nest.
        :param limit: rows per request, 1 to 100. Defaults to 100.

        https://docs.api.dotypos.com/api-reference/general/filter, …/sort, …/paging
        """
        with self._errors():
            rows = self._reader().rows(entity, filter=filter, sort=sort, include=include, limit=limit, **parents)
        return self._each(entity, rows)

    def changes(
        self,
        entity: str,
        *,
        since: str | date | None,
        until: str | date,
        filter: Filter = None,
        include: str | Sequence[str] | None = None,
        timezone: str | None = None,
        settle: float = SETTLE,
        undated_rows: UndatedRows = "full",
        deleted_filter: DeletedFilter = "auto",
        **parents: object,
    ) -> Iterator[Row]:
        """Yield every row that changed in ``[since, until)``, deleted ones included: the loss-free walk.

        A row that doesn't change meanwhile comes exactly once. One that does comes, or belongs to a later window.

        :param entity: the list, such as ``orders``.
        :param since: first instant inside: a datetime with a zone, ISO 8601 text with one, or a bare date (text or a
            ``date``) together with `timezone`. ``None`` reads everything.
        :param until: first instant after, in the same forms.
        :param filter: further conditions. One on ``deleted`` replaces ours.
        :param include: child lists to nest.
        :param timezone: zone of bare dates, such as ``Europe/Prague``.
        :param settle: seconds until a change shows in the API. The walk waits until `until` is as old. Defaults to 60.
        :param undated_rows: when to read rows that show no change date: ``full``, if `since` is ``None``, or
            ``always``.
        :param deleted_filter: how to ask for live and deleted rows: by ``one`` filter for both, by ``two`` requests, or
            ``auto``: by one, if `since` is given and the connection's *Deleted filter* says ``shows_null``.
        :raises DotyposInputError: if the window is empty, reversed or in the future, or the filter can't be sent.
        :raises DotyposWalkError: if the answers can't be walked without losing rows.
        """
        with self._errors():
            window = Window.of(since, until, timezone=timezone)
            division = Division(deleted_filter, undated_rows)
            rows = self._reader().changes(
                entity, window, filter=filter, include=include, settle=settle, division=division, **parents
            )
        return self._each(entity, rows)

    @property
    def webhooks(self) -> Webhooks:
        """The webhooks by which the cloud delivers its changes to this Airflow."""
        return Webhooks(self.dotypos_conn_id, self.get_conn)

    def clouds(self) -> list[Row]:
        """Return the clouds that the refresh token may use."""
        with self._errors():
            return self._reader().clouds()

    def test_connection(self) -> tuple[bool, str]:
        """Sign in, read the cloud, and say what works or which field to correct, for the form's Test button."""
        from airflow_provider_dotypos.api.check import check

        verdict = check(self._settings, _airflow.mask_secret)
        return verdict.works, verdict.message

    def _errors(self) -> AbstractContextManager[None]:
        """Return what errors leave the hook by."""
        return named_errors(self.dotypos_conn_id)

    def _each(self, entity: str, rows: Iterator[Row]) -> Iterator[Row]:
        with self._errors():
            first = next(rows, None)
            self._report(entity)
            if first is not None:
                yield from self._counted(entity, itertools.chain([first], rows))

    def _counted(self, entity: str, rows: Iterator[Row]) -> Iterator[Row]:
        """Yield rows. If Airflow sends metrics, count them at the end, also if somebody stops reading before it."""
        if not metrics.are_on():
            yield from rows
            return
        number = 0
        try:
            for row in rows:
                number += 1
                yield row
        finally:
            metrics.send_list(self.get_conn().settings.cloud_id, entity, rows=number)

    def _report(self, entity: str) -> None:
        """Name a list as an input of this process, for hook lineage."""
        settings = self.get_conn().settings
        if settings.cloud_id is not None:
            report_lineage(self, source_of(settings, entity))

    def _reader(self) -> Reader:
        from airflow_provider_dotypos.api.reading import Reader

        return Reader(self.get_conn())

    def _settings(self) -> Settings:
        check_conn_id(self.dotypos_conn_id)
        conn = self.get_connection(self.dotypos_conn_id)
        settings = settings_of(conn, self.cloud_id, self.max_concurrency)
        for secret in secrets_of(conn, settings):
            _airflow.mask_secret(secret)
        if settings.notice:
            log.warning("Connection %r: %s.", self.dotypos_conn_id, settings.notice)
        return settings
