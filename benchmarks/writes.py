"""Count and time what it costs to bring prices up to date: ours, and a loop that reads and writes every row.

All of it runs against the sandbox, in one process, so that times are to be compared within a run only. Requests are
what an API counts that allows 150 of them in half an hour.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from unittest.mock import patch

import requests

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.operators.apply_plan import DotyposApplyPlanOperator
from airflow_provider_dotypos.operators.plan_writes import DotyposPlanWritesOperator
from airflow_provider_dotypos.sandbox import Behaviour, Limit, Sandbox, Shop
from airflow_provider_dotypos.sandbox.behaviour import CHOICES
from benchmarks import products
from benchmarks.child import memory
from benchmarks.machine import machine, spread
from benchmarks.stage import PutOff, Stage
from benchmarks.turns import keep
from tests.api.processes import Shelf
from tests.transfers.limits import Clock, jumping

#: A row of the warehouse: the key, and the price that the till is to have.
Source = list[dict[str, Any]]

AT = datetime(2026, 3, 1, tzinfo=timezone.utc)
WINDOW = 1800.0

#: How many times fewer requests than the loop each way takes for 10,000 rows of which 300 have changed, at least.
FEWER = {"ours, PATCH": 25, "ours, list PUT": 150}


@dataclass(frozen=True)
class Cost:
    """What a way took.

    :param requests: all requests, sign-ins included.
    :param written: rows that were written.
    :param seconds: how long it took.
    """

    requests: int
    written: int
    seconds: float


def fill(sandbox: Sandbox, rows: int) -> Source:
    """Fill a shop with products, and return them as rows of a warehouse."""
    cloud = sandbox.cloud_ids[0]
    category = sandbox.shop.insert(cloud, "categories", {"name": "Menu", "vat": 1.21})["id"]
    for number in range(rows):
        price = 20.0 + number % 400
        prices = {"vat": 1.21, "priceWithVat": price, "priceWithoutVat": price / 1.21}
        sandbox.shop.insert(
            cloud,
            "products",
            {"externalId": f"SKU-{number}", "name": f"Product {number}", "_categoryId": category} | prices,
        )
    return [
        {"id": row["id"], "externalId": row["externalId"], "priceWithVat": row["priceWithVat"]}
        for row in sandbox.shop.rows(cloud, "products")
    ]


def move(source: Source, changes: int) -> set[str]:
    """Give some rows another price, and return their keys."""
    moved = source[:: max(1, len(source) // changes)][:changes]
    for row in moved:
        row["priceWithVat"] += 1
    return {row["externalId"] for row in moved}


class Task:
    """Plans and applies, as two tasks of a DAG."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self._folder = folder
        self._stage = Stage(folder)
        os.environ["AIRFLOW_CONN_DOTYPOS_DEFAULT"] = json.dumps(sandbox.connection(sandbox.cloud_ids[0]))

    def plan(self, source: object) -> dict[str, Any]:
        """Plan the updates of a source and return what the task returns."""
        operator = DotyposPlanWritesOperator(
            task_id="plan",
            entity="products",
            source=source,
            match="externalId",
            fields=["priceWithVat"],
            plan=f"file://{self._folder}/plans",
        )
        result: dict[str, Any] = self._stage.run(operator, AT)
        return result

    def apply(self, plan: Mapping[str, Any], method: str, first_put_off: datetime | None = None) -> dict[str, Any]:
        """Apply a plan and return what the task returns.

        :raises Exception: to be put off, if the budget is used up.
        """
        operator = DotyposApplyPlanOperator(task_id="apply", plan=plan["plan"], digest=plan["digest"], method=method)
        result: dict[str, Any] = self._stage.run(operator, AT, first_put_off)
        return result


def ours(method: str) -> Callable[[Sandbox, Source, Path], None]:
    """Return ours, which applies by one method."""

    def run(sandbox: Sandbox, source: Source, folder: Path) -> None:
        task = Task(sandbox, folder)
        task.apply(task.plan(_keyed(source)), method)

    return run


