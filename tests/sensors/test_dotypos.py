"""The sensor, by Airflow's own task runner: each mode, up to its end. The triggerer's part is `triggers.entity`."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, BaseSensorOperator

from airflow_provider_dotypos import exceptions as errors
from airflow_provider_dotypos._compat import default_deferrable, fail_exception
from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.api.retry import Patience
from airflow_provider_dotypos.api.window import iso
from airflow_provider_dotypos.sandbox import Fault, Sandbox, Shop
from airflow_provider_dotypos.sensors.dotypos import DotyposEntitySensor
from tests.task_runs import Ending, Supervisor, run_task, supervised

#: The mode, and whether it is deferrable.
MODES = {"poke": {}, "reschedule": {"mode": "reschedule"}, "deferrable": {"deferrable": True}}

CLOSING = {"transactionType": "REGISTER_CLOSE"}


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with Sandbox(Shop.empty()) as running:
        yield running


@pytest.fixture
def sandbox(server: Sandbox) -> Sandbox:
    """A shop without rows, at the real time, as watching goes by both clocks."""
    server.shop = Shop.empty()
    server.shop.set_to_real_time()
    server.shop.ticking = True
    server.requests.clear()
    server.faults.clear()
    server.sign_ins = 0
    return server


@pytest.fixture(autouse=True)
def connection(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    channel.forget_tokens()
    stored = sandbox.connection()
    stored["extra"]["request_budget"] = "100000/30min each"  # polls may follow each other closely
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(stored))
    yield
    channel.forget_tokens()


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with supervised() as supervisor:
        yield supervisor


@dataclass
class Naps:
    """The naps between pokes, which take no time.

    :ivar slept: how long they would have been.
    :ivar events: what happens during each.
    """

    slept: list[float] = field(default_factory=list)
    events: list[Callable[[], Any]] = field(default_factory=list)

    def nap(self, seconds: float) -> None:
        """Sleep."""
        self.slept.append(seconds)
        self.events.pop(0)()


@pytest.fixture(autouse=True)
def naps(monkeypatch: pytest.MonkeyPatch) -> Naps:
    naps = Naps()
    monkeypatch.setattr(
        f"{BaseSensorOperator.__module__}.time", SimpleNamespace(sleep=naps.nap, monotonic=time.monotonic)
    )
    return naps


def sensor(**arguments: Any) -> DotyposEntitySensor:
    arguments = {"entity": "money-logs", "poke_interval": 60, "retries": 3, **arguments}
    with DAG("closing", schedule=None):
        return DotyposEntitySensor(task_id="closed", **arguments)


def asked_for(sandbox: Sandbox, entity: str = "money-logs") -> list[dict[str, str]]:
    return [request.query for request in sandbox.requests if request.path.endswith(f"/{entity}")]


def close_register(sandbox: Sandbox, count: int = 1, **values: Any) -> list[str]:
    rows = [sandbox.shop.insert(sandbox.cloud_ids[0], "money-logs", {**CLOSING, **values}) for _ in range(count)]
    return [str(row["id"]) for row in rows]


async def event_of(deferral: Ending, change: Callable[[], Any]) -> Any:
    """Run the trigger of a deferred task as a triggerer does: made of what stands in the database."""
    module, _, name = deferral.message.classpath.rpartition(".")
    kwargs = json.loads(json.dumps(deferral.message.trigger_kwargs)) | {"poll_interval": 0.02}
    events = getattr(import_module(module), name)(**kwargs).run()
    first = asyncio.ensure_future(events.__anext__())
    await asyncio.to_thread(change)
    return (await asyncio.wait_for(first, 30)).payload


def test_every_mode_returns_the_same(sandbox: Sandbox, supervisor: Supervisor, naps: Naps) -> None:
    closing = {"filter": "transactionType|eq|REGISTER_CLOSE", "since": datetime.now(timezone.utc)}
    ids: list[str] = []

    def change() -> None:
        close_register(sandbox, transactionType="SALE")
        ids.extend(close_register(sandbox, 2))

    deferral = run_task(deferrable := sensor(**closing, deferrable=True))
    assert run_task(rescheduled := sensor(**closing, mode="reschedule")).state == "up_for_reschedule"
    naps.events = [change]
    assert run_task(sensor(**closing)).state == "success"
    result = supervisor.result
    assert run_task(rescheduled).state == "success"
    assert supervisor.result == result
    event = asyncio.run(event_of(deferral, lambda: None))
    assert run_task(deferrable, next_method="execute_complete", next_kwargs={"event": event}).state == "success"
    assert supervisor.result == result
    newest = result["newest"]
    assert result == {
        "version": 1,
        "cloud_id": sandbox.cloud_ids[0],
        "entity": "money-logs",
        "key": result["key"],
        "since": result["since"],
        "until": result["until"],
        "count": 2,
        "ids": ids,
        "newest": newest,
        "source": "poll",
    }
    assert result["since"] <= newest < result["until"]


def nothing() -> None:
    """Happen."""


def test_a_poke_is_one_request_and_a_process_signs_in_once(
    sandbox: Sandbox, supervisor: Supervisor, naps: Naps
) -> None:
    naps.events = [nothing, nothing, lambda: close_register(sandbox)]
    assert run_task(sensor()).state == "success"
    assert naps.slept == [60, 60, 60]
    assert len(asked_for(sandbox)) == 4
    assert sandbox.sign_ins == 1
    assert len(sandbox.requests) <= 4 + 2  # the sign-in, and a look whether the cloud is there


@pytest.mark.parametrize("how", MODES.values(), ids=MODES)
def test_since_is_the_runs_time_and_no_retry_or_reschedule_moves_it(
    sandbox: Sandbox, supervisor: Supervisor, naps: Naps, how: dict[str, Any]
) -> None:
    naps.events = [lambda: close_register(sandbox)]
    task, run_after = sensor(**how), datetime.now(timezone.utc) - timedelta(hours=2)
    run_task(task, run_after=run_after)
    run_task(task, run_after=run_after, try_number=2)
    bounds = {query["filter"].rpartition("versionDate|gteq|")[2] for query in asked_for(sandbox)}
    assert bounds == {str(int(run_after.timestamp()) * 1000)}
    assert run_task(sensor(), run_after=run_after, try_number=3).state == "success"  # it came meanwhile


@pytest.mark.parametrize(("soft", "state"), [({}, "failed"), ({"soft_fail": True}, "skipped")])
@pytest.mark.parametrize("how", MODES.values(), ids=MODES)
def test_a_timeout_is_as_of_every_sensor(
    supervisor: Supervisor, naps: Naps, how: dict[str, Any], soft: dict[str, Any], state: str
) -> None:
    task = sensor(**how, **soft, timeout=3600)
    if task.deferrable:
        deferral = run_task(task)
        assert deferral.message.trigger_timeout == timedelta(hours=1)
        ending = run_task(task, next_method="__fail__", next_kwargs={"error": "Trigger timeout"})
    else:
        supervisor.first_reschedule = datetime.now(timezone.utc) - timedelta(hours=2)
        task.timeout = 3600 if task.reschedule else 0
        ending = run_task(task)
    assert ending.state == state
    if state == "failed":
        assert type(ending.error).__name__ == "AirflowSensorTimeout"


def put_off(seconds: str = "1700") -> Fault:
    return Fault("429", retry_after=seconds, path="money-logs", times=1)


@pytest.mark.parametrize("more", [{}, {"never_fail": True}, {"soft_fail": True}, {"silent_fail": True}], ids=repr)
class TestThrottled:
    def test_the_next_poke_waits_as_long_as_dotypos_says(
        self, sandbox: Sandbox, supervisor: Supervisor, naps: Naps, more: dict[str, Any]
    ) -> None:
        sandbox.faults.append(put_off())

        def later() -> None:
            channel.forget_tokens()  # its gate is closed for the time that a nap of no length leaves out
            close_register(sandbox)

        naps.events = [later]
        task = sensor(**more)
        assert run_task(task).state == "success"
        assert 1690 < naps.slept[0] <= 1870

    def test_the_slot_is_given_back_until_then_and_no_retry_is_taken(
        self, sandbox: Sandbox, supervisor: Supervisor, more: dict[str, Any]
    ) -> None:
        sandbox.faults.append(put_off())
        ending = run_task(sensor(mode="reschedule", **more))
        assert ending.state == "up_for_reschedule"
        wait = ending.message.reschedule_date - datetime.now(timezone.utc)
        assert timedelta(seconds=1690) < wait <= timedelta(seconds=1870)

    def test_the_triggerer_waits_in_its_place(
        self, sandbox: Sandbox, supervisor: Supervisor, more: dict[str, Any]
    ) -> None:
        sandbox.faults.append(put_off())
        assert run_task(sensor(deferrable=True, **more)).state == "deferred"


def test_a_short_wait_is_waited_out_in_the_poke(sandbox: Sandbox, supervisor: Supervisor) -> None:
    sandbox.faults.append(put_off("0"))
    close_register(sandbox)
    assert run_task(sensor()).state == "success"


def test_a_wait_of_unknown_length_is_five_minutes_at_least(sandbox: Sandbox, supervisor: Supervisor) -> None:
    sandbox.faults.append(Fault("429", path="money-logs", times=99))
    ending = run_task(sensor(mode="reschedule", poke_interval=0.1))
    assert ending.state == "up_for_reschedule"
    assert ending.message.reschedule_date - datetime.now(timezone.utc) > timedelta(minutes=4)


def test_a_used_up_budget_puts_the_next_poke_off(
    sandbox: Sandbox, supervisor: Supervisor, naps: Naps, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = sandbox.connection()
    stored["extra"]["request_budget"] = "10/30min each"
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(stored))

    def end_when_put_off() -> None:
        if naps.slept[-1] > 60:
            raise TimeoutError

    naps.events = [end_when_put_off] * 12
    assert isinstance(run_task(sensor()).error, TimeoutError)
    assert naps.slept[-1] > 600
    assert len(asked_for(sandbox)) == len(naps.slept) - 1
    assert len(sandbox.requests) <= 10


@pytest.mark.parametrize("soft", [{}, {"soft_fail": True}, {"silent_fail": True}], ids=repr)
@pytest.mark.parametrize("how", MODES.values(), ids=MODES)
def test_what_no_retry_can_cure_fails_at_once(
    sandbox: Sandbox, supervisor: Supervisor, how: dict[str, Any], soft: dict[str, Any]
) -> None:
    ending = run_task(sensor(cloud_id=sandbox.foreign_cloud_id, **how, **soft))
    assert ending.state == "failed"
    assert "(connection 'dotypos_default')" in str(ending.error)
    assert "check the cloud's id" in str(ending.error)


@pytest.mark.parametrize("how", MODES.values(), ids=MODES)
def test_never_fail_skips_after_any_error_as_airflow_says(
    sandbox: Sandbox, supervisor: Supervisor, how: dict[str, Any]
) -> None:
    assert run_task(sensor(cloud_id=sandbox.foreign_cloud_id, never_fail=True, **how)).state == "skipped"


@pytest.mark.parametrize("how", MODES.values(), ids=MODES)
def test_a_failure_that_may_pass_is_left_to_the_tasks_retries(
    sandbox: Sandbox, supervisor: Supervisor, how: dict[str, Any]
) -> None:
    sandbox.faults.append(Fault("501-html", path="money-logs", times=1))
    task = sensor(**how)
    task._open_reader()._client.patience = Patience(faults=0)
    assert run_task(task).state == "up_for_retry"


FAILED = {"status": "failed", "message": "It is revoked. Connect the cloud again.", "permanent": True, "retry_at": None}


@pytest.mark.parametrize(
    ("event", "how", "state"),
    [
        (FAILED, {}, "failed"),
        (FAILED, {"soft_fail": True}, "failed"),
        (FAILED, {"never_fail": True}, "skipped"),
        (FAILED | {"permanent": False}, {}, "up_for_retry"),
        (FAILED | {"permanent": False, "retry_at": "2126-01-01T00:00:00.000Z"}, {}, "up_for_reschedule"),
        (None, {}, "up_for_retry"),
        ("changed", {}, "up_for_retry"),
        ({"status": "succeeded"}, {}, "up_for_retry"),
        ({}, {"soft_fail": True}, "up_for_retry"),
    ],
    ids=repr,
)
def test_a_triggers_failure_ends_the_task_as_a_pokes_would(
    supervisor: Supervisor, event: Any, how: dict[str, Any], state: str
) -> None:
    task = sensor(deferrable=True, **how)
    ending = run_task(task, next_method="execute_complete", next_kwargs={"event": event})
    assert ending.state == state
    if state == "failed":
        assert str(ending.error) == f"{FAILED['message']} (connection 'dotypos_default')"
    elif state == "up_for_retry" and event != FAILED | {"permanent": False}:
        assert isinstance(ending.error, errors.DotyposTriggerError)
        assert "unknown event" in str(ending.error)


@pytest.mark.parametrize(("most_ids", "kept"), [(2, True), (1, False), (0, False)])
def test_more_ids_than_wanted_are_none(sandbox: Sandbox, supervisor: Supervisor, most_ids: int, kept: bool) -> None:
    ids = close_register(sandbox, 2)
    assert run_task(sensor(most_ids=most_ids)).state == "success"
    assert (supervisor.result["ids"], supervisor.result["count"]) == (ids if kept else None, 2)


def test_many_rows_since_long_ago_are_two_requests_and_the_same_in_each_mode(
    sandbox: Sandbox, supervisor: Supervisor
) -> None:
    long_ago = sandbox.shop.now() - 300 * 86_400_000
    for number in range(730):
        close_register(sandbox, versionDate=long_ago + number * 60_000)
    since = datetime.fromtimestamp(long_ago / 1000 - 1, timezone.utc)
    assert run_task(sensor(since=since, mode="reschedule")).state == "success"
    result = supervisor.result
    assert len(asked_for(sandbox)) == 2
    newest = long_ago + 729 * 60_000
    assert (result["count"], result["ids"], result["newest"]) == (None, None, iso(newest))
    assert result["since"] <= iso(long_ago)
    assert iso(newest) < result["until"] < iso(newest + 2000)
    # A shared poll has counted them.
    counted = result | {"count": 730, "key": "0123456789abcdef"}
    event = {"status": "changed", "payload": counted}
    run_task(sensor(deferrable=True), next_method="execute_complete", next_kwargs={"event": event})
    assert supervisor.result == result


def test_a_list_that_can_not_be_sorted_is_read_whole(sandbox: Sandbox, supervisor: Supervisor) -> None:
    for number in range(130):
        sandbox.shop.insert(sandbox.cloud_ids[0], "courses", {"name": f"course {number}"})
    assert run_task(sensor(entity="courses")).state == "success"
    assert (supervisor.result["count"], supervisor.result["ids"]) == (None, None)


def test_products_of_each_warehouse_are_asked_for(sandbox: Sandbox, supervisor: Supervisor) -> None:
    cloud = sandbox.cloud_ids[0]
    warehouse = sandbox.shop.insert(cloud, "warehouses", {"name": "Cellar"})
    product = sandbox.shop.insert(cloud, "products", {"name": "Goulash"})
    task = sensor(entity="warehouse-products", mode="reschedule")
    assert run_task(task).state == "up_for_reschedule"
    sandbox.shop.insert(cloud, "warehouse-products", {"id": product["id"], "_warehouseId": warehouse["id"]})
    assert run_task(task).state == "success"
    assert supervisor.result["count"] == 1


@pytest.mark.parametrize(("deleted", "seen"), [(True, 1), (False, 0)])
def test_deleted_rows_count_if_they_are_to(sandbox: Sandbox, supervisor: Supervisor, deleted: bool, seen: int) -> None:
    cloud = sandbox.cloud_ids[0]
    product = sandbox.shop.insert(cloud, "products", {"name": "Goulash"})
    since = datetime.fromtimestamp(sandbox.shop.now() / 1000 + 1, timezone.utc).replace(microsecond=0)
    sandbox.shop.advance(2)
    sandbox.shop.delete(cloud, "products", product["id"])
    ending = run_task(sensor(entity="products", deleted=deleted, since=since, mode="reschedule"))
    assert ending.state == ("success" if seen else "up_for_reschedule")
    assert len(asked_for(sandbox, "products")) == 1 + deleted  # null markers: two lists


def test_since_may_be_a_date_of_a_zone_and_arguments_templates(sandbox: Sandbox, supervisor: Supervisor) -> None:
    run_task(sensor(since="{{ ds }}", timezone="{{ 'Europe/Prague' }}", mode="reschedule"))
    (query,) = asked_for(sandbox)
    midnight = datetime(2026, 2, 28, 23, tzinfo=timezone.utc)
    assert query["filter"].endswith(f"versionDate|gteq|{int(midnight.timestamp()) * 1000}")


def test_a_killed_task_asks_no_more(sandbox: Sandbox, supervisor: Supervisor, naps: Naps) -> None:
    naps.events = [lambda: signal.raise_signal(signal.SIGTERM)]
    assert isinstance(run_task(sensor()).error, errors.DotyposCancelledError)
    assert len(asked_for(sandbox)) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"entity": "orderz"}, "did you mean 'orders'"),
        ({"entity": "clouds"}, "can't be watched"),
        ({"filter": "transactionTyp|eq|X"}, "no field 'transactionTyp'"),
        ({"filter": "versionDate|gt|5"}, "use since"),
        ({"since": "yesterday"}, "since must be a datetime"),
        ({"since": "2026-01-01"}, "name its zone with timezone="),
        ({"since": datetime(2026, 1, 1)}, "no time zone"),
        ({"timezone": "Prague"}, "IANA"),
        ({"most_ids": 101}, "most_ids must be 0 to 100"),
        ({"most_ids": True}, "most_ids must be 0 to 100"),
        ({"deleted": "no"}, "deleted must be True or False"),
        ({"deferrable": "yes"}, "deferrable must be True or False"),
        ({"cloud_id": "main"}, "cloud_id must be the cloud's number"),
        ({"dotypos_conn_id": ""}, "dotypos_conn_id must be"),
    ],
    ids=repr,
)
def test_a_mistake_is_found_when_the_dag_is_parsed(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.DotyposInputError, match=message):
        sensor(**arguments)


def test_what_a_template_renders_wrongly_fails_at_once(sandbox: Sandbox, supervisor: Supervisor) -> None:
    for arguments in ({"since": "{{ 'now' }}"}, {"filter": "{{ 'x' }}"}, {"entity": "{{ 'x' }}"}):
        assert run_task(sensor(**arguments)).state == "failed"
    assert not sandbox.requests


def test_a_mapped_sensor_with_a_mistake_fails_at_once_when_it_runs(supervisor: Supervisor) -> None:
    with DAG("mapped", schedule=None) as dag:
        mapped = DotyposEntitySensor.partial(task_id="closed", retries=3).expand(entity=["orders", "orderz"])
    with pytest.raises(fail_exception(), match="did you mean 'orders'"):
        mapped.unmap({"entity": "orderz"})
    assert mapped.unmap({"entity": "orders"}).entity == "orders"
    assert dag.get_task("closed") is mapped


def test_sensors_are_deferrable_by_default_where_airflow_is_configured_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_deferrable() is False
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "True")
    assert default_deferrable() is True


def test_the_triggerer_is_given_a_second_between_two_polls(sandbox: Sandbox, supervisor: Supervisor) -> None:
    deferral = run_task(sensor(poke_interval=0, deferrable=True))
    assert json.loads(json.dumps(deferral.message.trigger_kwargs))["poll_interval"] == 1.0
