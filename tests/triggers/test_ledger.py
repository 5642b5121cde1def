"""`_airflow` in a triggerer: the request budget that tasks share, secrets, and what Airflow's loop may wait for."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, GetVariable, MaskSecret, PutVariable, VariableResult

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api import channel, spending
from airflow_provider_dotypos.api.budget import Budget
from airflow_provider_dotypos.api.watch import State, Watch
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.triggers.subscriptions import Step, subscribe

CUSTOMERS = Watch.of("customers")


class Supervisor:
    """The supervisor's end of a triggerer's line: it answers on the loop, after a while."""

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}
        self.masked: list[Any] = []
        self.threads: set[int] = set()

    async def asend(self, message: Any) -> Any:
        self.threads.add(threading.get_ident())
        await asyncio.sleep(0.02)
        if isinstance(message, PutVariable):
            self.variables[message.key] = str(message.value)
        elif isinstance(message, MaskSecret):
            self.masked.append(message.value)
        elif isinstance(message, GetVariable):
            if message.key not in self.variables:
                return ErrorResponse(error=ErrorType.VARIABLE_NOT_FOUND)
            return VariableResult(key=message.key, value=self.variables[message.key])
        return None


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    made = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", made, raising=False)
    monkeypatch.setattr(spending, "_SETTLE", 0.1)
    channel.forget_tokens()
    yield made
    channel.forget_tokens()


@pytest.fixture
def connected(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """Let Airflow have a connection to the sandbox, with a budget."""
    fields = sandbox.connection()
    extra = json.dumps(fields.pop("extra") | {"request_budget": "150/30min"})

    async def read(conn_id: str) -> Connection:
        return Connection(conn_id=conn_id, **fields, extra=extra)

    monkeypatch.setattr(BaseHook, "aget_connection", read)
    return sandbox


async def first_step() -> Step:
    now = int(time.time() * 1000)
    async with subscribe("shop", None, CUSTOMERS, State.begin(now), poll_interval=60.0) as subscription:
        return await subscription.next()


def test_polls_are_counted_in_the_ledger_of_tasks_while_the_loop_goes_on(
    connected: Sandbox, supervisor: Supervisor
) -> None:
    late = 0.0

    async def main() -> None:
        async def tick() -> None:
            nonlocal late
            while True:
                before = time.monotonic()
                await asyncio.sleep(0.01)
                late = max(late, time.monotonic() - before)

        ticking = asyncio.create_task(tick())
        await first_step()
        await asyncio.sleep(0.3)  # what was claimed and not used is given back
        ticking.cancel()

    asyncio.run(main())
    (ledger,) = supervisor.variables.values()
    assert sum(requests for requests, _ in json.loads(ledger).values()) == len(connected.requests)
    assert supervisor.threads == {threading.get_ident()}  # the line to the supervisor belongs to the loop
    assert late < 1


def test_what_a_task_needs_to_begin_is_left_to_it(connected: Sandbox, supervisor: Supervisor) -> None:
    """A task that finds the budget used up waits until its first block, a tenth of it, is free."""

    async def main() -> None:
        await first_step()
        await asyncio.sleep(0.3)
        (name,) = supervisor.variables
        supervisor.variables[name] = json.dumps({"task": [136, int(time.time()) + 1000]})
        asked = len(connected.requests)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(first_step(), 1)
        assert len(connected.requests) == asked

    asyncio.run(main())


def test_secrets_of_the_connection_are_masked_and_access_tokens_burden_nobody(
    connected: Sandbox, supervisor: Supervisor
) -> None:
    asyncio.run(first_step())
    assert connected.refresh_token in supervisor.masked
    assert not [secret for secret in supervisor.masked if secret.count(".") == 2]


def test_a_connection_is_read_to_its_end_although_nobody_waits_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """In Airflow 3.1 an answer that nobody takes would be taken for the next question's."""
    read = []

    async def aget_connection(conn_id: str) -> str:
        await asyncio.sleep(0.05)
        read.append(conn_id)
        return conn_id

    monkeypatch.setattr(BaseHook, "aget_connection", aget_connection)

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(_airflow.read_connection("shop"), 0.01)
        await asyncio.sleep(0.1)

    asyncio.run(main())
    assert read == ["shop"]


def test_a_process_without_a_supervisor_counts_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", None, raising=False)
    assert _airflow.triggerer_ledger() is None


def test_a_budget_behind_tasks_leaves_their_first_block() -> None:
    budget = Budget(150, 1800).behind_tasks(5)
    assert (budget.requests, budget.block) == (135, 5)
    assert Budget(10, 60).behind_tasks(1).requests == 9
