"""Run tasks by Airflow's own task runner in this process. What a supervisor would do, the test does."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import pytest
import structlog
from airflow.sdk.api.datamodels import _generated as models
from airflow.sdk.execution_time import comms, task_runner

RUN_AFTER = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


@dataclass
class Supervisor:
    """Answers what a task asks, and keeps what it reports.

    :ivar reported: all messages of tasks.
    :ivar first_reschedule: when the task gave its slot back for the first time.
    """

    reported: list[Any] = field(default_factory=list)
    first_reschedule: datetime | None = None

    def send(self, msg: Any) -> Any:
        """Take a message."""
        self.reported.append(msg)
        if isinstance(msg, comms.GetTaskRescheduleStartDate):
            return comms.TaskRescheduleStartDate(start_date=self.first_reschedule)
        if isinstance(msg, comms.GetVariable):
            return comms.ErrorResponse(error=comms.ErrorType.VARIABLE_NOT_FOUND)
        if isinstance(msg, comms.GetXCom):
            return comms.XComResult(key=msg.key, value=next(iter(self._results(msg)), None))
        if isinstance(msg, comms.GetXComSequenceSlice):
            return comms.XComSequenceSliceResult(root=self._results(msg))
        return None

    def _results(self, asked: Any) -> list[Any]:
        """Return what a task has returned last; nothing if it has returned nothing."""
        kept = [msg for msg in self.reported if isinstance(msg, comms.SetXCom)]
        of_task = [msg.value for msg in kept if (msg.task_id, msg.key) == (asked.task_id, asked.key)]
        return of_task[-1:]

    @property
    def result(self) -> Any:
        """What the last task has returned, as the next task sees it."""
        return next((msg.value for msg in reversed(self.reported) if isinstance(msg, comms.SetXCom)), None)


@dataclass(frozen=True)
class Ending:
    """How a try has ended.

    :param state: such as ``success``.
    :param message: what the supervisor was sent about it.
    :param error: what ended it, if anything did.
    :param task: the copy of the task that ran.
    """

    state: str
    message: Any
    error: BaseException | None
    task: Any = None


@contextmanager
def supervised() -> Iterator[Supervisor]:
    """Stand in for the supervisor of tasks."""
    supervisor = Supervisor()
    handler = signal.getsignal(signal.SIGTERM)  # the runner has one of its own
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
        yield supervisor
    signal.signal(signal.SIGTERM, handler)


def dag_run(dag_id: str, run_after: datetime = RUN_AFTER) -> Any:
    """Return a DAG run as Airflow's processes know it."""
    return models.DagRun.model_construct(
        dag_id=dag_id,
        run_id="run",
        logical_date=RUN_AFTER,
        data_interval_start=RUN_AFTER,
        data_interval_end=RUN_AFTER,
        run_after=run_after,
        start_date=RUN_AFTER,
        end_date=None,
        clear_number=0,
        run_type=models.DagRunType.MANUAL,
        state=models.DagRunState.RUNNING,
        conf=None,
        consumed_asset_events=[],
        partition_key=None,
    )


def run_task(
    task: Any,
    *,
    try_number: int = 1,
    cleared: int = 0,
    run_after: datetime = RUN_AFTER,
    next_method: str | None = None,
    next_kwargs: Mapping[str, Any] | None = None,
) -> Ending:
    """Run a try of a task of a DAG, up to its end, a reschedule or a deferral.

    :param cleared: how many tries there were when a person cleared it.
    :param run_after: the DAG run's.
    :param next_method: where a deferred task goes on.
    :param next_kwargs: what it is given there.
    """
    context = models.TIRunContext.model_construct(
        dag_run=dag_run(task.dag_id, run_after),
        task_reschedule_count=int(task_runner.SUPERVISOR_COMMS.first_reschedule is not None),
        max_tries=task.retries + cleared,
        should_retry=try_number <= task.retries + cleared,
        next_method=next_method,
        next_kwargs=encoded(next_kwargs),
    )
    ti = task_runner.RuntimeTaskInstance.model_construct(
        id=uuid.uuid4(),
        task_id=task.task_id,
        dag_id=task.dag_id,
        run_id="run",
        try_number=try_number,
        dag_version_id=uuid.uuid4(),
        map_index=-1,
        task=task,
        bundle_instance=None,
        max_tries=task.retries + cleared,
        start_date=datetime.now(timezone.utc),
        is_mapped=False,
        _ti_context_from_server=context,
    )
    ti._ti_context_from_server = context
    log = structlog.get_logger("task")
    state, message, error = task_runner.run(ti, ti.get_template_context(), log)
    return Ending(str(state.value), message, error, ti.task)


def encoded(next_kwargs: Mapping[str, Any] | None) -> Any:
    """Return what a resumed task is given, as it travels."""
    try:
        from airflow.sdk.serde import serialize
    except ImportError:  # 3.1
        from airflow.serialization.serialized_objects import BaseSerialization

        serialize = BaseSerialization.serialize
    return None if next_kwargs is None else serialize(dict(next_kwargs))
