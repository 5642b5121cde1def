"""Starting and stopping: server, and the sandbox's lazy names."""

from __future__ import annotations

import sys
import threading
import time

import pytest
import requests

from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from demo import children
from tests.patience import PATIENCE


def test_stop_cuts_hanging_and_dripping_requests_off() -> None:
    broken = []

    def hang(url: str) -> None:
        try:
            requests.get(url, timeout=PATIENCE)
        except requests.RequestException as error:
            broken.append(error)

    with Sandbox() as sandbox:
        sandbox.faults += [Fault("hang"), Fault("drip", interval=1)]
        threads = [threading.Thread(target=hang, args=(f"{sandbox.url}/v2/clouds",)) for _ in range(2)]
        for thread in threads:
            thread.start()
        while any(fault.times for fault in sandbox.faults):
            assert all(thread.is_alive() for thread in threads)
        started = time.monotonic()
    for thread in threads:
        thread.join()
    assert len(broken) == 2
    assert time.monotonic() - started < 10


def test_an_answer_that_is_under_way_is_given_before_it_stops() -> None:
    answers = []
    with Sandbox() as sandbox:
        sandbox.latency = 0.2
        asking = threading.Thread(target=lambda: answers.append(requests.get(f"{sandbox.url}/v2/clouds", timeout=60)))
        asking.start()
        assert sandbox._server is not None
        while not sandbox._server.server_state.tasks:
            assert asking.is_alive()
    asking.join()
    assert answers[0].status_code == 401


def test_the_connection_is_what_airflow_takes(sandbox: Sandbox) -> None:
    connection = sandbox.connection(sandbox.cloud_ids[1])
    assert f"{connection['host']}:{connection['port']}" == sandbox.url
    assert connection["extra"] == {
        "refresh_token": sandbox.refresh_token,
        "cloud_id": str(sandbox.cloud_ids[1]),
        "cloud_name": "Bistro Pod Gołębiem",
    }


def test_other_hosts_reach_it_by_a_connection_that_allows_http(caplog: pytest.LogCaptureFixture) -> None:
    with Sandbox(host="0.0.0.0") as sandbox:
        connection = sandbox.connection()
        settings = Settings.from_fields(host=connection["host"], port=connection["port"], extra=connection["extra"])
        assert settings.base_url == sandbox.url
        assert requests.get(f"{sandbox.url}/_sandbox", timeout=PATIENCE).json()["url"] == sandbox.url
    assert caplog.messages == ["The sandbox is open to the network, on 0.0.0.0. It holds no real data."]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_on_loopback_no_switch_is_needed(host: str, caplog: pytest.LogCaptureFixture) -> None:
    try:
        running = Sandbox(host=host).start()
    except OSError:
        pytest.skip(f"this machine has no {host}")
    try:
        assert requests.get(running.url, timeout=PATIENCE).ok
        assert "allow_http" not in running.connection()["extra"]
    finally:
        running.stop()
    assert caplog.messages == []


def test_the_sandbox_needs_no_airflow_and_its_data_no_server() -> None:
    code = (
        "import sys; from airflow_provider_dotypos.sandbox import Shop; Shop.empty();"
        "assert not {'fastapi', 'uvicorn'} & set(sys.modules);"
        "from airflow_provider_dotypos.sandbox import Sandbox; assert 'airflow' not in sys.modules"
    )
    children.run([sys.executable, "-c", code], check=True)
