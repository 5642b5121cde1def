"""What a flow asks of the code that performs it. A flow is a generator; ``exchange`` says how it is resumed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import Any, NamedTuple, Protocol, TypeVar

from airflow_provider_dotypos.api.http import Request

T = TypeVar("T")


class HasLock(Protocol):
    """What flows share of which only one runs at a time.

    :ivar lock: held by the thread whose flow runs.
    """

    lock: threading.Lock


class Send(NamedTuple):
    """Send a request; the result is its answer, whatever its status."""

    request: Request


class Sleep(NamedTuple):
    """Wait."""

    seconds: float


class Perform(NamedTuple):
    """Call a function that may block; the result is the function's."""

    function: Callable[[], Any]


class Alone(NamedTuple):
    """Perform a flow while no other one runs for the same owner; the result is the flow's."""

    owner: HasLock
    flow: Flow[Any]


Step = Send | Sleep | Perform | Alone
Flow = Generator[Step, Any, T]