def naive(sandbox: Sandbox, source: Source, folder: Path) -> None:
    """Read and write every row, one after the other."""
    cloud = sandbox.cloud_ids[0]
    with requests.Session() as session:
        session.headers["Authorization"] = f"User {sandbox.refresh_token}"
        signed_in = session.post(f"{sandbox.url}/v2/signin/token", json={"_cloudId": cloud})
        session.headers["Authorization"] = f"Bearer {signed_in.json()['accessToken']}"
        for row in source:
            url = f"{sandbox.url}/v2/clouds/{cloud}/products/{row['id']}"
            headers = {"If-Match": session.get(url).headers["ETag"]}
            session.patch(url, json={"priceWithVat": row["priceWithVat"]}, headers=headers).raise_for_status()


#: The ways, ours and the loop.
WAYS: Mapping[str, Callable[[Sandbox, Source, Path], None]] = {
    "ours, PATCH": ours("patch"),
    "ours, list PUT": ours("put"),
    "GET and PATCH of every row": naive,
}


def _keyed(source: Source) -> Source:
    """Return the rows without their ids, which a warehouse doesn't know."""
    return [{name: value for name, value in row.items() if name != "id"} for row in source]


def cost(way: str, rows: int, changes: int, latency: float) -> Cost:
    """Bring prices up to date in one way, each time in a shop of its own; check what it left.

    :param latency: seconds before each answer.
    """
    with Sandbox(Shop.empty()) as sandbox, tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        source = fill(sandbox, rows)
        before = {row["externalId"]: row for row in sandbox.shop.rows(sandbox.cloud_ids[0], "products")}
        moved = move(source, changes)
        sandbox.latency = latency
        started = time.perf_counter()
        WAYS[way](sandbox, source, Path(folder))
        seconds = time.perf_counter() - started
        check(sandbox, source, before, moved, written_alone=way != "GET and PATCH of every row")
        return Cost(len(sandbox.requests), len(sandbox.writes), seconds)


def check(
    sandbox: Sandbox, source: Source, before: Mapping[str, dict[str, Any]], moved: set[str], *, written_alone: bool
) -> None:
    """Check that each price is the warehouse's.

    :param written_alone: whether a row that had its price must be as it was, and a changed one written once.
    :raises AssertionError: if not.
    """
    rows = {row["externalId"]: row for row in sandbox.shop.rows(sandbox.cloud_ids[0], "products")}
    assert {row["externalId"]: row["priceWithVat"] for row in source} == {k: r["priceWithVat"] for k, r in rows.items()}
    if written_alone:
        assert all(rows[key] is row for key, row in before.items() if key not in moved), "a row was written needlessly"
        assert sorted(write.id or 0 for write in sandbox.writes) == sorted(rows[key]["id"] for key in moved)


def costs(rows: int, changes: int, latency: float, rounds: int) -> dict[str, list[Cost]]:
    """Let the ways take turns; return what each took."""
    taken: dict[str, list[Cost]] = {way: [] for way in WAYS}
    for number in range(rounds):
        ways = [*WAYS][number % len(WAYS) :] + [*WAYS][: number % len(WAYS)]
        for way in ways:
            taken[way].append(cost(way, rows, changes, latency))
            print(".", end="", file=sys.stderr, flush=True)
    return taken


def positions() -> Iterable[Behaviour]:
    """Yield the best known behaviour, and each other position of each switch, one at a time."""
    yield from Behaviour.of_writes()
    for name, choices in CHOICES.items():
        yield from (Behaviour(**{name: position}) for position in choices[1:])


