"""The plan that a task has made and not applied to its end: its next try applies that one, and reads no source again.

Beside the plan lies a note with the plan's place and digest. It is written after the plan and before the first write,
and removed when every row has its final verdict. A crash before the note leaves a plan that nobody applies: nothing was
written yet, and the next try makes another. After it, the next try applies the noted plan, which is always harmless: a
row that is done says so. A second try at the same moment finds the same note and applies the same plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from airflow_provider_dotypos.storage.store import Store


class NotedPlan(msgspec.Struct, frozen=True):
    """Which plan a task has to apply.

    :param plan: the address of its file.
    :param digest: its digest, in hex.
    """

    plan: str
    digest: str


class PendingPlan:
    """The note of a task's unfinished plan.

    :param store: the folder of the plan.
    :param task: what all tries of the task have in common, in characters of a file's name. Empty outside of a DAG run,
        where there are no further tries, and nothing is noted.
    """

    def __init__(self, store: Store, task: str) -> None:
        self._store = store
        self._name = f"unfinished-{task}.json" if task else None

    def read(self) -> NotedPlan | None:
        """Return the plan that an earlier try has left; ``None`` if none has."""
        if self._name is None:
            return None
        try:
            return msgspec.json.decode(self._store.read(self._name), type=NotedPlan)
        except FileNotFoundError:
            return None

    def note(self, plan: NotedPlan) -> None:
        """Note a plan before its first write."""
        if self._name is not None:
            self._store.put_bytes(msgspec.json.encode(plan), self._name)

    def forget(self) -> None:
        """Remove the note: every row of the plan has its final verdict."""
        if self._name is not None:
            self._store.delete(self._name)
