"""Sets that were not delivered yet: their runs have moved the watermark, but their tasks haven't succeeded.

A result reaches a reader only once the task has succeeded: Airflow keeps it, sends the events of outlets and reports
the state after ``execute``. So each run leaves a *note* of its set before it moves the watermark. A later run returns
the sets of all notes with its own, until Airflow says that a task which returned them has succeeded.

Notes are files beside the sets that they are of, one each, which are created and removed whole. A list in the asset's
state store, which has no conditional write, could lose one when two runs write at once, and would be bounded in size.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Set

import msgspec

from airflow_provider_dotypos._airflow import TaskInstanceKey
from airflow_provider_dotypos.api.list_log import list_log
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.files.manifest import Committed
from airflow_provider_dotypos.transfers.watermark import Note

log = list_log(__name__)

#: How many earlier sets a run returns at most. Airflow's database holds them, as XCom and in asset events.
_MOST_RETURNED = 100

_NAME = re.compile(r"[0-9a-f]{16}\.json")


class PendingSets:
    """The notes of one watermark, as one try of a task instance sees them.

    :param notes: where they lie.
    :param run: the task instance.
    :param try_number: its try.
    :param find: returns the whole set in a folder, if there is one.
    :param succeeded: returns which of some task instances Airflow knows to have succeeded.
    :param had_succeeded: the same, as of when the task began. Enough to find a window, but not to say what is returned.
    :param key: the name of the watermark, for people who look at a note.
    :param asset: the name of the asset that it belongs to.
    :ivar listed: the names of all files in the folder, as it was listed last.
    """

    def __init__(
        self,
        notes: Store,
        run: TaskInstanceKey,
        try_number: int,
        *,
        find: Callable[[str], Committed | None],
        succeeded: Callable[[set[TaskInstanceKey]], set[TaskInstanceKey]],
        had_succeeded: Callable[[set[TaskInstanceKey]], set[TaskInstanceKey]] | None = None,
        key: str = "",
        asset: str = "",
    ) -> None:
        self._notes = notes
        self._run = run
        self._try_number = try_number
        self.find = find
        self._succeeded = succeeded
        self._had_succeeded = had_succeeded or succeeded
        self._key = key
        self._asset = asset
        self._outlived = False
        self.listed: Collection[str] = ()

    def read(self) -> dict[str, Note]:
        """Return the notes of sets not delivered yet, by name, the oldest window first; remove the others."""
        return self._undelivered(self._had_succeeded)

    def _undelivered(self, succeeded: Callable[[set[TaskInstanceKey]], set[TaskInstanceKey]]) -> dict[str, Note]:
        self.listed = self._notes.list()
        notes = dict(_notes_among(self._notes, self.listed))
        done = succeeded({self._run, *(note.run for note in notes.values())}) if notes else set()
        self._outlived = self._run in done
        # In this order the note that says what else was returned goes last, also if this process dies in between.
        for name in sorted(delivered(notes, done), key=lambda name: (notes[name].run in done, notes[name].try_number)):
            self._notes.delete(name)
            del notes[name]
        return dict(sorted(notes.items(), key=lambda item: (item[1].until, item[0])))

    def add(self, window: Window | None, reached: int | None, folder: str = "") -> list[Committed]:
        """Note a run's set, and return the earlier sets that its result is to hold as well, the oldest first.

        Of very many, the oldest are returned. The notes of the others stay, for the next run.

        :param window: of the set; ``None`` for a run that had nothing new.
        :param reached: where the watermark was when the run began.
        :param folder: name of the set's folder.
        """
        returned: dict[str, Committed] = {}
        settled: list[str] = []
        for name, note in self._undelivered(self._succeeded).items():
            if window is not None and note.until > window.until:
                continue  # a later run's: it, or one after it, returns that
            if len(returned) == _MOST_RETURNED:
                break
            committed = self.find(note.folder) if note.folder not in ("", folder) else None
            if committed is not None:
                returned[note.folder] = committed
            if committed is not None or note.folder in ("", folder) or (window is not None and _covers(window, note)):
                settled.append(name)
        if self._outlived:
            log.warning("Airflow says that this task has succeeded already: another process runs it, or ran it.")
        elif window is not None or returned:
            since, until = (None, 0) if window is None else (window.since, window.until)
            returns = tuple(settled)
            note = Note(self._run, self._try_number, folder, since, until, reached, returns, self._key, self._asset)
            self._notes.put_bytes(msgspec.json.encode(note), f"{secrets.token_hex(8)}.json")
        return list(returned.values())


def read_notes(folder: Store) -> dict[str, Note]:
    """Return all notes in a folder by name, also of sets that were delivered meanwhile."""
    return dict(_notes_among(folder, folder.list()))


def delivered(notes: Mapping[str, Note], done: Set[TaskInstanceKey]) -> set[str]:
    """Return the names of notes whose sets were delivered.

    :param done: task instances that have succeeded.
    """
    names = {name for name, note in notes.items() if note.run in done}
    for run in done:
        # The last try is the one that has succeeded, so its note says what else was returned.
        tries = [note for note in notes.values() if note.run == run]
        names.update(max(tries, key=lambda note: note.try_number).returns if tries else ())
    return names & notes.keys()


def _notes_among(folder: Store, names: Collection[str]) -> Iterator[tuple[str, Note]]:
    for name in names:
        if _NAME.fullmatch(name):
            try:
                note = msgspec.json.decode(folder.read(name), type=Note)
            except FileNotFoundError:
                continue  # another run has removed it meanwhile
            except msgspec.MsgspecError:
                log.warning("%s in the folder of pending sets can't be read. It is ignored.", name)
                continue
            if "/" not in note.folder:
                yield name, note


#: What the names of folders of notes begin with.
NOTES = "_pending_"


def notes_folder(asset: str, key: str) -> str:
    """Return the name of the folder for a watermark's notes, beside the folders of sets.

    :param asset: name of the watermark's asset: runs with another one have other readers, even of the same rows.
    :param key: of the watermark.
    """
    return f"{NOTES}{hashlib.sha256(f'{asset} {key}'.encode()).hexdigest()[:16]}"


def _covers(window: Window, note: Note) -> bool:
    """Return whether a window holds all of a note's."""
    starts = window.since is None or (note.since is not None and window.since <= note.since)
    return starts and note.until <= window.until
