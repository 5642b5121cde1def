"""DAGs that changes start, through Airflow's own processes: API server, scheduler, DAG processor and triggerer.

The examples that wait for something run here. All tests share the processes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_dotypos._compat import has_state_store
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.sandbox import Sandbox, Shop
from airflow_provider_dotypos.transfers.manifest import read_manifest
from tests.events.airflow_processes import COMMANDS, RunningAirflow, airflow_processes
from tests.events.kills import Shopkeeper, Triggerer, Version, connection, missing, repeats, wait_for_a_poll
from tests.events.on_call import DAG_FILE, FOREIGN, Messages, channel
from tests.events.queues import BELL, RUNG, guide_program, queue_of
from tests.patience import PATIENCE
from tests.statsd_receiver import StatsdReceiver
from tests.ui.airflow_server import AirflowServer, airflow_home

EXAMPLES = Path(__file__).parents[2] / "example_dags"
REPRICE, ORDERS, CLOSE, WEBHOOKS, BY_A_QUEUE = (
    f"example_dotypos_{name}"
    for name in ("reprice_on_change", "orders_on_change", "nightly_close", "webhooks", "webhooks_by_a_queue")
)

#: What a test doesn't wait for: a minute until the next poll, and the evening.
SOONER = {
    "watch=True": 'watch={"poll_interval": 1}',
    "deferrable=True": "deferrable=True, poke_interval=1",
    'schedule="0 20 * * *"': "schedule=None",
}

#: Another file that names the first example's asset, as it should; and a second asset of the list.
SECOND_FILE = """
from airflow.sdk import DAG

from airflow_provider_dotypos.assets import dotypos_asset

SAME = dotypos_asset("products", cloud_id={cloud_id}, watch={{"poll_interval": 1}})
SECOND = dotypos_asset("products", cloud_id={cloud_id}, watch={{"poll_interval": 1}}, name="second", host="{host}")
with DAG("after_both", schedule=SAME & SECOND):
    pass
"""


#: A task without a window. Its process dies with its result, if the run says so and the task is retried.
WITHOUT_A_WINDOW = """
import os
import signal
from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_dotypos import DotyposToObjectStorageOperator

class Dying(DotyposToObjectStorageOperator):
    def execute(self, context):
        result = super().execute(context)
        if context["ti"].try_number == 1 and context["dag_run"].conf.get("die"):
            os.kill(os.getpid(), signal.SIGKILL)
        return result

with DAG("without_a_window", schedule=None):
    Dying(task_id="orders", entity="orders", destination="{lake}", retries=1, retry_delay=timedelta(0))
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    # Of two days, at least one has ended: a register is closed late in the evening.
    shop = Shop.generate(days=2, orders_per_day=5, now=datetime.now(timezone.utc) - timedelta(minutes=5))
    shop.set_to_real_time()
    with Sandbox(shop) as running:
        yield running


@pytest.fixture(scope="module")
def messages() -> Iterator[Messages]:
    with channel() as messages:
        yield messages


@pytest.fixture(scope="module")
def statsd() -> Iterator[StatsdReceiver]:
    receiver = StatsdReceiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="module")
def airflow(
    sandbox: Sandbox, messages: Messages, statsd: StatsdReceiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningAirflow]:
    home = airflow_home(tmp_path_factory.getbasetemp(), "events")
    with (
        queue_of(tmp_path_factory) as redis,
        airflow_processes(
            home,
            **redis,
            AIRFLOW_CONN_DOTYPOS_DEFAULT=connection(sandbox),
            AIRFLOW_VAR_DOTYPOS_DESTINATION=f"file://{home.path}/lake",
            AIRFLOW__DOTYPOS__WEBHOOKS="True",
            AIRFLOW__METRICS__STATSD_ON="True",
            AIRFLOW__METRICS__STATSD_PORT=str(statsd.port),
            AIRFLOW__METRICS__METRICS_ALLOW_LIST=r"^dotypos\.",  # what the kernel can't hold is lost
        ) as airflow,
    ):
        host = sandbox.url.removeprefix("http://")
        for dag_id in (REPRICE, ORDERS, CLOSE, WEBHOOKS):
            text = (EXAMPLES / f"{dag_id}.py").read_text()
            if dag_id == ORDERS:  # webhooks alone start it
                text = text.replace("watch=True", f'host="{host}"')
            for said, sooner in SOONER.items():
                text = text.replace(said, sooner)
            (airflow.dags / f"{dag_id}.py").write_text(text)
        if redis:  # it has a watcher's asset of its own, and here no watcher that asks Dotypos
            text = (EXAMPLES / f"{BY_A_QUEUE}.py").read_text()
            text = text.replace(', watch={"poll_interval": 600}', "").replace(
                "until=changed", "settle=0, until=changed"
            )
            (airflow.dags / f"{BY_A_QUEUE}.py").write_text(text)
        on_call = DAG_FILE.format(url=messages.url, lake=f"file://{home.path}/lake", foreign=FOREIGN)
        (airflow.dags / "on_call.py").write_text(on_call)
        if not has_state_store():
            lake = f"file://{home.path}/without"
            (airflow.dags / "without_a_window.py").write_text(WITHOUT_A_WINDOW.replace("{lake}", lake))
        (airflow.dags / "after_both.py").write_text(SECOND_FILE.format(cloud_id=sandbox.cloud_ids[0], host=host))
        yield airflow


