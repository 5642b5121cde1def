"""The till of the sandbox's first cloud, and a clock that goes on while clients sleep."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.sandbox import Sandbox

#: The id of the payment method.
CASH = 900000001


@pytest.fixture
def branch(sandbox: Sandbox) -> int:
    return int(sandbox.shop.rows(sandbox.cloud_ids[0], "branches")[0]["id"])


@pytest.fixture
def tea(sandbox: Sandbox) -> int:
    return int(sandbox.shop.insert(sandbox.cloud_ids[0], "products", {"name": "Tea", "priceWithVat": 40.0})["id"])


@pytest.fixture
def slept(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of the shop goes on when a client sleeps, and nobody waits."""
    times: list[float] = []

    def sleep(client: DotyposClient, seconds: float) -> None:
        if seconds > 0:
            times.append(seconds)
            end = sandbox.shop.now() + seconds * 1000
            for late in list(sandbox.late):
                if late.due <= end:
                    sandbox.shop.advance(max(0, late.due - sandbox.shop.now()) / 1000)
                    sandbox.carry_out_late_requests()
            sandbox.shop.advance(max(0, end - sandbox.shop.now()) / 1000)

    monkeypatch.setattr(DotyposClient, "sleep", sleep)
    return times


def orders(sandbox: Sandbox) -> list[Any]:
    return sandbox.shop.rows(sandbox.cloud_ids[0], "orders")


def sent(sandbox: Sandbox) -> list[str]:
    """Return the actions that were carried out, in their order."""
    return [write.entity for write in sandbox.writes if write.op == "action"]
