"""Count what runs cost in requests, at an API that allows 150 of them in half an hour: ours, and with --peers theirs.

Everything runs against the sandbox, which counts. Its clock jumps, so nothing here waits for half an hour.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from airflow_provider_dotypos.api.entities import cloud_lists
from airflow_provider_dotypos.sandbox import Behaviour
from benchmarks import limited
from benchmarks.machine import machine
from benchmarks.pipelines import SETTLE, OneTask, Peer, Pipeline, TaskEach, doubled, missing
from benchmarks.scenes import MONTH_LISTS, Changing, Scene, month
from benchmarks.turns import keep
from tests.transfers.limits import Outcome

HOUR, DAY = 3600.0, 86_400.0

#: Makes a pipeline over lists, in a folder of its own.
Make = Callable[[Scene, Path, Sequence[str]], Pipeline]

OURS: Mapping[str, Make] = {"ours, a task each": TaskEach, "ours, one task": OneTask}


def peer(name: str, *, nested: bool = False) -> Make:
    return lambda scene, folder, lists: Peer(name, scene, folder, lists, nested=nested)


PEERS: Mapping[str, Make] = {"dlt": peer("dlt"), "Airbyte": peer("airbyte")}


def nested(scene: Scene, folder: Path, lists: Sequence[str]) -> Pipeline:
    """Make a pipeline of ours that reads a history from orders with their items and payments."""
    return OneTask(scene, folder, lists, history="nested")


HISTORIES: Mapping[str, Make] = {"ours, three streams": TaskEach, "ours, nested": nested}
PEERS_HISTORIES: Mapping[str, Make] = {
    "dlt, three resources": peer("dlt"),
    "Airbyte, three streams": peer("airbyte"),
    "dlt, orders with include": peer("dlt", nested=True),
}

#: Figures by row and column of a table.
Costs = dict[str, dict[str, int]]

#: Seconds that changes need to show, as pipelines assume.
SETTLE_SECONDS = SETTLE / 1000


def all_lists(makes: Mapping[str, Make]) -> Costs:
    """Run each pipeline over the 30 lists: a first time, in a quiet hour, and on a day; return requests by run."""
    costs: Costs = {}
    with month(3_600) as scene, tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        scene.add_warehouse()
        pipelines = _pipelines(makes, scene, folder, cloud_lists())

        def run(name: str) -> None:
            costs[name] = {label: _requests(pipeline) for label, pipeline in pipelines.items()}

        run("the first run: everything")
        scene.pass_time(HOUR)
        run("a quiet hour")
        scene.sandbox.behaviour = Behaviour(allow_version="ignored")
        scene.pass_time(HOUR)
        run("a quiet hour, empty lists are 404")
        scene.sandbox.behaviour = Behaviour()
        before = scene.now
        scene.pass_time(DAY, orders_per_day=80)
        scene.pass_time(3 * SETTLE_SECONDS)
        orders = sum(version >= before.timestamp() * 1000 for version in scene.versions("orders").values())
        run(f"a day with {orders} orders ({scene.pages(before)} pages)")
        _check(pipelines)
    return costs


def histories(makes: Mapping[str, Make], orders: int, *, changing: bool) -> Costs:
    """Read a month of orders, items and payments by each pipeline, then what has changed; return requests and rows.

    :param changing: whether rows change while the month is read.
    """
    costs: Costs = {}
    for label, make in makes.items():
        with month(orders) as scene, tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            pipeline = make(scene, Path(folder), MONTH_LISTS)
            if changing:
                scene.sandbox.requests = Changing(scene)
            first = _requests(pipeline)
            scene.sandbox.requests = []
            scene.pass_time(3 * SETTLE_SECONDS)
            after = _requests(pipeline)
            costs[label] = {
                "the month": first,
                "the first increment": after,
                "rows": sum(len(scene.versions(name)) for name in MONTH_LISTS),
                "missing": missing(pipeline, MONTH_LISTS),
                "doubled": doubled(pipeline, MONTH_LISTS),
            }
            if isinstance(pipeline, TaskEach):
                _check({label: pipeline})
    return costs


def _pipelines(makes: Mapping[str, Make], scene: Scene, folder: str, lists: Sequence[str]) -> dict[str, Pipeline]:
    found: dict[str, Pipeline] = {}
    for number, (label, make) in enumerate(makes.items()):
        place = Path(folder) / str(number)
        place.mkdir()
        found[label] = make(scene, place, lists)
    return found


def _requests(pipeline: Pipeline) -> int:
    """Run a pipeline and return the requests that it took."""
    scene = pipeline.scene
    os.environ["AIRFLOW_CONN_DOTYPOS_DEFAULT"] = json.dumps(scene.sandbox.connection(scene.cloud_id))
    with scene.counted() as spent:
        pipeline.run()
    print(".", end="", file=sys.stderr, flush=True)
    return spent.requests


def _check(pipelines: Mapping[str, Pipeline]) -> None:
    """Check that ours brought each version of each row, once.

    :raises AssertionError: if not.
    """
    for label, pipeline in pipelines.items():
        if isinstance(pipeline, TaskEach):
            assert not missing(pipeline, MONTH_LISTS), f"{label}: rows are missing"
            assert not doubled(pipeline, MONTH_LISTS), f"{label}: rows came twice"


def _table(title: str, costs: Costs) -> None:
    """Print a table: a row for each key, a column for each of its values."""
    print(f"\n### {title}\n")
    columns = list(dict.fromkeys(name for values in costs.values() for name in values))
    print(f"| | {' | '.join(columns)} |")
    print(f"|---{'|---' * len(columns)}|")
    for label, values in costs.items():
        print(f"| {label} | {' | '.join(f'{values[name]:,}' for name in columns)} |", flush=True)


def attempts(outcome: Outcome) -> dict[str, int]:
    """Return what attempts did together."""
    each = outcome.attempts
    return {
        "rows": len(outcome.ids),
        "requests": sum(one.calls for one in each),
        "refused": sum(one.refused for one in each),
        "attempts": len(each),
        "windows": each[-1].window,
        "rows kept of those read, %, at least": min(100 * one.kept // max(1, one.read) for one in each),
    }


#: How a server may count.
WINDOWS = ("fixed", "sliding")

PARTS = ("lists", "history", "limit")


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Requests that runs cost, and what a limit of them leaves.")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="some of the parts")
    parser.add_argument("--orders", type=int, default=10_000, help="orders of the history's month")
    parser.add_argument("--peers", action="store_true", help="beside dlt and Airbyte, see benchmarks.peers.setup")
    asked = parser.parse_args(arguments)
    logging.disable()
    print(machine())
    found: dict[str, Any] = {}
    if "lists" in asked.only:
        found["lists"] = all_lists({**OURS, **(PEERS if asked.peers else {})})
        _table("Requests of a run over the 30 lists, two warehouses, sign-ins included", found["lists"])
    if "history" in asked.only:
        makes = {**HISTORIES, **(PEERS_HISTORIES if asked.peers else {})}
        for changing in (False, True):
            title = f"A month of {asked.orders:,} orders" + (", rows change while it is read" if changing else "")
            found[title] = histories(makes, asked.orders, changing=changing)
            _table(title, found[title])
    if "limit" in asked.only:
        title = "30,000 orders, one thread, 150 requests in half an hour"
        found[title] = {f"{window} window": attempts(limited.extract(window=window)) for window in WINDOWS}
        _table(title, found[title])
        title = "Four tasks of 100 pages, two processes at a time, 150 requests in half an hour"
        found[title] = {f"{window} window": vars(limited.run(window=window)) for window in WINDOWS}
        _table(title, found[title])
    keep("budget", {"results": found})


if __name__ == "__main__":
    main()
