"""The plan that a task has made and not applied to its end: its next try applies that one, and reads no cloud again.

Beside the plan lies a note of it. It is written after the plan and before the first write, and removed when every row
has its final verdict. A crash before the note leaves a plan that nobody applies: nothing was written yet, and the next
try makes another. After it, the next try applies the noted plan, which is always harmless: a row that is done says so.
Two tries at the same moment apply the same plan.

A noted plan counts only for the request that it was made for: the same arguments, and a source with the same rows. Who
has corrected either, and clears the task, gets a plan of what is right now. To plan anew is always harmless, too: what
the earlier plan has written is unchanged in the new one.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from airflow_provider_dotypos.storage.store import Store


class PlanNote(msgspec.Struct, frozen=True):
    """What is noted of a plan.

    :param asked: what the plan was asked for: a digest of the arguments and of the source's rows.
    :param noted_at: when it was noted.
    :param planned: what planning has returned.
    """

    asked: str
    noted_at: datetime
    planned: dict[str, Any]


class PendingPlan:
    """The note of a task's unfinished plan.

    :param store: the folder of the plan.
    :param task: what all tries of the task have in common, in characters of a file's name. Empty outside of a DAG run,
        where there are no further tries, and nothing is noted.
    """

    def __init__(self, store: Store, task: str) -> None:
        self._store = store
        self._name = f"unfinished-{task}.json" if task else None

    def read(self, asked: str, max_age: timedelta) -> dict[str, Any] | None:
        """Return what planning has returned in an earlier try; ``None`` if that was asked for something else.

        :param asked: what is to be planned now.
        :param max_age: the age up to which a plan is applied.
        """
        if self._name is None:
            return None
        try:
            note = msgspec.json.decode(self._store.read(self._name), type=PlanNote)
        except (FileNotFoundError, msgspec.MsgspecError):  # none, or one of another version
            return None
        is_current = note.asked == asked and datetime.now(timezone.utc) - note.noted_at < max_age
        return note.planned if is_current else None

    def note(self, asked: str, planned: dict[str, Any]) -> None:
        """Note a plan before its first write."""
        if self._name is not None:
            note = PlanNote(asked, datetime.now(timezone.utc), planned)
            self._store.put_bytes(msgspec.json.encode(note), self._name)

    def forget(self) -> None:
        """Remove the note: every row of the plan has its final verdict."""
        if self._name is not None:
            self._store.delete(self._name)
