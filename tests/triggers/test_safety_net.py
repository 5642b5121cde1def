"""`triggers.safety_net`: where webhooks report what has changed, a list is asked seldom."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api.addresses import Addresses
from airflow_provider_dotypos.api.list_uri import list_uri
from airflow_provider_dotypos.hooks.connection import settings_of
from airflow_provider_dotypos.triggers.entity_event import DotyposEntityEventTrigger
from tests.triggers.simulation import CONN_ID, Simulation
from tests.triggers.triggerer import Airflow, Triggerer

HERE = "https://airflow.example.com"


@pytest.mark.parametrize(
    ("registered", "on", "more", "interval"),
    [
        ("customers", True, {}, 600),
        ("customers", False, {}, 60),
        ("orders", True, {}, 60),
        ("nothing", True, {}, 60),
        ("elsewhere", True, {}, 60),
        ("customers", True, {"poll_interval": 90.0}, 90),
        ("customers", True, {"asset": "of its own"}, 60),
    ],
)
def test_a_list_is_asked_seldom_only_where_a_webhook_reports_to_the_same_asset(
    simulation: Simulation,
    monkeypatch: pytest.MonkeyPatch,
    registered: str,
    on: bool,
    more: dict[str, Any],
    interval: float,
) -> None:
    monkeypatch.setattr(_airflow, "receives_webhooks", lambda: on)
    monkeypatch.setattr(_airflow, "base_url", lambda: HERE)
    sandbox = simulation.sandbox()
    settings = settings_of(simulation.connections[CONN_ID])
    asset = list_uri(settings.base_url, sandbox.cloud_ids[0], "customers")
    base = HERE if registered != "elsewhere" else "https://other.example.com"
    if registered != "nothing":
        url = Addresses(settings, CONN_ID, base, lambda token: None).of(registered.replace("elsewhere", "customers"))
        sandbox.shop.insert(sandbox.cloud_ids[0], "webhooks", {"url": url, "payloadEntity": "CUSTOMER"})

    async def main() -> None:
        triggerer = Triggerer(Airflow())
        trigger = DotyposEntityEventTrigger(entity="customers", dotypos_conn_id=CONN_ID, **{"asset": asset, **more})
        triggerer.start(1, trigger, [trigger.asset])
        await asyncio.sleep(1300)
        asked = simulation.asked("/customers")
        await asyncio.sleep(2 * 3600)
        assert simulation.asked("/customers") - asked == pytest.approx(2 * 3600 / interval, abs=2)

    simulation.run(main())
    assert simulation.asked("/webhooks") == (3 if on and "asset" not in more and interval != 90 else 0)


def test_webhooks_that_cant_be_read_change_nothing(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from airflow_provider_dotypos.sandbox import Fault

    monkeypatch.setattr(_airflow, "receives_webhooks", lambda: True)
    sandbox = simulation.sandbox()
    sandbox.faults.append(Fault("500", path="/webhooks", times=10))
    asset = list_uri(sandbox.url, sandbox.cloud_ids[0], "customers")

    async def main() -> None:
        Triggerer(Airflow()).start(
            1, DotyposEntityEventTrigger(entity="customers", dotypos_conn_id=CONN_ID, asset=asset), [asset]
        )
        await asyncio.sleep(3500)
        assert simulation.asked("/webhooks") == 1
        assert simulation.asked("/customers") >= 55

    simulation.run(main())
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
