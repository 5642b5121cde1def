"""What a failed task notes for the callback of its DAG, which is called elsewhere, without the error."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from airflow_provider_dotypos import _airflow

#: The XCom in which a failed task notes what has failed, for the callback of its DAG.
FAILURE_KEY = "dotypos_failure"


def note_failure(context: Any, message: str) -> None:
    """Note what has ended a task. What fails here is of no concern to the task."""
    push = getattr(context.get("ti"), "xcom_push", None)
    if push is not None:
        with suppress(Exception), _airflow.asking:
            push(key=FAILURE_KEY, value=message[:2000])


def noted_failure(dag_id: str, run_id: str, task_id: str) -> str | None:
    """Return what a task has noted as its failure, in a process that may ask Airflow."""
    from airflow.sdk.execution_time.xcom import XCom

    noted = XCom.get_one(key=FAILURE_KEY, dag_id=dag_id, run_id=run_id, task_id=task_id)
    return noted if isinstance(noted, str) else None


def task_states(dag_id: str, run_id: str) -> dict[str, str]:
    """Return the states of a run's tasks by their names, in a process that may ask Airflow."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    states = RuntimeTaskInstance.get_task_states(dag_id=dag_id, run_ids=[run_id])
    return {task: str(getattr(state, "value", state)) for task, state in states.get(run_id, {}).items()}
