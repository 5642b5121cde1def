"""Kills the triggerer at the moment that ``DIES_AT`` names. Python imports it if its folder is on the path."""

from __future__ import annotations

import os
import signal
import sys
import threading
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder

MODULE = "airflow_provider_dotypos.triggers.entity_event"
MOMENT = os.environ.get("DIES_AT", "")

#: Seconds from a yield until Airflow's supervisor has received the event, but not stored it.
ON_ITS_WAY = 0.15


def die() -> None:
    """Kill this process and its parent, which stores the events."""
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def die_soon(seconds: float) -> None:
    threading.Timer(seconds, die).start()


#: The assets of watchers that have yielded an event.
YIELDED = set()


def around_yields(method):
    """Make a method that yields events kill the process before it yields the first one, or soon afterwards."""

    async def yielding(trigger, *arguments):
        async for event in method(trigger, *arguments):
            if MOMENT == "before the yield":
                die()
            if MOMENT == "after the yield":
                die_soon(ON_ITS_WAY)
            YIELDED.add(trigger.serialize()[1]["asset"])
            yield event

    return yielding


def around_advance(advance, asset):
    """Make the method that keeps a watcher's state kill the process, once an event has been stored."""

    async def advancing(batch):
        if asset in YIELDED and MOMENT == "before advance":
            die()
        if asset in YIELDED and MOMENT == "in advance":
            die_soon(0.002)
        await advance(batch)
        if asset in YIELDED and MOMENT == "after advance":
            die()

    return advancing


def arm(trigger) -> None:
    """Make a class of triggers kill its process."""
    trigger.run = around_yields(trigger.run)
    if hasattr(trigger, "create_shared_stream_producer"):
        trigger.filter_shared_stream = around_yields(trigger.filter_shared_stream)
        create = trigger.create_shared_stream_producer

        def create_shared_stream_producer(cls, kwargs):
            producer = create(kwargs)
            producer.advance = around_advance(producer.advance, kwargs["asset"])
            return producer

        trigger.create_shared_stream_producer = classmethod(create_shared_stream_producer)


class Finder(MetaPathFinder):
    """Arms the trigger as soon as its module is imported."""

    def find_spec(self, name, path, target=None):
        if name != MODULE:
            return None
        spec = PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def exec_module(module) -> None:
            execute(module)
            arm(module.DotyposEntityEventTrigger)

        spec.loader.exec_module = exec_module
        return spec


if MOMENT:
    sys.meta_path.insert(0, Finder())
