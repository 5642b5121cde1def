"""``DotyposWebhookOperator``: webhooks set up and taken down by a task, in a worker (`operators/webhooks.py`)."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_dotypos._compat import fail_exception
from airflow_provider_dotypos.api.transport import Transport
from airflow_provider_dotypos.exceptions import DotyposError, DotyposInputError
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.operators.webhooks import DotyposWebhookOperator
from airflow_provider_dotypos.sandbox import Fault, Sandbox

pytestmark = pytest.mark.usefixtures("connection")

HERE = "https://airflow.example.com"


@pytest.fixture(autouse=True)
def base_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", HERE)


def run(entities: Any = "orders", **arguments: Any) -> Any:
    return DotyposWebhookOperator(task_id="webhooks", entities=entities, **arguments).execute({})


def payloads(sandbox: Sandbox, cloud: int = 0) -> list[str]:
    return [row["payloadEntity"] for row in sandbox.shop.rows(sandbox.cloud_ids[cloud], "webhooks")]


def test_they_are_present_once_and_then_absent(sandbox: Sandbox) -> None:
    ids = run(["orders", "products"])
    assert run("orders,products") == ids
    assert payloads(sandbox) == ["ORDERBEAN", "PRODUCT"]
    assert run("orders", state="absent") == ids["orders"]
    assert run("orders", state="absent") == []
    assert payloads(sandbox) == ["PRODUCT"]


def test_a_quiet_run_costs_one_request_and_a_sign_in_and_no_lineage(sandbox: Sandbox) -> None:
    run()
    sandbox.requests.clear()
    run()
    assert [request.method for request in sandbox.requests] == ["GET"]


def test_its_base_url_and_cloud_take_the_place_of_the_usual_ones(sandbox: Sandbox) -> None:
    run(base_url="https://hooks.example.com/", cloud_id=sandbox.cloud_ids[1])
    (row,) = sandbox.shop.rows(sandbox.cloud_ids[1], "webhooks")
    assert row["url"].startswith(f"https://hooks.example.com/dotypos-webhooks/dotypos_default/{sandbox.cloud_ids[1]}/")
    assert payloads(sandbox) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"entities": "order"}, "did you mean 'orders'"),
        ({"entities": []}, "names no list"),
        ({"entities": ""}, "names no list"),
        ({"entities": ["orders", 5]}, "entities must be names"),
        ({"state": "gone"}, "state must be present or absent, not"),
        ({"state": None}, "state must be present or absent, not"),
        ({"base_url": "airflow.example.com"}, "base_url must look like"),
        ({"base_url": "https://ada:s3cret@airflow.example.com"}, "base_url must look like"),
        ({"base_url": 5}, "base_url must look like"),
        ({"base_url": ""}, "base_url must look like"),
        ({"cloud_id": "abc"}, "cloud_id must be the cloud's number"),
        ({"dotypos_conn_id": ""}, "dotypos_conn_id must be the id"),
    ],
    ids=str,
)
def test_bad_literals_are_refused_when_the_dag_is_parsed(arguments: Any, message: str) -> None:
    with pytest.raises(DotyposInputError, match=message):
        DotyposWebhookOperator(task_id="webhooks", **{"entities": "orders", **arguments})


@pytest.mark.parametrize(
    ("rendered", "message"),
    [({"state": "gone"}, "state must be"), ({"lists": ""}, "names no list"), ({"lists": "branches"}, "delivers no")],
    ids=str,
)
def test_a_template_is_checked_once_it_is_rendered(sandbox: Sandbox, rendered: Any, message: str) -> None:
    operator = DotyposWebhookOperator(task_id="webhooks", entities="{{ lists }}", state="{{ state }}")
    operator.render_template_fields({"lists": "orders", "state": "absent", **rendered})
    with pytest.raises(fail_exception(), match=message):
        operator.execute({})
    assert not sandbox.requests


def test_what_a_retry_cannot_cure_fails_the_task_at_once(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", "dotypos://?refresh_token=token-of-a-real-cloud&cloud_id=5")
    monkeypatch.setattr(Transport, "send", lambda *_: pytest.fail("nothing may be sent"))
    with pytest.raises(fail_exception(), match="base_url must"):
        run(base_url="http://airflow.example.com")
    rendered = DotyposWebhookOperator(task_id="webhooks", entities="orders", base_url="{{ nothing }}")
    rendered.base_url = ""  # must not mean Airflow's own address
    with pytest.raises(fail_exception(), match="or give base_url"):
        rendered.execute({})  # type: ignore[typeddict-item]


def test_a_write_that_may_come_yet_is_left_to_airflows_retries_which_look_first(sandbox: Sandbox) -> None:
    sandbox.faults.append(Fault("reset", method="POST", path="/webhooks"))
    with pytest.raises(DotyposError, match="Run this again") as caught:
        run()
    assert not isinstance(caught.value, fail_exception())
    run()
    assert payloads(sandbox) == ["ORDERBEAN"]


def test_a_write_that_is_done_whatever_was_answered_succeeds(sandbox: Sandbox) -> None:
    sandbox.faults.append(Fault("reset-body", method="POST", path="/webhooks"))
    run()
    assert payloads(sandbox) == ["ORDERBEAN"]


def test_a_kill_reads_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = DotyposWebhookOperator(task_id="webhooks", entities="orders")
    operator.on_kill()
    operator._hook = DotyposHook()
    monkeypatch.setattr(type(operator._hook), "get_connection", lambda *_: pytest.fail("a signal handler must not"))
    operator.on_kill()
