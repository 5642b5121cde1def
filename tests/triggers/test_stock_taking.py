"""Waiting for a stock-taking on the triggerer's loop."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from airflow_provider_dotypos.sandbox import Fault, Sandbox
from airflow_provider_dotypos.triggers import stock_taking
from airflow_provider_dotypos.triggers.stock_taking import DotyposStockTakingTrigger
from tests.patience import PATIENCE
from tests.writes.shelf import Shelf
from tests.writes.shelf import connection as connection
from tests.writes.shelf import sandbox as sandbox
from tests.writes.shelf import server as server
from tests.writes.shelf import shelf as shelf


def wait(urls: list[str], **arguments: Any) -> Any:
    """Run the trigger of a task, as it is made of what stands in the database."""
    arguments = {"poll_interval": 0.01, "until": time.time() + PATIENCE, **arguments}
    path, kwargs = DotyposStockTakingTrigger(urls=urls, **arguments).serialize()
    assert path == "airflow_provider_dotypos.triggers.stock_taking.DotyposStockTakingTrigger"
    trigger = DotyposStockTakingTrigger(**json.loads(json.dumps(kwargs)))

    async def events() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    return asyncio.run(events())


@pytest.fixture(autouse=True)
def again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stock_taking, "_AGAIN", 0.01)


def test_it_ends_once_dotypos_is_done(sandbox: Sandbox, shelf: Shelf) -> None:
    sandbox.stock_taking_polls = 4
    urls = shelf.take_stock(wait=0)["pending"]
    sandbox.requests.clear()
    assert wait(urls) == [{"status": "over"}]
    assert sum(request.path.startswith("/status/") for request in sandbox.requests) == 4


def test_what_passes_is_waited_out(sandbox: Sandbox, shelf: Shelf) -> None:
    urls = shelf.take_stock(wait=0)["pending"]
    for kind in ("503", "reset", "429", "html-200"):
        sandbox.faults.append(Fault(kind, path="/status/"))
    assert wait(urls) == [{"status": "over"}]
    assert not [fault for fault in sandbox.faults if fault.times]


@pytest.mark.parametrize("why", ["no connection", "refused", "time is up"])
def test_what_does_not_pass_is_left_to_the_task(
    why: str, sandbox: Sandbox, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = shelf.take_stock(wait=0)["pending"]
    sandbox.stock_taking_polls = 10**6
    if why == "no connection":
        monkeypatch.delenv("AIRFLOW_CONN_DOTYPOS_DEFAULT")
    if why == "refused":
        urls = [f"{sandbox.url}/status/stock-takings/5"]
    until = time.time() + (0.1 if why == "time is up" else PATIENCE)
    assert wait(urls, until=until) == [{"status": "over"}]
