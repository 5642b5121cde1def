"""Run a fleet with accidents, and compare what it extracted with the shop. Ends with 1 if a promise was broken."""

# ruff: noqa: T201 (a command, which prints)

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from airflow_provider_dotypos.sandbox import Limit, Sandbox, Shop
from tests.fleet.recorded_limit import RecordedLimit
from tests.fleet.services import (
    FleetError,
    Processes,
    check_programs,
    free_port,
    processes,
    start_postgresql,
    start_redis,
    start_s3,
)
from tests.fleet.settings import SLOTS, settings

#: Holds everything that a run writes. The next run removes it.
FOLDER = Path(__file__).parents[2] / ".work" / "fleet"

WORKERS = 2

#: Seconds added to each answer, about those of a real API. Without them tasks end before an accident can meet them.
LATENCY = 0.3


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; return the exit code."""
    asked = parse(argv)
    try:
        check_programs()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True)
        with processes(FOLDER) as running:
            return run(running, FOLDER, asked)
    except FleetError as error:
        print(f"\n{error}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="python -m tests.fleet", description=__doc__)
    parser.add_argument("--windows", type=int, default=20, help="days to backfill (20)")
    parser.add_argument("--orders-per-day", type=int, default=150, help="orders a day in each cloud's past (150)")
    parser.add_argument("--limit", type=Limit.parse, default=Limit.parse("150/60"), help="REQUESTS/SECONDS (150/60)")
    return parser.parse_args(argv)


def run(running: Processes, folder: Path, asked: argparse.Namespace) -> int:
    """Start everything, let it happen, and report."""
    began = time.monotonic()

    def say(what: str) -> None:
        minutes, seconds = divmod(round(time.monotonic() - began), 60)
        print(f"  {minutes}:{seconds:02d}  {what}", flush=True)

    print(f"Everything that runs logs below {os.path.relpath(folder)}.", flush=True)
    # A day more than is backfilled: a schedule adds yesterday's window by itself.
    shop = Shop.generate(days=asked.windows + 2, orders_per_day=asked.orders_per_day)
    with Sandbox(shop) as sandbox:
        sandbox.latency = LATENCY
        sandbox.limit = limit = RecordedLimit(asked.limit.requests, asked.limit.seconds)
        connection = sandbox.connection()
        connection["extra"]["request_budget"] = f"{limit.requests}/{limit.seconds:g}s"
        database = start_postgresql(running, folder / "postgresql")
        shared = settings(
            database=database,
            broker=start_redis(running, folder / "redis"),
            s3=start_s3(running),
            port=free_port(),
            dotypos=json.dumps(connection),
        )
        # This process reads the sets through Airflow's storage, with the connections of the fleet.
        os.environ.clear()
        os.environ.update(shared | {"AIRFLOW_HOME": f"{folder / 'reader'}", "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"})
        from tests.fleet.airflow_fleet import Airflow
        from tests.fleet.scenario import Scenario

        airflow = Airflow(running, folder, shared)
        airflow.migrate()
        say("PostgreSQL, Redis, the S3 server, and Airflow's tables are there")
        airflow.run("pools", "set", "dotypos", str(WORKERS * SLOTS), "calls to Dotypos")
        airflow.start(WORKERS)
        say(f"Airflow is healthy: {WORKERS} workers, 2 API server processes, and the rest")
        report = Scenario(airflow, sandbox, limit, asked.windows, say).play()
        say("over")
    print(report)
    return 0 if report.right else 1


def _interrupt(signum: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
