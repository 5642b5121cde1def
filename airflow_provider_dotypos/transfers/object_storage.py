"""What transfers into files on an object store or disk have in common, of one entity or many."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_provider_dotypos import _airflow, _compat
from airflow_provider_dotypos.api.list_log import list_log
from airflow_provider_dotypos.api.window import iso
from airflow_provider_dotypos.hooks.arguments import check_conn_id
from airflow_provider_dotypos.storage.address import check_address
from airflow_provider_dotypos.transfers.arguments import check_part_bytes, check_switches
from airflow_provider_dotypos.transfers.files.formats.file_format import FileFormat
from airflow_provider_dotypos.transfers.files.reached import find_reached
from airflow_provider_dotypos.transfers.lineage import Output, fields_of
from airflow_provider_dotypos.transfers.links import console_url
from airflow_provider_dotypos.transfers.rows.new_fields import short_form
from airflow_provider_dotypos.transfers.task import TransferTask
from airflow_provider_dotypos.transfers.wording import count, size, spoken

if TYPE_CHECKING:
    from airflow.sdk import Asset, Context, ObjectStoragePath

    from airflow_provider_dotypos.api.window import Window
    from airflow_provider_dotypos.storage.patience import StorePatience
    from airflow_provider_dotypos.storage.store import Store
    from airflow_provider_dotypos.transfers.files.manifest import Committed, Manifest
    from airflow_provider_dotypos.transfers.files.sink import FileSink
    from airflow_provider_dotypos.transfers.list_transfer import ListTransfer
    from airflow_provider_dotypos.transfers.selection import Selection
    from airflow_provider_dotypos.transfers.watermark import Watermark

log = list_log(__name__)


class ObjectStorageFiles(TransferTask):
    """Brings the rows of a task's lists into files. Operators inherit it beside the class that says which lists.

    :ivar files_url: where a browser shows the files, once the task has begun.
    """

    destination: str
    destination_conn_id: str | None
    file_format: Literal["jsonl", "parquet", "csv"]
    compression: str | None
    compression_level: int
    overwrite: bool
    max_part_bytes: int
    files_url: str | None = None
    _no_result: ClassVar[Mapping[str, Any]] = {
        "manifest": None, "manifests": [], "files": 0, "bytes": 0, "new_fields": {}, "misfits": {},
    }  # fmt: skip
    _patience: StorePatience | None = None
    _has_own_outlets: bool = False
    _successes: _airflow.Successes

    def on_kill(self) -> None:
        """End every wait at once. What was read by then is put, if the store takes it soon, for the next attempt."""
        super().on_kill()
        if self._patience is not None:
            self._patience.hurry()

    def _add_outlets(self, entities: Iterable[str]) -> None:
        """Give a task without a window the assets of its lists as outlets, unless it has some: they keep watermarks."""
        if self.incremental and not self.outlets:
            self._has_own_outlets = True
            self.add_outlets([asset for entity in entities for asset in self._assets(entity)])

    def _check_files(self, arguments: Mapping[str, Any]) -> None:
        """Raise if an argument that is about files is wrong, unless it is a template."""
        check_switches(overwrite=self.overwrite)
        check_part_bytes(self.max_part_bytes)
        FileFormat.of(self.file_format, self.compression, self.compression_level)
        if "destination" in arguments:
            check_address(self.destination)
        if arguments.get("destination_conn_id"):
            check_conn_id(self.destination_conn_id, "destination_conn_id")

    def _prepare(self) -> None:
        from airflow_provider_dotypos.storage.patience import StorePatience

        self._patience = StorePatience()
        self._successes = _airflow.Successes()
        self._destination()
        self._format.check()

    def _watermark(self, context: Context, selection: Selection) -> Watermark[Committed]:
        from airflow_provider_dotypos.storage.store import Store
        from airflow_provider_dotypos.transfers.files.manifest import find_set
        from airflow_provider_dotypos.transfers.files.pending import PendingSets, notes_folder
        from airflow_provider_dotypos.transfers.files.sink import set_shape
        from airflow_provider_dotypos.transfers.files.watermark_files import BegunFiles, TakenOver, WatermarkFiles
        from airflow_provider_dotypos.transfers.watermark import Watermark, watermark_key

        destination, entity = self._destination(), selection.entity.name
        stores = _compat.state_stores(context, self._outlets_of(entity), own_outlets=self._has_own_outlets)
        shape = set_shape(selection, self._format)
        key = watermark_key(selection.cloud_id, entity, str(destination), shape)
        sets = Store(destination / f"{selection.cloud_id}/{entity}", self._patience)
        notes = sets.below(notes_folder(stores.asset_name, key))
        pending = PendingSets(
            notes,
            _airflow.task_instance(context),
            _airflow.try_number(context),
            find=lambda folder: find_set(sets.below(folder)),
            succeeded=functools.partial(_airflow.succeeded, context),
            had_succeeded=functools.partial(self._successes.among, context),
            key=key,
            asset=stores.asset_name,
        )
        files, begun = WatermarkFiles(notes, key, stores.asset_name, shape), notes.below("begun")
        if stores.asset is None:
            files.begin(functools.partial(self._find_reached, sets, shape))
            selection.division.findings.store = files
            origin, run_after = _airflow.origin(context), _airflow.run_after(context)
            return Watermark(files, BegunFiles(begun, origin, run_after), key, pending)
        asset_store = TakenOver(_airflow.SharedStore(stores.asset), files, lambda: pending.listed, begun)
        selection.division.findings.store = asset_store
        return Watermark(asset_store, _airflow.SharedStore(stores.task), key, pending)

    def _find_reached(self, sets: Store, shape: str) -> str | None:
        """Return where the first run of a task begins, if sets that are there reach further than its start."""
        from airflow_provider_dotypos.transfers.files.manifest import find_set

        reached, why = find_reached(
            sets.folders(), shape, self._start(), lambda folder: find_set(sets.below(folder)) is not None
        )
        say = log.detail if reached is None else log.info
        say("No run of this task has noted a watermark below %s so far: %s.", sets.folder, why)
        return None if reached is None else iso(reached)

    def _sink(self, context: Context, selection: Selection, window: Window) -> FileSink:
        from airflow_provider_dotypos.transfers.files.sink import FileSink, set_folder

        folder = self._destination() / set_folder(selection, window, self._format)
        self._show_folder(folder)
        return FileSink.begin(
            folder,
            selection,
            window,
            self._format,
            self.max_part_bytes,
            overwrite=self.overwrite,
            patience=self._patience,
            try_number=_airflow.try_number(context),
            origin=_airflow.origin(context),
        )

    def _result(self, results: Sequence[Committed]) -> dict[str, Any]:
        """Return where the sets are, and how much the newest holds."""
        path, manifest = results[-1]
        return {
            "manifest": path,
            "manifests": [path for path, _ in results],
            "entity": manifest.entity,
            "cloud_id": manifest.cloud_id,
            "since": manifest.since,
            "until": manifest.until,
            "rows": manifest.rows,
            "files": len(manifest.contents.files),
            "bytes": manifest.bytes,
            "new_fields": short_form(manifest.new_fields),
            "misfits": manifest.misfits,
        }

    def _log_result(self, results: Sequence[Committed]) -> None:
        if earlier := [path for path, _ in results[:-1]]:
            log.info(
                "Returned as well: %s, since no task that returned them has succeeded: %s",
                count(len(earlier), "earlier sets"),
                ", ".join(earlier),
            )
        path, manifest = results[-1]
        log.info("Manifest: %s", path)
        log.info("%s", _summary(manifest))

    def _amounts(self, results: Iterable[Mapping[str, Any]]) -> Sequence[str]:
        return [count(sum(result["files"] for result in results), "files")]

    def _assets(self, entity: str) -> list[Asset]:
        """Return the asset that files of an entity below the destination are, unless a template decides which."""
        from airflow.sdk import Asset

        names = [str(name) for name in (self.destination, self.cloud_id, entity) if name is not None]
        if not isinstance(self.destination, str) or not isinstance(entity, str) or any("{" in name for name in names):
            return []
        scheme, separator, place = self.destination.rpartition("://")
        if not separator and not place.startswith("/"):
            return []  # refused when the task runs
        # The connection's name in front of a bucket's isn't part of the asset's identity.
        address = f"{scheme}://{place.split('/')[0].rpartition('@')[2]}/{place.partition('/')[2]}"
        address = address if separator else f"file://{place}"
        return [Asset(uri="/".join([address.rstrip("/"), *names[1:]]))]

    def _outputs(self, transfer: ListTransfer) -> list[Output]:
        manifest = transfer.results[-1].manifest
        return [
            Output(
                asset,
                fields_of(transfer.selection.columns),
                manifest.rows,
                manifest.bytes,
                len(manifest.contents.files),
            )
            for asset in self._assets(transfer.name)
        ]

    @property
    def _format(self) -> FileFormat:
        """The format, of what the operator has now: a cluster policy may have set it."""
        return FileFormat.of(self.file_format, self.compression, self.compression_level)

    def _destination(self) -> ObjectStoragePath:
        from airflow_provider_dotypos.storage.store import object_path

        return object_path(self.destination, self.destination_conn_id)

    def _show_folder(self, folder: ObjectStoragePath) -> None:
        """Show where a list's files are."""
        self.files_url = console_url(folder)
        log.info("Folder: %s", folder)


def _summary(manifest: Manifest) -> str:
    """Return what a set holds, for the log."""
    if not manifest.rows:
        return f"No {spoken(manifest.entity)}. The set is empty."
    rows = count(manifest.rows, manifest.entity)
    if manifest.distinct_ids < manifest.rows:
        rows += f" ({manifest.distinct_ids:,} different)"  # some changed while they were read
    tables = [f"The ids of {rows}" if manifest.snapshot else rows]
    tables += [count(number, child) for child, number in manifest.children.items()]
    return f"{', '.join(tables)} in {count(len(manifest.contents.files), 'files')}, {size(manifest.bytes)}."
