"""Many entities of a cloud in one task, each window whole and every row once, as files on any object store or disk."""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api.list_log import list_log
from airflow_provider_dotypos.api.window import SETTLE
from airflow_provider_dotypos.hooks.arguments import argument_errors, literals
from airflow_provider_dotypos.transfers.arguments import HISTORY_LISTS, check_history
from airflow_provider_dotypos.transfers.entities import DotyposEntitiesTransferOperator, entity_names
from airflow_provider_dotypos.transfers.files.formats.file_format import PART_BYTES
from airflow_provider_dotypos.transfers.links import CloudLink, FilesLink, console_url
from airflow_provider_dotypos.transfers.object_storage import ObjectStorageFiles

if TYPE_CHECKING:
    from airflow.sdk import BaseOperatorLink, Context, ObjectStoragePath

    from airflow_provider_dotypos.api.client import DotyposClient
    from airflow_provider_dotypos.api.markers import DeletedFilter, UndatedRows
    from airflow_provider_dotypos.api.reading import Reader
    from airflow_provider_dotypos.api.window import Window
    from airflow_provider_dotypos.transfers.arguments import HistoryWay
    from airflow_provider_dotypos.transfers.crew import Crew
    from airflow_provider_dotypos.transfers.history import NestedHistory
    from airflow_provider_dotypos.transfers.list_transfer import ListTransfer

log = list_log(__name__)


