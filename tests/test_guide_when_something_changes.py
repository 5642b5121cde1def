"""The guide *Start a DAG when something changes*: its first DAG loads what events name, and its costs are true."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from airflow_provider_dotypos.api.entities import find_list
from airflow_provider_dotypos.api.polls import requests_per_poll
from airflow_provider_dotypos.api.watch import Change, Watch
from airflow_provider_dotypos.exceptions import DotyposInputError
from airflow_provider_dotypos.sandbox import Sandbox, Shop
from airflow_provider_dotypos.triggers.pace import Pace

GUIDE = Path(__file__).parents[1] / "docs" / "guides" / "when-something-changes.md"


@pytest.fixture
def sandbox() -> Any:
    shop = Shop.generate(days=1, orders_per_day=20, now=datetime.now(timezone.utc) - timedelta(hours=1))
    shop.set_to_real_time()
    with Sandbox(shop) as running:
        yield running


class Results:
    """The results of a task, as Airflow gives them to the next: key by key only if it has several outputs."""

    def __init__(self, task: Any, *arguments: Any) -> None:
        result = task.python_callable(*arguments)
        self._results = result if task.multiple_outputs else {"return_value": result}

    def xcom_pull(self, *, key: str, default: Any, **which: Any) -> Any:
        return self._results.get(key, default)


def test_its_first_dag_loads_what_has_changed_once_however_often_an_event_comes(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    database = tmp_path / "warehouse.duckdb"
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(sandbox.connection()))
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "duckdb", "host": str(database)}))
    cloud_id = sandbox.cloud_ids[0]
    block = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.M | re.S)[0]
    exec(compile(block.replace("123456789", str(cloud_id)), str(GUIDE), "exec"), known := {})
    dag, asset = known["dag"], known["ORDERS"]
    first, second, *_ = sandbox.shop.rows(cloud_id, "orders")
    named = sandbox.shop.update(cloud_id, "orders", first["id"], {"note": "named by the event"})
    sandbox.shop.update(cloud_id, "orders", second["id"], {"note": "of an event that Airflow keeps for later"})
    cursor = named["versionDate"]
    change = Change(cursor, cursor + 1, 1, (str(named["id"]),), cursor, "0123456789abcdef")
    event = SimpleNamespace(extra={"from_trigger": True, "payload": change.payload(cloud_id, "orders")})

    for _ in range(2):
        results = Results(dag.get_task("window"), {asset.name: [event]})
        task = dag.get_task("orders").prepare_for_execution()
        task.since, task.until = (argument.resolve({"ti": results}) for argument in (task.since, task.until))
        task.execute({})

    loaded = [(row["id"], sandbox.shop.get(cloud_id, "orders", row["id"])["note"]) for row in (first, second)]
    with duckdb.connect(str(database)) as warehouse:
        assert sorted(warehouse.sql("SELECT id, note FROM orders").fetchall()) == sorted(loaded)


@pytest.mark.parametrize(
    ("entity", "one_filter", "told"),
    [
        ("orders", False, "| a list, every 60 seconds, the default | {:.0f} |"),
        ("products", False, "| `products`, every 60 seconds | {:.0f}: every fifth poll"),
        ("products", True, "With *Deleted filter* `shows_null` in the connection it is {:.0f} |"),
        ("warehouse-products", False, "| `warehouse-products`, every 60 seconds | {:.0f} for each warehouse"),
        ("warehouse-products", True, "With `shows_null` it is {:.0f} |"),
    ],
)
def test_a_watched_list_costs_what_the_guide_says(entity: str, one_filter: bool, told: str) -> None:
    requests = requests_per_poll(find_list(entity), one_filter=one_filter)
    assert told.format(requests * 30) in GUIDE.read_text()


def test_more_lists_are_asked_as_seldom_as_the_guide_says() -> None:
    apart = Pace(None).seconds_per_request
    assert 2 * apart < 60
    three, ten = 3 * apart, 10 * apart
    text = " ".join(GUIDE.read_text().split())
    assert f"three lists are asked every {three:.0f} seconds, ten every {ten:.0f}." in text
    assert f"| 30; 60; {3 * 1800 / three:.0f}; {10 * 1800 / ten:.0f} |" in text


@pytest.mark.parametrize(
    ("refused", "instead"),
    [
        ("tags|eq|x", None),
        ("externalId|notin|42", "externalId|notin|42,null"),
        ("versionDate|gteq|2026-01-01T00:00:00Z", None),
        ("name|like|a%", "name|like|a"),
        ("deleted|in|0,1", "deleted|eq|0"),
    ],
)
def test_what_the_guide_says_is_refused_is_and_what_to_write_instead_is_not(refused: str, instead: str | None) -> None:
    with pytest.raises(DotyposInputError):
        Watch.of("products", refused)
    assert instead is None or Watch.of("products", instead)
