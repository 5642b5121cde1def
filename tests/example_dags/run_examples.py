"""Run DAGs through Airflow itself, in a process of their own: ``run_examples.py folder result.json dag_id …``.

First all of the folder, and then those named once more, with templates that render to Python's own types, as
``render_template_as_native_obj`` has it, and into another destination.

Those that are scheduled on assets run last, if the scheduler says so, for the events that the others have made. A
person approves what waits for an answer.

Writes a list of both: ``{dag_id: {"state": …, "run_id": …, "run_after": …, "results": {task_id: [result of each mapped
task, or of the only one]}, "events": {task_id: [what each asset event holds]}}}``.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_dotypos._compat import has_state_store

#: Who answers.
USER = "jana"

#: States of a task that waits for an answer. On 3.1 and 3.2 dag.test runs its trigger while it is queued.
_WAITING = ("awaiting_input", "queued")

#: How late a run begins, as a busy scheduler has it. A window that ends with the run's time has settled by then.
_LATE = timedelta(minutes=2)


def main(folder: str, result: str, *dag_ids: str) -> None:
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow 3.1
        from airflow.models.dagbag import DagBag

    bag = DagBag(folder)
    assert not bag.import_errors, bag.import_errors
    reports = [run_all([*bag.dags.values()], native=False)]
    os.environ["AIRFLOW_VAR_DOTYPOS_DESTINATION"] += "-native"
    reports.append(run_all([bag.dags[dag_id] for dag_id in dag_ids], native=True))
    Path(result).write_text(json.dumps(reports))


def run_all(dags: list[Any], *, native: bool) -> dict[str, Any]:
    from airflow.models.asset import AssetEvent
    from airflow.models.xcom import XComModel
    from airflow.settings import Session
    from sqlalchemy import select

    report: dict[str, Any] = {}
    for dag in sorted(dags, key=lambda dag: (_by_assets(dag), dag.dag_id)):
        dag_id = dag.dag_id
        dag.render_template_as_native_obj = native
        for task in dag.tasks:  # what fails shall fail now, not after the minutes until a retry
            settings = task.partial_kwargs if task.is_mapped else vars(task)
            settings["retries"] = 0
        with approving() if any(hasattr(task, "assigned_users") for task in dag.tasks) else nullcontext():
            run = run_by_assets(dag) if _by_assets(dag) else dag.test(run_after=datetime.now(timezone.utc) - _LATE)
        of_run = (XComModel.dag_id == dag_id, XComModel.run_id == run.run_id, XComModel.key == "return_value")
        results: dict[str, list[Any]] = {}
        for found in Session().scalars(select(XComModel).where(*of_run).order_by(XComModel.map_index)):
            results.setdefault(found.task_id, []).append(XComModel.deserialize_value(found))
        of_run = (AssetEvent.source_dag_id == dag_id, AssetEvent.source_run_id == run.run_id)
        events: dict[str, list[Any]] = {}
        for event in Session().scalars(select(AssetEvent).where(*of_run).order_by(AssetEvent.source_map_index)):
            events.setdefault(event.source_task_id, []).append(event.extra)
        facts = {"state": str(run.state), "run_id": run.run_id, "run_after": run.run_after.isoformat()}
        report[dag_id] = {**facts, "results": results, "events": events}
    return report


def run_by_assets(dag: Any) -> Any:
    """Have the scheduler make the run for the asset events that are queued, and run its tasks."""
    from airflow.jobs.job import Job
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.models.dagrun import DagRun
    from airflow.sdk.definitions.dag import _run_task
    from airflow.settings import Session
    from airflow.utils.sqlalchemy import prohibit_commit
    from sqlalchemy import select

    session = Session()
    scheduler = SchedulerJobRunner(Job())
    with prohibit_commit(session) as guard:
        scheduler._create_dagruns_for_dags(guard, session)
        guard.commit()
    run = session.scalars(select(DagRun).where(DagRun.dag_id == dag.dag_id, DagRun.state == "queued")).one()
    run.state = "running"
    for ti in run.get_task_instances(session=session):
        ti.state = "scheduled"
        session.commit()
        _run_task(ti=ti, task=dag.get_task(ti.task_id))
    session.expire_all()
    run.dag = scheduler._get_current_dag(dag.dag_id, session)
    run.update_state(session=session)
    return run


@contextmanager
def approving() -> Iterator[None]:
    """Approve, as Airflow's API server does when somebody presses *Approve*, until the end of the block."""
    ended = threading.Event()
    person = threading.Thread(target=_approve, args=[ended], daemon=True)
    with pytest.MonkeyPatch.context() as patch:
        if not has_state_store():  # the trigger of 3.1 and 3.2 asks a triggerer's supervisor, which dag.test isn't
            patch.setattr("airflow.providers.standard.triggers.hitl.get_hitl_detail_content_detail", _answer)
        person.start()
        try:
            yield
        finally:
            ended.set()
            person.join()


def _approve(ended: threading.Event) -> None:
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload
    from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    user = SimpleAuthManagerUser(username=USER, role="admin")
    answer = UpdateHITLDetailPayload(chosen_options=["Approve"], params_input={})
    unanswered = select(TaskInstance).join(HITLDetail).where(HITLDetail.responded_at.is_(None))
    asked: set[str] = set()
    while not ended.wait(0.1):
        with create_session() as session:
            waiting = [ti for ti in session.scalars(unanswered).unique() if ti.state in _WAITING]
        for ti in waiting:
            if ti.id not in asked:  # dag.test sets the state once more; a person isn't that quick
                asked.add(ti.id)
                continue
            with create_session() as session:
                update_hitl_detail(
                    dag_id=ti.dag_id,
                    dag_run_id=ti.run_id,
                    task_id=ti.task_id,
                    map_index=ti.map_index,
                    update_hitl_detail_payload=answer,
                    user=user,
                    session=session,
                )


def _answer(ti_id: Any) -> Any:
    """Return the answer to a question as the API server gives it to a trigger."""
    from airflow.api_fastapi.execution_api.datamodels.hitl import HITLDetailResponse
    from airflow.models.hitl import HITLDetail
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:  # ids are texts in the database of 3.1, and UUIDs in that of 3.2
        (question,) = (each for each in session.scalars(select(HITLDetail)).unique() if str(each.ti_id) == str(ti_id))
        return HITLDetailResponse.from_hitl_detail_orm(question)


def _by_assets(dag: Any) -> bool:
    return type(dag.timetable).__name__ == "AssetTriggeredTimetable"


if __name__ == "__main__":
    main(*sys.argv[1:])
