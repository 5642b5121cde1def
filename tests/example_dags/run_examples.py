"""Run DAGs through Airflow itself, in a process of their own: ``run_examples.py folder result.json dag_id …``.

With NATIVE set in the environment, templates render to Python's own types, as ``render_template_as_native_obj`` has it.

Writes ``{dag_id: {"state": …, "params": …, "results": {task_id: [result of each mapped task, or of the only one]}}}``.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def main(folder: str, result: str, *dag_ids: str) -> None:
    from airflow.models.xcom import XComModel
    from airflow.settings import Session
    from sqlalchemy import select

    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow 3.1
        from airflow.models.dagbag import DagBag

    bag = DagBag(folder)
    assert not bag.import_errors, bag.import_errors
    report: dict[str, Any] = {}
    for dag_id in dag_ids or sorted(bag.dags):
        dag = bag.dags[dag_id]
        dag.render_template_as_native_obj = bool(os.environ.get("NATIVE"))
        for task in dag.tasks:  # what fails shall fail now, not after the minutes until a retry
            settings = task.partial_kwargs if task.is_mapped else vars(task)
            settings["retries"] = 0
        run = dag.test()
        of_run = (XComModel.dag_id == dag_id, XComModel.run_id == run.run_id, XComModel.key == "return_value")
        results: dict[str, list[Any]] = {}
        for found in Session().scalars(select(XComModel).where(*of_run).order_by(XComModel.map_index)):
            results.setdefault(found.task_id, []).append(XComModel.deserialize_value(found))
        report[dag_id] = {"state": str(run.state), "run_after": run.run_after.isoformat(), "results": results}
    Path(result).write_text(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
