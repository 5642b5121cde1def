"""The guide *Start a DAG when something changes*: its templates read the very change that an event names."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_dotypos.api.watch import Change
from airflow_provider_dotypos.assets import dotypos_asset
from airflow_provider_dotypos.exceptions import DotyposInputError
from airflow_provider_dotypos.sandbox import Sandbox, Shop
from airflow_provider_dotypos.transfers.manifest import read_manifest

GUIDE = Path(__file__).parents[1] / "docs" / "guides" / "when-something-changes.md"


@pytest.fixture
def sandbox() -> Any:
    shop = Shop.generate(days=1, orders_per_day=20, now=datetime.now(timezone.utc) - timedelta(minutes=5))
    shop.set_to_real_time()
    with Sandbox(shop) as running:
        yield running


@pytest.fixture
def operator(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Return the operator of the guide's first DAG, for the sandbox's cloud."""
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(sandbox.connection()))
    block = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.M | re.S)[0]
    code = block.replace("123456789", str(sandbox.cloud_ids[0])).replace("/tmp/dotypos", str(tmp_path))
    exec(compile(code, str(GUIDE), "exec"), known := {})
    return known["dag"].get_task("orders")


def event(cloud_id: int, *rows: dict[str, Any]) -> Any:
    """Return an asset's event of some rows, as a task gets it."""
    cursors = sorted(row["versionDate"] for row in rows)
    ids = tuple(str(row["id"]) for row in rows)
    change = Change(cursors[0], cursors[-1] + 1, len(rows), ids, cursors[-1], "0123456789abcdef")
    return SimpleNamespace(extra={"from_trigger": True, "payload": change.payload(cloud_id, "orders")})


def extracted(operator: Any, *events: Any) -> dict[str, Any]:
    asset = dotypos_asset("orders", cloud_id=123456789)
    task = operator.prepare_for_execution()
    task.render_template_fields({"triggering_asset_events": {asset: list(events)}})
    result: dict[str, Any] = task.execute({})
    return result


def test_a_run_reads_the_changes_of_all_its_events_and_a_repeat_finds_them(sandbox: Sandbox, operator: Any) -> None:
    cloud_id = sandbox.cloud_ids[0]
    first, second, *_ = sandbox.shop.rows(cloud_id, "orders")
    changed = [
        sandbox.shop.update(cloud_id, "orders", row["id"], {"note": "changed"}) for row in (first, second, first)
    ]
    events = [event(cloud_id, changed[1]), event(cloud_id, changed[2])]

    result = extracted(operator, *events)

    ids = {row["id"] for row in read_manifest(result["manifest"]).rows()}
    assert ids == {str(first["id"]), str(second["id"])}
    asked = len(sandbox.requests)
    assert extracted(operator, *events) == result
    assert len(sandbox.requests) == asked


def test_a_run_without_an_event_fails_at_once_and_says_why(operator: Any) -> None:
    with pytest.raises(Exception, match="since") as raised:
        extracted(operator)
    assert isinstance(raised.value.__context__, DotyposInputError) or isinstance(raised.value, DotyposInputError)
