"""What every transfer does, wherever its rows go: check the arguments, find the window, walk it into a sink."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.overrides import read_concurrency
from airflow_provider_dotypos.api.window import Window, check_settle, instant, iso, time_zone
from airflow_provider_dotypos.hooks.arguments import argument_errors, check_connection, literals
from airflow_provider_dotypos.transfers.arguments import (
    check_choice,
    check_lookback,
    check_reading,
    check_since,
    check_switches,
    check_times,
)
from airflow_provider_dotypos.transfers.links import CloudLink
from airflow_provider_dotypos.transfers.wording import opening

if TYPE_CHECKING:
    from airflow.sdk import Asset, BaseOperatorLink, Context

    from airflow_provider_dotypos.api.entities import Entity
    from airflow_provider_dotypos.api.markers import DeletedFilter, UndatedRows
    from airflow_provider_dotypos.api.query import Filter
    from airflow_provider_dotypos.api.reading import Reader
    from airflow_provider_dotypos.hooks.dotypos import DotyposHook
    from airflow_provider_dotypos.transfers.selection import Selection
    from airflow_provider_dotypos.transfers.sink import Sink
    from airflow_provider_dotypos.transfers.watermark import Watermark

#: By how much clocks may differ before a run without a window takes notice. Less is waited out.
_CLOCKS_DIFFER = timedelta(minutes=5)

_MILLISECOND = timedelta(milliseconds=1)


class DotyposTransferOperator(BaseOperator):
    """The base of operators that bring an entity's rows somewhere. A subclass brings parameters of its own and a sink.

    It takes the parameters explicitly, with defaults and ``template_fields``. `DotyposToObjectStorageOperator`
    describes them. `execute` calls these, in this order:

    1. `_selection`: what to read. A subclass extends it, if it has further arguments for it.
    2. `incremental`: whether the task continues from where its last success ended.
    3. `_watermark`: where that is. A subclass implements it, if its tasks can do without a window.
    4. `_sink`: where the rows go. A subclass implements it.
    5. `_result`: what the task returns, and what the events of its outlets hold. A subclass implements it.
    """

    ui_color = "#ffe3c2"
    operator_extra_links: Collection[BaseOperatorLink] = (CloudLink(),)

    def __init__(
        self,
        *,
        entity: str,
        since: str | date | None,
        until: str | date | None,
        start: str | date | None,
        lookback: timedelta,
        filter: Filter,
        include: str | None,
        warehouse_id: int | str | None,
        timezone: str | None,
        columns: str | Sequence[str] | None,
        exclude: str | Sequence[str] | None,
        personal_data: bool,
        settle: float,
        concurrency: int | None,
        cloud_id: int | str | None,
        dotypos_conn_id: str,
        undated_rows: UndatedRows = "full",
        deleted_filter: DeletedFilter = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._given = (since is not None, until is not None)
        self.entity = entity
        self.since = since
        self.until = until
        self.start = start
        self.lookback = lookback
        self.filter = filter
        self.include = include
        self.warehouse_id = warehouse_id
        self.timezone = timezone
        self.columns = columns
        self.exclude = exclude
        self.personal_data = personal_data
        self.settle = settle
        self.concurrency = concurrency
        self.cloud_id = cloud_id
        self.dotypos_conn_id = dotypos_conn_id
        self.undated_rows = undated_rows
        self.deleted_filter = deleted_filter
        self._hook: DotyposHook | None = None
        #: Where a browser shows the cloud, once the task has begun.
        self.cloud_url: str | None = None
        with argument_errors(self):
            self._check_settings()
            self._check_literals(literals(self))

    @property
    def incremental(self) -> bool:
        """Whether the task has no window, and continues from where its last success ended."""
        return not any(self._given)

    @property
    def goes_on(self) -> bool:
        """The earlier name of `incremental`."""
        warnings.warn("goes_on is called incremental now", DeprecationWarning, stacklevel=2)
        return self.incremental

    def execute(self, context: Context) -> dict[str, Any]:
        """Bring the window's rows into the sink, unless that is done already, and return the result.

        The asset events of the outlets hold the result, too.
        """
        from airflow_provider_dotypos.hooks.failures import airflow_failures

        with airflow_failures(self.dotypos_conn_id, resumed=context):
            result = self._result(self._results(context))
        _airflow.fill_outlet_events(context, self.outlets, result, self._assets())
        return result

    def on_kill(self) -> None:
        """End every wait at once. What was read by then is kept for the next attempt, if the sink takes it soon."""
        if self._hook is not None:
            self._hook.cancel()

    def _results(self, context: Context) -> list[Any]:
        """Return the sink's result, and before it those of earlier runs whose tasks didn't succeed."""
        from airflow_provider_dotypos import _compat
        from airflow_provider_dotypos.api.reading import Reader
        from airflow_provider_dotypos.api.retry import PUT_OFF_SOON
        from airflow_provider_dotypos.hooks.dotypos import DotyposHook
        from airflow_provider_dotypos.transfers.watermark import NothingNewError

        self._hook = DotyposHook(self.dotypos_conn_id, self.cloud_id, self.concurrency, PUT_OFF_SOON)
        client = self._hook.get_conn()
        reader = Reader(client)
        self.cloud_url = client.settings.cloud_url
        selection = self._selection(reader.cloud_id)
        self._check_window(selection.entity)
        until = self.until if self.until is not None else _airflow.run_after(context)
        if not self.incremental or not selection.entity.cursors:
            window = Window.of(self.since, until, timezone=self.timezone)
            return [self._extract(context, selection, window, reader)]
        watermark = self._watermark(context, selection)
        try:
            window = self._next_window(watermark, until, reader)
        except NothingNewError as error:
            if not (earlier := watermark.earlier_sets()):
                raise _compat.skip_exception(str(error)) from None
            self.log.info("%s.", error)
            return earlier
        result = self._extract(context, selection, window, reader)
        return [*watermark.finish(window, result, start=self._start()), result]

    def _extract(self, context: Context, selection: Selection, window: Window, reader: Reader) -> Any:
        from airflow_provider_dotypos.transfers.engine import extract

        zone = timezone.utc if self.timezone is None else time_zone(self.timezone)
        for line in opening(selection, reader.cloud, window, zone):
            self.log.info("%s", line)
        return extract(selection, window, reader, self._sink(context, selection, window), settle=self.settle)

    def _check_settings(self) -> None:
        """Raise if what isn't templated is wrong, or arguments contradict each other, whatever templates render to."""
        check_switches(personal_data=self.personal_data)
        check_reading(undated_rows=self.undated_rows, deleted_filter=self.deleted_filter)
        check_choice(include=self.include, columns=self.columns, exclude=self.exclude)
        check_settle(self.settle)
        check_lookback(self.lookback)
        if self.concurrency is not None:
            read_concurrency(self.concurrency, "concurrency")
        if any(self._given) and (self.start is not None or self.lookback):
            raise DotyposInputError(
                "start and lookback are for tasks without since and until: omit them, or the window"
            )

    def _check_literals(self, arguments: Mapping[str, Any]) -> None:
        """Raise if an argument without a template is wrong, by the code that checks it when the task runs."""
        check_connection(arguments)
        check_times(arguments)
        if "entity" in arguments:
            from airflow_provider_dotypos.transfers.selection import check_selection

            self._check_window(check_selection(arguments))

    def _selection(self, cloud_id: int, **further: Any) -> Selection:
        """Return what to read.

        :param further: arguments of `Selection.of` that not every operator has.
        """
        from airflow_provider_dotypos.transfers.selection import Selection

        return Selection.of(
            self.entity,
            cloud_id=cloud_id,
            filter=self.filter,
            include=self.include,
            warehouse_id=self.warehouse_id,
            columns=self.columns,
            exclude=self.exclude,
            personal_data=self.personal_data,
            undated_rows=self.undated_rows,
            deleted_filter=self.deleted_filter,
            **further,
        )

    def _watermark(self, context: Context, selection: Selection) -> Watermark[Any]:
        """Return the watermark to continue from, if there is no window."""
        raise DotyposInputError(f"{type(self).__name__} keeps no watermark: give a window with since and until")

    def _sink(self, context: Context, selection: Selection, window: Window) -> Sink[Any]:
        """Return where the rows go."""
        raise NotImplementedError

    def _result(self, results: Sequence[Any]) -> dict[str, Any]:
        """Return what the task returns: small, as JSON can hold it, and without secrets. Asset events hold it, too.

        :param results: of the sink, oldest first; before its own those of earlier runs whose tasks didn't succeed.
        """
        raise NotImplementedError

    def _assets(self) -> list[Asset]:
        """Return the assets that the rows went to. Outlets that are aliases get an event of each."""
        return []

    def _check_window(self, entity: Entity) -> None:
        check_since(entity, self.since)
        if self._given != (self.since is not None, self.until is not None):
            raise DotyposInputError(
                "since or until is empty after rendering. Omit since to read everything up to until"
            )

    def _next_window(self, watermark: Watermark[Any], until: str | date, reader: Reader) -> Window:
        """Return the window that continues from a watermark."""
        due = instant(until, "run_after") - round(self.settle * 1000)  # so early that it needn't be waited for
        return watermark.window(
            due,
            start=self._start(),
            lookback=self.lookback // _MILLISECOND,
            settled=functools.partial(self._settled, reader),
        )

    def _settled(self, reader: Reader, due: int) -> int:
        """Return where a run's window can end: at its own time, unless the server's clock is far behind it."""
        reader.meet()
        settled = reader.settled(self.settle)
        if due - settled <= _CLOCKS_DIFFER // _MILLISECOND:
            return due
        self.log.warning(
            "The clock of Dotypos's server (or of this worker) is %.0f minutes behind the time of this run. The window "
            "ends at %s, as far as changes have settled by that clock; the next run continues from there.",
            (due - settled) / 60_000,
            iso(settled),
        )
        return settled

    def _start(self) -> int | None:
        return None if self.start is None else instant(self.start, "start", self.timezone)
