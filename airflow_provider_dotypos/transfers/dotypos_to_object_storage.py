"""One window of one entity, every row once, as files on any object store or disk."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_dotypos import _compat

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.sdk import Context

    from airflow_provider_dotypos.api.client import DotyposClient
    from airflow_provider_dotypos.api.query import Filter
    from airflow_provider_dotypos.hooks.dotypos import DotyposHook
    from airflow_provider_dotypos.transfers.manifest import Manifest

FILE_FORMATS = ("jsonl",)
COMPRESSIONS = (None, "gzip")


class DotyposToObjectStorageOperator(BaseOperator):
    """Extract the rows of an entity that changed in ``[since, until)`` into files below `destination`.

    Every row inside the window that doesn't change during the walk is delivered exactly once; a row that changes
    meanwhile is delivered, or belongs to the next window, or both. The files count once their manifest is there: read
    them through ``airflow_provider_dotypos.transfers.manifest.read_manifest``. A window that is done is kept, also
    when the task is run again, unless `overwrite`.

    Rows are the API's bytes, a JSON object a line. Memory stays flat however many there are; the worker's disk holds
    one part at a time (`max_part_bytes` and one page, more only while rows of one instant are read).

    :param entity: its name in the API's paths, such as ``orders``. (templated)
    :param destination: folder below which ``{cloud}/{entity}/{window}/`` is written: any ``ObjectStoragePath``, such as
        ``file:///data/dotypos`` or ``s3://aws_default@bucket/dotypos``. (templated)
    :param since: first instant inside the window: a datetime with a zone, ISO 8601 text with one, or a bare date with
        `timezone`; leave it out (and give `until`) for everything up to `until`. (templated)
    :param until: first instant after it; left out, the time at which the DAG run was to start, which retries don't
        move. The task waits until it is `settle` seconds ago. (templated)
    :param filter: further conditions, in the API's grammar or as ``(field, operator, value)`` triples; one on
        ``deleted`` replaces ours (live and deleted rows). (templated)
    :param include: child lists to nest in each row, comma-separated, such as ``orderItems,moneyLogs``. (templated)
    :param warehouse_id: for ``warehouse-products``: which warehouse; left out, all. (templated)
    :param timezone: IANA zone in which bare dates begin.
    :param file_format: ``jsonl``. :param compression: ``None`` or ``gzip``.
    :param compression_level: of gzip, 1 to 3 (higher costs more time than it saves space).
    :param overwrite: replace the window's set as a whole, once the new one is complete.
    :param settle: seconds that a change may need to show in the API.
    :param max_part_bytes: size in bytes at which a part ends.
    :param concurrency: threads that walk the window at once, from 1; left out, the connection's *Max concurrency*.
    :param destination_conn_id: Airflow connection of the store, where `destination` doesn't name one. (templated)
    :param cloud_id: the cloud, in place of the connection's. (templated)
    :param dotypos_conn_id: the Airflow connection. (templated)
    :return: ``{"manifest", "entity", "cloud_id", "since", "until", "rows", "files", "bytes"}``: the manifest's path,
        the window in ISO 8601, and how much there is.
    :raises AirflowFailException: what a retry can't cure: a refused token, a forbidden cloud, a bad window or filter.

    https://docs.api.dotypos.com/api-reference/general/paging
    """

    template_fields: Sequence[str] = (
        "entity",
        "destination",
        "since",
        "until",
        "filter",
        "include",
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
        filter: Filter = None,
        include: str | None = None,
        warehouse_id: int | str | None = None,
        timezone: str | None = None,
        file_format: str = "jsonl",
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
        if file_format not in FILE_FORMATS:
            raise ValueError(f"file_format must be one of {', '.join(FILE_FORMATS)}, not {file_format!r}")
        if compression not in COMPRESSIONS:
            raise ValueError(f"compression must be None or 'gzip', not {compression!r}")
        if compression_level not in (1, 2, 3):
            raise ValueError(f"compression_level must be 1, 2 or 3, not {compression_level!r}")
        if isinstance(max_part_bytes, bool) or not isinstance(max_part_bytes, int) or max_part_bytes < 1:
            raise ValueError(f"max_part_bytes must be a whole number of bytes, 1 or more, not {max_part_bytes!r}")
        if concurrency is not None and (type(concurrency) is not int or concurrency < 1):
            raise ValueError(f"concurrency must be a whole number of threads, 1 or more, not {concurrency!r}")
        if isinstance(settle, bool) or not isinstance(settle, (int, float)) or not 0 <= settle < float("inf"):
            raise ValueError(f"settle must be a number of seconds, 0 or more, not {settle!r}")
        self.entity = entity
        self.destination = destination
        self.since = since
        self.until = until
        self.filter = filter
        self.include = include
        self.warehouse_id = warehouse_id
        self.timezone = timezone
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

    def execute(self, context: Context) -> dict[str, Any]:
        """Extract the window, unless it is done already, and return where and how much."""
        from airflow_provider_dotypos.api.reading import Reader
        from airflow_provider_dotypos.hooks.dotypos import DotyposHook
        from airflow_provider_dotypos.transfers.extraction import Extraction, extract
        from airflow_provider_dotypos.transfers.manifest import manifest_name
        from airflow_provider_dotypos.transfers.store import Store, object_path

        with _compat.airflow_failures(self.dotypos_conn_id):
            self._hook = DotyposHook(self.dotypos_conn_id, self.cloud_id, self.concurrency)
            client = self._hook.get_conn()
            extraction = Extraction.of(
                self.entity,
                cloud_id=_cloud(client),
                window=self._window(context),
                filter=self.filter,
                include=self.include,
                warehouse_id=self.warehouse_id,
                gzip_level=self.compression_level if self.compression else None,
                max_part_bytes=self.max_part_bytes,
                settle=self.settle,
                concurrency=client.settings.max_concurrency,
            )
            store = Store(object_path(self.destination, self.destination_conn_id) / extraction.folder)
            manifest = extract(
                extraction,
                Reader(client),
                store,
                overwrite=self.overwrite,
                try_number=getattr(context.get("ti"), "try_number", 1),
                origin=_origin(context),
            )
            path = str(store.folder / manifest_name(manifest.generation))
            self.log.info(
                "%d rows in %d files (%d bytes): %s", manifest.rows, len(manifest.parts), manifest.bytes, path
            )
            return _summary(manifest, path)

    def on_kill(self) -> None:
        """End every wait at once; what was put so far no manifest lists, and the next attempt removes it."""
        if self._hook is not None:
            self._hook.cancel()

    def _window(self, context: Context) -> Any:
        from airflow_provider_dotypos.api.entities import entity
        from airflow_provider_dotypos.api.errors import DotyposInputError
        from airflow_provider_dotypos.api.window import Window

        since, until = self.since, self.until
        found = entity(self.entity)
        if not found.listed:
            raise DotyposInputError(f"{self.entity} is one object, not a list: read it with DotyposOperator")
        has_cursor = bool(found.cursors)
        if has_cursor and since is None and until is None:
            raise DotyposInputError(
                "give a window: since and until, or until alone for everything up to it, e.g. "
                "until='{{ dag_run.run_after.isoformat() }}'"
            )
        if not has_cursor and since is not None:
            raise DotyposInputError(f"{self.entity} has no field that tells changes; leave since out, it is read whole")
        return Window.of(since, until if until is not None else context["dag_run"].run_after, timezone=self.timezone)


def _cloud(client: DotyposClient) -> int:
    from airflow_provider_dotypos.api.errors import DotyposConfigurationError

    if client.settings.cloud_id is None:
        raise DotyposConfigurationError(
            "Cloud ID is missing in the Airflow connection; give it there, or pass cloud_id"
        )
    return client.settings.cloud_id


def _origin(context: Context) -> str:
    """Return what all tries of this task instance have in common, in short."""
    ti: Any = context.get("ti")
    names = [str(getattr(ti, name, "")) for name in ("dag_id", "task_id", "run_id", "map_index")]
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def _summary(manifest: Manifest, path: str) -> dict[str, Any]:
    return {
        "manifest": path,
        "entity": manifest.entity,
        "cloud_id": manifest.cloud_id,
        "since": manifest.since,
        "until": manifest.until,
        "rows": manifest.rows,
        "files": len(manifest.parts),
        "bytes": manifest.bytes,
    }
