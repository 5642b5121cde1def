"""Compare many threads on one window, at a real network's latency, with raw sockets of as many connections.

The sockets fetch the same pages by number and write the answers unseen. Nothing in Python is faster, and their rate
shows that the server isn't the limit.
"""

from __future__ import annotations

import argparse

from benchmarks.machine import machine
from benchmarks.turns import Contender, compare


def pair(workers: int, rows: int) -> list[Contender]:
    """Return the operator and the sockets with as many connections.

    :param rows: how many they extract. A few connections would take very long for as many rows as many connections.
    """
    return [
        Contender(f"ours x {workers}", "benchmarks.contenders:ours", {"concurrency": workers}, rows=rows),
        Contender(f"raw sockets x {workers}", "benchmarks.contenders:raw_sockets", {"connections": workers}, rows=rows),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Many threads beside as many raw sockets.")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--rows", type=int, default=300_000, help="rows for the most workers; fewer have their share")
    parser.add_argument("--latency-ms", type=float, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    print(machine())
    most = max(asked.workers)
    contenders = [
        each for workers in sorted(asked.workers) for each in pair(workers, asked.rows * workers // most // 100 * 100)
    ]
    compare(
        f"together at {asked.latency_ms:g} ms",
        contenders,
        rows=asked.rows,
        latency_ms=asked.latency_ms,
        rounds=asked.rounds,
        own=[f"ours x {most}"],
    )


if __name__ == "__main__":
    main()