@pytest.fixture(scope="module")
def server(airflow: RunningAirflow, sandbox: Sandbox) -> Iterator[AirflowServer]:
    """All processes, and the API server among them."""
    with airflow.serving() as server:
        for name in COMMANDS:
            airflow.start(name)
        watched = 3 if "AIRFLOW_CONN_REDIS_DEFAULT" in airflow.settings else 2
        airflow.wait_for("the watchers", lambda: len(airflow.triggers()) == watched)
        wait_for_a_poll(airflow, sandbox)  # what has changed before a watcher's first poll is no change for it
        yield server


def start_run(server: AirflowServer, dag_id: str, **conf: Any) -> None:
    """Start a run of a DAG, two minutes late."""
    run_after = datetime.now(timezone.utc) - timedelta(minutes=2)
    body = {"logical_date": None, "run_after": run_after.isoformat(), "conf": conf}
    answer = server.session.post(f"{server.url}/api/v2/dags/{dag_id}/dagRuns", json=body, timeout=PATIENCE)
    assert answer.ok, answer.text


def pause(server: AirflowServer, dag_id: str, paused: bool) -> None:
    """Pause a DAG, or let it go on."""
    answer = server.session.patch(f"{server.url}/api/v2/dags/{dag_id}", json={"is_paused": paused}, timeout=PATIENCE)
    assert answer.ok, answer.text


@pytest.fixture
def triggerer(airflow: RunningAirflow, sandbox: Sandbox) -> Triggerer:
    return Triggerer(airflow, sandbox)


@pytest.fixture
def shopkeeper(sandbox: Sandbox) -> Shopkeeper:
    return Shopkeeper(sandbox.shop, sandbox.cloud_ids[0])


pytestmark = [pytest.mark.live, pytest.mark.usefixtures("server")]


def test_a_changed_product_is_repriced_and_the_circle_ends(airflow: RunningAirflow, sandbox: Sandbox) -> None:
    cloud_id = sandbox.cloud_ids[0]
    id = sandbox.shop.rows(cloud_id, "products")[0]["id"]
    sandbox.shop.update(cloud_id, "products", id, {"priceWithVat": 54.2})
    airflow.wait_for("the price", lambda: price(sandbox, id) == 55)
    airflow.wait_for("the run that finds nothing to do", lambda: airflow.results(REPRICE, "reprice")[-1:] == [{}])
    assert airflow.results(REPRICE, "reprice")[-2:] == [{str(id): "55"}, {}]


def test_changes_during_a_run_are_repriced(airflow: RunningAirflow, sandbox: Sandbox) -> None:
    """Airflow starts one run for the events that have come meanwhile, and gives it the first of them only."""
    cloud_id = sandbox.cloud_ids[0]
    ids = [row["id"] for row in sandbox.shop.rows(cloud_id, "products")[:4]]
    for id in ids:
        row = sandbox.shop.update(cloud_id, "products", id, {"priceWithVat": 54.2})
        version = Version(str(id), row["versionDate"])
        airflow.wait_for("the event", lambda version=version: not missing([version], airflow.events()))
    airflow.wait_for("the prices", lambda: {price(sandbox, id) for id in ids} == {55})


