"""A triggerer in a home of its own, whose loop is measured by a trigger beside those that are compared."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.turns import TOP
from tests.events.airflow_processes import RunningAirflow, airflow_processes
from tests.ui.airflow_server import airflow_home

#: Seconds after which triggers that work are measured; as long a window is for the usual stall, in lines of the meter.
SETTLES, WINDOW = 5.0, 10
#: Seconds within which Airflow's processes must do something.
PATIENT = 180.0

METER_DAG = """
from airflow.sdk import DAG, Asset, AssetWatcher
from benchmarks.watched_loop import LoopMeter

meter = Asset("meter", watchers=[AssetWatcher(name="meter", trigger=LoopMeter(path={path!r}))])
with DAG("meter", schedule=[meter]):
    pass
"""
IDLE_DAG = """
from airflow.sdk import DAG, Asset, AssetWatcher
from benchmarks.watched_loop import Idle

for number in range({count}):
    asset = Asset(f"idle-{{number}}", watchers=[AssetWatcher(name="idle", trigger=Idle(number=number))])
    with DAG(f"idle-{{number}}", schedule=[asset]):
        pass
"""
WATCHERS_DAG = """
from airflow.sdk import DAG, Asset, AssetWatcher
from airflow_provider_dotypos.triggers.entity_event import DotyposEntityEventTrigger

for number, options in enumerate({watchers!r}):
    name = f"watched-{{number}}"
    trigger = DotyposEntityEventTrigger(**options, asset=name)
    with DAG(name, schedule=[Asset(name, watchers=[AssetWatcher(name="watcher", trigger=trigger)])]):
        pass
"""


@dataclass(frozen=True)
class Loop:
    """What a triggerer's loop went through.

    :param steady: its longest stall, once all triggers run (ms).
    :param busy: the most processor time that it used without a break (ms). The rest of a stall is the machine's.
    :param usual: the median of the longest stalls of windows of 5 seconds (ms).
    :param first: its longest stall from when they begin until all of them have worked (ms).
    :param first_busy: the same in processor time (ms).
    :param threads: most threads.
    :param cpu: seconds of processor time in 5 seconds.
    :param mib: peak memory.
    :param blocked: lines in which Airflow says that the loop was blocked.
    """

    steady: float
    busy: float
    usual: float
    first: float
    first_busy: float
    threads: int
    cpu: float
    mib: float
    blocked: int


class Triggerer:
    """A triggerer in a home of its own, whose loop is measured from before the first trigger on."""

    def __init__(self, folder: Path, airflow: RunningAirflow) -> None:
        self.airflow = airflow
        self._lines = folder / "loop.jsonl"
        self._began = self._steady = 0.0
        self._parse("meter", METER_DAG.format(path=str(self._lines)), 1)
        airflow.start("triggerer")
        airflow.wait_for("the meter's first lines", lambda: len(self._read()) > 4, PATIENT)

    def _parse(self, name: str, code: str, triggers: int) -> None:
        """Have Airflow read a DAG file, and wait until all its triggers are known."""
        (self.airflow.dags / f"{name}.py").write_text(code)
        self.airflow.start("dag-processor")
        self.airflow.wait_for(f"{triggers} triggers", lambda: len(self.airflow.triggers()) >= triggers, PATIENT)
        self.airflow.kill("dag-processor")  # it would take processor time from what is measured

    def begin(self, code: str, triggers: int, working: Callable[[], bool] = lambda: True) -> None:
        """Have so many triggers begin, and wait until they work.

        :param code: the DAG file that names them.
        :param working: whether each has done its first work.
        """
        self._began = time.time()
        before = self._started()
        self._parse("measured", code, triggers + 1)
        self.airflow.wait_for("the triggers to begin", lambda: self._started() - before >= triggers, PATIENT)
        # The supervisor makes an API of its own at the first request, which takes Airflow many seconds.
        self.airflow.wait_for("the triggers to work", working, PATIENT)
        time.sleep(SETTLES)
        self._steady = time.time()

    def measure(self, seconds: float) -> Loop:
        """Let the triggers run for some seconds."""
        time.sleep(seconds)
        lines = self._read()
        first = [line for line in lines if self._began <= line["at"] < self._steady]
        steady = [line for line in lines if line["at"] >= self._steady]
        windows = [max(line["stall"] for line in steady[at : at + WINDOW]) for at in range(0, len(steady), WINDOW)]
        return Loop(
            steady=1000 * max(windows),
            busy=1000 * max(line["busy"] for line in steady),
            usual=1000 * median(windows),
            first=1000 * max(line["stall"] for line in first),
            first_busy=1000 * max(line["busy"] for line in first),
            threads=int(max(line["threads"] for line in lines)),
            cpu=5 * (steady[-1]["cpu"] - steady[0]["cpu"]) / (steady[-1]["at"] - steady[0]["at"]),
            mib=steady[-1]["mib"],
            blocked=self.airflow.log("triggerer").count("was blocked"),
        )

    def _started(self) -> int:
        return self.airflow.log("triggerer").count("starting")

    def _read(self) -> list[dict[str, float]]:
        return [json.loads(line) for line in self._lines.read_text().splitlines()] if self._lines.exists() else []


@contextmanager
def triggerer(folder: Path, name: str, **settings: str) -> Iterator[Triggerer]:
    """Run a triggerer, whose loop is measured, until the block ends."""
    home = airflow_home(folder, name)
    # Not even Airflow's own examples: nothing but what is measured runs.
    with airflow_processes(home, PYTHONPATH=str(TOP), AIRFLOW__LOGGING__LOGGING_LEVEL="INFO", **settings) as airflow:
        yield Triggerer(home.path, airflow)
