"""The trigger of a deferred sensor: one event, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_provider_dotypos.api.errors import DotyposConfigurationError, DotyposConnectionError, error_for
from airflow_provider_dotypos.exceptions import DotyposBudgetError, DotyposError, DotyposInputError, DotyposTriggerError
from airflow_provider_dotypos.hooks.failures import decision
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.triggers import entity as entity_module
from airflow_provider_dotypos.triggers.entity import DotyposEntityTrigger, read_event
from tests.triggers.simulation import CONN_ID, Simulation

MINUTE = 60


def trigger(simulation: Simulation, **arguments: Any) -> DotyposEntityTrigger:
    """Return a trigger as a triggerer makes it: of what stands in the database."""
    since = datetime.fromtimestamp(simulation.time(), timezone.utc).isoformat()
    made = DotyposEntityTrigger(**{"entity": "customers", "since": since, "dotypos_conn_id": CONN_ID, **arguments})
    path, kwargs = json.loads(json.dumps(made.serialize()))
    assert path == "airflow_provider_dotypos.triggers.entity.DotyposEntityTrigger"
    assert all(value is None or type(value) in (str, int, float, bool) for value in kwargs.values())
    again = DotyposEntityTrigger(**kwargs)
    assert again.serialize() == made.serialize()
    return again


async def events_of(waiting: DotyposEntityTrigger) -> list[Any]:
    """Return all events, as they stand in the database."""
    return [json.loads(json.dumps(event.payload)) async for event in waiting.run()]


def insert(sandbox: Sandbox, **values: Any) -> str:
    return str(sandbox.shop.insert(sandbox.cloud_ids[0], "customers", values)["id"])


def test_it_sends_one_event_of_what_the_filter_is_for_and_ends(simulation: Simulation) -> None:
    sandbox = simulation.sandbox()

    async def main() -> None:
        running = asyncio.create_task(events_of(trigger(simulation, filter="lastName|like|Novak")))
        await asyncio.sleep(10 * MINUTE)
        sandbox.shop.set_to_real_time()
        insert(sandbox, lastName="Dvorak")
        id = insert(sandbox, lastName="Novak")
        (event,) = await asyncio.wait_for(running, 2 * MINUTE)
        payload = read_event(event)
        assert (payload["entity"], payload["cloud_id"]) == ("customers", sandbox.cloud_ids[0])
        assert (payload["ids"], payload["count"]) == ([id], 1)
        assert "Novak" not in json.dumps(event)
        asked = simulation.asked("/customers")
        await asyncio.sleep(10 * MINUTE)
        assert simulation.asked("/customers") == asked  # nobody waits any more

    simulation.run(main())


def test_a_triggerer_that_dies_costs_nothing(simulation: Simulation) -> None:
    sandbox = simulation.sandbox()

    async def main() -> None:
        waiting = trigger(simulation)
        running = asyncio.create_task(events_of(waiting))
        await asyncio.sleep(5 * MINUTE)
        running.cancel()
        await asyncio.sleep(0)
        asked = simulation.asked("/customers")
        sandbox.shop.set_to_real_time()
        id = insert(sandbox)
        await asyncio.sleep(60 * MINUTE)
        assert simulation.asked("/customers") == asked
        _, kwargs = waiting.serialize()
        (event,) = await asyncio.wait_for(events_of(DotyposEntityTrigger(**kwargs)), MINUTE)
        assert read_event(event)["ids"] == [id]

    simulation.run(main())


def test_a_token_that_is_revoked_meanwhile_fails_the_task_with_its_cure(simulation: Simulation) -> None:
    sandbox = simulation.sandbox()

    async def main() -> None:
        running = asyncio.create_task(events_of(trigger(simulation)))
        await asyncio.sleep(5 * MINUTE)
        sandbox.tokens.refresh.clear()
        sandbox.expire_tokens()
        (event,) = await asyncio.wait_for(running, 5 * MINUTE)
        with pytest.raises(DotyposTriggerError, match="check the cloud's id, and Refresh Token") as caught:
            read_event(event)
        assert decision(caught.value).action == "fail"
        assert CONN_ID not in str(caught.value)  # the task adds the connection, as to every error
        assert sandbox.refresh_token not in json.dumps(event)

    simulation.run(main())


def test_what_passes_is_waited_out(simulation: Simulation) -> None:
    sandbox = simulation.sandbox()

    async def main() -> None:
        running = asyncio.create_task(events_of(trigger(simulation)))
        await asyncio.sleep(5 * MINUTE)
        del simulation.sandboxes[sandbox.url]
        await asyncio.sleep(60 * MINUTE)
        assert not running.done()
        simulation.sandboxes[sandbox.url] = sandbox
        sandbox.shop.set_to_real_time()
        id = insert(sandbox)
        (event,) = await asyncio.wait_for(running, 10 * MINUTE)
        assert read_event(event)["ids"] == [id]

    simulation.run(main())


def test_a_since_ahead_of_the_servers_clock_is_kept(simulation: Simulation) -> None:
    sandbox = simulation.sandbox()

    async def main() -> None:
        since = datetime.fromtimestamp(simulation.time() + 5 * MINUTE, timezone.utc).isoformat()
        running = asyncio.create_task(events_of(trigger(simulation, since=since)))
        await asyncio.sleep(MINUTE)
        sandbox.shop.set_to_real_time()
        insert(sandbox)
        await asyncio.sleep(10 * MINUTE)
        assert not running.done()
        sandbox.shop.set_to_real_time()
        id = insert(sandbox)
        (event,) = await asyncio.wait_for(running, 2 * MINUTE)
        assert read_event(event)["ids"] == [id]

    simulation.run(main())


LATER = datetime(2126, 1, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "fail",
    [
        lambda: DotyposConfigurationError("Cloud ID is missing"),
        lambda: DotyposConnectionError("no answer"),
        lambda: DotyposBudgetError("it is used up", retry_at=LATER),
        lambda: error_for("GET", "/v2/clouds/5/orders", 403, {}, b'{"reason": "CLOUD_FORBIDDEN"}'),
        lambda: error_for("GET", "/v2/clouds/5/orders", 429, {"Retry-After": "20"}, b""),
    ],
)
def test_the_task_decides_about_a_triggers_error_as_about_its_own(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch, fail: Callable[[], DotyposError]
) -> None:
    error = fail()
    error.connection = CONN_ID

    def subscribe(*args: Any, **more: Any) -> Any:
        raise error

    monkeypatch.setattr(entity_module, "subscribe", subscribe)
    (event,) = simulation.run(events_of(trigger(simulation)))
    with pytest.raises(DotyposTriggerError) as caught:
        read_event(event)
    assert decision(caught.value) == decision(error)
    assert f"{caught.value} (connection '{CONN_ID}')" == str(error)


def test_a_mistake_of_ours_is_no_event(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow fails the task then, and its log has the frames."""

    def subscribe(*args: Any, **more: Any) -> Any:
        raise TypeError("a mistake")

    monkeypatch.setattr(entity_module, "subscribe", subscribe)
    with pytest.raises(TypeError):
        simulation.run(events_of(trigger(simulation)))


@pytest.mark.parametrize("event", [None, "changed", [], {}, {"status": "done"}, {"status": "changed"}], ids=repr)
def test_an_event_that_is_none_of_its_own_is_refused(event: Any) -> None:
    with pytest.raises(DotyposTriggerError, match=r"unknown event.*install the same on both"):
        read_event(event)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"entity": "clouds"}, "can't be watched"),
        ({"filter": "x|eq|1"}, "no field 'x'"),
        ({"since": "yesterday"}, "since must be"),
        ({"dotypos_conn_id": ""}, "dotypos_conn_id must be"),
    ],
    ids=repr,
)
def test_a_wrong_argument_is_refused_by_the_worker_that_defers(arguments: dict[str, Any], message: str) -> None:
    good = {"entity": "orders", "since": "2026-01-01T00:00:00Z"}
    with pytest.raises(DotyposInputError, match=message):
        DotyposEntityTrigger(**good | arguments)
