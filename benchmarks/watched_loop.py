"""Triggers of the benchmark of events: one that measures a triggerer's loop, and one that does nothing."""

from __future__ import annotations

import asyncio
import json
import resource
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

#: Seconds that the meter sleeps at a time, and seconds after which it writes a line.
TICK, LINE = 0.005, 0.5


class LoopMeter(BaseEventTrigger):
    """Sleeps for 5 ms at a time, and notes by how much it is late: what stalls the loop.

    :param path: the file that gets a line of JSON every half second: ``at`` (epoch seconds), ``stall`` (the longest one
        since the last line, seconds), ``busy`` (the most processor time that the loop has used between two sleeps;
        the rest of a stall is waiting for a processor), ``threads``, ``cpu`` (seconds so far), ``mib`` (memory's peak).
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.LoopMeter", {"path": self.path}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        with open(self.path, "a", buffering=1) as file:
            while True:
                line = await self._measure()
                file.write(json.dumps(line) + "\n")
        yield TriggerEvent(None)  # it makes this function what Airflow expects

    async def _measure(self) -> dict[str, float]:
        stall, busy, began = 0.0, 0.0, time.monotonic()
        while time.monotonic() - began < LINE:
            before, used = time.monotonic(), time.thread_time()
            await asyncio.sleep(TICK)
            stall = max(stall, time.monotonic() - before - TICK)
            busy = max(busy, time.thread_time() - used)
        return {
            "at": time.time(),
            "stall": stall,
            "busy": busy,
            "threads": threading.active_count(),
            "cpu": time.process_time(),
            "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


class Idle(BaseEventTrigger):
    """Waits for nothing: the floor.

    :param number: tells it from the others.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.Idle", {"number": self.number}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        await asyncio.Event().wait()
        yield TriggerEvent(None)
