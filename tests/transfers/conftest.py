"""Extractions as Airflow's worker runs them: the operator's own ``execute``, the connection from the environment."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator

SINCE = datetime(2026, 3, 1, tzinfo=timezone.utc)
UNTIL = datetime(2026, 3, 2, tzinfo=timezone.utc)
SINCE_MS = int(SINCE.timestamp() * 1000)
HOUR_MS = 3_600_000


@pytest.fixture
def connection(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    channel.forget_tokens()
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


@pytest.fixture(scope="session")  # Airflow keeps its file systems, and with them the address
def s3_url() -> Iterator[str]:
    """Run an S3 server (moto's)."""
    pytest.importorskip("moto.server")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make an empty bucket, and Airflow's connection to it; return a destination there."""
    return empty_bucket(s3_url, monkeypatch)


def empty_bucket(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """See `bucket`."""
    import boto3

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "sandbox")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "sandbox")
    connection = {
        "conn_type": "aws",
        "login": "sandbox",
        "password": "sandbox",
        "extra": {"endpoint_url": s3_url, "region_name": "us-east-1"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps(connection))
    client = boto3.client("s3", endpoint_url=s3_url, region_name="us-east-1")
    client.create_bucket(Bucket="lake")
    for found in client.list_objects_v2(Bucket="lake").get("Contents", []):
        client.delete_object(Bucket="lake", Key=found["Key"])
    return "s3://lake@lake/dotypos"
