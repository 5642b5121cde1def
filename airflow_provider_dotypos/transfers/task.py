"""What every transfer does, of one list or many, wherever rows go: check arguments, find windows, extract, conclude."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos._airflow import ListEvent
from airflow_provider_dotypos.api.errors import DotyposError, DotyposInputError
from airflow_provider_dotypos.api.list_log import speaking_of
from airflow_provider_dotypos.api.overrides import read_concurrency
from airflow_provider_dotypos.api.reach import concerns_all_calls
from airflow_provider_dotypos.api.window import Window, check_settle, instant, iso
from airflow_provider_dotypos.hooks import metrics
from airflow_provider_dotypos.hooks.arguments import argument_errors, check_connection, literals
from airflow_provider_dotypos.hooks.lineage import report_lineage, source_of
from airflow_provider_dotypos.transfers.arguments import (
    check_lookback,
    check_reading,
    check_switches,
    check_times,
)
from airflow_provider_dotypos.transfers.lineage import ListLineage, Output, fields_of, openlineage
from airflow_provider_dotypos.transfers.links import CloudLink
from airflow_provider_dotypos.transfers.list_transfer import ListTransfer

if TYPE_CHECKING:
    from airflow.sdk import Asset, BaseOperatorLink, Context

    from airflow_provider_dotypos.api.client import DotyposClient
    from airflow_provider_dotypos.api.entities import Entity
    from airflow_provider_dotypos.api.markers import DeletedFilter, UndatedRows
    from airflow_provider_dotypos.api.reading import Reader
    from airflow_provider_dotypos.hooks.dotypos import DotyposHook
    from airflow_provider_dotypos.transfers.crew import Crew
    from airflow_provider_dotypos.transfers.selection import Selection
    from airflow_provider_dotypos.transfers.sink import Sink
    from airflow_provider_dotypos.transfers.watermark import Watermark

#: By how much clocks may differ before a run without a window takes notice. Less is waited out.
_CLOCKS_DIFFER = timedelta(minutes=5)

_MILLISECOND = timedelta(milliseconds=1)


class TransferTask(BaseOperator):
    """A task that extracts lists of a cloud. Subclasses say which, where the rows go, and what comes of it.

    `DotyposTransferOperator` has one list, `DotyposEntitiesTransferOperator` many.
    """

    ui_color = "#ffe3c2"
    operator_extra_links: Collection[BaseOperatorLink] = (CloudLink(),)

    #: What the event of a list's asset holds besides, if nothing was brought there.
    _no_result: ClassVar[Mapping[str, Any]] = {}

    def __init__(
        self,
        *,
        since: str | date | None,
        until: str | date | None,
        start: str | date | None,
        lookback: timedelta,
        timezone: str | None,
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
        self.since = since
        self.until = until
        self.start = start
        self.lookback = lookback
        self.timezone = timezone
        self.personal_data = personal_data
        self.settle = settle
        self.concurrency = concurrency
        self.cloud_id = cloud_id
        self.dotypos_conn_id = dotypos_conn_id
        self.undated_rows = undated_rows
        self.deleted_filter = deleted_filter
        self._hook: DotyposHook | None = None
        self._lists: list[ListTransfer] = []
        #: Where a browser shows the cloud, once the task has begun.
        self.cloud_url: str | None = None
        with argument_errors(self):
            self._check_settings()
            arguments = literals(self)
            check_connection(arguments)
            check_times(arguments)

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

        with airflow_failures(self.dotypos_conn_id, context, resumes=True):
            try:
                self._extract(context)
                self._report_lineage()
                result = self._conclude()
            finally:
                if self._hook is not None:
                    self._hook.close()
        _airflow.fill_outlet_events(context, self.outlets, result, self._events(result))
        return result

    def on_kill(self) -> None:
        """End every wait at once. What was read by then is kept for the next attempt, if the sink takes it soon."""
        if self._hook is not None:
            self._hook.cancel()
        self._cancel()

    def get_openlineage_facets_on_complete(self, task_instance: object) -> Any:
        """Return the lineage of the lists that the task has committed, whether it failed or not, for OpenLineage."""
        return openlineage(self._lineage())

    def extent(self) -> list[str]:
        """Return how far each list is extracted, in words, for messages about a failure."""
        return [line for transfer in self._lists if (line := transfer.extent()) is not None]

    @property
    def _readers(self) -> list[Reader]:
        """What reads the lists."""
        return [transfer.reader for transfer in self._lists]

    def _cancel(self) -> None:
        for reader in self._readers:
            reader.cancel()

    def _extract(self, context: Context) -> None:
        """Extract all lists. `_lists` says then what came of each."""
        from airflow_provider_dotypos.api.reading import Reader
        from airflow_provider_dotypos.api.retry import PUT_OFF_SOON
        from airflow_provider_dotypos.hooks.dotypos import DotyposHook
        from airflow_provider_dotypos.transfers.crew import Crew

        self._hook = DotyposHook(self.dotypos_conn_id, self.cloud_id, self.concurrency, PUT_OFF_SOON)
        client = self._hook.get_conn()
        self.cloud_url = client.settings.cloud_url
        self._prepare()
        selections = self._selections(client.settings.require_cloud_id())
        self._lists = [ListTransfer(selection, Reader(client.twin())) for selection in selections]
        client.sleep(0)  # a kill until here has reached none of the twins
        for transfer in self._lists:
            with self._speaking_of(transfer), self._errors_of(transfer):
                self._begin(context, transfer)
        self._arrange(context, client)
        crew = Crew(client.settings.max_concurrency)
        extractions = {
            transfer: functools.partial(self._extract_list, context, transfer, crew)
            for transfer in self._lists
            if transfer.window is not None
        }
        with closing(crew.run(extractions, self._cancel)) as outcomes:
            for transfer, outcome in outcomes:
                with self._speaking_of(transfer), self._errors_of(transfer):
                    if not outcome.cancelled():
                        transfer.finish(outcome.result(), self._start())
        if metrics.are_on():
            for transfer in self._lists:
                self._measure(transfer)

    def _begin(self, context: Context, transfer: ListTransfer) -> None:
        """Find a list's window."""
        from airflow_provider_dotypos.transfers.watermark import NothingNewError

        entity = transfer.selection.entity
        since = self._since_of(entity)
        if self._given != (self.since is not None, self.until is not None):
            raise DotyposInputError(
                "since or until is empty after rendering. Omit since to read everything up to until"
            )
        until = self.until if self.until is not None else _airflow.run_after(context)
        if not self.incremental or not entity.cursors:
            transfer.window = Window.of(since, until, timezone=self.timezone)
            return
        watermark = transfer.watermark = self._watermark(context, transfer.selection)
        try:
            transfer.window = self._next_window(watermark, until, transfer.reader)
        except NothingNewError as error:
            transfer.nothing_new = str(error)
            transfer.results = watermark.earlier_sets()

    def _extract_list(self, context: Context, transfer: ListTransfer, crew: Crew) -> Any:
        """Extract a list in a thread of the crew, and return the sink's result."""
        window = transfer.window
        assert window is not None
        with self._speaking_of(transfer):
            try:
                for line in self._opening(transfer, window):
                    self.log.info("%s", line)
                return self._commit_list(context, transfer, window, crew)
            except DotyposError as error:
                if concerns_all_calls(error):
                    crew.begin_no_more()
                raise

    def _measure(self, transfer: ListTransfer) -> None:
        """Send the metrics of a list. What can't be learned, such as a watermark in a lost database, isn't sent."""
        cloud_id = transfer.selection.cloud_id
        with suppress(Exception):
            if transfer.error is None and transfer.was_read:
                result = self._result(transfer.results)
                misfits = sum(result.get("misfits", {}).values())
                metrics.send_list(cloud_id, transfer.name, rows=result["rows"], misfits=misfits)
        with suppress(Exception):
            if (watermark := transfer.watermark) is not None:
                metrics.send_watermark(cloud_id, transfer.name, watermark.key, watermark.read())

    def _commit_list(self, context: Context, transfer: ListTransfer, window: Window, crew: Crew) -> Any:
        """Bring a list's rows into a sink, and return the sink's result."""
        from airflow_provider_dotypos.transfers.engine import extract

        selection = transfer.selection
        sink = self._sink(context, selection, window)
        return extract(selection, window, transfer.reader, sink, settle=self.settle, crew=crew)

    @contextmanager
    def _errors_of(self, transfer: ListTransfer) -> Iterator[None]:
        """Keep an error of a list with the list: others go on."""
        try:
            yield
        except Exception as error:
            transfer.error = error

    def _speaking_of(self, transfer: ListTransfer) -> AbstractContextManager[None]:
        """Have the log name a list, where there are many."""
        return speaking_of(transfer.name if len(self._lists) > 1 else "")

    def _opening(self, transfer: ListTransfer, window: Window) -> Iterable[str]:
        """Yield lines for the log that say what is extracted."""
        return ()

    def _check_settings(self) -> None:
        """Raise if what isn't templated is wrong, or arguments contradict each other, whatever templates render to."""
        check_switches(personal_data=self.personal_data)
        check_reading(undated_rows=self.undated_rows, deleted_filter=self.deleted_filter)
        check_settle(self.settle)
        check_lookback(self.lookback)
        if self.concurrency is not None:
            read_concurrency(self.concurrency, "concurrency")
        if any(self._given) and (self.start is not None or self.lookback):
            raise DotyposInputError(
                "start and lookback are for tasks without since and until: omit them, or the window"
            )

    def _prepare(self) -> None:
        """Make ready for the lists, and raise if that is impossible, before anything is asked for."""

    def _arrange(self, context: Context, client: DotyposClient) -> None:
        """Decide how the lists are read, once their windows are known."""

    def _selections(self, cloud_id: int) -> Sequence[Selection]:
        """Return what to read of each list."""
        raise NotImplementedError

    def _since_of(self, entity: Entity) -> str | date | None:
        """Return where an entity's window begins, if the task has one."""
        raise NotImplementedError

    def _conclude(self) -> dict[str, Any]:
        """Return what the task returns, or raise what it ends with."""
        raise NotImplementedError

    def _events(self, result: Mapping[str, Any]) -> Sequence[ListEvent]:
        """Return what the events of the lists' assets hold. Those of other outlets hold the task's result."""
        raise NotImplementedError

    def _amounts(self, results: Iterable[Mapping[str, Any]]) -> Sequence[str]:
        """Return what the lists' results come to besides rows, for the log."""
        return ()

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

    def _log_result(self, results: Sequence[Any]) -> None:
        """Say in the log what a list has brought."""

    def _outlets_of(self, entity: str) -> list[Any]:
        """Return the task's outlets without the assets of its other lists."""
        names = (transfer.name for transfer in self._lists)
        others = {asset.uri for name in names if name != entity for asset in self._assets(name)}
        return [outlet for outlet in self.outlets if getattr(outlet, "uri", None) not in others]

    def _assets(self, entity: str) -> list[Asset]:
        """Return the assets that an entity's rows go to. Outlets that are aliases get an event of each."""
        return []

    def _next_window(self, watermark: Watermark[Any], until: str | date, reader: Reader) -> Window:
        """Return the window that continues from a watermark."""
        return watermark.window(
            self._due(until),
            start=self._start(),
            lookback=self.lookback // _MILLISECOND,
            settled=functools.partial(self._settled, reader),
        )

    def _due(self, until: str | date) -> int:
        """Return where a window ends that continues from a watermark: so early that it needn't be waited for."""
        return instant(until, "run_after") - round(self.settle * 1000)

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

    def _report_lineage(self) -> None:
        """Have Airflow's plugins for lineage learn what was committed."""
        assert self._hook is not None
        for lineage in self._lineage():
            report_lineage(self._hook, lineage.source, [output.asset for output in lineage.outputs])

    def _lineage(self) -> list[ListLineage]:
        """Return where the rows of the lists that were committed came from, and where they went."""
        committed = [transfer for transfer in self._lists if transfer.window is not None and transfer.results]
        if self._hook is None or not committed:
            return []
        settings = self._hook.get_conn().settings
        return [
            ListLineage(
                source_of(settings, transfer.name), fields_of(transfer.selection.columns), self._outputs(transfer)
            )
            for transfer in committed
        ]

    def _outputs(self, transfer: ListTransfer) -> Sequence[Output]:
        """Return what was written of a list, for lineage."""
        return [Output(asset) for asset in self._assets(transfer.name)]

    def _start(self) -> int | None:
        return None if self.start is None else instant(self.start, "start", self.timezone)
