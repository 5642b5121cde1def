"""Watermarks as a person looks at them and sets them: of lists below a destination, wherever they are kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_dotypos import _compat
from airflow_provider_dotypos._airflow import TaskInstanceKey
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.window import instant, iso, milliseconds
from airflow_provider_dotypos.lake.sets import lists_below
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.files.pending import NOTES, delivered, notes_folder, read_notes
from airflow_provider_dotypos.transfers.files.watermark_files import Record, WatermarkFiles, newest_record
from airflow_provider_dotypos.transfers.watermark import Note, watermark_key

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_dotypos._compat import AssetState

#: The name of a watermark, among what else is kept beside it.
KEY = re.compile(r"dotypos/(\d+)/([a-z0-9-]+)/[0-9a-f]{8}")

#: Returns which task instances have succeeded; ``None`` if Airflow can't say.
Succeeded = Callable[[set[TaskInstanceKey]], Set[TaskInstanceKey] | None]


@dataclass(frozen=True)
class ListWatermark:
    """The watermark of one list.

    :param owner: the name of the asset that it belongs to, or of the table.
    :param shape: of the sets; empty for a table.
    :param key: its name.
    :param value: what is kept: a time in ISO 8601, or ``None``: nothing was read so far.
    :param place: where it is kept, in words.
    :param write: keeps another value, or none, unless the value was changed meanwhile; returns whether it did.
    :param moved_at: when it was written, in ISO 8601, if that is known.
    :param moved_by: who wrote it, if that is known.
    :param pending: the notes of sets that no successful task has returned; all notes, if Airflow can't say.
    :param pending_known: whether Airflow has said which tasks have succeeded.
    """

    cloud_id: int
    entity: str
    owner: str
    shape: str
    key: str
    value: Any
    place: str
    write: Callable[[str | None], bool]
    moved_at: str | None = None
    moved_by: str = ""
    pending: tuple[Note, ...] = ()
    pending_known: bool = True

    @property
    def reached(self) -> int | None:
        """Where it is, in epoch milliseconds; ``None`` if it isn't a time, or nothing was read so far."""
        try:
            return None if self.value is None else instant(self.value, "it")
        except DotyposInputError:
            return None

    @property
    def pending_since(self) -> str | None:
        """The end of the oldest pending set's window, in ISO 8601."""
        ends = [note.until for note in self.pending]
        return iso(min(ends)) if ends else None

    def change(self, value: str | None) -> None:
        """Keep another value, or none.

        :raises DotyposInputError: if it was changed meanwhile.
        """
        if not self.write(value):
            raise DotyposInputError(
                f"the watermark {self.key} was moved while you looked at it. Nothing was changed: look again"
            )


def watermarks_below(
    destination: ObjectStoragePath, states: Sequence[AssetState], succeeded: Succeeded
) -> Iterator[ListWatermark]:
    """Yield the watermarks of the lists below a destination.

    :param states: what Airflow's database holds of assets (3.3). What it has, it has alone: a file beside the notes is
        then what an earlier version has left.
    """
    for cloud_id, entity in lists_below(destination):
        sets = Store(destination / f"{cloud_id}/{entity}")
        folders = sets.folders()
        keys = {
            watermark_key(cloud_id, entity, str(destination), shape): shape
            for shape in {name.rpartition("_")[2] for name in folders if not name.startswith(NOTES)}
        }
        notes = {name: read_notes(sets.below(name)) for name in folders if name.startswith(NOTES)}
        of_airflow = {
            notes_folder(state.asset, state.key): state
            for state in states
            if state.key.startswith(f"dotypos/{cloud_id}/{entity}/") and KEY.fullmatch(state.key)
        }
        for name, state in of_airflow.items():
            if name in notes or state.key in keys:
                pending, known = _pending(notes.get(name, {}), succeeded)
                noted = (note.folder.rpartition("_")[2] for note in notes.get(name, {}).values() if note.folder)
                shape = keys.get(state.key) or next(noted, "")
                yield _in_airflow(cloud_id, entity, shape, state, pending, known)
        for name in notes.keys() - of_airflow.keys():
            if (record := newest_record(sets.below(name))[1]) is not None:
                pending, known = _pending(notes[name], succeeded)
                yield _in_files(cloud_id, entity, sets.below(name), record, pending, known)


def _in_airflow(
    cloud_id: int, entity: str, shape: str, state: AssetState, pending: tuple[Note, ...], known: bool
) -> ListWatermark:
    return ListWatermark(
        cloud_id,
        entity,
        state.asset,
        shape,
        state.key,
        state.value,
        "Airflow",
        lambda value: _compat.write_asset_state(state, value),
        iso(milliseconds(state.updated_at)),
        state.by,
        pending,
        known,
    )


def _in_files(
    cloud_id: int, entity: str, folder: Store, record: Record, pending: tuple[Note, ...], known: bool
) -> ListWatermark:
    files = WatermarkFiles(folder, record.key, record.asset, record.shape)

    def write(value: str | None) -> bool:
        if files.read() != record:
            return False
        files.put(value)
        return True

    return ListWatermark(
        cloud_id,
        entity,
        record.asset,
        record.shape,
        record.key,
        record.value,
        "files",
        write,
        record.at,
        record.by,
        pending,
        known,
    )


def _pending(notes: Mapping[str, Note], succeeded: Succeeded) -> tuple[tuple[Note, ...], bool]:
    """Return the notes of sets that weren't delivered, and whether Airflow has said so."""
    done = succeeded({note.run for note in notes.values()}) if notes else set()
    gone = delivered(notes, done) if done else set()
    return tuple(note for name, note in notes.items() if name not in gone and note.folder), done is not None
