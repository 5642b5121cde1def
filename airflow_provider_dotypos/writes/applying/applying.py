"""A whole plan, applied: row by row or by lists, by several threads, and resumed wherever an earlier attempt ended.

**The first write alone.** Of updates, creates and deletes each, rows are written one at a time until the API has
answered a write. If that row isn't as planned, or if a field changed that the plan doesn't name, nothing more is
written: what went wrong there would go wrong in every row.

**Resuming** is applying the same plan again. What a row holds says whether its write is done, but for one case: a row
that was written and put back since is as before, and must not be written again. So the report says which rows were
written. Of rows that a killed attempt may have written it doesn't, and their version decides. An attempt that isn't
the first reads the plan's rows by lists before it reads one by one: else the rows that are done would use up the
request budget, attempt by attempt, and a plan of 300 rows would never end. If the attempt before was broken off, what
is final in its report isn't even read.

**An end in between** (the budget is used up, the task is killed, no permission) starts no further row. Those under way
go on until they meet the same, so a lost answer is settled by a read if one is still possible. The report is written
however it ends.

https://docs.api.dotypos.com/api-reference/general/methods, …/etags
"""

from __future__ import annotations

import itertools
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

from airflow_provider_dotypos.api.budget import DotyposBudgetError
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.entities import Entity, find_entity
from airflow_provider_dotypos.api.errors import DotyposCancelledError, DotyposError
from airflow_provider_dotypos.api.query import MAX_LIMIT
from airflow_provider_dotypos.api.retry_table import NOTHING_LEFT_TO_TRY
from airflow_provider_dotypos.api.steps import Flow
from airflow_provider_dotypos.writes.applying.anonymize import anonymize
from airflow_provider_dotypos.writes.applying.answers import foreign_changes
from airflow_provider_dotypos.writes.applying.by_list import ListUpdates
from airflow_provider_dotypos.writes.applying.checks import check_age, check_creates, check_place
from airflow_provider_dotypos.writes.applying.course import Course
from airflow_provider_dotypos.writes.applying.create import create
from airflow_provider_dotypos.writes.applying.creates_by_list import ListCreates
from airflow_provider_dotypos.writes.applying.creates_by_post import PostedCreates, PostTimes
from airflow_provider_dotypos.writes.applying.delete import delete
from airflow_provider_dotypos.writes.applying.methods import choose
from airflow_provider_dotypos.writes.applying.options import ApplyOptions
from airflow_provider_dotypos.writes.applying.report import Report
from airflow_provider_dotypos.writes.applying.together import run_together
from airflow_provider_dotypos.writes.applying.update import update
from airflow_provider_dotypos.writes.errors import DotyposSideEffectError, DotyposWritesFailedError
from airflow_provider_dotypos.writes.judging import judge, judge_created
from airflow_provider_dotypos.writes.look_up import look_up
from airflow_provider_dotypos.writes.plan import Action, PlannedRow
from airflow_provider_dotypos.writes.plan_file import Plan
from airflow_provider_dotypos.writes.price import price, spoken_price
from airflow_provider_dotypos.writes.verdicts import DONE, FINAL, Verdict

log = logging.getLogger(__name__)


class Applied(NamedTuple):
    """What applying a plan has come to.

    :param counts: how many rows have each status.
    :param report: where the report is.
    :param requests: how many requests it took.
    """

    counts: dict[str, int]
    report: str
    requests: int


#: After so many rows in a row that were written in vain, no further one is written.
_MOST_IN_VAIN = 5

#: Most rows that the log names.
_MOST_LOGGED = 20

#: Seconds between two lines about the progress.
_PROGRESS_EVERY = 60.0

#: Makes the flow that writes one row.
RowFlow: TypeAlias = Callable[..., Flow[Verdict]]


