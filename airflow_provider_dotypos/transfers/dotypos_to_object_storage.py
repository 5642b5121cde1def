"""One window of one entity, every row once, as files on any object store or disk."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import BaseOperator

from airflow_provider_dotypos import _airflow, _compat
from airflow_provider_dotypos.api.errors import DotyposConfigurationError, DotyposInputError
from airflow_provider_dotypos.hooks.failures import airflow_failures

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.sdk import Asset, Context, ObjectStoragePath

    from airflow_provider_dotypos.api.client import DotyposClient
    from airflow_provider_dotypos.api.query import Filter
    from airflow_provider_dotypos.api.reading import Reader
    from airflow_provider_dotypos.api.window import Window
    from airflow_provider_dotypos.hooks.dotypos import DotyposHook
    from airflow_provider_dotypos.transfers.extraction import Extraction
    from airflow_provider_dotypos.transfers.files.pending import Committed
    from airflow_provider_dotypos.transfers.files.store_patience import StorePatience
    from airflow_provider_dotypos.transfers.watermark import Watermark

FILE_FORMATS = ("jsonl", "parquet", "csv")
COMPRESSIONS = (None, "gzip")

#: By how much clocks may differ until a run without a window heeds it: less is waited out.
_CLOCKS_DIFFER = timedelta(minutes=5)


class DotyposToObjectStorageOperator(BaseOperator):
    """Extract the rows of an entity that changed in ``[since, until)`` into files below `destination`.

    Every row inside the window that doesn't change during the walk is delivered exactly once; a row that changes
    meanwhile is delivered, or belongs to the next window, or both. The files count once their manifest is there: read
    them through ``airflow_provider_dotypos.transfers.manifest.read_manifest``. A window that is done is kept, also
    when the task is run again, unless `overwrite`; one that was broken off is gone on with.

    Without `since` and `until` the task goes on from where its last success ended (Airflow 3.3: the watermark is kept
    in the state store of its first outlet asset).

    Memory stays flat however many rows there are. The worker's disk holds a part under way for each thread.

    :param entity: its name in the API's paths, such as ``orders``. (templated)
    :param destination: folder below which ``{cloud}/{entity}/{window}/`` is written: any ``ObjectStoragePath``, such as
        ``file:///data/dotypos`` or ``s3://aws_default@bucket/dotypos``. (templated)
    :param since: first instant inside the window: a datetime with a zone, ISO 8601 text with one, or a bare date with
        `timezone`; leave it out (and give `until`) for everything up to `until`. (templated)
    :param until: first instant after it; left out, the time at which the DAG run was to start, which retries don't
        move. The task waits until it is `settle` seconds ago. Without `since` as well, the window ends `settle` seconds
        before that time, and nothing is waited for. (templated)
    :param start: without a window: where the first run begins, like `since`; left out, at the beginning. (templated)
    :param lookback: without a window: how far before the watermark to read again.
    :param filter: further conditions, in the API's grammar or as ``(field, operator, value)`` triples; one on
        ``deleted`` replaces ours (live and deleted rows). (templated)
    :param include: child lists to nest in each row, comma-separated, such as ``orderItems,moneyLogs``. (templated)
    :param flatten: write the included child lists into files of their own, beside those of `entity`.
    :param warehouse_id: for ``warehouse-products``: which warehouse; left out, all. (templated)
    :param timezone: IANA zone in which bare dates begin.
    :param columns: only these fields, comma-separated or a list, a child's as ``orderItems.name``; ids and the fields
        that order changes are always there. (templated)
    :param exclude: all fields but these, such as ``printData``. (templated)
    :param personal_data: ``False`` leaves out fields that hold personal data, and such as the entity table doesn't
        know.
    :param snapshot: write the ids of all rows there are, and nothing else of them: two snapshots tell what was removed
        (``airflow_provider_dotypos.transfers.snapshots.removed_ids``).
    :param file_format: ``jsonl`` (the API's bytes), ``parquet`` (typed; needs the extra ``parquet``) or ``csv``.
    :param compression: ``None`` or ``gzip``; Parquet compresses by itself.
    :param compression_level: of gzip, 1 to 3 (higher costs more time than it saves space).
    :param overwrite: replace the window's set as a whole, once the new one is complete.
    :param settle: seconds that a change may need to show in the API.
    :param max_part_bytes: size in bytes at which a part ends.
    :param concurrency: threads that walk the window at once, 1 to 64; left out, the connection's *Max concurrency*.
    :param destination_conn_id: Airflow connection of the store, where `destination` doesn't name one. (templated)
    :param cloud_id: the cloud, in place of the connection's. (templated)
    :param dotypos_conn_id: the Airflow connection. (templated)
    :return: ``{"manifest", "manifests", "entity", "cloud_id", "since", "until", "rows", "files", "bytes"}``:
        `manifest` is the path of the newest set, and the rest says what this one holds, its window in ISO 8601.
        `manifests` lists all sets to be read, the oldest first: without a window also those of earlier runs whose tasks
        didn't succeed.
    :raises AirflowFailException: what a retry can't cure: a refused token, a forbidden cloud, a bad window or filter.
    :raises AirflowSkipException: without a window: if later runs have read beyond this one's time, and no earlier set
        is to be returned.

    https://docs.api.dotypos.com/api-reference/general/paging
    """

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
    ui_color = "#ffe3c2"

    def __init__(
        self,
        *,
        entity: str,
        destination: str,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        start: str | datetime | None = None,
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
        file_format: Literal["jsonl", "parquet", "csv"] = "jsonl",
        compression: str | None = None,
        compression_level: int = 1,
        overwrite: bool = False,
        settle: float = 60.0,
        max_part_bytes: int = 64 * 2**20,
        concurrency: int | None = None,
        destination_conn_id: str | None = None,
        cloud_id: int | str | None = None,
        dotypos_conn_id: str = "dotypos_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._given = (since is not None, until is not None)
        self.incremental = not any(self._given) and snapshot is not True
        switches = {"flatten": flatten, "personal_data": personal_data, "snapshot": snapshot, "overwrite": overwrite}
        for name, switch in switches.items():
            if not isinstance(switch, bool):  # a text, "False" among them, would count as yes
                raise ValueError(f"{name} must be True or False, not {type(switch).__name__} {switch!r} (no template)")
        if file_format not in FILE_FORMATS:
            raise ValueError(f"file_format must be one of {', '.join(FILE_FORMATS)}, not {file_format!r}")
        if compression not in COMPRESSIONS:
            raise ValueError(f"compression must be None or 'gzip', not {compression!r}")
        if compression and file_format == "parquet":
            raise ValueError("compression must be None for parquet, which compresses its columns by itself (zstd)")
        if compression_level not in (1, 2, 3):
            raise ValueError(f"compression_level must be 1, 2 or 3, not {compression_level!r}")
        if isinstance(max_part_bytes, bool) or not isinstance(max_part_bytes, int) or max_part_bytes < 1:
            raise ValueError(f"max_part_bytes must be a whole number of bytes, 1 or more, not {max_part_bytes!r}")
        if concurrency is not None and (type(concurrency) is not int or not 1 <= concurrency <= 64):
            raise ValueError(f"concurrency must be a whole number of threads, 1 to 64, not {concurrency!r}")
        if isinstance(settle, bool) or not isinstance(settle, (int, float)) or not 0 <= settle <= 86_400:
            raise ValueError(f"settle must be a number of seconds, 0 to 86400 (a day), not {settle!r}")
        if not isinstance(lookback, timedelta) or lookback < timedelta(0):
            raise ValueError(f"lookback must be a timedelta, 0 or more, not {lookback!r}")
        if timezone is not None:
            from airflow_provider_dotypos.api.window import time_zone

            time_zone(timezone)
        # Of templated arguments only whether they are there can be told before they are rendered.
        if not self.incremental and (start is not None or lookback):
            raise ValueError("start and lookback are for tasks without since, until and snapshot; leave them out")
        if flatten and include is None:
            raise ValueError("flatten: there is nothing to flatten; name child lists in include, too")
        if columns is not None and exclude is not None:
            raise ValueError("give columns or exclude, not both")
        if snapshot and any(one is not None for one in (since, include, columns, exclude)):
            raise ValueError("snapshot writes the ids of all rows: leave since, include, columns and exclude out")
        if self.incremental and not self.outlets:
            self.add_outlets(_outlets(destination, cloud_id, entity))
        self.entity = entity
        self.destination = destination
        self.since = since
        self.until = until
        self.start = start
        self.lookback = lookback
        self.filter = filter
        self.include = include
        self.flatten = flatten
        self.warehouse_id = warehouse_id
        self.timezone = timezone
        self.columns = columns
        self.exclude = exclude
        self.personal_data = personal_data
        self.snapshot = snapshot
        self.file_format = file_format
        self.compression = compression
        self.compression_level = compression_level
        self.overwrite = overwrite
        self.settle = settle
        self.max_part_bytes = max_part_bytes
        self.concurrency = concurrency
        self.destination_conn_id = destination_conn_id
        self.cloud_id = cloud_id
        self.dotypos_conn_id = dotypos_conn_id
        self._hook: DotyposHook | None = None
        self._patience: StorePatience | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Extract the window, unless it is done already, and return where and how much."""
        from airflow_provider_dotypos.api.reading import Reader
        from airflow_provider_dotypos.api.retry import PUT_OFF_SOON
        from airflow_provider_dotypos.hooks.dotypos import DotyposHook
        from airflow_provider_dotypos.transfers.extract import extract
        from airflow_provider_dotypos.transfers.files.manifest import manifest_name
        from airflow_provider_dotypos.transfers.files.store import Store, object_path
        from airflow_provider_dotypos.transfers.files.store_patience import StorePatience
        from airflow_provider_dotypos.transfers.watermark import NothingNewError

        with airflow_failures(self.dotypos_conn_id, resumed=context):
            self._hook = DotyposHook(self.dotypos_conn_id, self.cloud_id, self.concurrency, PUT_OFF_SOON)
            self._patience = StorePatience()
            client = self._hook.get_conn()
            destination = object_path(self.destination, self.destination_conn_id)
            extraction = self._extraction(client, self._window(context))
            reader = Reader(client)
            watermark = self._watermark(context, extraction, destination)
            if watermark is not None:
                try:
                    window = watermark.window(
                        extraction.window.until,
                        start=self._start(),
                        lookback=self.lookback // timedelta(milliseconds=1),
                        settled=functools.partial(self._settled, reader),
                    )
                except NothingNewError as error:
                    if not (earlier := watermark.earlier_sets()):
                        raise _compat.skip_exception(str(error)) from None
                    self.log.info("%s.", error)
                    return self._result(earlier)
                extraction = replace(extraction, window=window)
            store = Store(destination / extraction.folder, self._patience)
            manifest = extract(
                extraction,
                reader,
                store,
                overwrite=self.overwrite,
                try_number=getattr(context.get("ti"), "try_number", 1),
                origin=_origin(context),
            )
            name, start = store.folder.name, self._start()
            earlier = [] if watermark is None else watermark.finish(extraction.window, name, start=start)
            return self._result([*earlier, (str(store.folder / manifest_name(manifest.generation)), manifest)])

    def on_kill(self) -> None:
        """End every wait at once. What was read by then is put, if the store takes it soon, for the next attempt."""
        if self._hook is not None:
            self._hook.cancel()
        if self._patience is not None:
            self._patience.hurry()

    def _extraction(self, client: DotyposClient, window: Window) -> Extraction:
        from airflow_provider_dotypos.transfers.extraction import Extraction
        from airflow_provider_dotypos.transfers.files.formats.file_format import FileFormat

        return Extraction.of(
            self.entity,
            cloud_id=_cloud(client),
            window=window,
            filter=self.filter,
            include=self.include,
            flatten=self.flatten,
            warehouse_id=self.warehouse_id,
            file_format=FileFormat(self.file_format, self.compression_level if self.compression else None),
            columns=self.columns,
            exclude=self.exclude,
            personal_data=self.personal_data,
            snapshot=self.snapshot,
            max_part_bytes=self.max_part_bytes,
            settle=self.settle,
            concurrency=client.settings.max_concurrency,
        )

    def _window(self, context: Context) -> Window:
        """Return the window; of a task without one: all up to the end of this run's."""
        from airflow_provider_dotypos.api.entities import find_entity
        from airflow_provider_dotypos.api.window import Window, instant

        found = find_entity(self.entity)
        if not found.listed:
            raise DotyposInputError(f"{self.entity} is one object, not a list: read it with DotyposOperator")
        if not found.cursors and self.since is not None:
            raise DotyposInputError(f"{self.entity} has no field that tells changes; leave since out, it is read whole")
        if self._given != (self.since is not None, self.until is not None):
            raise DotyposInputError(
                "since or until rendered to nothing; to read everything up to until, leave since out"
            )
        until = self.until if self.until is not None else context["dag_run"].run_after
        if self.incremental and found.cursors:
            # So early that nobody has to wait until it has settled.
            return Window(None, instant(until, "run_after") - round(self.settle * 1000))
        return Window.of(self.since, until, timezone=self.timezone)

    def _watermark(self, context: Context, extraction: Extraction, destination: ObjectStoragePath) -> Watermark | None:
        """Return the watermark to go on from, if there is no window."""
        from airflow_provider_dotypos.api.entities import find_entity
        from airflow_provider_dotypos.transfers.files.manifest import find_set
        from airflow_provider_dotypos.transfers.files.pending import PendingSets, notes_folder
        from airflow_provider_dotypos.transfers.files.store import Store
        from airflow_provider_dotypos.transfers.watermark import Watermark, watermark_key

        if not self.incremental or not find_entity(self.entity).cursors:
            return None
        stores = _compat.state_stores(context, self.outlets)
        key = watermark_key(extraction.cloud_id, self.entity, str(destination), extraction.shape)
        sets = (destination / extraction.folder).parent
        notes = Store(sets / notes_folder(stores.asset_name, key), self._patience)
        pending = PendingSets(
            notes,
            _airflow.task_instance(context),
            context["ti"].try_number,
            find=lambda folder: find_set(Store(sets / folder, self._patience)),
            succeeded=functools.partial(_airflow.succeeded, context),
        )
        return Watermark(stores.asset, stores.task, key, pending)

    def _settled(self, reader: Reader, due: int) -> int:
        """Return where a run's window can end: at its own time, unless the server's clock is far behind it."""
        from airflow_provider_dotypos.api.window import iso

        reader.meet()
        settled = reader.settled(self.settle)
        if due - settled <= _CLOCKS_DIFFER // timedelta(milliseconds=1):
            return due
        self.log.warning(
            "The clock of Dotypos's server (or of this worker) is %.0f minutes behind the time of this run. The window "
            "ends at %s, as far as changes have settled by that clock; the next run goes on from there.",
            (due - settled) / 60_000,
            iso(settled),
        )
        return settled

    def _result(self, sets: Sequence[Committed]) -> dict[str, Any]:
        """Return what the task returns: where the sets are, and how much the newest holds."""
        if sets[:-1]:
            paths = ", ".join(path for path, _ in sets[:-1])
            self.log.info("Earlier sets are returned as well, as no task that returned them has succeeded: %s", paths)
        path, manifest = sets[-1]
        result = {
            "manifest": path,
            "manifests": [path for path, _ in sets],
            "entity": manifest.entity,
            "cloud_id": manifest.cloud_id,
            "since": manifest.since,
            "until": manifest.until,
            "rows": manifest.rows,
            "files": sum(len(part.sizes) for part in manifest.parts),
            "bytes": manifest.bytes,
        }
        self.log.info("%d rows in %d files (%d bytes): %s", result["rows"], result["files"], result["bytes"], path)
        return result

    def _start(self) -> int | None:
        from airflow_provider_dotypos.api.window import instant

        return None if self.start is None else instant(self.start, "start", self.timezone)


def _outlets(destination: object, cloud_id: object, entity: object) -> list[Asset]:
    """Return the asset that files of an entity below a destination are, unless a template decides which."""
    from airflow.sdk import Asset

    named = [str(one) for one in (destination, cloud_id, entity) if one is not None]
    if not isinstance(destination, str) or not isinstance(entity, str) or any("{" in name for name in named):
        return []
    scheme, found, place = destination.rpartition("://")
    if not found and not place.startswith("/"):
        return []  # refused when the task runs
    # A connection's name in front of a bucket's is none of the asset's identity.
    address = f"{scheme}://{place.split('/')[0].rpartition('@')[2]}/{place.partition('/')[2]}" if found else place
    return [Asset(uri="/".join([(address if found else f"file://{address}").rstrip("/"), *named[1:]]))]


def _cloud(client: DotyposClient) -> int:
    if client.settings.cloud_id is None:
        raise DotyposConfigurationError(
            "Cloud ID is missing in the Airflow connection; give it there, or pass cloud_id"
        )
    return client.settings.cloud_id


def _origin(context: Context) -> str:
    """Return what all tries of this task instance have in common, in short; nothing outside of a DAG run."""
    ti: Any = context.get("ti")
    if getattr(ti, "run_id", None) is None:
        return ""
    names = [str(getattr(ti, name, "")) for name in ("dag_id", "task_id", "run_id", "map_index")]
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
