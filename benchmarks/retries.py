"""Measure what throttling costs: many workers call a server that answers a number of calls per second.

The limit holds for any second (a sliding window), the hardest kind: it forgives no burst. The server says
``Retry-After: 1`` with each refusal. The benchmark counts calls that failed for good, and requests sent for each call
that succeeded. A policy that gives up after a number of tries loses pages here. One that wakes all workers at the same
moment sends far more requests than it needs.
"""

from __future__ import annotations

import argparse
import logging
import time
from concurrent.futures import ThreadPoolExecutor

from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.errors import DotyposError
from airflow_provider_dotypos.api.settings import Settings
from benchmarks.machine import machine
from benchmarks.orders import CLOUD_ID
from benchmarks.server import serving, told


def main() -> None:
    parser = argparse.ArgumentParser(description="Requests per success, and failed calls, under throttling.")
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--per-second", type=int, default=10)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--latency-ms", type=float, default=50)
    asked = parser.parse_args()
    logging.disable()
    print(machine())
    with serving(0, asked.latency_ms, per_second=asked.per_second) as url:
        client = DotyposClient(Settings(url, "0" * 32, cloud_id=CLOUD_ID, max_concurrency=asked.workers))

        def call(_: int) -> bool:
            try:
                client.call("GET", f"/clouds/{CLOUD_ID}", decode=lambda answer: answer.json())
            except DotyposError:
                return False
            return True

        started = time.monotonic()
        with ThreadPoolExecutor(asked.workers) as pool:
            succeeded = sum(pool.map(call, range(asked.calls)))
        seconds = time.monotonic() - started
        client.close()
        sent = told(url)["calls"] - 1  # without the sign-in
    print("\n| workers | calls | allowed per s | failed | requests per success | seconds; at best |")
    print("|---|---|---|---|---|---|")
    best = asked.calls / asked.per_second
    print(
        f"| {asked.workers} | {asked.calls} | {asked.per_second} | {asked.calls - succeeded} | "
        f"{sent / max(1, succeeded):.2f} | {seconds:.0f}; {best:.0f} |"
    )


if __name__ == "__main__":
    main()
