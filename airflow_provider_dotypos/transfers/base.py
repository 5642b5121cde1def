"""The base of transfers of one entity, wherever its rows go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_dotypos import _compat
from airflow_provider_dotypos._airflow import ListEvent
from airflow_provider_dotypos.api.window import Window, time_zone
from airflow_provider_dotypos.hooks.arguments import argument_errors, literals
from airflow_provider_dotypos.transfers.arguments import check_choice, check_since
from airflow_provider_dotypos.transfers.list_transfer import ListTransfer
from airflow_provider_dotypos.transfers.task import TransferTask
from airflow_provider_dotypos.transfers.wording import opening

if TYPE_CHECKING:
    from airflow_provider_dotypos.api.entities import Entity
    from airflow_provider_dotypos.api.markers import DeletedFilter, UndatedRows
    from airflow_provider_dotypos.api.query import Filter
    from airflow_provider_dotypos.transfers.selection import Selection


class DotyposTransferOperator(TransferTask):
    """The base of operators that bring an entity's rows somewhere. A subclass brings parameters of its own and a sink.

    It takes the parameters explicitly, with defaults and ``template_fields``. `DotyposToObjectStorageOperator`
    describes them. `execute` calls these, in this order:

    1. `_selection`: what to read. A subclass extends it, if it has further arguments for it.
    2. `incremental`: whether the task continues from where its last success ended.
    3. `_watermark`: where that is. A subclass implements it, if its tasks can do without a window.
    4. `_sink`: where the rows go. A subclass implements it.
    5. `_result`: what the task returns, and what the events of its outlets hold. A subclass implements it.
    """

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
        super().__init__(
            since=since,
            until=until,
            start=start,
            lookback=lookback,
            timezone=timezone,
            personal_data=personal_data,
            settle=settle,
            concurrency=concurrency,
            cloud_id=cloud_id,
            dotypos_conn_id=dotypos_conn_id,
            undated_rows=undated_rows,
            deleted_filter=deleted_filter,
            **kwargs,
        )
        self.entity = entity
        self.filter = filter
        self.include = include
        self.warehouse_id = warehouse_id
        self.columns = columns
        self.exclude = exclude
        with argument_errors(self):
            check_choice(include=include, columns=columns, exclude=exclude)
            arguments = literals(self)
            if "entity" in arguments:
                from airflow_provider_dotypos.transfers.selection import check_selection

                check_since(check_selection(arguments), since)

    def _selections(self, cloud_id: int) -> Sequence[Selection]:
        return [self._selection(cloud_id)]

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

    def _since_of(self, entity: Entity) -> str | date | None:
        check_since(entity, self.since)
        return self.since

    def _opening(self, transfer: ListTransfer, window: Window) -> Iterable[str]:
        zone = timezone.utc if self.timezone is None else time_zone(self.timezone)
        return opening(transfer.selection, transfer.reader.cloud, window, zone)

    def _conclude(self) -> dict[str, Any]:
        (transfer,) = self._lists
        if transfer.error is not None:
            raise transfer.error
        if transfer.nothing_new is not None:
            if not transfer.results:
                raise _compat.skip_exception(transfer.nothing_new)
            self.log.info("%s.", transfer.nothing_new)
        self._log_result(transfer.results)
        return self._result(transfer.results)

    def _events(self, result: Mapping[str, Any]) -> Sequence[ListEvent]:
        return [ListEvent(asset, result) for asset in self._assets(self.entity)]
