"""Creates by POST, where the API takes no ids of ours: settled by key, and not exact.

| seen | what follows |
|---|---|
| LOOK UP by key: it exists | as planned: *already*, or *applied* if an answer was lost; else *conflict* |
| LOOK UP: there is none | JOURNAL the time, SEND: POST of up to a hundred rows, or of one |
| SEND: 2xx with every row | *applied* or *not taken*, field by field |
| SEND: 400, 409 | of one row: *rejected*; else LOOK UP after `settle`, and SEND halves, as some may be created [U] |
| SEND: no answer, or one that can't be read | *uncertain* for now; LOOK UP after `settle`, SEND the rest |
| tries used up | *uncertain* |

**What a crash does.** Before a POST its time is noted beside the plan. Whoever applies this plan next, or another one
for the same list in that folder, waits until `settle` after that time, so that a row which the last POST has created
shows, and looks up by key before it sends.

**What stays open.** A POST that a proxy delivers later than `settle` after the client gave up creates its rows a second
time. So do two tasks that apply the plan at once. No waiting makes that impossible; PUT under an id of ours does.

https://docs.api.dotypos.com/api-reference/general/methods
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.errors import DotyposApiError, DotyposWriteError
from airflow_provider_dotypos.api.exchange import Exchange
from airflow_provider_dotypos.api.http import Answer
from airflow_provider_dotypos.api.page import decode_row, read_page
from airflow_provider_dotypos.api.places import row_of
from airflow_provider_dotypos.api.steps import Flow, Perform, Sleep
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.writes.applying.answers import taken
from airflow_provider_dotypos.writes.applying.calls import Open, refused
from airflow_provider_dotypos.writes.applying.course import Course
from airflow_provider_dotypos.writes.judging import judge_created
from airflow_provider_dotypos.writes.look_up import rows_by_key
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.verdicts import Verdict

Row: TypeAlias = dict[str, Any]

#: How often rows are sent whose answers get lost, although each time a look-up doesn't show them.
_MOST_TRIES = 3


class PostTimes:
    """When the last POST for plans of a folder was about to leave: a small file beside them.

    :param store: the folder of the plans.
    :param name: the file's name.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name

    def note(self) -> None:
        """Note that a POST is about to leave."""
        self._store.put_bytes(str(time.time()).encode(), self._name)

    def seconds_left(self, settle: float, timeout: float) -> float:
        """Return the seconds until what was noted is over and shows; 0 if nothing was.

        :param settle: seconds until a write shows in the API.
        :param timeout: longest time that a request may take, in seconds.
        """
        try:
            noted = float(self._store.read(self._name))
        except FileNotFoundError:
            return 0.0
        except ValueError:  # cut off by a crash, just before a POST
            return settle + timeout
        return max(0.0, noted + timeout + settle - time.time())


class PostedCreates:
    """Creates of a plan by POST. One thread runs its flows.

    :param match: the fields that rows are matched by.
    :param cloud_id: the plan's cloud.
    :param settle: seconds until a write shows in the API.
    :param times: notes when a POST leaves.
    :param note: receives verdicts; the last one counts.
    """

    def __init__(
        self,
        exchange: Exchange,
        entity: Entity,
        match: Sequence[str],
        *,
        cloud_id: int,
        settle: float,
        times: PostTimes,
        note: Callable[[PlannedRow, Verdict], None],
    ) -> None:
        self._exchange = exchange
        self._entity = entity
        self._match = match
        self._cloud_id = cloud_id
        self._settle = settle
        self._times = times
        self._note = note
        self._courses: dict[int, Course] = defaultdict(Course)
        self._unanswered: Counter[int] = Counter()

    @property
    def most_rows(self) -> int:
        """How many rows one POST takes."""
        return self._entity.writes.batch_limit if self._entity.writes.posts_array else 1

    def wait(self) -> Flow[None]:
        """Return the flow that waits until what an earlier attempt has sent shows."""
        left: float = yield Perform(partial(self._times.seconds_left, self._settle, self._exchange.settings.timeout))
        if left > 0:
            yield Sleep(left)

    def write(self, rows: Sequence[PlannedRow]) -> Flow[None]:
        """Return the flow that creates rows, at most as many as one POST takes.

        :raises DotyposError: if something ends the whole run.
        """
        parts = [[*rows]]
        while parts:
            part = yield from self._missing(parts.pop())
            if part:
                parts += yield from self._send(part)

    def _missing(self, rows: list[PlannedRow]) -> Flow[list[PlannedRow]]:
        """Look rows up by their keys, note the verdicts of those that exist, and return the others."""
        keys = [planned.key for planned in rows]
        shown = yield from rows_by_key(self._exchange, self._entity, self._match, keys, surely=True)
        missing: list[PlannedRow] = []
        for planned in rows:
            same_key = shown.get(planned.key, [])
            if len(same_key) > 1:
                self._close(planned, Verdict("conflict", "several rows have its key", tuple(self._match)))
            elif same_key:
                self._close(planned, judge_created(self._entity, planned, same_key[0], self._cloud_id))
            elif self._unanswered[planned.row] < _MOST_TRIES:
                missing.append(planned)
        return missing

    def _send(self, rows: list[PlannedRow]) -> Flow[list[list[PlannedRow]]]:
        """Send rows once, and return the parts in which the open ones go on."""
        array = self._entity.writes.posts_array
        bodies = [planned.after for planned in rows]
        yield Perform(self._times.note)
        for planned in rows:
            self._courses[planned.row].tries += 1
        try:
            answered: list[Row] = yield from self._exchange.flow(
                "POST",
                self._entity.url_path(),
                json=bodies if array else bodies[0],
                decode=_rows_answered if array else lambda answer: [row_of(answer)],
            )
        except DotyposWriteError:
            answered = []
        except GeneratorExit:  # what ends the task, such as its time-out, breaks in upon the call
            self._note_open(rows)
            raise
        except DotyposApiError as error:
            verdict = refused(self._entity, rows[0], error)
            if verdict is Open.EMPTY:
                return (yield from self._wait_for(rows))
            if isinstance(verdict, Open):
                raise
            if len(rows) == 1:
                self._close(rows[0], verdict if isinstance(verdict, Verdict) else verdict.verdict)
                return []
            self._note_open(rows)
            yield Sleep(self._settle)
            half = len(rows) // 2
            return [rows[half:], rows[:half]]
        if len(answered) == len(rows):
            for planned, row in zip(rows, answered, strict=True):
                self._close(planned, taken(self._entity, planned, row))
            return []
        return (yield from self._wait_for(rows))

    def _wait_for(self, rows: list[PlannedRow]) -> Flow[list[list[PlannedRow]]]:
        """Wait until rows show, if an unanswered POST has created them, and return them as the part that goes on."""
        self._unanswered.update(planned.row for planned in rows)
        self._note_open(rows)
        yield Sleep(self._settle)
        return [rows]

    def _note_open(self, rows: Sequence[PlannedRow]) -> None:
        """Note that a POST may have created some rows."""
        for planned in rows:
            course = self._courses[planned.row]
            course.lost = True
            self._note(planned, course.interrupt("no answer said what became of its POST"))

    def _close(self, planned: PlannedRow, verdict: Verdict) -> None:
        self._note(planned, self._courses[planned.row].close(verdict))


def _rows_answered(answer: Answer) -> list[Row]:
    """Return the rows that the answer to a POST shows, in their order [D]."""
    return [decode_row(row) for row in read_page(answer.body, None).rows]
