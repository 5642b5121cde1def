"""The trigger of a deferred POS action: hellos alone, and one event.

Tests `triggers/pos_action.py` and `triggers/deferred_wait.py`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_dotypos.exceptions import DotyposInputError
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from airflow_provider_dotypos.sandbox.api import pos
from airflow_provider_dotypos.triggers.pos_action import DotyposTillTrigger
from tests.triggers.simulation import CONN_ID, Simulation

MINUTE = 60
OVER = [{"status": "over"}]


def branch_of(sandbox: Sandbox) -> str:
    return str(sandbox.shop.rows(sandbox.cloud_ids[0], "branches")[0]["id"])


@pytest.fixture
def wait(simulation: Simulation) -> Callable[..., list[Any]]:
    """Run the trigger of a task, as it is made of what stands in the database."""

    def events(sandbox: Sandbox, minutes: float = 60, **arguments: Any) -> list[Any]:
        arguments = {"branch_id": branch_of(sandbox), "dotypos_conn_id": CONN_ID, **arguments}
        made = DotyposTillTrigger(until=simulation.time() + minutes * MINUTE, **arguments)
        path, kwargs = made.serialize()
        assert path == "airflow_provider_dotypos.triggers.pos_action.DotyposTillTrigger"
        again = DotyposTillTrigger(**json.loads(json.dumps(kwargs)))

        async def main() -> list[Any]:
            return [event.payload async for event in again.run()]

        return simulation.run(main())

    return events


def test_it_asks_each_minute_until_the_till_answers(simulation: Simulation, wait: Callable[..., Any]) -> None:
    sandbox = simulation.sandbox()
    sandbox.faults += [Fault("404-empty", path="/pos-actions", times=5), Fault("429", path="/pos-actions", times=5)]
    before = simulation.time()
    assert wait(sandbox) == OVER
    assert simulation.asked("/pos-actions") == 11
    assert simulation.asked("/branches/") == 11  # the worker knows that there is such a branch
    assert 11 * MINUTE <= simulation.time() - before < 12 * MINUTE
    assert sandbox.writes == []


def test_it_ends_when_the_time_is_up(simulation: Simulation, wait: Callable[..., Any]) -> None:
    sandbox = simulation.sandbox()
    sandbox.faults.append(Fault("404-empty", path="/pos-actions", times=99))
    before = simulation.time()
    assert wait(sandbox, minutes=10) == OVER
    assert 10 * MINUTE <= simulation.time() - before < 10 * MINUTE + 1
    assert simulation.asked("/pos-actions") == 9  # the task itself asks at the end


def test_what_passes_is_waited_out(simulation: Simulation, wait: Callable[..., Any]) -> None:
    sandbox = simulation.sandbox()
    for kind in ("503", "500", "html-200"):
        sandbox.faults.append(Fault(kind, path="/pos-actions"))
    sandbox.faults.append(Fault("429", retry_after="600", path="/pos-actions"))
    before = simulation.time()
    assert wait(sandbox) == OVER
    assert simulation.time() - before > 10 * MINUTE
    assert not [fault for fault in sandbox.faults if fault.times]


@pytest.mark.parametrize("why", ["no connection", "revoked", "refused"])
def test_what_does_not_pass_is_left_to_the_task(
    simulation: Simulation, wait: Callable[..., Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = simulation.sandbox()
    if why == "no connection":
        simulation.connections.clear()
    if why == "revoked":
        sandbox.tokens.refresh.clear()
    if why == "refused":

        def refuse(action: Any) -> None:
            raise pos._FailedError(1006, "the licence is too low")

        monkeypatch.setitem(pos._ACTIONS, "order/hello", refuse)
    before = simulation.time()
    assert wait(sandbox) == [{"status": "unable"}]
    assert simulation.time() - before < 5 * MINUTE


def test_a_triggerer_that_dies_changes_nothing(simulation: Simulation) -> None:
    sandbox = simulation.sandbox()
    sandbox.faults.append(Fault("404-empty", path="/pos-actions", times=99))

    async def main() -> None:
        trigger = DotyposTillTrigger(
            branch_id=branch_of(sandbox), until=simulation.time() + 60 * MINUTE, dotypos_conn_id=CONN_ID
        )
        running = asyncio.create_task(anext(trigger.run()))
        await asyncio.sleep(5.5 * MINUTE)
        running.cancel()
        await asyncio.sleep(0)
        asked = simulation.asked("/pos-actions")
        await asyncio.sleep(10 * MINUTE)
        assert simulation.asked("/pos-actions") == asked == 5

    simulation.run(main())
    assert sandbox.writes == []


def test_a_wrong_connection_is_refused_by_the_worker_that_defers() -> None:
    with pytest.raises(DotyposInputError, match="dotypos_conn_id must be"):
        DotyposTillTrigger(branch_id="5", until=0, dotypos_conn_id="")
