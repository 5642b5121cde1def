"""What watchers and webhooks cost: stalls of a triggerer, requests, seconds until a DAG runs, wrong deliveries.

Everything runs in Airflow's own processes, in homes of the benchmark's own, against the sandbox. Runs with watchers and
runs of as many triggers that do nothing take turns, so that both see the same machine. Kills of the triggerer are in
``tests/events``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from airflow_provider_dotypos.sandbox import Fault, Sandbox, Shop
from benchmarks.deliveries import measure_latency, measure_wrong
from benchmarks.machine import machine, spread
from benchmarks.triggerer import IDLE_DAG, WATCHERS_DAG, Loop, triggerer
from benchmarks.turns import keep

#: Lists with and without a marker of deleted rows. Products take 1.2 requests a poll, as the marker may be null.
ENTITIES = (
    *("orders", "order-items", "money-logs", "products", "categories", "customers", "reservations", "tables"),
    *("employees", "branches"),
)
#: Lists with filters that only their watchers evaluate, each with a number of its own.
FILTERED = {
    "orders": "_employeeId|ne|{}",
    "products": "priceWithVat|ne|{}",
    "warehouse-products": "stockQuantityStatus|gt|{}",
}
#: So many requests that the budget slows no poll down.
UNLIMITED = "100000/1min"
FOR_EVER = 10**9

Options = dict[str, Any]


class Polls(NamedTuple):
    """What the server saw of the polls in the measured time.

    :param due: list calls that were due, and those that were made.
    :param sign_ins: in all.
    """

    due: float
    made: int
    sign_ins: int


def stall_alone(folder: Path, name: str, triggers: int, seconds: float) -> Loop:
    """Measure the loop beside triggers that do nothing."""
    with triggerer(folder, name) as running:
        running.begin(IDLE_DAG.format(count=triggers), triggers)
        return running.measure(seconds)


def stall_watched(
    folder: Path, name: str, connections: int, seconds: float, interval: float, *, troubled: bool
) -> tuple[Loop, Polls]:
    """Measure the loop beside watchers of ten lists for each connection.

    :param troubled: whether three more clouds are watched, of which one throttles, one hangs and one refuses the token.
    """
    with clouds(connections, troubled=troubled) as (sandbox, stored):
        watchers = [
            {"entity": entity, "dotypos_conn_id": conn_id, "poll_interval": interval}
            for conn_id in stored
            for entity in ENTITIES
        ]
        connected = {
            f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(connection) for conn_id, connection in stored.items()
        }
        with triggerer(folder, name, **connected) as running:
            lists = connections * len(ENTITIES)
            running.begin(WATCHERS_DAG.format(watchers=watchers), len(watchers), lambda: len(_polled(sandbox)) >= lists)
            before, since = _list_calls(sandbox), time.monotonic()
            loop = running.measure(seconds)
            made, passed = _list_calls(sandbox) - before, time.monotonic() - since
    due = connections * (len(ENTITIES) + 0.2) * passed / interval
    return loop, Polls(due, made, sandbox.sign_ins)


@contextmanager
def clouds(connections: int, *, troubled: bool = False) -> Iterator[tuple[Sandbox, dict[str, Options]]]:
    """Run a sandbox that answers after 300 ms; yield it, and connections to it, which share no token.

    :param troubled: whether there are three connections to others in trouble, too.
    """
    with Sandbox(Shop.generate(days=1)) as sandbox, Sandbox() as throttled, Sandbox() as hanging, Sandbox() as revoked:
        sandbox.latency = 0.3
        throttled.faults.append(Fault("429", retry_after="600", times=FOR_EVER, path="/v2/clouds"))
        hanging.faults.append(Fault("hang", times=FOR_EVER, path="/v2/clouds"))
        revoked.tokens.refresh.clear()
        stored = {f"cloud_{number}": _connection(sandbox) for number in range(connections)}
        if troubled:
            stored |= {
                "throttled": _connection(throttled),
                "hanging": _connection(hanging),
                "revoked": revoked.connection(),
            }
        yield sandbox, stored


def _connection(sandbox: Sandbox) -> Options:
    connection = sandbox.connection()
    token = sandbox.tokens.connect(sandbox.cloud_ids[0])
    return connection | {"extra": connection["extra"] | {"refresh_token": token, "request_budget": UNLIMITED}}


def _polled(sandbox: Sandbox) -> set[tuple[str, str]]:
    """Return the lists that were polled, each with the token that was used."""
    calls = [request for request in list(sandbox.requests) if _is_list(request.path)]
    return {(request.headers["authorization"], request.path) for request in calls}


def _list_calls(sandbox: Sandbox) -> int:
    return sum(_is_list(request.path) for request in list(sandbox.requests))


def _is_list(path: str) -> bool:
    return path.count("/") in (4, 6)  # /v2/clouds/1/orders, /v2/clouds/1/warehouses/2/products


def stalls(folder: Path, asked: argparse.Namespace) -> None:
    """Print the stalls of rounds of triggers that do nothing and of watchers, in turns."""
    connections = asked.triggers // len(ENTITIES)
    kinds = ("nothing", "watchers", "watchers, three clouds in trouble")
    loops: dict[str, list[Loop]] = {kind: [] for kind in kinds}
    polls: dict[str, list[Polls]] = {kind: [] for kind in kinds[1:]}
    for number in range(asked.rounds):
        for kind in kinds:
            name = f"{number}-{kinds.index(kind)}"
            if kind == "nothing":
                loops[kind].append(stall_alone(folder, name, asked.triggers, asked.seconds))
                continue
            loop, seen = stall_watched(
                folder, name, connections, asked.seconds, asked.interval, troubled=kind != "watchers"
            )
            loops[kind].append(loop)
            polls[kind].append(seen)
    print(
        f"\n| {asked.triggers} triggers, a poll each {asked.interval:g} s, answers after 300 ms; ms "
        "| longest stall | of it at work | longest of 5 s | longest while they begin | of it at work "
        "| threads | CPU s / 5 s | MiB | was blocked | polls made, % | sign-ins |"
    )
    print("|---" * 12 + "|")
    for kind in kinds:
        _print_loops(kind, loops[kind], polls.get(kind, []))
    keep("events-stalls", {kind: [vars(loop) for loop in each] for kind, each in loops.items()})


def _print_loops(kind: str, loops: Sequence[Loop], polls: Sequence[Polls]) -> None:
    stalls = ([getattr(loop, name) for loop in loops] for name in ("steady", "busy", "usual", "first", "first_busy"))
    shares = [100 * each.made / each.due for each in polls]
    cells = [
        kind,
        *map(spread, stalls),
        str(max(loop.threads for loop in loops)),
        spread([loop.cpu for loop in loops], 2),
        spread([loop.mib for loop in loops]),
        str(sum(loop.blocked for loop in loops)),
        spread(shares) if shares else "",
        str(max((each.sign_ins for each in polls), default="")),
    ]
    print(f"| {' | '.join(cells)} |", flush=True)


def count_requests(folder: Path, asked: argparse.Namespace) -> None:
    """Print the requests of polls by list, with many watchers of each."""
    with clouds(1) as (sandbox, stored):
        sandbox.latency = 0.0
        (conn_id,) = stored
        watchers = [
            {"entity": entity, "filter": filter, "dotypos_conn_id": conn_id, "poll_interval": asked.interval}
            for entity, filter in FILTERED.items()
            for filter in (filter.format(number) for number in range(asked.triggers // len(FILTERED)))
        ]
        connected = {f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(stored[conn_id])}
        with triggerer(folder, "requests", **connected) as running:
            code = WATCHERS_DAG.format(watchers=watchers)
            running.begin(code, len(watchers), lambda: len(_polled(sandbox)) >= len(FILTERED))
            before, since = len(sandbox.requests), time.monotonic()
            running.measure(asked.seconds)
            polls = (time.monotonic() - since) / asked.interval
        calls = Counter(request.path.partition("/v2/clouds/")[2] for request in sandbox.requests[before:])
        warehouses = len(sandbox.shop.rows(sandbox.cloud_ids[0], "warehouses"))
    print(f"\n| list, watched by {asked.triggers // len(FILTERED)} with filters of their own | requests a poll |")
    print("|---|---|")
    for entity in FILTERED:
        made = sum(count for path, count in calls.items() if entity == _list_of(path))
        name = f"{entity} of {warehouses} warehouse" if entity == "warehouse-products" else entity
        print(f"| {name} | {made / polls:.2f} |", flush=True)


def _list_of(path: str) -> str:
    """Return the list that a path leads to, such as ``orders``."""
    parts = path.split("/")
    return "warehouse-products" if len(parts) == 4 else parts[-1]


def latency(folder: Path, asked: argparse.Namespace) -> None:
    """Print the seconds from a change to its DAG run."""
    seconds = measure_latency(folder, asked.changes, asked.interval)
    print(f"\n| {asked.changes} changes, a poll each {asked.interval:g} s | seconds until the DAG run |\n|---|---|")
    for kind, each in seconds.items():
        print(f"| by {kind} | {spread(each, 1)} |", flush=True)
    keep("events-latency", seconds)


def wrong(folder: Path, asked: argparse.Namespace) -> None:
    """Print what wrong deliveries leave behind."""
    left = measure_wrong(folder, asked.deliveries)
    print("\n| wrong deliveries | answers | seconds | own lines in the log | lines with the token | MiB, then |")
    print("|---|---|---|---|---|---|")
    answers = ", ".join(f"{count:,} of {status}" for status, count in sorted(left.answers.items()))
    print(
        f"| {left.sent:,} | {answers} | {left.seconds:.0f} | {left.own_lines} | {left.shown} | "
        f"{left.mib[0]:.0f}, {left.mib[1]:.0f} |",
        flush=True,
    )
    keep("events-wrong", left._asdict())


PARTS = {"stalls": stalls, "requests": count_requests, "latency": latency, "wrong": wrong}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="What watchers and webhooks cost.")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="some of the parts")
    parser.add_argument("--triggers", type=int, default=200, help="triggers in one triggerer")
    parser.add_argument("--seconds", type=float, default=60, help="seconds that a round is measured")
    parser.add_argument("--interval", type=float, default=5, help="seconds between polls")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of stalls")
    parser.add_argument("--changes", type=int, default=20, help="changes of each kind")
    parser.add_argument("--deliveries", type=int, default=10_000, help="wrong deliveries")
    asked = parser.parse_args(arguments)
    print(machine())
    for part in asked.only:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            PARTS[part](Path(folder), asked)


if __name__ == "__main__":
    main()
