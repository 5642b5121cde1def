"""Extractions as Airflow's worker runs them: the operator's own ``execute``, the connection from the environment."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_dotypos.api import auth
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator

SINCE = datetime(2026, 3, 1, tzinfo=timezone.utc)
UNTIL = datetime(2026, 3, 2, tzinfo=timezone.utc)
SINCE_MS = int(SINCE.timestamp() * 1000)
HOUR_MS = 3_600_000


@pytest.fixture
def connection(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    auth.forget_tokens()
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(sandbox.connection(sandbox.cloud_ids[0])))


@pytest.fixture
def extract(connection: None, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Run the operator once and return its result."""

    def run(**arguments: Any) -> dict[str, Any]:
        arguments = {
            "entity": "orders",
            "destination": f"file://{tmp_path}/lake",
            "since": SINCE,
            "until": UNTIL,
            **arguments,
        }
        operator = DotyposToObjectStorageOperator(task_id="extract", **arguments)
        context: Any = {"ti": SimpleNamespace(try_number=1), "dag_run": SimpleNamespace(run_after=UNTIL)}
        result: dict[str, Any] = operator.execute(context)
        return result

    return run


@pytest.fixture
def orders(sandbox: Sandbox) -> list[str]:
    """Fill a day with 750 orders, one tie of 130 among them; return their ids."""
    cloud = sandbox.cloud_ids[0]
    moments = [SINCE_MS + 37_000 * i for i in range(620)] + [SINCE_MS + 5 * HOUR_MS] * 130
    return [
        str(sandbox.shop.insert(cloud, "orders", {"versionDate": moment, "note": f"Příliš žluťoučký {moment}"})["id"])
        for moment in moments
    ]
