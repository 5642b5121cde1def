"""The plan that a task has made and not applied to its end: its next try applies that one, and reads no cloud again.

Beside the plan lies a note of it. It is written after the plan and before the first write, and removed when every row
has its final verdict. A crash before the note leaves a plan that nobody applies: nothing was written yet, and the next
try makes another. After it, the next try applies the noted plan, which is always harmless: a row that is done says so.
Two tries at the same moment apply the same plan.

A noted plan counts only for the request that it was made for: the same arguments, and a source with the same rows. Who
has corrected either, and clears the task, gets a plan of what is right now. To plan anew is harmless, too: what the
earlier plan has written is unchanged in the new one, and a lost create has the same id. Rows that are created by POST
have no such id; applying any plan of the folder waits until the last POST shows (``creates_by_post``).
"""

from __future__ import annotations

import hashlib
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_dotypos.writes.applying.checks import check_age
from airflow_provider_dotypos.writes.errors import DotyposPlanError
from airflow_provider_dotypos.writes.plan_file import open_plan
from airflow_provider_dotypos.writes.planning.arguments import PlanArguments
from airflow_provider_dotypos.writes.sources.index import index_source
from airflow_provider_dotypos.writes.sources.problems import Problems
from airflow_provider_dotypos.writes.sources.source import Source

if TYPE_CHECKING:
    from airflow_provider_dotypos.storage.store import Store

log = logging.getLogger(__name__)


class PlanNote(msgspec.Struct, frozen=True):
    """What is noted of a plan.

    :param asked: what the plan was asked for: a digest of its arguments.
    :param planned: what planning has returned.
    """

    asked: str
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

    def read(
        self, arguments: PlanArguments, source: Source, cloud_id: int, max_age: timedelta
    ) -> dict[str, Any] | None:
        """Return what planning has returned in an earlier try; ``None`` if there is no plan of what is asked for now.

        :param arguments: what is asked for.
        :param source: the rows that are wanted. They are read only if there is a note.
        :param max_age: the age up to which a plan is applied.
        """
        note = self._read_note()
        if note is None or note.asked != _digest(arguments, cloud_id):
            return None
        try:
            with open_plan(note.planned["plan"], note.planned["digest"]) as plan:
                check_age(plan.header, max_age, None)
        except DotyposPlanError as error:
            log.info("The plan of an earlier try isn't applied: %s", error)
            return None
        is_same = _source_digest(arguments, source, cloud_id) == plan.header.source_digest
        return note.planned if is_same else None

    def note(self, arguments: PlanArguments, cloud_id: int, planned: dict[str, Any]) -> None:
        """Note a plan before its first write.

        :param planned: what planning has returned.
        """
        if self._name is not None:
            note = PlanNote(_digest(arguments, cloud_id), planned)
            self._store.put_bytes(msgspec.json.encode(note), self._name, private=True)

    def forget(self) -> None:
        """Remove the note: every row of the plan has its final verdict."""
        if self._name is not None:
            self._store.delete(self._name)

    def _read_note(self) -> PlanNote | None:
        if self._name is None:
            return None
        try:
            return msgspec.json.decode(self._store.read(self._name), type=PlanNote)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError:  # of another version of this package
            return None


def _digest(arguments: PlanArguments, cloud_id: int) -> str:
    """Return a digest of everything but the source's rows that a plan depends on."""
    asked = msgspec.structs.asdict(arguments) | {"entity": arguments.entity.name, "cloud_id": cloud_id}
    return hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()


def _source_digest(arguments: PlanArguments, source: Source, cloud_id: int) -> str:
    with index_source(
        source,
        arguments.entity,
        match=arguments.match,
        cloud_id=cloud_id,
        fields=arguments.fields,
        nulls=arguments.nulls,
        problems=Problems(),
    ) as index:
        return index.digest
