"""Run DAGs through Airflow itself, in a process of their own: ``run_examples.py folder result.json dag_id …``.

First all of the folder, and then those named once more, with templates that render to Python's own types, as
``render_template_as_native_obj`` has it, and into another destination.

Those that are scheduled on assets run last, if the scheduler says so, for the events that the others have made.

Writes a list of both: ``{dag_id: {"state": …, "run_id": …, "run_after": …, "results": {task_id: [result of each mapped
task, or of the only one]}, "events": {task_id: [what each asset event holds]}}}``.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


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
        run = run_by_assets(dag) if _by_assets(dag) else dag.test()
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


def _by_assets(dag: Any) -> bool:
    return type(dag.timetable).__name__ == "AssetTriggeredTimetable"


if __name__ == "__main__":
    main(*sys.argv[1:])