def apply_plan(client: DotyposClient, plan: Plan, options: ApplyOptions) -> Applied:
    """Apply a plan, and write the report on it.

    :param client: a client for the plan's cloud.
    :param plan: the plan, whose digest was checked.
    :raises DotyposPlanError: if the plan is another cloud's or too old, or its rows can't be created as `options` say.
    :raises DotyposWritesFailedError: if more rows aren't as planned than `options` let pass.
    :raises DotyposError: if something ended the run. The same plan can be applied again.
    """
    report = Report(plan)
    entity = find_entity(plan.header.entity)
    broken_off = report.earlier is not None and not report.earlier.complete
    check_place(plan.header, client.settings)
    check_age(plan.header, options.max_age, report.earlier.written_at if report.earlier and broken_off else None)
    check_creates(plan.header, entity, options)
    began_at = client.requests
    open_ops: Counter[str] = Counter(planned.op for planned in plan.rows() if report.is_open(planned))
    run = _Run(client, plan, entity, options, report, open_ops)
    cost = spoken_price(price(entity, open_ops, options.create), client.settings.request_budget)
    if rows := open_ops.total():
        log.info("%s: %d row%s to write, which takes %s.", entity.name, rows, "" if rows == 1 else "s", cost)
    complete = False
    report.begin()
    try:
        run.update_all()
        run.create_all()
        run.delete_all()
        run.anonymize_all()
        complete = True
    except DotyposError as error:
        error.brought_rows = run.has_written
        raise
    finally:
        report.write(complete=complete)
        _log_failed(entity, plan, report)
        log.info("%s: %s. The report is %s.", entity.name, in_words(report.counts), report.path)
    counts = report.counts
    if not options.tolerates(counts):
        raise _failure(entity, counts, report.path)
    return Applied(counts, report.path, client.requests - began_at)


def in_words(counts: Mapping[str, int]) -> str:
    """Return how many rows have each status, such as ``298 applied, 2 conflict``."""
    return ", ".join(f"{number} {status}" for status, number in counts.items()) or "nothing to write"


