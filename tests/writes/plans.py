"""Plans in files, without a source."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api.window import iso, milliseconds
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.writes.plan import FORMAT, PlanHeader, PlannedRow
from airflow_provider_dotypos.writes.plan_file import Plan, PlanWriter, open_plan


def write_plan(
    folder: Path,
    sandbox: Sandbox,
    rows: Iterable[PlannedRow],
    *,
    entity: str = "products",
    match: tuple[str, ...] = ("id",),
    age: timedelta = timedelta(0),
    **header: Any,
) -> tuple[str, PlanHeader]:
    """Write a plan, and return its path and its header."""
    counts: Counter[str] = Counter()
    with PlanWriter(Store(ObjectStoragePath(f"file://{folder}/plans"))) as writer:
        for planned in rows:
            writer.add(planned)
            counts[planned.op] += 1
        fields: dict[str, Any] = {
            "format": FORMAT,
            "provider": "0",
            "cloud_id": sandbox.cloud_ids[0],
            "base_url": sandbox.url,
            "entity": entity,
            "match": match,
            "made_at": iso(milliseconds(datetime.now(timezone.utc) - age)),
            "source_digest": "",
            "counts": {"rows": counts.total(), **counts},
            "limits": {},
            "requests": {"patch": 0, "put": 0},
            "salt": "salt",
            **header,
        }
        return writer.commit(PlanHeader(**fields))


class Plans:
    """Writes plans and opens them, until the test ends."""

    def __init__(self, folder: Path, sandbox: Sandbox, stack: ExitStack) -> None:
        self._folder = folder
        self._sandbox = sandbox
        self._stack = stack

    def __call__(self, *rows: PlannedRow, **header: Any) -> Plan:
        """Write a plan and open it."""
        path, written = write_plan(self._folder, self._sandbox, rows, **header)
        return self._stack.enter_context(open_plan(path, written.digest))


def report_of(plan: Plan) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the header and the rows of the report on a plan."""
    header, *rows = map(json.loads, plan.store.read(plan.report_name).splitlines())
    return header, rows
