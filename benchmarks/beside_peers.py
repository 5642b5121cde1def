"""Compare our operator with dlt, Airbyte's low-code CDK and a Singer tap: same server, same rows, up to files.

Each of them runs at its best: the settings in ``peers`` are the fastest of those that were tried, see
``docs/background/benchmarks.md``. At a network's latency dlt and Airbyte run twice: with the usual description of a
paged list, which they read one page after another, and with the window cut into 16 by hand, which they read at once.
"""

from __future__ import annotations

import argparse

from benchmarks.machine import machine
from benchmarks.peers.setup import NAMES, python, requirements
from benchmarks.turns import Contender, compare

WORKERS = 16
COMPARISONS = ("one-worker", "parquet", "latency")


def ours(name: str, rows: int | None = None, **arguments: object) -> Contender:
    return Contender(name, "benchmarks.contenders:ours", arguments, rows=rows)


def peer(label: str, name: str, rows: int | None = None, **options: object) -> Contender:
    return Contender(label, f"benchmarks.peers.{name}_files:extract", options, python(name), rows)


def at_latency(rounds: int, rows: int, latency_ms: float) -> None:
    """Compare many threads at a network's latency.

    The peers are slow, so they get fewer rows. For the ratios ours gets as few, because the start and the end weigh
    more then.
    """
    some = rows // 5
    with_some = f"ours x {WORKERS}, {some:,} rows"
    contenders = [
        Contender(f"raw sockets x {WORKERS}", "benchmarks.contenders:raw_sockets", {"connections": WORKERS}),
        ours(f"ours x {WORKERS}", concurrency=WORKERS),
        ours(with_some, some, concurrency=WORKERS),
        peer("dlt", "dlt", some),
        peer("dlt, 16 windows by hand", "dlt", some, windows=WORKERS),
        peer("Airbyte", "airbyte", some),
        peer("Airbyte, 16 windows by hand", "airbyte", some, windows=WORKERS, workers=2 * WORKERS),
        peer("Singer tap", "singer", some),
        peer("Singer tap, tuned", "singer", some, fast=True),
    ]
    title = f"beside peers at {latency_ms:g} ms"
    own = [f"ours x {WORKERS}", with_some]
    compare(title, contenders, rows=rows, latency_ms=latency_ms, rounds=rounds, own=own)


def one_worker(rounds: int, rows: int) -> None:
    """Compare one worker without latency: the processor time and memory of each."""
    contenders = [
        ours("ours", concurrency=1),
        peer("dlt", "dlt"),
        peer("Airbyte", "airbyte"),
        peer("Singer tap", "singer"),
        peer("Singer tap, tuned", "singer", fast=True),
    ]
    compare("beside peers at 0 ms", contenders, rows=rows, latency_ms=0, rounds=rounds, own=["ours"])


def parquet(rounds: int, rows: int) -> None:
    """Compare Parquet, with the peer that writes it."""
    contenders = [
        ours("ours", concurrency=1, file_format="parquet"),
        peer("dlt", "dlt", file_format="parquet"),
    ]
    compare("Parquet beside dlt at 0 ms", contenders, rows=rows, latency_ms=0, rounds=rounds, own=["ours"])


def main() -> None:
    parser = argparse.ArgumentParser(description="Beside dlt, Airbyte's low-code CDK and a Singer tap.")
    parser.add_argument("--only", nargs="+", choices=COMPARISONS, default=COMPARISONS, help="some of the comparisons")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=60_000, help="rows without latency")
    parser.add_argument("--latency-rows", type=int, default=300_000, help="rows with latency, for ours")
    parser.add_argument("--latency-ms", type=float, default=50)
    asked = parser.parse_args()
    print(machine())
    print("; ".join(", ".join(requirements(name).split()) for name in NAMES))
    if "one-worker" in asked.only:
        one_worker(asked.rounds, asked.rows)
    if "parquet" in asked.only:
        parquet(asked.rounds, asked.rows)
    if "latency" in asked.only:
        at_latency(asked.rounds, asked.latency_rows, asked.latency_ms)


if __name__ == "__main__":
    main()
