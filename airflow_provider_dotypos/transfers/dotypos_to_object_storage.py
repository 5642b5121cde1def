"""One window of one entity, every row once, as files on any object store or disk."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dotypos.api.window import SETTLE
from airflow_provider_dotypos.hooks.arguments import argument_errors, literals
from airflow_provider_dotypos.transfers.arguments import (
    check_choice,
    check_switches,
)
from airflow_provider_dotypos.transfers.base import DotyposTransferOperator
from airflow_provider_dotypos.transfers.files.formats.file_format import NAMES, PART_BYTES
from airflow_provider_dotypos.transfers.links import CloudLink, FilesLink
from airflow_provider_dotypos.transfers.object_storage import ObjectStorageFiles

if TYPE_CHECKING:
    from airflow.sdk import BaseOperatorLink

    from airflow_provider_dotypos.api.markers import DeletedFilter, UndatedRows
    from airflow_provider_dotypos.api.query import Filter
    from airflow_provider_dotypos.transfers.selection import Selection

#: What `file_format` and `compression` can be, as DAGs may have imported them.
FILE_FORMATS, COMPRESSIONS = NAMES, (None, "gzip")


class DotyposToObjectStorageOperator(ObjectStorageFiles, DotyposTransferOperator):
    """Extract the rows of an entity that changed in ``[since, until)`` into files below `destination`.

    Every row inside the window that doesn't change during the walk is delivered exactly once; a row that changes
    meanwhile is delivered, or belongs to the next window, or both. The files count once their manifest exists: read
    them through ``airflow_provider_dotypos.transfers.manifest.read_manifest``. A finished window is kept when the task
    runs again, unless `overwrite` is set. An interrupted one is resumed.

    Without `since` and `until` the task continues from where its last success ended. The watermark belongs to its first
    outlet asset.

    Memory stays flat however many rows there are. Each thread keeps one unfinished part on the worker's disk.

    :param entity: its name in the API's paths, such as ``orders``. (templated)
    :param destination: folder below which ``{cloud}/{entity}/{window}/`` is written: any ``ObjectStoragePath``, such as
        ``file:///data/dotypos`` or ``s3://aws_default@bucket/dotypos``. (templated)
    :param since: first instant inside the window: a datetime with a zone, ISO 8601 text with one, or, with `timezone`,
        a bare date as text or ``date``. With `until` alone, the window holds everything up to `until`. (templated)
    :param until: first instant after the window. Defaults to the DAG run's `run_after`, which retries don't change. The
        task waits until it is `settle` seconds ago. Without `since` as well, the window ends `settle` seconds before
        that time, and nothing is waited for. (templated)
    :param start: without a window: where the first run begins, given like `since`. Defaults to the beginning.
        (templated)
    :param lookback: without a window: how far before the watermark to read again.
    :param filter: further conditions, in the API's grammar or as ``(field, operator, value)`` triples. One on
        ``deleted`` replaces ours (live and deleted rows). (templated)
    :param include: child lists to nest in each row, comma-separated, such as ``orderItems,moneyLogs``. (templated)
    :param flatten: write the included child lists into files of their own, beside those of `entity`.
    :param warehouse_id: for ``warehouse-products``: the warehouse to read. Defaults to all. (templated)
    :param timezone: IANA zone in which bare dates begin.
    :param columns: only these fields, comma-separated or a list, a child's as ``orderItems.name``. Ids and the fields
        that order changes are always there. (templated)
    :param exclude: all fields but these, such as ``printData``. (templated)
    :param personal_data: ``False`` omits fields that hold personal data, and fields that the entity table doesn't know.
    :param snapshot: write the ids of all rows that exist, and nothing else of them. Two snapshots show what was removed
        (``airflow_provider_dotypos.transfers.snapshots.removed_ids``).
    :param undated_rows: when to read rows that show no change date: ``full``, by a window from the beginning or a
        snapshot, or ``always``, by each window. Defaults to ``full``.
    :param deleted_filter: how to ask for live and deleted rows: by ``one`` filter for both, by ``two`` requests, or
        ``auto``, as was found to be safe for this cloud. Defaults to ``auto``.
    :param file_format: ``jsonl`` (the API's bytes), ``parquet`` (typed; needs the extra ``parquet``) or ``csv``.
    :param compression: ``None`` or ``gzip``; Parquet compresses by itself.
    :param compression_level: of gzip, 1 to 3 (higher costs more time than it saves space).
    :param overwrite: replace the window's set as a whole, once the new one is complete.
    :param settle: seconds that a change may need to show in the API.
    :param max_part_bytes: size in bytes at which a part ends. Files of less than 8 MiB, or of less than this size, are
        merged before the set is committed, if a table has more files than threads.
    :param concurrency: threads that walk the window at once, 1 to 64. Defaults to the connection's *Max concurrency*.
    :param destination_conn_id: Airflow connection of the store, where `destination` doesn't name one. (templated)
    :param cloud_id: the cloud, in place of the connection's. (templated)
    :param dotypos_conn_id: the Airflow connection. (templated)
    :return: ``{"manifest", "manifests", "entity", "cloud_id", "since", "until", "rows", "files", "bytes"}``:
        `manifest` is the path of the newest set, and the rest says what this one holds, its window in ISO 8601.
        `manifests` lists all sets to be read, the oldest first: without a window also those of earlier runs whose tasks
        didn't succeed.
    :raises AirflowFailException: if it can't be cured by a retry: a refused token, a forbidden cloud, a bad window or
        filter.
    :raises AirflowSkipException: if there is no window, later runs have read beyond this one's time, and no earlier set
        is to be returned.

    https://docs.api.dotypos.com/api-reference/general/paging
    """

    operator_extra_links: Collection[BaseOperatorLink] = (FilesLink(), CloudLink())
    template_fields: Sequence[str] = (
        "entity",
        "destination",
        "since",
        "until",
        "start",
        "filter",
        "include",
        "columns",
        "exclude",
        "warehouse_id",
        "destination_conn_id",
        "cloud_id",
        "dotypos_conn_id",
    )

    def __init__(
        self,
        *,
        entity: str,
        destination: str,
        since: str | date | None = None,
        until: str | date | None = None,
        start: str | date | None = None,
        lookback: timedelta = timedelta(0),
        filter: Filter = None,
        include: str | None = None,
        flatten: bool = False,
        warehouse_id: int | str | None = None,
        timezone: str | None = None,
        columns: str | Sequence[str] | None = None,
        exclude: str | Sequence[str] | None = None,
        personal_data: bool = True,
        snapshot: bool = False,
        undated_rows: UndatedRows = "full",
        deleted_filter: DeletedFilter = "auto",
        file_format: Literal["jsonl", "parquet", "csv"] = "jsonl",
        compression: str | None = None,
        compression_level: int = 1,
        overwrite: bool = False,
        settle: float = SETTLE,
        max_part_bytes: int = PART_BYTES,
        concurrency: int | None = None,
        destination_conn_id: str | None = None,
        cloud_id: int | str | None = None,
        dotypos_conn_id: str = "dotypos_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            entity=entity,
            since=since,
            until=until,
            start=start,
            lookback=lookback,
            filter=filter,
            include=include,
            warehouse_id=warehouse_id,
            timezone=timezone,
            columns=columns,
            exclude=exclude,
            personal_data=personal_data,
            settle=settle,
            concurrency=concurrency,
            cloud_id=cloud_id,
            dotypos_conn_id=dotypos_conn_id,
            undated_rows=undated_rows,
            deleted_filter=deleted_filter,
            **kwargs,
        )
        self.destination = destination
        self.flatten = flatten
        self.snapshot = snapshot
        self.file_format = file_format
        self.compression = compression
        self.compression_level = compression_level
        self.overwrite = overwrite
        self.max_part_bytes = max_part_bytes
        self.destination_conn_id = destination_conn_id
        with argument_errors(self):
            self._check_choice()
            self._check_files(literals(self))
        self._add_outlets([entity])

    @property
    def incremental(self) -> bool:
        """Whether the task has no window, and continues from where its last success ended. A snapshot doesn't."""
        return super().incremental and not self.snapshot

    def _check_choice(self) -> None:
        """Raise if arguments contradict each other, whatever templates render to."""
        check_switches(flatten=self.flatten, snapshot=self.snapshot)
        check_choice(
            since=self.since, include=self.include, columns=self.columns, exclude=self.exclude, start=self.start,
            lookback=self.lookback, flatten=self.flatten, snapshot=self.snapshot,
        )  # fmt: skip

    def _selection(self, cloud_id: int, **further: Any) -> Selection:
        return super()._selection(cloud_id, flatten=self.flatten, snapshot=self.snapshot, **further)
