"""Run a DAG again and again through Airflow itself, in a process of its own, as it is told on its standard input.

``airflow_runs.py folder``; a JSON object a line in, one out:

- ``{"do": "run", "dag": …}`` runs the DAG, and tells its id and state, its tasks' states, and what the task returned;
- ``{"do": "die", "dag": …}`` runs it with ``DIE`` set, in a process of its own, and tells that one's exit code;
- ``{"do": "command", "arguments": […]}`` runs a command of ours, and tells its exit code, its rows and what it said;
- ``{"do": "get" | "put" | "delete", "path": …, "body": …}`` calls Airflow's REST API, and tells status and answer.
"""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any


def main(folder: str) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Airflow logs to its standard output

    from airflow.api_fastapi.app import create_app

    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow 3.1
        from airflow.models import DagBag
    from airflow.sdk.execution_time.supervisor import in_process_api_server
    from fastapi.testclient import TestClient

    bag = DagBag(folder)
    assert not bag.import_errors, bag.import_errors
    _ = in_process_api_server().app  # what takes a task's process longest to make
    deaths, orders = Pipe()
    if not os.fork():  # while there is one thread, and no connection to the database
        deaths.close()
        die_in_turn(bag, orders)
    with TestClient(create_app()) as client:
        client.headers["Authorization"] = f"Bearer {client.get('/auth/token').json()['access_token']}"
        for line in sys.stdin:
            command = json.loads(line)
            if command["do"] == "run":
                answer = run(bag.dags[command["dag"]])
            elif command["do"] == "die":
                deaths.send(command["dag"])
                answer = {"exit_code": deaths.recv()}
            elif command["do"] == "command":
                answer = run_command(command["arguments"])
            else:
                got = client.request(command["do"], f"/api/v2/{command['path']}", json=command.get("body"))
                answer = {"status": got.status_code, "answer": got.json() if got.content else None}
            print(json.dumps(answer), file=answers, flush=True)


def die_in_turn(bag: Any, orders: Connection) -> None:
    """Run each DAG that is named in a process that may die, until the other process ends."""
    while True:
        try:
            dag_id = orders.recv()
        except EOFError:
            os._exit(0)
        dying = os.fork()
        if not dying:
            os.environ["DIE"] = "yes"
            run(bag.dags[dag_id])
            os._exit(0)
        orders.send(os.waitstatus_to_exitcode(os.waitpid(dying, 0)[1]))


def run_command(arguments: list[str]) -> dict[str, Any]:
    """Run a command of ours in this process."""
    from airflow_provider_dotypos.cli import main

    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([*arguments, "-o", "json"])
    return {"code": code, "rows": json.loads(out.getvalue() or "[]"), "said": err.getvalue()}


def run(dag: Any) -> dict[str, Any]:
    """Run the DAG now."""
    from airflow.models.xcom import XComModel
    from airflow.settings import Session
    from sqlalchemy import select

    done = dag.test()
    found = Session().scalars(select(XComModel).where(XComModel.run_id == done.run_id, XComModel.dag_id == done.dag_id))
    results = [XComModel.deserialize_value(one) for one in found if one.key == "return_value"]
    states = {ti.task_id: str(ti.state) for ti in done.get_task_instances()}
    result = results[0] if results else None
    return {"run": done.run_id, "state": str(done.state), "tasks": states, "result": result}


if __name__ == "__main__":
    main(*sys.argv[1:])
