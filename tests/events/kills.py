"""Kill the triggerer while products change, at named moments and at random. Ends with 1 if a change is in no event.

``python -m tests.events.kills --kills 50``
"""

# ruff: noqa: T201 (a command, which prints)

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from airflow_provider_dotypos._compat import has_state_store
from airflow_provider_dotypos.sandbox import Sandbox, Shop
from tests.events.airflow_processes import AssetEvent, RunningAirflow, airflow_processes
from tests.ui.airflow_server import airflow_home

FAILPOINTS = Path(__file__).with_name("failpoints")

#: Those that `failpoints/sitecustomize.py` knows. Airflow acknowledges events since 3.3.
MOMENTS = ("before the yield", "after the yield", "before advance", "in advance", "after advance")
YIELDS = MOMENTS[:2]

DAG_FILE = """
from airflow.sdk import DAG

from airflow_provider_dotypos.assets import dotypos_asset

with DAG("woken", schedule=dotypos_asset("products", cloud_id={cloud_id}, watch={{"poll_interval": 1}})):
    pass
"""


class Version(NamedTuple):
    """A state of a product.

    :param at: its version date, in epoch milliseconds.
    """

    id: str
    at: int


class Shopkeeper:
    """Changes products of a shop every now and then.

    :ivar versions: what it has changed.
    """

    def __init__(self, shop: Shop, cloud_id: int) -> None:
        self.versions: list[Version] = []
        self._shop = shop
        self._cloud_id = cloud_id
        self._ids = [row["id"] for row in shop.rows(cloud_id, "products")]
        self._done = threading.Event()

    def change(self) -> Version:
        """Change a product."""
        id = random.choice(self._ids)
        row = self._shop.update(self._cloud_id, "products", id, {"name": f"changed {len(self.versions)} times"})
        version = Version(str(id), row["versionDate"])
        self.versions.append(version)
        return version

    @contextmanager
    def at_work(self, every: float) -> Iterator[None]:
        """Change a product every so many seconds, until the block ends."""

        def work() -> None:
            while not self._done.wait(every):
                self.change()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()


def connection(sandbox: Sandbox) -> str:
    """Return a connection that may poll every second, as Airflow reads it from its environment."""
    fields = sandbox.connection()
    return json.dumps(fields | {"extra": fields["extra"] | {"request_budget": "100000/30min"}})


def missing(versions: Sequence[Version], events: Sequence[AssetEvent]) -> list[Version]:
    """Return versions that are in no event, and that no later one in an event has superseded."""
    shown: dict[str, int] = {}
    for payload in (event.extra["payload"] for event in events if event.extra["payload"]["ids"]):
        newest = datetime.fromisoformat(payload["newest"].replace("Z", "+00:00")).timestamp() * 1000
        for id in payload["ids"]:
            shown[id] = max(shown.get(id, 0), round(newest))
    return [version for version in versions if version.at > shown.get(version.id, 0)]


def repeats(events: Sequence[AssetEvent]) -> int:
    """Return how many events came again.

    :raises AssertionError: if equal events have other keys, or one key stands for other events.
    """
    keys: Counter[str] = Counter()
    of_key: dict[str, Any] = {}
    key_of: dict[str, str] = {}
    for payload in (event.extra["payload"] for event in events):
        key = payload["key"]
        rest = {name: value for name, value in payload.items() if name != "key"}
        assert of_key.setdefault(key, rest) == rest
        assert key_of.setdefault(json.dumps(rest), key) == key
        keys[key] += 1
    return sum(count - 1 for count in keys.values())


class Triggerer:
    """Airflow's triggerer, which is killed and started again.

    :ivar kills: how often it was killed, by moments.
    """

    def __init__(self, airflow: RunningAirflow, sandbox: Sandbox) -> None:
        self._airflow = airflow
        self.sandbox = sandbox
        self.kills: Counter[str] = Counter()

    def start(self, moment: str = "") -> None:
        """Start the triggerer.

        :param moment: at which it is to die. Defaults to none.
        """
        path = f"{FAILPOINTS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        self._airflow.forget_triggerers()
        self._airflow.start("triggerer", DIES_AT=moment, PYTHONPATH=path)

    def die_at(self, moment: str) -> None:
        """Have the triggerer die at a moment."""
        self.start(moment)
        self._airflow.wait_until_killed("triggerer")
        self.kills[moment] += 1

    def kill_at_random(self, most: float) -> None:
        """Kill the triggerer up to so many seconds after it has polled."""
        self.start()
        wait_for_a_poll(self._airflow, self.sandbox)
        time.sleep(random.uniform(0, most))
        self._airflow.kill("triggerer")
        self.kills["at random"] += 1


def wait_for_a_poll(airflow: RunningAirflow, sandbox: Sandbox) -> None:
    """Wait until all watchers have begun, and the list of products has been asked for twice more."""
    airflow.wait_for("the triggerer to begin", airflow.all_triggers_run)
    asked = _polls(sandbox)
    airflow.wait_for("two polls", lambda: _polls(sandbox) >= asked + 2)


def _polls(sandbox: Sandbox) -> int:
    return sum(request.path.endswith("/products") for request in sandbox.requests)


@contextmanager
def watched(folder: Path, **settings: str) -> Iterator[tuple[Triggerer, RunningAirflow, Shopkeeper]]:
    """Return an Airflow with a DAG that changes of products start, and who changes them. No triggerer runs yet."""
    shop = Shop.generate(days=1, orders_per_day=1)
    shop.set_to_real_time()
    shop.lively = False
    home = airflow_home(folder)
    with (
        Sandbox(shop) as sandbox,
        airflow_processes(home, AIRFLOW_CONN_DOTYPOS_DEFAULT=connection(sandbox), **settings) as airflow,
    ):
        cloud_id = sandbox.cloud_ids[0]
        (airflow.dags / "woken.py").write_text(DAG_FILE.format(cloud_id=cloud_id))
        airflow.start("dag-processor")
        airflow.wait_for("the watcher", airflow.triggers)
        airflow.kill("dag-processor")
        yield Triggerer(airflow, sandbox), airflow, Shopkeeper(shop, cloud_id)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.events.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="how many (50): three of five at named moments")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between changes (2)")
    asked = parser.parse_args()
    moments = MOMENTS if has_state_store() else YIELDS
    named = asked.kills * 3 // 5
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, watched(Path(folder)) as (triggerer, airflow, shopkeeper):
        triggerer.start()
        wait_for_a_poll(airflow, triggerer.sandbox)
        with shopkeeper.at_work(asked.every):
            airflow.wait_for("the first event", airflow.events)
            airflow.kill("triggerer")
            for number in range(named):
                triggerer.die_at(moments[number % len(moments)])
            for _ in range(asked.kills - named):
                triggerer.kill_at_random(2 * asked.every)
        triggerer.start()
        last = shopkeeper.change()
        airflow.wait_for("the last change's event", lambda: not missing([last], airflow.events()))
        events = airflow.events()
        lost = missing(shopkeeper.versions, events)
        print(f"kills: {dict(triggerer.kills)}, seconds: {time.monotonic() - began:.0f}")
        print(f"changes: {len(shopkeeper.versions)}, events: {len(events)}")
        print(f"lost: {len(lost)}, repeated: {repeats(events)}")
    return 1 if lost else 0


if __name__ == "__main__":
    raise SystemExit(main())
