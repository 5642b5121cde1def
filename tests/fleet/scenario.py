"""What happens on the fleet: two clouds are read, old windows are filled, and workers meet accidents meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.transfers.manifest import CommittedSet, read_manifest
from tests.fleet.accidents import StoppedTask, cut_power, worker_of
from tests.fleet.airflow_fleet import Airflow
from tests.fleet.comparison import chains, compare
from tests.fleet.recorded_limit import RecordedLimit
from tests.fleet.report import Report
from tests.fleet.sales import Sales

EVERYTHING, WINDOWS = "fleet_everything", "fleet_windows"

#: Seconds until changes have settled, as the DAGs have it, and one more.
_SETTLE = 6.0

#: Pages that a task has read when an accident meets it, and the rows of a page.
_AMID, _PAGE = 2, 100

#: A window is nearly full if this part of the limit was used. (Blocks are claimed for longer than they are used.)
_NEAR = 0.6

#: Seconds for which a task that was given up goes on before its supervisor does.
_ZOMBIE = 5.0

#: Seconds that anything may take. Only a fault takes so long.
_PATIENCE = 900.0


class Scenario:
    """One run.

    :param limit: the sandbox's, which is the connection's request budget.
    :param windows: how many days to backfill.
    :param say: prints what happens.
    """

    def __init__(
        self, airflow: Airflow, sandbox: Sandbox, limit: RecordedLimit, windows: int, say: Callable[[str], None]
    ) -> None:
        self._airflow = airflow
        self._sandbox = sandbox
        self._limit = limit
        self._windows = windows
        self._say = say
        self._report = Report()
        #: Tasks that an accident met, as they were then.
        self._met: list[dict[str, Any]] = []

    def play(self) -> Report:
        """Let it all happen, and compare."""
        self._enable_dags()
        with Sales(self._sandbox.shop) as sales:
            self._airflow.trigger(EVERYTHING)
            stopped = self._stop_a_task()
            self._backfill()
            self._continue(stopped)
            self._lose_a_worker()
            # The schedule adds a run of its own.
            self._airflow.wait(WINDOWS, self._windows + 1, _PATIENCE)
            self._airflow.wait(EVERYTHING, 1, _PATIENCE)
        self._say(f"all is read, and the shop closes ({sales.corrected} old rows have changed meanwhile)")
        time.sleep(_SETTLE)
        self._airflow.trigger(EVERYTHING)
        self._airflow.wait(EVERYTHING, 2, _PATIENCE)
        self._say("all lists are read once more, from where they ended")
        self._compare()
        self._count()
        return self._report

    def _enable_dags(self) -> None:
        for dag in (EVERYTHING, WINDOWS):
            self._airflow.wait_for(f"the DAG {dag}", partial(self._airflow.has, dag), _PATIENCE)
            self._airflow.call("PATCH", f"dags/{dag}", json={"is_paused": False})

    def _backfill(self) -> None:
        """Ask for the windows. They end where yesterday's begins, which the schedule has asked for."""
        last = datetime.now(timezone.utc).date() - timedelta(days=2)
        first = last - timedelta(days=self._windows - 1)
        self._airflow.run(
            *("backfill", "create", "--dag-id", WINDOWS, "--max-active-runs", str(self._windows)),
            *("--from-date", f"{first}", "--to-date", f"{last}"),
        )
        self._say(f"a backfill of {self._windows} windows has begun")

    def _stop_a_task(self) -> StoppedTask:
        """Stop a task that reads all lists of a cloud, amid them."""
        task = self._await_reader(EVERYTHING, self._reads_its_cloud)
        stopped = StoppedTask(task)
        self._met.append(task)
        self._say(f"{task['task_id']} stands still (SIGSTOP), as if its machine were suspended")
        return stopped

    def _continue(self, stopped: StoppedTask) -> None:
        """Let a stopped task go on when it was given up and its next try reads."""
        requests = self._sandbox.requests
        seen = len(requests)

        def next_try_reads() -> bool | None:
            """Only a try of the stopped task reads this cloud's other lists."""
            cloud = f"/clouds/{cloud_of(stopped.task)}/"
            return (
                any(cloud in each.path and not each.path.endswith("/order-items") for each in requests[seen:]) or None
            )

        self._airflow.wait_for("a task that was given up to be run again", next_try_reads, _PATIENCE, every=0.2)
        stopped.continue_task()
        time.sleep(_ZOMBIE)
        stopped.continue_supervisor()
        self._airflow.wait_for("a task that was given up to end", stopped.has_ended, _PATIENCE)
        self._say("it was given up, its next try reads, and it has gone on and ended beside it")

    def _lose_a_worker(self) -> None:
        """Cut the power of a worker that reads a window, and start another in its place."""
        task = self._await_reader(WINDOWS, self._reads_its_window)
        worker = worker_of(task["pid"], self._airflow.workers)
        assert worker is not None
        lost = cut_power(worker)
        self._met.append(task)
        self._airflow.add_worker()
        self._say(f"{worker.name} lost its power (SIGKILL of {lost} processes) amid {task['task_id']}")

    def _await_reader(self, dag: str, reads: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return a running task of a DAG that has begun to read."""

        def reader() -> dict[str, Any] | None:
            running = (task for task in self._airflow.tasks(dag) if task["state"] == "running" and task["pid"])
            return next(filter(reads, running), None)

        task: dict[str, Any] = self._airflow.wait_for(f"a task of {dag} to read", reader, _PATIENCE, every=0.2)
        return task

    def _reads_its_cloud(self, task: dict[str, Any]) -> bool:
        """Return whether a cloud has been read for a while. Nobody else reads it yet."""
        return sum(f"/clouds/{cloud_of(task)}/" in request.path for request in self._sandbox.requests) > 10 * _AMID

    def _reads_its_window(self, task: dict[str, Any]) -> bool:
        """Return whether the first pages of a window were read, and some are left."""
        since = datetime.fromisoformat(task["logical_date"])
        window = [round(moment.timestamp() * 1000) for moment in (since, since + timedelta(days=1))]
        cloud = cloud_of(task)
        read = sum(
            f"/clouds/{cloud}/" in request.path and f"lt|{window[1]}" in request.query.get("filter", "")
            for request in self._sandbox.requests
        )
        rows = self._sandbox.shop.rows(int(cloud), "order-items")
        pages = sum(window[0] <= row["versionDate"] < window[1] for row in rows) / _PAGE
        return _AMID <= read < pages - 1

    def _compare(self) -> None:
        """Compare all that tasks have returned with the shop."""
        for what, dag in (("all lists of two clouds", EVERYTHING), ("the windows of order items", WINDOWS)):
            for sets in chains(self._returned(dag)).values():
                self._report.add(what, compare(self._sandbox.shop, sets))

    def _returned(self, dag: str) -> Iterator[CommittedSet]:
        """Yield the sets that tasks have returned."""
        for task in self._airflow.tasks(dag):
            if task["state"] != "success":
                self._report.problems.append(f"{task['task_id']} of {task['dag_run_id']} ended as {task['state']}")
                continue
            result = self._airflow.result(task)
            for of_list in result["entities"].values() if dag == EVERYTHING else [result]:
                yield from map(read_manifest, of_list["manifests"])

    def _count(self) -> None:
        """Count requests and tries."""
        requests = self._sandbox.requests
        refused = sum(request.status == 429 for request in requests)
        fullest, most = self._limit.fullest, self._limit.requests
        self._report.notes.append(
            f"Requests: {len(requests):,}; refused with 429: {refused}; a cloud's fullest window: {fullest} of {most}."
        )
        if refused:
            self._report.problems.append(f"{refused} requests were refused with 429")
        if fullest < most * _NEAR:
            self._report.problems.append("no window was nearly full, so nobody had to respect the budget")
        for task in self._met:
            last = self._airflow.task(task)
            if last["try_number"] <= task["try_number"]:
                self._report.problems.append(f"{task['task_id']} took no further try, so no accident met it")
        tasks = [task for dag in (EVERYTHING, WINDOWS) for task in self._airflow.tasks(dag)]
        again = sum(task["try_number"] > 1 for task in tasks)
        self._report.notes.append(f"Tasks: {len(tasks)}; run more than once: {again}.")


def cloud_of(task: dict[str, Any]) -> str:
    """Return the id of the cloud that a task of these DAGs reads."""
    return str(task["task_id"].rpartition("_")[2])
