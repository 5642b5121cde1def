"""Metrics of tasks, sent by Airflow to a real StatsD socket (`hooks.metrics`, `api.meter`)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, task

from airflow_provider_dotypos import _compat
from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.api.retry import Patience
from airflow_provider_dotypos.exceptions import DotyposBudgetError, DotyposRateLimitError
from airflow_provider_dotypos.hooks import metrics
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from airflow_provider_dotypos.transfers.dotypos_entities_to_sql import DotyposEntitiesToSqlOperator
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator
from tests.statsd_receiver import StatsdReceiver, receiving
from tests.task_runs import RUN_AFTER, run_task, supervised

SINCE = RUN_AFTER - timedelta(days=1)
BEFORE = {"versionDate": int(SINCE.timestamp() * 1000) + 1}


@pytest.fixture
def statsd(monkeypatch: pytest.MonkeyPatch) -> Iterator[StatsdReceiver]:
    with receiving(monkeypatch) as receiver:
        yield receiver


@pytest.fixture
def cloud(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> int:
    channel.forget_tokens()
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(sandbox.connection(sandbox.cloud_ids[0])))
    return sandbox.cloud_ids[0]


def test_a_task_that_uses_the_hook_counts_its_requests_and_rows(
    sandbox: Sandbox, cloud: int, statsd: StatsdReceiver
) -> None:
    for number in range(120):
        sandbox.shop.insert(cloud, "products", {"name": f"Product {number}", **BEFORE})
    sandbox.faults.append(Fault("500", path="/products"))

    @task
    def products() -> int:
        return sum(1 for _ in DotyposHook().rows("products"))

    with DAG("dag", schedule=None), supervised():
        operator = products().operator
        assert run_task(operator).state == "success"
    rows = f"airflow.dotypos.rows.{cloud}.products"
    statsd.settle()
    assert statsd.counter(rows) == len(sandbox.shop.rows(cloud, "products"))
    assert statsd.counter(f"airflow.dotypos.requests.{cloud}") == len(sandbox.requests)


def test_rows_count_that_were_read_before_somebody_stopped(
    sandbox: Sandbox, cloud: int, statsd: StatsdReceiver
) -> None:
    for number in range(5):
        sandbox.shop.insert(cloud, "products", {"name": f"Product {number}", **BEFORE})
    rows = DotyposHook().rows("products")
    next(rows)
    next(rows)
    rows.close()  # type: ignore[attr-defined]
    statsd.settle()
    assert statsd.counter(f"airflow.dotypos.rows.{cloud}.products") == 2


def test_answers_that_ask_to_slow_down_are_counted(sandbox: Sandbox, cloud: int, statsd: StatsdReceiver) -> None:
    sandbox.faults.append(Fault("429", retry_after="0", times=2, path="/branches"))
    list(DotyposHook().rows("branches"))
    sandbox.faults.append(Fault("429", retry_after="1800", path="/branches"))
    with pytest.raises(DotyposRateLimitError):
        list(DotyposHook().rows("branches"))
    statsd.settle()
    assert statsd.counter(f"airflow.dotypos.throttled.{cloud}.429") == 3


def test_the_budget_is_shown_as_it_is_used_up(
    sandbox: Sandbox, cloud: int, statsd: StatsdReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = sandbox.connection(cloud)
    connection["extra"]["request_budget"] = "10/1h each"
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(connection))
    hook = DotyposHook(patience=Patience(throttling=0.0))
    branch = sandbox.shop.rows(cloud, "branches")[0]["id"]
    for _ in range(9):  # and a sign-in
        hook.get("branches", branch)
    with pytest.raises(DotyposBudgetError):
        hook.get("branches", branch)
    used, left = (f"airflow.dotypos.budget.{what}.{cloud}" for what in ("used", "left"))
    statsd.settle()
    assert statsd.gauge(used)[-1] == len(sandbox.requests) == 10
    assert statsd.gauge(left)[:10] == [*range(9, -1, -1)]


def test_a_transfer_counts_what_it_commits_once(
    sandbox: Sandbox, cloud: int, statsd: StatsdReceiver, tmp_path: Path
) -> None:
    for _ in range(7):
        sandbox.shop.insert(cloud, "orders", BEFORE)
    sandbox.shop.insert(cloud, "orders", {"guestCount": "many", **BEFORE})
    with DAG("dag", schedule=None):
        orders = DotyposToObjectStorageOperator(
            task_id="orders",
            entity="orders",
            destination=f"file://{tmp_path}",
            file_format="parquet",
            since=SINCE,
            until=RUN_AFTER,
        )
    with supervised():
        assert run_task(orders).state == "success"
        assert run_task(orders).state == "success"  # which finds the set, and reads nothing
    statsd.settle()
    assert statsd.counter(f"airflow.dotypos.rows.{cloud}.orders") == 8
    assert statsd.counter(f"airflow.dotypos.misfits.{cloud}.orders") == 1
    assert statsd.counter(f"airflow.dotypos.requests.{cloud}") == len(sandbox.requests)
    assert not {name for name in statsd.names() if "watermark" in name}  # a task with a window has none


def test_each_lists_watermark_is_shown_also_of_one_that_fails(
    sandbox: Sandbox, cloud: int, statsd: StatsdReceiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps({"conn_type": "sqlite", "host": f"{tmp_path}/shop.db"}))
    sandbox.shop.insert(cloud, "products", BEFORE)
    with DAG("dag", schedule=None):
        both = DotyposEntitiesToSqlOperator(
            task_id="both", entities=["products", "categories"], conn_id="shop", settle=0
        )
    with supervised():
        assert run_task(both).state == "success"
        sandbox.faults.append(Fault("429", retry_after="1800", path="/categories"))
        later = RUN_AFTER + timedelta(hours=1)
        assert run_task(both, run_after=later).state == "up_for_reschedule"
    statsd.settle()
    stream = {
        entity: next(iter(statsd.names(f"watermark.time.{cloud}.{entity}."))) for entity in ("products", "categories")
    }
    assert statsd.gauge(stream["products"]) == [RUN_AFTER.timestamp(), later.timestamp()]
    assert statsd.gauge(stream["categories"]) == [RUN_AFTER.timestamp()] * 2
    lag = statsd.gauge(stream["products"].replace(".time.", ".lag."))[-1]
    assert 0 <= time.time() - later.timestamp() - lag < 3600


def test_planned_rows_count_by_their_verdicts(
    sandbox: Sandbox, cloud: int, statsd: StatsdReceiver, tmp_path: Path
) -> None:
    ids = [sandbox.shop.insert(cloud, "products", {"name": f"P{n}", **BEFORE})["id"] for n in range(3)]
    hook = DotyposHook()
    rows = [{"id": id, "name": f"New {id}"} for id in ids]
    plan = hook.plan_writes("products", rows, "id", f"file://{tmp_path}")
    hook.apply_plan(plan["plan"], plan["digest"])
    statsd.settle()
    assert statsd.counter(f"airflow.dotypos.writes.{cloud}.products.applied") == 3


def test_backends_that_take_tags_get_them(sandbox: Sandbox, cloud: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving(monkeypatch, statsd_influxdb_enabled="True") as statsd:
        list(DotyposHook().rows("branches"))
        held = len(sandbox.shop.rows(cloud, "branches"))
        statsd.settle()
        assert statsd.counter(f"airflow.dotypos.rows,cloud={cloud},entity=branches") == held


def test_without_metrics_nothing_is_counted(cloud: int) -> None:
    metrics._backend.cache_clear()
    assert not metrics.are_on()
    assert metrics.task_meter() is None
    assert DotyposHook().get_conn()._meter is None


class Broken:
    """A backend that fails, in whatever way."""

    def incr(self, *args: object, **kwargs: object) -> None:
        raise OSError

    gauge = incr


def fails() -> None:
    """Stand for what is odd about a configuration."""
    raise RuntimeError


@pytest.mark.parametrize(
    ("part", "broken"),
    [("stats", fails), ("metrics_settings", fails), ("stats", Broken)],
    ids=["none", "odd", "failing"],
)
def test_no_failure_of_a_metric_fails_a_task(
    sandbox: Sandbox, cloud: int, statsd: StatsdReceiver, part: str, broken: Callable[[], Any]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_compat, part, broken)
        assert list(DotyposHook().rows("branches"))
        metrics.send("dotypos.sale.age", float("nan"), cloud=1, branch="a b.c")


def test_a_backend_that_is_not_installed_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving(monkeypatch, statsd_custom_client_path="no.such.client"):
        metrics.send("dotypos.requests", 1, cloud=5)
