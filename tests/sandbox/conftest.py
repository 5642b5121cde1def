from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import requests

from airflow_provider_dotypos.sandbox import Sandbox, Shop
from tests.patience import PATIENCE

#: A session that is signed in to the sandbox's first cloud, and calls paths below it.
Api = Callable[..., requests.Response]


@pytest.fixture(scope="session")
def _running() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(_running: Sandbox) -> Sandbox:
    """A sandbox with an empty shop; one server for all tests, each with data and settings of its own."""
    fresh = Sandbox(Shop.empty())
    _running.deliveries.close()
    held = ("shop", "tokens", "visits", "deliveries", "behaviour", "happened", "device")
    for name in (*held, "stock_taking_results", "stock_taking_reason", "stock_taking_polls"):
        setattr(_running, name, getattr(fresh, name))
    _running.deliveries.open()
    _running.faults.clear()
    _running.requests.clear()
    _running.writes.clear()
    _running.late.clear()
    _running.sign_ins = 0
    _running.limit = None
    _running.latency = _running.date_offset = 0.0
    return _running


@pytest.fixture
def cloud(sandbox: Sandbox) -> int:
    return sandbox.cloud_ids[0]


def sign_in(sandbox: Sandbox, cloud_id: object = None, token: str | None = None) -> requests.Response:
    return requests.post(
        f"{sandbox.url}/v2/signin/token",
        json={} if cloud_id is None else {"_cloudId": cloud_id},
        headers={"Authorization": f"User {token or sandbox.refresh_token}"},
        timeout=PATIENCE,
    )


@pytest.fixture
def api(sandbox: Sandbox, cloud: int) -> Iterator[Api]:
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {sign_in(sandbox, cloud).json()['accessToken']}"

        def call(method: str, path: str, **options: object) -> requests.Response:
            options.setdefault("timeout", PATIENCE)
            return session.request(method, f"{sandbox.url}/v2/clouds/{cloud}/{path}", **options)  # type: ignore[arg-type]

        yield call


def complaints(answer: requests.Response) -> str:
    assert answer.status_code == 400, answer.text
    return ", ".join(f"{v['fieldName']}: {v['message']}" for v in answer.json()["violations"])
