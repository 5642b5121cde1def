"""Count the sign-ins of many threads, and the calls that fail when their token expires.

The threads share one client, as a task's threads do, and call the sandbox: first from a cold start, then the same with
every access token expired at half time. The server counts the sign-ins.
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from airflow_provider_dotypos.api.channel import forget_tokens
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.errors import DotyposError
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.sandbox import Sandbox
from benchmarks.machine import machine


def run(threads: int, calls: int, at_half_time: Callable[[Sandbox], None] | None) -> tuple[int, int, int]:
    """Return sign-ins, calls that failed, and requests that the server refused and that were sent again."""
    forget_tokens()
    failed = 0
    done = 0
    counting = threading.Lock()
    together = threading.Barrier(threads)
    with Sandbox() as sandbox:
        settings = Settings(sandbox.url, sandbox.refresh_token, cloud_id=sandbox.cloud_ids[0], max_concurrency=threads)
        client = DotyposClient(settings)

        def work(number: int) -> None:
            nonlocal done, failed
            together.wait()
            for _ in range(calls // threads + (number < calls % threads)):
                try:
                    client.call("GET", f"/clouds/{sandbox.cloud_ids[0]}", decode=lambda answer: answer.json())
                except DotyposError:
                    with counting:
                        failed += 1
                with counting:
                    done += 1
                    half = done == calls // 2
                if half and at_half_time:
                    at_half_time(sandbox)

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, range(threads)))
        client.close()
        refused = sum(request.status >= 400 for request in sandbox.requests)
        if done != calls:
            raise RuntimeError(f"{done} calls were made, not {calls}")
        return sandbox.sign_ins, failed, refused


def main() -> None:
    parser = argparse.ArgumentParser(description="Sign-ins and failed calls of many threads.")
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--calls", type=int, default=1000)
    asked = parser.parse_args()
    print(machine())
    print(f"\n| {asked.threads} threads, {asked.calls} calls | sign-ins | failed calls | refused and sent again |")
    print("|---|---|---|---|")
    for name, event in (("cold start", None), ("… and all tokens expire at half time", Sandbox.expire_tokens)):
        sign_ins, failed, refused = run(asked.threads, asked.calls, event)
        print(f"| {name} | {sign_ins} | {failed} | {refused} |")


if __name__ == "__main__":
    main()
