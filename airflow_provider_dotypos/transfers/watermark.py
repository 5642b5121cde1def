"""Where the last committed extraction ended: the watermark.

It is kept in the state store of an asset (Airflow 3.3), in files beside the notes (3.1 and 3.2), or in a database. It
moves only once a set is committed and noted (see `pending`). A task that dies before that finds its set again when it
is retried, because the window that it began with is kept as well; otherwise the next run reads from the watermark on. A
task that dies after it leaves a note, and the next run returns its set. So no crash makes a gap, neither in what is
read nor in what is returned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from airflow_provider_dotypos._airflow import TaskInstanceKey
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.list_log import list_log
from airflow_provider_dotypos.api.markers import StateStore
from airflow_provider_dotypos.api.window import Window, instant, iso

log = list_log(__name__)

ResultT = TypeVar("ResultT")


class Note(msgspec.Struct, frozen=True):
    """What a run leaves of its set.

    :param run: the task instance.
    :param try_number: which of its tries wrote this.
    :param folder: where the set is: for files, the name of its folder. Empty for a run that had nothing new.
    :param since: the set's window, in epoch milliseconds; ``None`` from the beginning.
    :param until: its end.
    :param reached: where the watermark was when the run began.
    :param returns: names of further notes whose sets the run returns with its own, or has read again.
    :param key: the name of the watermark, and...
    :param asset: ...of the asset that it belongs to. Both are empty in notes of earlier versions.
    """

    run: TaskInstanceKey
    try_number: int
    folder: str
    since: int | None
    until: int
    reached: int | None
    returns: tuple[str, ...] = ()
    key: str = ""
    asset: str = ""


class Pending(Protocol[ResultT]):
    """What is used of pending sets, see `files.pending.PendingSets`."""

    def read(self) -> Mapping[str, Note]:
        """Return the notes of sets that were not delivered yet, by name, the oldest window first."""

    def add(self, window: Window | None, reached: int | None, folder: str = "") -> list[ResultT]:
        """Note a set, and return the earlier ones that are to be returned with it, the oldest first."""

    @property
    def find(self) -> Callable[[str], ResultT | None]:
        """Returns the whole set in a folder, if there is one."""


class NothingNewError(Exception):
    """A run's window lies before the watermark: later runs have read it already."""


