"""Which tasks have succeeded, for commands: they can ask Airflow's database, and tasks can't."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_provider_dotypos._airflow import TaskInstanceKey

#: Runs that are asked for at once.
_AT_ONCE = 500


def succeeded(runs: Iterable[TaskInstanceKey]) -> set[TaskInstanceKey]:
    """Return which task instances have succeeded."""
    wanted = set(runs)
    columns = (TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id, TaskInstance.map_index)
    left = iter(sorted({run_id for _, run_id, _, _ in wanted}))
    done: set[TaskInstanceKey] = set()
    with create_session() as session:
        while some := list(islice(left, _AT_ONCE)):
            query = select(*columns).where(TaskInstance.run_id.in_(some), TaskInstance.state == "success")
            done.update((row[0], row[1], row[2], row[3]) for row in session.execute(query))
    return done & wanted