class _Run:
    """One attempt to apply a plan.

    :param open_ops: how many rows are open, by operation. All that can be written either way goes the same way.
    """

    def __init__(
        self,
        client: DotyposClient,
        plan: Plan,
        entity: Entity,
        options: ApplyOptions,
        report: Report,
        open_ops: Mapping[str, int],
    ) -> None:
        self._client = client
        self._plan = plan
        self._entity = entity
        self._options = options
        self._report = report
        put = [op for op in ("update", "create") if op == "update" or options.create == "put"]
        self._requests = price(entity, {op: open_ops.get(op, 0) for op in put})
        self._cloud_id = plan.header.cloud_id
        self._in_vain = 0
        self._written = 0
        self._logged_at = time.monotonic()

    @property
    def has_written(self) -> bool:
        """Whether it has written a row."""
        return self._written > 0

    def update_all(self) -> None:
        """Write the updates, row by row or by lists."""
        self._write("update", update, ListUpdates)

    def create_all(self) -> None:
        """Write the creates: under ids of ours, row by row or by lists, or by POST."""
        if self._options.create == "put":
            self._write("create", create, ListCreates)
        else:
            self._post([*self._open("create")])

    def delete_all(self) -> None:
        """Delete rows, one by one."""
        self._write_each([*self._open("delete")], delete)

    def anonymize_all(self) -> None:
        """Anonymize customers, one by one."""
        self._write_each([*self._open("anonymize")], anonymize)

    def _write(self, op: Action, flow: RowFlow, lists: type[ListUpdates | ListCreates]) -> None:
        """Write the rows with an operation.

        :param flow: writes one of them.
        :param lists: writes a list of them.
        """
        rows = [*self._open(op)]
        if not rows:
            return
        choice = choose(self._options.method, self._entity, self._requests, self._client.settings.request_budget)
        way = "by lists" if choice.way == "put" else "row by row"
        log.info("The %ss are written %s: %s.", op, way, choice.why)
        if choice.way == "put":
            rows = self._write_lists(rows, lists)
        self._write_each(rows, flow)

    def _write_lists(self, rows: list[PlannedRow], kind: type[ListUpdates | ListCreates]) -> list[PlannedRow]:
        """Write rows by lists, behind a canary; return those that have to be written one by one."""
        lists = kind(
            self._client,
            self._entity,
            cloud_id=self._cloud_id,
            settle=self._options.settle,
            note=self._note,
            begin=self._report.course,
        )
        canary = self._client.run(lists.canary(rows))
        if canary.refused is not None:
            log.warning("Rows are written one by one: %s.", canary.refused)
            return canary.left
        batches = _batches(canary.left, self._entity.writes.batch_limit)
        self._together(partial(self._write_list, lists, batch) for batch in batches)
        return []

    def _write_list(self, lists: ListUpdates | ListCreates, rows: Sequence[PlannedRow]) -> None:
        self._client.run(lists.write(rows))

    def _post(self, rows: list[PlannedRow]) -> None:
        """Create rows by POST: the first one alone."""
        if not rows:
            return
        log.warning("%d rows are created by POST: a request that is carried out late can create them twice.", len(rows))
        posts = PostedCreates(
            self._client,
            self._entity,
            self._plan.header.match,
            cloud_id=self._cloud_id,
            settle=self._options.settle,
            times=PostTimes(self._plan.store, f"posted-{self._cloud_id}-{self._entity.name}"),
            note=self._note,
        )
        self._client.run(posts.wait())
        waiting = iter(rows)
        for planned in waiting:
            self._client.run(posts.write([planned]))
            verdict = self._report.verdict(planned)
            self._check_first(planned, verdict)
            if verdict.status == "applied":
                break
        for batch in _batches(waiting, posts.most_rows):
            self._client.run(posts.write(batch))

    def _write_each(self, rows: Iterable[PlannedRow], flow: RowFlow) -> None:
        """Write rows one by one: alone until the API has answered a write as it should, then several at once."""
        waiting = iter(self._not_done(rows) if self._report.earlier is not None else rows)
        for planned in waiting:
            if self._write_first(planned, flow):
                break
        self._together(partial(self._write_row, planned, flow, self._report.course(planned)) for planned in waiting)

    def _not_done(self, rows: Iterable[PlannedRow]) -> Iterator[PlannedRow]:
        """Read rows by lists, note the verdicts that these show, and yield the other rows."""
        if "in" not in self._entity.fields["id"].operators:
            yield from rows
            return
        for batch in _batches(rows, MAX_LIMIT):
            shown = self._client.run(look_up(self._client, self._entity, "id", [str(row.id) for row in batch]))
            for planned in batch:
                verdict = None
                for row in shown.get(str(planned.id), ()):
                    judge_row = judge_created if planned.op == "create" else judge
                    verdict = judge_row(self._entity, planned, row, self._cloud_id)
                if verdict is None:
                    yield planned
                else:
                    self._note(planned, verdict)

    def _write_first(self, planned: PlannedRow, flow: RowFlow) -> bool:
        """Write a row alone, and return whether its write was answered as it should.

        :raises DotyposSideEffectError: if it was answered otherwise.
        """
        course = self._report.course(planned)
        verdict = self._write_row(planned, flow, course)
        self._check_first(planned, verdict)
        if verdict.status == "applied" and planned.op == "update":
            if not course.was_answered:  # a later read may show edits by others, so it says nothing of this write
                return False
            fields = foreign_changes(self._entity, planned, course.before or {}, course.row or {})
            if fields:
                raise DotyposSideEffectError(
                    f"{_name(self._entity, planned)}: the first write also changed {', '.join(fields)}, which the "
                    "plan doesn't name. Nothing more was written. Give the source a column for it, so that the plan "
                    "says what it becomes"
                )
        return verdict.status == "applied"

    def _check_first(self, planned: PlannedRow, verdict: Verdict) -> None:
        """Raise unless the first write has done what it should.

        :raises DotyposSideEffectError: if the API has accepted it, and the row isn't as planned.
        """
        if verdict.status == "not taken":
            raise DotyposSideEffectError(
                f"{_name(self._entity, planned)}: the API accepted the first write, and "
                f"{', '.join(verdict.fields)} isn't as planned. Nothing more was written. Leave the field out of the "
                "source, if the API doesn't let it be set"
            )

    def _write_row(self, planned: PlannedRow, flow: RowFlow, course: Course) -> Verdict:
        """Write a row, and note its verdict; also if something ends the run meanwhile."""
        settle = self._options.settle
        try:
            verdict = self._client.run(
                flow(self._client, self._entity, planned, cloud_id=self._cloud_id, settle=settle, course=course)
            )
        except BaseException as error:
            self._note(planned, course.interrupt(_interruption(error)))
            raise
        self._note(planned, verdict)
        self._count_in_vain(verdict)
        return verdict

    def _together(self, jobs: Iterable[Callable[[], object]]) -> None:
        run_together(jobs, self._client.settings.max_concurrency, self._client.cancel)

    def _note(self, planned: PlannedRow, verdict: Verdict) -> None:
        self._report.note(planned, verdict)
        self._written += verdict.status == "applied"
        if time.monotonic() - self._logged_at > _PROGRESS_EVERY:
            self._logged_at = time.monotonic()
            log.info("%s: %d rows are written so far.", self._entity.name, self._written)

    def _count_in_vain(self, verdict: Verdict) -> None:
        """Raise if rows are written in vain: their reads are answered, and none of their writes takes effect.

        :raises DotyposWritesFailedError: if it has been so for several rows.
        """
        self._in_vain = self._in_vain + 1 if verdict.status in ("uncertain", "starved") else 0
        if self._in_vain >= _MOST_IN_VAIN:
            raise DotyposWritesFailedError(
                f"{self._entity.name}: the last {self._in_vain} rows could be read, but not written: {verdict.why}. "
                "Nothing more is written for now. Apply the same plan again once Dotypos takes writes",
                counts=self._report.counts,
                report=self._report.path,
            )

    def _open(self, op: str) -> Iterator[PlannedRow]:
        """Yield the rows with an operation that no verdict is final on."""
        return (planned for planned in self._plan.rows() if planned.op == op and self._report.is_open(planned))


