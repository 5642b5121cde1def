"""Airflow's part in a benchmark: task instances in fresh processes, and the state stores, which outlive them."""

from __future__ import annotations

import json
import os
from contextlib import redirect_stdout
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.sdk import Asset, BaseOperator
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_dotypos import _compat
from airflow_provider_dotypos.api import channel

#: The asset that keeps the watermarks.
WATERMARKS = Asset("watermarks")

PutOff = type(_compat.reschedule_exception(datetime.now(timezone.utc)))


class Kept:
    """What is used of a state store, kept in a folder: values by key, each in a file that is replaced as a whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key."""
        path = self._path(key)
        return json.loads(path.read_bytes()) if path.exists() else default

    def set(self, key: str, value: Any, **_: Any) -> None:
        """Keep a value."""
        staged = self._path(f"{key}.staged")
        staged.write_text(json.dumps(value))
        staged.replace(self._path(key))

    def delete(self, key: str) -> None:
        """Forget a value."""
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / key.replace("/", "_")


class Stage:
    """The tasks of one DAG.

    :param folder: where state stores are kept, and where tasks put files (`lake`).
    :ivar lake: the destination.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.lake = f"file://{folder}/lake"
        self._states: dict[tuple[str, str], str] = {}

    def run(self, operator: BaseOperator, at: datetime, first_put_off: datetime | None = None) -> Any:
        """Run a task as a new process would: without a token, and without what an earlier one knew of the server.

        :param at: the time of the DAG run.
        :param first_put_off: when the task instance first gave its slot back.
        :raises Exception: what the operator raises, such as to be put off.
        """
        channel.forget_tokens()
        run_id, task_id = at.isoformat(), operator.task_id
        self._states[run_id, task_id] = "running"
        with open(os.devnull, "w") as log, redirect_stdout(log):
            result = operator.execute(self._context(run_id, task_id, at, first_put_off))
        self._states[run_id, task_id] = "success"
        return result

    def _context(self, run_id: str, task_id: str, at: datetime, first_put_off: datetime | None) -> Any:
        ti = SimpleNamespace(
            dag_id="benchmark",
            run_id=run_id,
            task_id=task_id,
            map_index=-1,
            try_number=1,
            get_task_states=self._task_states,
            get_first_reschedule_date=lambda _: first_put_off,
        )
        return {
            "ti": ti,
            "dag_run": SimpleNamespace(run_after=at),
            "asset_state_store": _ByAsset(self._folder / "assets"),
            "task_state_store": Kept(self._folder / "tasks" / f"{run_id} {task_id}"),
            "outlet_events": OutletEventAccessors(),
        }

    def _task_states(self, *, task_ids: list[str], run_ids: list[str], **_: Any) -> dict[str, dict[str, str]]:
        return {
            run_id: {task_id: self._states[run_id, task_id] for task_id in task_ids}
            for run_id in run_ids
            if all((run_id, task_id) in self._states for task_id in task_ids)
        }


class _ByAsset:
    """The state stores of assets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, asset: Any) -> Kept:
        return Kept(self._folder / str(asset.name).replace("/", "_"))