class DotyposEntitiesToObjectStorageOperator(ObjectStorageFiles, DotyposEntitiesTransferOperator):
    """Extract many entities of a cloud into files below `destination`: one task, one sign-in, one pool of threads.

    Each entity has its set, watermark and asset, in the folders and under the names that a
    `DotyposToObjectStorageOperator` of its own would use with the same arguments. So a DAG can change from one form to
    the other and continue.

    An error of one entity doesn't stop the others. At the end the task fails, and names each that failed. A retry makes
    requests only for what is missing. If the API asks for a long wait, the task gives its slot back until then.

    Without `since` and `until` each entity continues from where its last success ended. Its watermark belongs to its
    asset, if that is an outlet, and otherwise to the first outlet that is an asset.

    Arguments that only some entities have (a filter, columns, included lists) need a `DotyposToObjectStorageOperator`.

    :param entities: ``all`` entities that a cloud has a list of, or names of some, comma-separated or a list.
        (templated)
    :param destination: folder below which ``{cloud}/{entity}/{window}/`` is written: any ``ObjectStoragePath``, such as
        ``file:///data/dotypos`` or ``s3://aws_default@bucket/dotypos``. (templated)
    :param since: first instant inside the window, for entities with a field that shows changes; others are read whole.
        A datetime with a zone, ISO 8601 text with one, or, with `timezone`, a bare date. (templated)
    :param until: first instant after the window. Defaults to the DAG run's `run_after`, which retries don't change.
        (templated)
    :param start: without a window: where the first run begins, given like `since`. Defaults to the beginning.
        (templated)
    :param lookback: without a window: how far before the watermarks to read again.
    :param timezone: IANA zone in which bare dates begin.
    :param personal_data: ``False`` omits fields that hold personal data, and fields that the entity table doesn't know.
    :param on_forbidden: what a list does that the token may not read: ``skip`` says so in the log and in the result,
        ``fail`` fails the task at the end. Its watermark doesn't move. If the token may read none of them, the task
        fails.
    :param history: how orders, order items and payments are read if their window begins at the beginning. ``streams``
        reads each list by itself. ``nested`` reads orders with their items and payments in them, which takes about a
        fifth of the requests, and makes the sets of all three of what came.
    :param file_format: ``jsonl`` (the API's bytes), ``parquet`` (typed; needs the extra ``parquet``) or ``csv``.
    :param compression: ``None`` or ``gzip``; Parquet compresses by itself.
    :param compression_level: of gzip, 1 to 3 (higher costs more time than it saves space).
    :param overwrite: replace the windows' sets as a whole, once the new ones are complete.
    :param undated_rows: when rows without a cursor are read, as they belong to no window: ``full``, by sets from the
        beginning, or ``always``, by each window.
    :param deleted_filter: by how many filters live and deleted rows are read: ``one``, ``two``, or ``auto``, as was
        found to be right for this cloud.
    :param settle: seconds that a change may need to show in the API.
    :param max_part_bytes: size in bytes at which a part ends.
    :param concurrency: threads, 1 to 64: each takes an entity, and helps with the large ones when none is left.
        Defaults to the connection's *Max concurrency*.
    :param destination_conn_id: Airflow connection of the store, where `destination` doesn't name one. (templated)
    :param cloud_id: the cloud, in place of the connection's. (templated)
    :param dotypos_conn_id: the Airflow connection. (templated)
    :return: ``{"cloud_id", "rows", "entities", "skipped"}``: `entities` holds for each entity what a
        `DotyposToObjectStorageOperator` returns, `skipped` the names of those that the token may not read.
    :raises AirflowFailException: if a retry can't cure any of what went wrong.
    :raises AirflowSkipException: if later runs have read beyond this one's time in all entities, and no earlier set is
        to be returned.

    https://docs.api.dotypos.com/api-reference/general/paging
    """

    operator_extra_links: Collection[BaseOperatorLink] = (FilesLink(), CloudLink())
    template_fields: Sequence[str] = (
        "entities",
        "destination",
        "since",
        "until",
        "start",
        "destination_conn_id",
        "cloud_id",
        "dotypos_conn_id",
    )

    def __init__(
        self,
        *,
        entities: str | Sequence[str],
        destination: str,
        since: str | date | None = None,
        until: str | date | None = None,
        start: str | date | None = None,
        lookback: timedelta = timedelta(0),
        timezone: str | None = None,
        personal_data: bool = True,
        on_forbidden: Literal["skip", "fail"] = "skip",
        history: HistoryWay = "streams",
        file_format: Literal["jsonl", "parquet", "csv"] = "jsonl",
        compression: str | None = None,
        compression_level: int = 1,
        overwrite: bool = False,
        undated_rows: UndatedRows = "full",
        deleted_filter: DeletedFilter = "auto",
        settle: float = SETTLE,
        max_part_bytes: int = PART_BYTES,
        concurrency: int | None = None,
        destination_conn_id: str | None = None,
        cloud_id: int | str | None = None,
        dotypos_conn_id: str = "dotypos_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            entities=entities,
            since=since,
            until=until,
            start=start,
            lookback=lookback,
            timezone=timezone,
            personal_data=personal_data,
            on_forbidden=on_forbidden,
            settle=settle,
            concurrency=concurrency,
            cloud_id=cloud_id,
            dotypos_conn_id=dotypos_conn_id,
            undated_rows=undated_rows,
            deleted_filter=deleted_filter,
            **kwargs,
        )
        self.history = history
        self._nested: NestedHistory | None = None
        self.destination = destination
        self.file_format = file_format
        self.compression = compression
        self.compression_level = compression_level
        self.overwrite = overwrite
        self.max_part_bytes = max_part_bytes
        self.destination_conn_id = destination_conn_id
        with argument_errors(self):
            arguments = literals(self)
            self._check_files(arguments)
            names = entity_names(entities) if "entities" in arguments else None
            check_history(history, settle, names)
            if names is not None:
                self._add_outlets(names)

    @property
    def _readers(self) -> list[Reader]:
        return [*super()._readers, *([self._nested.reader] if self._nested is not None else [])]

    def _due(self, until: str | date) -> int:
        due = super()._due(until)
        return due // 1000 * 1000 if self.history == "nested" else due  # see why_not_nested

    def _arrange(self, context: Context, client: DotyposClient) -> None:
        """Have orders, items and payments read together, if that is asked for and possible."""
        super()._arrange(context, client)
        if self.history != "nested":
            return
        from airflow_provider_dotypos.api.reading import Reader
        from airflow_provider_dotypos.transfers.history import NestedHistory, why_not_nested

        windows = {transfer.name: transfer.window for transfer in self._lists if transfer.window is not None}
        if (reason := why_not_nested(windows)) is not None:
            log.info("Orders, order items and money logs are read one by one: %s.", reason)
            return
        self._nested = NestedHistory(
            windows.keys() & HISTORY_LISTS,
            windows[HISTORY_LISTS[0]],
            Reader(client.twin()),
            self._destination(),
            settle=self.settle,
            personal_data=self.personal_data,
            patience=self._patience,
            overwrite=self.overwrite,
            try_number=_airflow.try_number(context),
            origin=_airflow.origin(context),
        )
        client.sleep(0)  # a kill until here hasn't reached the twin

    def _commit_list(self, context: Context, transfer: ListTransfer, window: Window, crew: Crew) -> Any:
        if self._nested is None or transfer.name not in HISTORY_LISTS:
            return super()._commit_list(context, transfer, window, crew)
        from airflow_provider_dotypos.transfers.history import HistoryList

        begin = functools.partial(self._sink, context, transfer.selection, window)
        return self._nested.extract(HistoryList(transfer.selection, transfer.reader, begin), crew)

    def _extract(self, context: Context) -> None:
        super()._extract(context)
        if self._nested is None:
            return
        nested = [
            transfer for transfer in self._lists if transfer.name in HISTORY_LISTS and transfer.window is not None
        ]
        missing = [transfer for transfer in nested if not transfer.results]
        failures = {transfer.name: transfer.error for transfer in missing if transfer.error is not None}
        if len(self._skipped(failures)) == len(missing):  # no retry will make a set of what is nested
            self._nested.clean_up()

    def _show_folder(self, folder: ObjectStoragePath) -> None:
        self.files_url = console_url(folder.parent.parent)  # the cloud's, which holds the folders of all entities
