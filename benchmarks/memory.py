"""Measure the peak memory of a large extraction by many threads, above that of the process after its imports.

Rows must not pile up: each thread holds a page and a file's buffers, however many rows come.
"""

from __future__ import annotations

import argparse

from benchmarks.machine import machine
from benchmarks.orders import MAKES
from benchmarks.turns import Contender, compare

FORMATS: dict[str, dict[str, object]] = {
    "jsonl": {},
    "jsonl, gzip": {"compression": "gzip"},
    "parquet": {"file_format": "parquet"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Peak memory of a large extraction by many threads.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--latency-ms", type=float, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--makes", nargs="+", choices=MAKES, default=list(MAKES), help="what rows look like")
    parser.add_argument("--only", nargs="+", choices=FORMATS, help="some of the formats")
    asked = parser.parse_args()
    print(machine())
    contenders = [
        Contender(name, "benchmarks.contenders:ours", {"concurrency": asked.workers, **arguments})
        for name, arguments in FORMATS.items()
        if not asked.only or name in asked.only
    ]
    for make in asked.makes:
        title = f"memory of {asked.workers} threads, {make} rows"
        compare(title, contenders, rows=asked.rows, latency_ms=asked.latency_ms, rounds=asked.rounds, make=make)


if __name__ == "__main__":
    main()
