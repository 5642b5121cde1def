"""Run storms for some minutes. Ends with 1 if a promise was broken."""

# ruff: noqa: T201 (a command, which prints)

from __future__ import annotations

import argparse
import faulthandler
import itertools
import logging
import os
import random
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context

from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.sandbox.behaviour import BEST_KNOWN
from demo import children
from tests.api.walking import empty_shop
from tests.patience import PATIENCE
from tests.storms.scenarios import SCENARIOS, Figures


@dataclass
class Run:
    """What the storms of one scenario came to."""

    storms: int = 0
    seconds: float = 0.0
    figures: Figures = field(default_factory=Figures)
    failed: list[int] = field(default_factory=list)

    def add(self, other: Run) -> None:
        self.storms += other.storms
        self.seconds += other.seconds
        self.figures += other.figures
        self.failed += other.failed


@dataclass(frozen=True)
class Share:
    """What one process does.

    :param seeds: its first seed, and the step to the next.
    :param most: storms of each scenario at most.
    """

    names: tuple[str, ...]
    seeds: tuple[int, int]
    minutes: float
    most: int | None


def run_share(share: Share) -> dict[str, Run]:
    """Run storms until the time is over; that scenario comes next that had the least of it."""
    end = time.monotonic() + 60 * share.minutes
    logging.disable(logging.CRITICAL)  # a storm is full of warnings
    runs = {name: Run() for name in share.names}
    seeds = {name: itertools.count(*share.seeds) for name in share.names}
    with Sandbox(empty_shop()) as api:
        while time.monotonic() < end:
            left = [name for name in share.names if share.most is None or runs[name].storms < share.most]
            if not left:
                break
            name = min(left, key=lambda name: runs[name].seconds)
            api.requests.clear()
            api.faults.clear()
            api.limit, api.latency, api.date_offset, api.behaviour = None, 0.0, 0.0, BEST_KNOWN
            run_storm(name, next(seeds[name]), api, runs[name])
    return runs


def run_storm(name: str, seed: int, api: Sandbox, run: Run) -> None:
    """Run one storm, and say so if it breaks a promise."""
    began = time.monotonic()
    try:
        with ended_if_hanging(name, seed):
            figures = SCENARIOS[name](seed, api)
        run.figures += figures
        if figures.lost or figures.doubled:
            raise AssertionError(f"lost {figures.lost}, doubled {figures.doubled}")
    except Exception:
        run.failed.append(seed)
        traceback.print_exc()
        print(f"FAILED: {again(name, seed)}", file=sys.stderr, flush=True)
    run.storms += 1
    run.seconds += time.monotonic() - began


@contextmanager
def ended_if_hanging(name: str, seed: int) -> Iterator[None]:
    """End the process, with what its threads do, if this takes far too long."""

    def end() -> None:
        faulthandler.dump_traceback(all_threads=True)
        print(f"HANGS: {again(name, seed)}", file=sys.stderr, flush=True)
        os._exit(1)

    timer = threading.Timer(PATIENCE, end)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def again(name: str, seed: int) -> str:
    """Return the command that runs a storm once more."""
    return f"python -m tests.storms --only {name} --seed {seed} --storms 1"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.storms", description=__doc__)
    parser.add_argument("--minutes", type=float, default=12.0, help="how long (12)")
    parser.add_argument("--storms", type=int, help="how many of each scenario at most; in one process")
    parser.add_argument("--seed", type=int, default=random.randrange(10**9), help="the first seed (any)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (one a core)")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), help="some of the scenarios")
    asked = parser.parse_args(argv)
    jobs = 1 if asked.storms else asked.jobs
    print(f"Storms for up to {asked.minutes:g} minutes, processes: {jobs}, first seed: {asked.seed}", flush=True)
    shares = [Share(tuple(asked.only), (asked.seed + job, jobs), asked.minutes, asked.storms) for job in range(jobs)]
    if jobs == 1:
        return report([run_share(shares[0])])
    with ProcessPoolExecutor(jobs, get_context("spawn"), children.end_with_parent) as pool:
        return report(list(pool.map(run_share, shares)))


def report(results: Sequence[dict[str, Run]]) -> int:
    """Print what the storms came to; return the exit code."""
    print(f"\n| storms of | storms | failed | rows | requests | lost | doubled | seconds |\n{'|---' * 8}|")
    failed = 0
    for name in results[0]:
        total = Run()
        for result in results:
            total.add(result[name])
        failed += len(total.failed)
        figures = total.figures
        cells = [total.storms, len(total.failed), figures.rows, figures.requests, figures.lost, figures.doubled]
        print(f"| {name} | {' | '.join(f'{cell:,}' for cell in cells)} | {total.seconds:,.0f} |")
        for seed in total.failed:
            print(f"  {again(name, seed)}")
    return 1 if failed else 0