def _log_failed(entity: Entity, plan: Plan, report: Report) -> None:
    """Log the first rows that aren't as planned although they were tried: their ids, and why."""
    verdicts = ((planned, report.verdict(planned)) for planned in plan.rows())
    failed = ((planned, verdict) for planned, verdict in verdicts if verdict.status not in (*DONE, "not tried"))
    for planned, verdict in itertools.islice(failed, _MOST_LOGGED):
        fields = f" ({', '.join(verdict.fields)})" if verdict.fields else ""
        log.warning("%s: %s: %s%s", _name(entity, planned), verdict.status, verdict.why or "no reason", fields)


def _name(entity: Entity, planned: PlannedRow) -> str:
    return f"{entity.name} {planned.id or f'of row {planned.row}'}"


def _failure(entity: Entity, counts: Mapping[str, int], report: str) -> DotyposWritesFailedError:
    """Return the error for a plan some of whose rows aren't as planned."""
    failed = {status: number for status, number in counts.items() if status not in DONE}
    message = (
        f"{entity.name}: {sum(failed.values())} of {sum(counts.values())} rows aren't as planned: {in_words(failed)}. "
        f"The report says why, row by row: {report}."
    )
    if failed.keys() <= FINAL:
        message += " Plan again to see what is left, and correct the source or the rows."
        return DotyposWritesFailedError(message, counts=counts, report=report, reason=NOTHING_LEFT_TO_TRY)
    return DotyposWritesFailedError(
        message + " Applying the same plan again tries the open ones.", counts=counts, report=report
    )


def _interruption(error: BaseException) -> str:
    """Return what broke off a row, without anything that could be a row's content."""
    if isinstance(error, DotyposBudgetError):
        return "the request budget was used up"
    if isinstance(error, DotyposCancelledError):
        return "the task was killed"
    return f"the run ended with {type(error).__name__}"


def _batches(rows: Iterable[PlannedRow], size: int) -> Iterator[list[PlannedRow]]:
    """Yield rows in lists of at most `size`."""
    waiting = iter(rows)
    while batch := [*itertools.islice(waiting, size)]:
        yield batch