@pytest.mark.skipif(has_state_store(), reason="dag.test tries this on Airflow 3.3, see transfers/test_incremental")
def test_runs_without_a_window_continue_where_airflow_keeps_no_state(
    airflow: RunningAirflow, server: AirflowServer
) -> None:
    """With a process that is killed once it has moved the watermark, and its retry."""
    start_run(server, "without_a_window", die=True)
    (first,) = airflow.wait_for("the retry", lambda: airflow.results("without_a_window", "orders"))
    assert (first["since"], first["rows"] > 0) == (None, True)
    assert len(first["manifests"]) == 1
    start_run(server, "without_a_window")
    (second,) = airflow.wait_for("the next run", lambda: airflow.results("without_a_window", "orders")[1:])
    assert second["since"] == first["until"]
    assert second["manifests"] == [second["manifest"]]
    command = ["-m", "airflow_provider_dotypos", "watermark", "show", f"file://{airflow.home.path}/without"]
    (row,) = json.loads(airflow.home.python(*command, "-o", "json", **airflow.settings))
    assert (row["watermark"], row["pending"], row["kept in"]) == (second["until"], "0", "files")


def test_a_failed_night_run_sends_messages_and_metrics(
    airflow: RunningAirflow, server: AirflowServer, sandbox: Sandbox, messages: Messages, statsd: StatsdReceiver
) -> None:
    """From workers and from the DAG processor."""
    start_run(server, "on_call")
    (of_dag,) = airflow.wait_for("the DAG's message", lambda: messages.by_subject("DAG on_call failed: orders, own"))
    (of_task,) = messages.by_subject("on_call.orders failed: ")
    (of_retry,) = messages.by_subject("on_call.own failed, and is tried again: ")
    (of_last,) = messages.by_subject("on_call.own failed: ")
    for message in (of_task, of_retry, of_last, of_dag):
        assert f"sign-in for cloud {FOREIGN}" in message
        assert sandbox.refresh_token not in message
    assert "Does it pass by itself? No. Airflow doesn't try it again" in of_task
    assert f"{server.url}/dags/on_call/runs/" in of_task
    assert "/tasks/orders?try_number=1" in of_task
    assert "try 1 of 3" in of_task
    assert "try 1 of 2" in of_retry
    assert "(1 try left)" in of_retry
    assert "try 2 of 2" in of_last
    assert f"{server.url}/dags/on_call/runs/" in of_dag
    cloud_id = sandbox.cloud_ids[0]
    held = len(sandbox.shop.rows(cloud_id, "branches"))
    statsd.settle()
    assert statsd.counter(f"airflow.dotypos.rows.{cloud_id}.branches") == held
    assert statsd.counter(f"airflow.dotypos.requests.{FOREIGN}") >= 3


def test_two_files_and_two_assets_of_a_list_keep_their_watchers(
    airflow: RunningAirflow, server: AirflowServer, shopkeeper: Shopkeeper
) -> None:
    pause(server, REPRICE, True)  # its runs take time, and nobody looks at them any more
    triggers = {asset: ids for asset, ids in airflow.triggers().items() if asset != RUNG}
    assert [len(ids) for ids in triggers.values()] == [1, 1]
    for _ in range(2):
        airflow.parse_again("after_both")
        airflow.parse_again(REPRICE)
    version = shopkeeper.change()
    for asset in triggers:
        airflow.wait_for("the event", lambda asset=asset: not missing([version], airflow.events(asset)))
    assert {asset: ids for asset, ids in airflow.triggers().items() if asset != RUNG} == triggers


def test_an_asset_whose_dag_was_paused_gets_what_it_has_missed(
    triggerer: Triggerer, airflow: RunningAirflow, server: AirflowServer, shopkeeper: Shopkeeper
) -> None:
    """The watcher has ended before something changes: Airflow drops what it reports in the moment of pausing."""
    pause(server, "after_both", True)
    airflow.parse_again("after_both")
    assert "second" not in airflow.triggers()
    airflow.kill("triggerer")  # else it ends the watcher some seconds later, and nothing shows when
    before = len(airflow.events("second"))
    shopkeeper.change()
    shopkeeper.change()
    pause(server, "after_both", False)
    airflow.parse_again("after_both")
    triggerer.start()
    airflow.wait_for("both changes", lambda: not missing(shopkeeper.versions, airflow.events("second")))
    assert len(airflow.events("second")) == before + 1


def test_a_triggerer_that_dies_loses_no_event(
    triggerer: Triggerer, airflow: RunningAirflow, sandbox: Sandbox, shopkeeper: Shopkeeper
) -> None:
    """It dies with an event that isn't stored yet. Another one fires it again, and dies before it keeps its state."""
    airflow.kill("triggerer")
    triggerer.start("after the yield")
    wait_for_a_poll(airflow, sandbox)
    shopkeeper.change()
    airflow.wait_until_killed("triggerer")
    if has_state_store():
        triggerer.die_at("before advance")
    triggerer.start()
    wait_for_a_poll(airflow, sandbox)
    airflow.wait_for("the event", lambda: not missing(shopkeeper.versions, airflow.events("second")))
    repeats(airflow.events("second"))