def unchanged(rows: int, changes: int) -> dict[str, int]:
    """Apply changes, then the same source again, in every position of every switch; return how much was written.

    :raises AssertionError: if the second run writes.
    """
    tried = first = second = 0
    for behaviour in positions():
        with (
            Sandbox(Shop.empty(), behaviour) as sandbox,
            tempfile.TemporaryDirectory(prefix="benchmark-") as folder,
        ):
            source = fill(sandbox, rows)
            move(source, changes)
            task = Task(sandbox, Path(folder))
            task.apply(task.plan(_keyed(source)), "auto")
            tried, first = tried + 1, first + len(sandbox.writes)
            sandbox.writes.clear()
            task.apply(task.plan(_keyed(source)), "auto")
            second += len(sandbox.writes)
            assert not sandbox.writes, f"written again with {behaviour}"
        print(".", end="", file=sys.stderr, flush=True)
    return {"positions of switches": tried, "rows written by the first runs": first, "by the second": second}


def under_budget(rows: int, changes: int) -> dict[str, float]:
    """Apply a plan by PATCH at 150 requests in half an hour, by a clock that jumps; return what it took.

    :raises AssertionError: if a request was refused, or a row wasn't written once.
    """
    clock, shelf = Clock(), Shelf()
    with Sandbox(Shop.empty()) as sandbox, tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        source = fill(sandbox, rows)
        task = Task(sandbox, Path(folder))
        moved = move(source, changes)
        plan = task.plan(_keyed(source))
        sandbox.requests.clear()
        sandbox.limit = Limit(window="sliding", refused_count=True, clock=clock.monotonic)
        connection = sandbox.connection(sandbox.cloud_ids[0])
        connection["extra"]["request_budget"] = "150/30min"
        began, attempts, first = clock.now(), 0, None
        with (
            jumping(clock),
            patch.dict(os.environ, AIRFLOW_CONN_DOTYPOS_DEFAULT=json.dumps(connection)),
            patch.object(_airflow, "budget_ledger", lambda: lambda digest: shelf),
        ):
            while True:
                attempts += 1
                try:
                    task.apply(plan, "patch", first)
                    break
                except PutOff as put_off:
                    first = first or clock.now()
                    clock.offset += max(0.0, (put_off.reschedule_date - clock.now()).total_seconds())
        refused = sum(request.status == 429 for request in sandbox.requests)
        assert not refused, f"{refused} requests were refused"
        assert len(sandbox.writes) == len(moved), "a row was written twice, or not at all"
        hours = (clock.now() - began).total_seconds() / 3600
        return {"requests": len(sandbox.requests), "attempts": attempts, "hours": hours, "rows": len(sandbox.writes)}


def plan_many(url: str, source: str, folder: str) -> dict[str, float]:
    """Plan a large source, in a process of its own; return the time and the memory that it took."""
    logging.disable()
    connection = {
        "conn_type": "dotypos",
        "login": "benchmark",
        "password": "benchmark",
        "host": url,
        "extra": {"refresh_token": "benchmark", "cloud_id": str(products.CLOUD_ID)},
    }
    os.environ["AIRFLOW_CONN_DOTYPOS_DEFAULT"] = json.dumps(connection)
    start, started = memory("VmRSS"), time.perf_counter()
    operator = DotyposPlanWritesOperator(
        task_id="plan", entity="products", source=source, match="externalId", plan=f"file://{folder}/plans"
    )
    result = Stage(Path(folder)).run(operator, AT)
    return {
        "updates": result["counts"]["update"],
        "seconds": time.perf_counter() - started,
        "peak": memory("VmHWM"),
        "above": memory("VmHWM") - start,
    }


def large_plan(rows: int, every: int) -> dict[str, float]:
    """Plan a CSV file with as many rows, of which some have changed; return what it took.

    :param every: every so manieth has changed.
    :raises AssertionError: if other rows are planned.
    """
    context = multiprocessing.get_context("spawn")
    with (
        products.serving(rows) as url,
        tempfile.TemporaryDirectory(prefix="benchmark-") as folder,
        ProcessPoolExecutor(1, context) as pool,
    ):
        source = Path(folder, "prices.csv")
        changed = products.write_source(source, rows, every)
        result = pool.submit(plan_many, url, str(source), folder).result()
    assert result["updates"] == changed, f"{result['updates']} updates are planned, not {changed}"
    return result


