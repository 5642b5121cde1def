"""A triggerer within the tests' process: Airflow's own runner, and a supervisor that can be killed at any moment."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from typing import Any

from airflow.jobs.triggerer_job_runner import TriggerRunner

from airflow_provider_dotypos.triggers.entity_event import DotyposEntityEventTrigger

#: Moments at which a triggerer can be killed.
YIELDED, STORED, BEFORE_KEEPING, AFTER_KEEPING = MOMENTS = ("yielded", "stored", "before keeping", "after keeping")


class Killed(BaseException):
    """The process is gone."""


class Airflow:
    """What outlives triggerers: the events that are stored, and the assets' state stores.

    :ivar states: by the asset's name and the key.
    """

    def __init__(self) -> None:
        self.events: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
        self.states: dict[tuple[str, str], Any] = {}

    def payloads(self, trigger_id: int = 1) -> list[dict[str, Any]]:
        return self.events[trigger_id]

    def ids(self, trigger_id: int = 1) -> list[str]:
        return [id for payload in self.events[trigger_id] for id in payload["ids"] or ()]


class Store:
    def __init__(self, triggerer: Triggerer, asset: str) -> None:
        self._triggerer = triggerer
        self._asset = asset

    async def aget(self, key: str, default: Any = None) -> Any:
        self._triggerer.check()
        await asyncio.sleep(0)
        return self._triggerer.airflow.states.get((self._asset, key), default)

    async def aset(self, key: str, value: Any) -> None:
        self._triggerer.reach(BEFORE_KEEPING)
        await asyncio.sleep(0)
        if self._triggerer.store_fails:
            raise RuntimeError("database is locked")
        self._triggerer.airflow.states[self._asset, key] = json.loads(json.dumps(value))
        self._triggerer.reach(AFTER_KEEPING)


class Stores:
    """Stands in for ``AssetStateStoreAccessors``."""

    def __init__(self, triggerer: Triggerer, assets: list[str]) -> None:
        self._stores = {asset: Store(triggerer, asset) for asset in assets}

    def __getitem__(self, asset: Any) -> Store:
        return self._stores[asset.name]

    async def aget(self, key: str, default: Any = None) -> Any:
        if len(self._stores) != 1:
            raise ValueError("several")
        return await next(iter(self._stores.values())).aget(key, default)

    async def aset(self, key: str, value: Any) -> None:
        await next(iter(self._stores.values())).aset(key, value)


class Triggerer:
    """One life of a triggerer.

    :param kill_at: the moment at which it is killed.
    :ivar stores_events: whether its supervisor can write to the database.
    :ivar store_fails: whether states can't be kept.
    :ivar drops: how many of the next events get lost on their way to the database.
    """

    def __init__(self, airflow: Airflow, kill_at: str | None = None) -> None:
        self.airflow = airflow
        self.runner = TriggerRunner()
        if streams := getattr(self.runner, "_shared_streams", None):
            streams._now = time.monotonic
        self.kill_at = kill_at
        self.killed = asyncio.Event()
        self.stores_events = True
        self.store_fails = False
        self.drops = 0
        self._supervisor = asyncio.create_task(self._supervise())
        self._ids: dict[int, tuple[DotyposEntityEventTrigger, list[str] | None]] = {}

    def start(self, trigger_id: int, trigger: DotyposEntityEventTrigger, assets: list[str] | None = None) -> None:
        """Run a trigger as Airflow does: made anew from its arguments."""
        _, kwargs = trigger.serialize()
        made = type(trigger)(**kwargs)
        made.trigger_id = trigger_id
        made.asset_state_store = None if assets is None else Stores(self, assets)
        self._ids[trigger_id] = trigger, assets
        self.runner.triggers[trigger_id] = {
            "task": asyncio.create_task(self.runner.run_trigger(trigger_id, made)),
            "is_watcher": True,
            "name": f"ID {trigger_id}",
            "events": 0,
        }

    async def stop(self, trigger_id: int) -> None:
        """Stop a trigger, as Airflow does when its DAG is paused."""
        task = self.runner.triggers.pop(trigger_id)["task"]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def kill(self) -> None:
        """Let the process be gone: nothing of what is under way has an effect any more."""
        self.killed.set()
        tasks = [self._supervisor, *(details["task"] for details in self.runner.triggers.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.runner._shared_streams.stop_all()

    def check(self) -> None:
        if self.killed.is_set():
            raise Killed

    def reach(self, moment: str) -> None:
        """Be killed if this is the moment."""
        self.check()
        if moment == self.kill_at:
            self.killed.set()
            raise Killed

    async def _supervise(self) -> None:
        """Store events, and confirm them in the next round, as the supervisor's loop and the runner's sync do."""
        persisted: list[int] = []
        while not self.killed.is_set():
            await asyncio.sleep(1)
            if persisted:
                self.runner._shared_streams.confirm_persisted(persisted)
                persisted = []
            while self.runner.events and self.stores_events:
                trigger_id, event, *seq = self.runner.events.popleft()
                if self.drops:
                    self.drops -= 1
                    continue
                try:
                    self.reach(YIELDED)
                    self.airflow.events[trigger_id].append(json.loads(json.dumps(event.payload)))
                    self.reach(STORED)
                except Killed:
                    return
                persisted += [number for number in seq if number is not None]
            for trigger_id, details in list(self.runner.triggers.items()):
                if details["task"].done() and not self.killed.is_set():
                    self.runner.triggers.pop(trigger_id)["task"].exception()
                    self.start(trigger_id, *self._ids[trigger_id])