def test_a_nightly_close_waits_until_the_register_is_closed(
    triggerer: Triggerer, airflow: RunningAirflow, server: AirflowServer, sandbox: Sandbox
) -> None:
    """The triggerer dies while the task is deferred."""
    start_run(server, CLOSE)
    airflow.wait_for("the wait", lambda: airflow.task_state(CLOSE, "register_closed") == "deferred")
    airflow.kill("triggerer")
    cloud_id = sandbox.cloud_ids[0]
    *_, closed = (
        row for row in sandbox.shop.rows(cloud_id, "money-logs") if row["transactionType"] == "REGISTER_CLOSE"
    )
    # It shows late, but not too late to be seen. So the extraction up to this moment needn't wait for a minute.
    closed |= {"id": sandbox.shop.new_id(), "versionDate": sandbox.shop.now() - 40_000}
    sandbox.shop.insert(cloud_id, "money-logs", closed)
    triggerer.start()
    airflow.wait_for("the day's sums", lambda: airflow.results(CLOSE, "takings"))


def test_a_delivery_starts_a_dag_that_reads_what_was_sold(
    airflow: RunningAirflow, server: AirflowServer, sandbox: Sandbox
) -> None:
    cloud_id = sandbox.cloud_ids[0]
    start_run(server, WEBHOOKS)
    airflow.wait_for("the webhooks", lambda: len(sandbox.shop.rows(cloud_id, "webhooks")) == 2)
    sold = requests.post(f"{sandbox.url}/_sandbox/sell", json={}, timeout=PATIENCE).json()
    (extracted, *_) = airflow.wait_for("the extraction", lambda: airflow.results(ORDERS, "orders"))
    assert str(sold["id"]) in [row["id"] for row in read_manifest(extracted["manifest"]).rows()]
    start_run(server, WEBHOOKS, state="absent")
    airflow.wait_for("no webhook", lambda: not sandbox.shop.rows(cloud_id, "webhooks"))


def test_a_delivery_comes_by_a_queue_and_the_queue_is_forgotten_once_it_is_extracted(
    airflow: RunningAirflow, server: AirflowServer, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sandbox delivers to the guide's program, which alone can be reached, and Airflow hears the bell."""
    if "AIRFLOW_CONN_REDIS_DEFAULT" not in airflow.settings:
        pytest.skip("needs redis-server (make redis) and Airflow's providers for Redis and messages")
    redis = pytest.importorskip("redis").Redis.from_url(airflow.settings["REDIS_URL"])
    with guide_program() as url:
        monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", connection(sandbox))
        webhooks = DotyposHook("dotypos_default").webhooks
        monkeypatch.setenv("DOTYPOS_PATHS", webhooks.address("orders", base_url=url).removeprefix(url))
        monkeypatch.setenv("REDIS_URL", airflow.settings["REDIS_URL"])
        webhooks.register("orders", base_url=url)
        airflow.wait_for("an ear", lambda: redis.pubsub_numsub(BELL)[0][1])
        sold = requests.post(f"{sandbox.url}/_sandbox/sell", json={}, timeout=PATIENCE).json()
        (extracted, *_) = airflow.wait_for("the extraction", lambda: airflow.results(BY_A_QUEUE, "orders"))
        webhooks.remove("orders", base_url=url)
    assert str(sold["id"]) in [row["id"] for row in read_manifest(extracted["manifest"]).rows()]
    airflow.wait_for("an empty queue", lambda: redis.llen("dotypos:orders") == 0)
    (event, *_) = airflow.events(RUNG)
    assert event.extra["payload"]["data"] == "ring"  # and nothing of a row
    # A bell whose messages are taken already starts a run that has nothing to do.
    airflow.wait_for("an ear", lambda: redis.pubsub_numsub(BELL)[0][1])
    runs = len(airflow.results(BY_A_QUEUE, "orders"))
    redis.publish(BELL, "ring")
    airflow.wait_for("the skipped task", lambda: airflow.task_state(BY_A_QUEUE, "orders") == "skipped")
    assert len(airflow.results(BY_A_QUEUE, "orders")) == runs


def price(sandbox: Sandbox, id: int) -> float:
    row = sandbox.shop.get(sandbox.cloud_ids[0], "products", id)
    assert row is not None
    return float(row["priceWithVat"])
