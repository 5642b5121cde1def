"""What a callback's context says of a failure: of a task or a DAG, on a worker or in the DAG processor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar
from urllib.parse import quote

from airflow_provider_dotypos import _airflow, _compat
from airflow_provider_dotypos.api.errors import DotyposError
from airflow_provider_dotypos.hooks.failure_notes import noted_failure, task_states
from airflow_provider_dotypos.hooks.failures import first_dotypos_error

T = TypeVar("T")

#: How many failed tasks of a DAG run are looked at.
_LOOKED_AT = 5

#: Methods of calls that change something.
_WRITES = ("POST", "PUT", "PATCH", "DELETE")

#: Airflow's states of tasks that have failed.
FAILED, WILL_RETRY, UPSTREAM_FAILED = "failed", "up_for_retry", "upstream_failed"


@dataclass(frozen=True)
class FailedTask:
    """A failed task of a run whose DAG's callback is called.

    :param error: what it has noted of its error; ``None`` if nothing.
    """

    task_id: str
    error: str | None = None


@dataclass(frozen=True)
class Incident:
    """What is known of a failure. Everything may be unknown but the DAG.

    :param task_id: ``None`` if the DAG's callback is called.
    :param error: the provider's error that ended the task, or led to what did.
    :param exception: what ended the task; ``None`` if nobody knows, because its process was lost.
    :param reason: why a DAG run has failed, in Airflow's word.
    :param tries: which try it was, and how many there may be.
    :param next_try: when the next one is about to be, if there is one.
    :param is_ours: whether it is one of this provider's operators.
    :param may_have_written: whether it makes a call of its author's choice that isn't a read.
    :param extent: how far each list of a transfer is extracted, in words.
    :param conn_id: the connection to Dotypos.
    :param failed_tasks: of a DAG run: those that have failed.
    """

    dag_id: str
    run_id: str | None = None
    task_id: str | None = None
    map_index: int = -1
    error: DotyposError | None = None
    exception: BaseException | None = None
    reason: str | None = None
    state: str | None = None
    tries: tuple[int, int] | None = None
    next_try: datetime | None = None
    is_ours: bool = False
    may_have_written: bool = False
    extent: tuple[str, ...] = ()
    conn_id: str | None = None
    cloud_url: str | None = None
    log_url: str | None = None
    failed_tasks: tuple[FailedTask, ...] = ()

    @classmethod
    def of(cls, context: Mapping[str, Any]) -> Incident:
        """Return what a callback's context says. What can't be learned is left unknown."""
        ti: Any = context.get("ti") or context.get("task_instance")
        of_dag = "reason" in context or ti is None
        dag_id = str(getattr(ti, "dag_id", None) or getattr(context.get("dag"), "dag_id", None) or "unknown DAG")
        run_id = getattr(ti, "run_id", None) or context.get("run_id")
        if of_dag:
            return cls(
                dag_id,
                run_id,
                reason=None if context.get("reason") is None else str(context["reason"]),
                log_url=_known(lambda: _run_url(dag_id, run_id)),
                failed_tasks=_known(lambda: _failed_tasks(dag_id, run_id)) or (),
            )
        task: Any = getattr(ti, "task", None) or context.get("task")
        exception = context.get("exception")
        exception = exception if isinstance(exception, BaseException) else None
        tries = _known(lambda: (int(ti.try_number), int(ti.max_tries) + 1))
        state = _known(lambda: _state(ti, tries, exception))
        return cls(
            dag_id,
            run_id,
            str(ti.task_id),
            -1 if (map_index := _known(lambda: int(ti.map_index))) is None else map_index,
            error=None if exception is None else first_dotypos_error(exception),
            exception=exception,
            state=state,
            tries=tries,
            next_try=_known(lambda: _next_try(task, tries)) if state == WILL_RETRY else None,
            is_ours=type(task).__module__.partition(".")[0] == __name__.partition(".")[0],
            may_have_written=hasattr(task, "path") and str(getattr(task, "method", "GET")).upper() in _WRITES,
            extent=_known(lambda: tuple(task.extent())) or (),
            conn_id=_known(lambda: _text(task.dotypos_conn_id)),
            cloud_url=getattr(task, "cloud_url", None),
            log_url=_known(lambda: str(ti.log_url)),
        )


def _text(value: object) -> str | None:
    """Return what is text. A connection that was given in place of its id holds secrets."""
    return value if isinstance(value, str) else None


def _known(ask: Callable[[], T]) -> T | None:
    """Return what is asked for, or ``None`` if it isn't known."""
    with suppress(Exception):
        return ask()
    return None


def _state(ti: Any, tries: tuple[int, int] | None, exception: BaseException | None) -> str:
    """Return the state of a task. The DAG processor doesn't know it: there it follows from the tries."""
    state = getattr(ti, "state", None)
    text = str(getattr(state, "value", state))
    if text in (FAILED, WILL_RETRY):
        return text
    at_once = exception is not None and isinstance(exception, _compat.fail_exception())
    return WILL_RETRY if tries is not None and tries[0] < tries[1] and not at_once else FAILED


def _next_try(task: Any, tries: tuple[int, int] | None) -> datetime:
    """Return when the next try is about to be. A retry policy may decide otherwise."""
    delay: timedelta = task.retry_delay
    exponential = task.retry_exponential_backoff
    if exponential and tries is not None:
        delay *= (2.0 if exponential is True else float(exponential)) ** (tries[0] - 1)
        if task.max_retry_delay is not None:
            delay = min(delay, task.max_retry_delay)
    return datetime.now(timezone.utc) + delay


def _run_url(dag_id: str, run_id: str | None) -> str | None:
    base = _airflow.base_url()
    return None if base is None or run_id is None else f"{base.rstrip('/')}/dags/{dag_id}/runs/{quote(run_id)}"


def _failed_tasks(dag_id: str, run_id: str | None) -> tuple[FailedTask, ...]:
    if run_id is None:
        return ()
    states = task_states(dag_id, run_id)
    failed = sorted(name for name, state in states.items() if state == FAILED)
    return (
        tuple(
            FailedTask(name, _known(lambda name=name: noted_failure(dag_id, run_id, name)))  # type: ignore[misc]
            for name in failed[:_LOOKED_AT]
        )
        + tuple(map(FailedTask, failed[_LOOKED_AT:]))
    )
