"""Compare rows per second and peak memory of an extraction by one worker with those of the alternatives, in one run.

All use the same server and write a file that is on the disk. The files are read back.
"""

from __future__ import annotations

import argparse

from benchmarks.machine import machine
from benchmarks.turns import Contender, compare

#: Rows for a run with latency. One page per round trip takes long, and some hundred pages show the result.
LATENCY_ROWS = 20_000

CONTENDERS = (
    Contender("ours", "benchmarks.contenders:ours", {"concurrency": 1}),
    Contender("plain loop", "benchmarks.contenders:plain_loop"),
    Contender("HttpOperator", "benchmarks.contenders:http_operator"),
    Contender("raw socket", "benchmarks.contenders:raw_sockets"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="One worker beside HttpOperator, a plain loop and a raw socket.")
    parser.add_argument("--rows", type=int, default=100_000, help="rows without latency")
    parser.add_argument("--latency-rows", type=int, default=LATENCY_ROWS, help="rows with latency")
    parser.add_argument("--latency-ms", type=float, nargs="+", default=[0, 50])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=[each.name for each in CONTENDERS], help="some of the contenders")
    asked = parser.parse_args()
    print(machine())
    contenders = [each for each in CONTENDERS if not asked.only or each.name in asked.only]
    for latency in asked.latency_ms:
        rows = asked.rows if latency == 0 else min(asked.rows, asked.latency_rows)
        title = f"one worker at {latency:g} ms"
        compare(title, contenders, rows=rows, latency_ms=latency, rounds=asked.rounds, own=["ours"])


if __name__ == "__main__":
    main()