def report_costs(taken: Mapping[str, list[Cost]], rows: int, changes: int, latency: float) -> None:
    """Print what each way took, and check the targets.

    :raises AssertionError: if a way took more requests than it may.
    """
    loop, most = "GET and PATCH of every row", most_requests(rows, changes)
    waits = f"{latency * 1000:g} ms latency, {len(taken[loop])} rounds"
    print(f"\n### {rows:,} rows, {changes:,} prices changed, {waits}\n")
    print("| | requests | at most | rows written | fewer requests than the loop | seconds | of the loop's time |")
    print("|---|---|---|---|---|---|---|")
    for way, results in taken.items():
        asked = results[0].requests
        fewer = taken[loop][0].requests / asked
        shares = [ours.seconds / theirs.seconds for ours, theirs in zip(results, taken[loop], strict=True)]
        allowed = f"{most[way]:,}" if way in most else ""
        print(
            f"| {way} | {asked:,} | {allowed} | {results[0].written:,} | {fewer:.1f} x "
            f"| {spread([result.seconds for result in results], 1)} | {spread(shares, 3)} |",
            flush=True,
        )
        assert asked <= most.get(way, asked), f"{way} took {asked} requests"
        if (rows, changes) == (10_000, 300):
            assert fewer >= FEWER.get(way, 1), f"{way} took only {fewer:.1f} times fewer requests"


def most_requests(rows: int, changes: int) -> dict[str, int]:
    """Return the most requests that each way may take: 103 + 600 and 103 + 8 for 10,000 rows and 300 changes."""
    planning = -(-rows // 100) + 3
    return {"ours, PATCH": planning + 2 * changes, "ours, list PUT": planning + 2 + 2 * -(-changes // 100)}


PARTS = ("costs", "unchanged", "budget", "memory")


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="some of the parts")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--changes", type=int, default=300)
    parser.add_argument("--latency-ms", type=float, default=0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--large", type=int, default=1_000_000, help="rows of the large source")
    asked = parser.parse_args(arguments)
    logging.disable()
    print(machine())
    kept: dict[str, object] = {}
    if "costs" in asked.only:
        taken = costs(asked.rows, asked.changes, asked.latency_ms / 1000, asked.rounds)
        report_costs(taken, asked.rows, asked.changes, asked.latency_ms / 1000)
        kept["costs"] = {way: [vars(result) for result in results] for way, results in taken.items()}
    if "unchanged" in asked.only:
        kept["unchanged"] = again = unchanged(200, 40)
        print("\n### The same source again, in every position of every switch\n")
        print("\n".join(f"- {name}: {value:,}" for name, value in again.items()), flush=True)
    if "budget" in asked.only:
        kept["budget"] = limited = under_budget(asked.rows, asked.changes)
        print(f"\n### {asked.changes:,} PATCHes at 150 requests in half an hour\n")
        print(
            f"{limited['rows']:,} rows in {limited['requests']:,} requests, {limited['attempts']} attempts and "
            f"{limited['hours']:.1f} hours; none was refused, and no row was written twice.",
            flush=True,
        )
    if "memory" in asked.only:
        kept["memory"] = large = large_plan(asked.large, 100)
        print(f"\n### A plan of {asked.large:,} source rows, of which every hundredth has changed\n")
        print(
            f"{large['updates']:,.0f} updates, {large['seconds']:.0f} s, {large['peak']:.0f} MiB at most, "
            f"{large['above']:.0f} MiB above the start",
            flush=True,
        )
    keep("writes", kept)


if __name__ == "__main__":
    main()
