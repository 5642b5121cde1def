"""What webhooks do to an API server of Airflow: seconds until a DAG runs, and what wrong deliveries leave behind."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import requests

from airflow_provider_dotypos.api.addresses import Addresses
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.sandbox import Sandbox, Shop
from benchmarks.turns import TOP
from tests.events.airflow_processes import RunningAirflow, airflow_processes
from tests.ui.airflow_server import AirflowServer, airflow_home

CONN_ID = "dotypos_default"
SECRET = "webhooks-of-the-benchmark"

#: Seconds within which Airflow's processes must do something.
PATIENT = 180.0

DAGS = """
from airflow.sdk import DAG
from airflow_provider_dotypos.assets import dotypos_asset

cloud = {{"cloud_id": {cloud}, "host": {host!r}}}
with DAG("watched", schedule=[dotypos_asset("products", watch={{"poll_interval": {interval}}}, **cloud)]):
    pass
with DAG("delivered", schedule=[dotypos_asset("customers", **cloud)]):
    pass
"""


class Wrong(NamedTuple):
    """What wrong deliveries have left behind.

    :param sent: how many they were.
    :param answers: how many of them were answered by each status.
    :param own_lines: lines of the provider in the server's log.
    :param lines: all lines of it.
    :param shown: how often the token is in the log.
    :param mib: memory of the server after a tenth of them, and at the end.
    :param seconds: how long they took.
    """

    sent: int
    answers: Mapping[int, int]
    own_lines: int
    lines: int
    shown: int
    mib: tuple[float, float]
    seconds: float


@contextmanager
def receiving(folder: Path, sandbox: Sandbox) -> Iterator[tuple[RunningAirflow, AirflowServer]]:
    """Run an API server that receives webhooks of a sandbox's first cloud, until the block ends."""
    connection = _connection(sandbox)
    settings = {f"AIRFLOW_CONN_{CONN_ID.upper()}": json.dumps(connection), "AIRFLOW__DOTYPOS__WEBHOOKS": "True"}
    home = airflow_home(folder, "receiving")
    logging = {"AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO"}
    with (
        airflow_processes(home, PYTHONPATH=str(TOP), **settings, **logging) as airflow,
        airflow.serving() as server,
    ):
        yield airflow, server


def _connection(sandbox: Sandbox) -> dict[str, Any]:
    connection = sandbox.connection()
    more = {"webhook_secret": SECRET, "request_budget": "100000/1min"}
    return connection | {"extra": connection["extra"] | more}


def address(sandbox: Sandbox, server: AirflowServer, entity: str) -> str:
    """Return where deliveries of a list's changes go."""
    connection = _connection(sandbox)
    settings = Settings.from_fields(host=connection["host"], port=connection["port"], extra=connection["extra"])
    return Addresses(settings, CONN_ID, server.url, on_token=lambda token: None).of(entity)


def measure_latency(folder: Path, changes: int, interval: float) -> dict[str, list[float]]:
    """Return the seconds from each change until its DAG run, by a watcher and by a webhook."""
    with Sandbox(Shop.generate(days=1)) as sandbox, receiving(folder, sandbox) as (airflow, server):
        cloud = sandbox.cloud_ids[0]
        host = sandbox.url.removeprefix("http://")
        (airflow.dags / "dags.py").write_text(DAGS.format(cloud=cloud, host=host, interval=interval))
        for name in ("scheduler", "dag-processor", "triggerer"):
            airflow.start(name)
        airflow.wait_for("the first poll", lambda: any("/products" in r.path for r in list(sandbox.requests)), PATIENT)
        hook = {"payloadEntity": "CUSTOMER", "url": address(sandbox, server, "customers")}
        sandbox.shop.insert(cloud, "webhooks", hook)
        product, customer = (sandbox.shop.rows(cloud, entity)[0]["id"] for entity in ("products", "customers"))

        def reprice(number: int) -> None:
            time.sleep(random.uniform(0, interval))  # at any moment between two polls
            sandbox.shop.update(cloud, "products", product, {"priceWithVat": float(number)})

        def rename(number: int) -> None:
            sandbox.shop.update(cloud, "customers", customer, {"points": float(number)})

        return {
            "watcher": _latencies(airflow, "watched", changes, reprice),
            "webhook": _latencies(airflow, "delivered", changes, rename),
        }


def _latencies(airflow: RunningAirflow, dag_id: str, changes: int, change: Callable[[int], None]) -> list[float]:
    seconds: list[float] = []
    change(0)  # the first one finds processes that have just begun
    airflow.wait_for("the first run", lambda: airflow.runs(dag_id), PATIENT)
    for number in range(1, changes + 1):
        before = len(airflow.runs(dag_id))
        change(number)
        changed = time.time()
        runs = airflow.wait_for(f"run {number}", partial(_runs_after, airflow, dag_id, before), PATIENT)
        seconds.append(runs[0][1] - changed)
    return seconds


def _runs_after(airflow: RunningAirflow, dag_id: str, count: int) -> list[tuple[str, float]]:
    return airflow.runs(dag_id)[count:]


def measure_wrong(folder: Path, count: int) -> Wrong:
    """Send wrong deliveries of all kinds to an API server."""
    with Sandbox(Shop.empty()) as sandbox, receiving(folder, sandbox) as (_, server):
        right = address(sandbox, server, "products")
        token = right.rsplit("/", 1)[1]
        started = time.monotonic()
        answers, mib = Counter[int](), [0.0, 0.0]
        with ThreadPoolExecutor(8) as pool:
            for part, number in enumerate((count // 10, count - count // 10)):
                answers.update(pool.map(lambda at: _send_wrong(right, at), range(number)))
                mib[part] = _memory(server.pid)
        seconds = time.monotonic() - started
        lines = server.log.read_text(errors="replace").splitlines()
    own = sum("airflow_provider_dotypos" in line for line in lines)
    shown = sum(token in line for line in lines)
    return Wrong(count, answers, own, len(lines), shown, (mib[0], mib[1]), seconds)


def _send_wrong(right: str, number: int) -> int:
    """Send one wrong delivery, of another kind by its number; return the status of the answer."""
    base, token = right.rsplit("/", 1)
    digits = f"{number:064x}"
    kinds: tuple[tuple[str, bytes], ...] = (
        (f"{base}/{digits}", b"[{}]"),
        (right.replace(CONN_ID, f"unknown_{number}"), b"[{}]"),
        (f"{base.rsplit('/', 1)[0]}/orders/{token}", b"[{}]"),
        (f"{base}/{token}/{number}", b"[{}]"),
        (right, b"{}"),
        (right, f"no JSON: {number}".encode()),
        (right, b"[" * 50_000),
    )
    url, body = kinds[number % len(kinds)]
    return requests.post(url, data=body, headers={"Content-Type": "application/json"}, timeout=PATIENT).status_code


def _memory(pid: int) -> float:
    """Return the memory of a process and all that it has started, in MiB."""
    total, waiting = 0.0, [pid]
    while waiting:
        process = Path(f"/proc/{waiting.pop()}")
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        total += int(status.get("VmRSS", "0 kB").split()[0]) / 1024
        waiting += map(int, (process / "task" / process.name / "children").read_text().split())
    return total