class Watermark(Generic[ResultT]):
    """The watermark of one stream of extractions.

    :param asset: where it is kept, such as the state store of an asset.
    :param task: what a task instance keeps for its retries: the window that it began.
    :param key: its name in both, see `watermark_key`.
    :param pending: the sets that were not delivered yet. Without it, what is committed counts as delivered.
    """

    def __init__(self, asset: StateStore, task: StateStore, key: str, pending: Pending[ResultT] | None = None) -> None:
        self._asset = asset
        self._task = task
        self.key = key
        self._pending = pending
        self._began_at: int | None = None

    def window(
        self,
        due: int,
        *,
        start: int | None = None,
        lookback: int = 0,
        settled: Callable[[int], int] | None = None,
    ) -> Window:
        """Return the window to extract: from the watermark to `due`. A retry gets the window that its first try began.

        It begins earlier if a set was lost before it was delivered.

        :param due: where this run's window should end, in epoch milliseconds.
        :param start: where the first run begins; ``None``: at the beginning.
        :param lookback: milliseconds before the watermark to read again.
        :param settled: returns where the window can end, if that is earlier. Called only if there is one to begin.
        :raises NothingNewError: if the watermark isn't before the window's end.
        :raises DotyposInputError: if the watermark isn't a time, or `start` isn't before the window's end.
        """
        notes = () if self._pending is None else tuple(self._pending.read().values())
        reached = self._roll_forward(notes)
        begun = self._task.get(self.key)
        if begun is not None and _still_holds(begun, due, reached):
            self._began_at = begun["reached"]
            return Window(begun["since"], begun["until"])
        if reached is not None and reached >= due:
            raise NothingNewError(
                f"changes before {iso(due)} have been read by later runs: the watermark {self.key} is at "
                f"{iso(reached)}. To read that time again, give since and until, or set the watermark back"
            )
        until = due if settled is None else settled(due)
        if reached is not None and reached >= until:
            raise NothingNewError(f"nothing has settled since {iso(reached)}, where the watermark {self.key} is")
        since = start if reached is None else reached - lookback
        if since is not None and since >= until:
            raise DotyposInputError(f"start={iso(since)} is not before until={iso(until)}")
        if reached is None:
            log.detail("No success was noted so far for the watermark %s.", self.key)
        else:
            log.detail("Continuing from %s, where the watermark %s is.", iso(reached), self.key)
        since = self._before_what_was_lost(notes, since)
        self._task.set(self.key, {"since": since, "until": until, "due": due, "reached": reached})
        self._began_at = reached
        return Window(since, until)

    def finish(self, window: Window, result: Any, *, start: int | None = None) -> list[ResultT]:
        """Note a committed set and move the watermark; return the earlier sets that are to be returned with it.

        :param result: what the sink's commit returned.
        :param start: see `move`.
        """
        earlier = [] if self._pending is None else self._pending.add(window, self._began_at, result.folder)
        self.move(window, start=start)
        return earlier

    def earlier_sets(self) -> list[ResultT]:
        """Return the sets that were not delivered yet, for a run that has nothing new."""
        return [] if self._pending is None else self._pending.add(None, self._began_at)

    def read(self) -> int | None:
        """Return where it is, in epoch milliseconds; ``None`` before the first success.

        :raises DotyposInputError: if the value kept there isn't a time.
        """
        kept = self._asset.get(self.key)
        if kept is None:
            return None
        try:
            return instant(kept, "it")
        except DotyposInputError as error:
            raise DotyposInputError(f"the watermark {self.key} was set to {kept!r}: {error}") from None

    def move(self, window: Window, *, start: int | None = None) -> None:
        """Move the watermark up to the end of a window that was extracted: never back, never past what nobody has read.

        :param start: where a first run begins: where the watermark is, if there is none.
        """
        reached = self.read()
        at = start if reached is None else reached
        if window.since is not None and (at is None or at < window.since):
            where = "removed" if reached is None else f"set back to {iso(reached)}"
            log.warning("The watermark %s was %s meanwhile; it stays so.", self.key, where)
        elif reached is None or reached < window.until:
            self._asset.set(self.key, iso(window.until))
            log.detail("The watermark %s is at %s now.", self.key, iso(window.until))

    def _roll_forward(self, notes: Iterable[Note]) -> int | None:
        """Return where the watermark is, moved over sets whose runs died just before they moved it.

        A watermark that was set by hand meanwhile stays where it is.
        """
        reached = self.read()
        for note in notes:
            ahead = note.folder and note.reached == reached and (reached is None or note.until > reached)
            if ahead and self._find(note) is not None:
                reached = note.until
                self._asset.set(self.key, iso(reached))
                log.info("The watermark %s is at %s now: an earlier run has read so far.", self.key, iso(reached))
        return reached

    def _before_what_was_lost(self, notes: Iterable[Note], since: int | None) -> int | None:
        """Return where to begin so that windows are read again whose sets aren't whole any more."""
        for note in notes:
            if note.folder and self._find(note) is None:
                log.warning("The set %s is gone, and no task has returned it: it is read again.", note.folder)
                since = None if since is None or note.since is None else min(since, note.since)
        return since

    def _find(self, note: Note) -> ResultT | None:
        return None if self._pending is None else self._pending.find(note.folder)


def watermark_key(cloud_id: int, entity: str, *identity: object) -> str:
    """Return a watermark's name.

    :param identity: what else separates watermarks: the destination, and the shape of sets.
    """
    digest = hashlib.sha256("\n".join(str(part or "") for part in identity).encode()).hexdigest()[:8]
    return f"dotypos/{cloud_id}/{entity}/{digest}"


def _still_holds(begun: dict[str, Any], due: int, reached: int | None) -> bool:
    """Return whether the window of an earlier try still holds: only runs that got past it have moved the watermark."""
    until = begun["until"]
    passed = reached is not None and reached >= until
    return bool(begun.get("due", until) == due and (begun["reached"] == reached or passed))
