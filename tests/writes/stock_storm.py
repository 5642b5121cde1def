"""Stock operations while answers get lost, tasks are killed and run again, and a till sells."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import pytest

from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.exceptions import DotyposError, DotyposUncertainBookingError
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from airflow_provider_dotypos.writes.stock import bookings as stock
from airflow_provider_dotypos.writes.stock.journal import Journal
from tests.writes.shelf import Shelf

#: How an answer gets lost. Of a 2xx the request was carried out, and of a 429 it wasn't.
LOST = [
    *((kind, when) for kind in ("reset", "closed", "500", "502", "503") for when in ("before", "after")),
    *(("429", "before"), ("cut-json", "after"), ("reset-body", "after"), ("short-body", "after")),
]

#: Where a task is killed.
STEPS: list[tuple[Any, str]] = [(Journal, "begin"), (stock._Booking, "send"), (Journal, "end")]


class Killed(BaseException):
    """A process that is killed does nothing more."""


def die(*_: object, **__: object) -> Any:
    raise Killed


def book_in_a_storm(seed: int, sandbox: Sandbox, shelf: Shelf, documents: int) -> None:
    """Book documents, each by several tries. None is booked twice, and each that is said to be booked is."""
    chance = random.Random(seed)
    shelf.fill(1000)

    def sleep(client: DotyposClient, seconds: float) -> None:
        if chance.random() < 0.3:
            shelf.sell_meanwhile(seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DotyposClient, "sleep", sleep)
        for number in range(documents):
            sandbox.writes.clear()
            _book(chance, sandbox, shelf, chance.choice(["stock_up", "sell", "transfer"]), f"DN-{number}")


def _book(chance: random.Random, sandbox: Sandbox, shelf: Shelf, operation: str, document: str) -> None:
    for _ in range(4):
        sandbox.faults[:] = [_fault(chance) for _ in range(chance.randrange(3))]
        status = None
        with pytest.MonkeyPatch.context() as patch, suppress(DotyposError, Killed):
            if chance.random() < 0.3:
                patch.setattr(*chance.choice(STEPS), die)
            status = shelf.book(operation, document=document)["status"]
        assert len(sandbox.writes) <= 1
        assert status is None or len(sandbox.writes) == 1
    sandbox.faults.clear()
    try:
        shelf.book(operation, document=document)
    except DotyposUncertainBookingError:
        assert len(sandbox.writes) <= 1
    else:
        assert len(sandbox.writes) == 1


def _fault(chance: random.Random) -> Fault:
    kind, when = chance.choice(LOST)
    return Fault(kind, when=when, method=chance.choice(["GET", "POST"]), path="/warehouses/")  # type: ignore[arg-type]
