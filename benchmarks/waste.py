"""Count the requests that many threads waste on an uneven day: answers without new rows.

An idle thread takes half of another thread's piece without knowing how many rows it holds, and each end of a piece
costs part of a page. The server says which rows each answer had.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.child import Job, check
from benchmarks.contenders import environment, ours
from benchmarks.machine import machine, spread
from benchmarks.orders import DAY, PAGE
from benchmarks.server import serving, told
from benchmarks.turns import keep


def without_news(answers: Sequence[Sequence[int]]) -> int:
    """Return how many answers were empty, or held only rows of earlier answers."""
    seen: set[int] = set()
    wasted = 0
    for rows in answers:
        wasted += seen.issuperset(rows)
        seen.update(rows)
    return wasted


def extract(url: str, rows: int, workers: int) -> dict[str, float]:
    """Extract the day once and return the time and the shares of wasted requests."""
    told(url)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        job = Job(url, *DAY, rows, Path(name))
        started = time.perf_counter()
        ours(job, concurrency=workers)
        seconds = time.perf_counter() - started
        check(job)
    answers = told(url)["sent"]
    needed = -(-rows // PAGE)
    return {
        "seconds": seconds,
        "requests": len(answers),
        "wasted": without_news(answers) / len(answers),
        "above": len(answers) / needed - 1,
        "again": sum(map(len, answers)) / rows - 1,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Requests wasted on an uneven day.")
    parser.add_argument("--pages", type=int, nargs="+", default=[100, 300])
    parser.add_argument("--workers", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--latency-ms", type=float, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    print(machine())
    print(f"\n### Wasted requests: an uneven day, {asked.latency_ms:g} ms latency, {asked.rounds} rounds\n")
    print("| pages, threads | requests | nothing new, % | above pages, % | rows sent again, % | rows/s |")
    print("|---|---|---|---|---|---|")
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as home:
        for pages in asked.pages:
            with serving(pages * PAGE, asked.latency_ms, uneven=True) as url:
                os.environ.update(environment(url, Path(home)))
                extract(url, pages * PAGE, asked.workers[0])  # imports, and the first connection
                for workers in asked.workers:
                    runs = [extract(url, pages * PAGE, workers) for _ in range(asked.rounds)]
                    found[f"{pages} pages, {workers} threads"] = runs
                    shares = [spread([run[what] * 100 for run in runs], 1) for what in ("wasted", "above", "again")]
                    rate = pages * PAGE / median(run["seconds"] for run in runs)
                    requests = spread([run["requests"] for run in runs])
                    print(f"| {pages}, {workers} | {requests} | {' | '.join(shares)} | {rate:,.0f} |", flush=True)
    keep("wasted requests", {"results": found})


if __name__ == "__main__":
    main()
