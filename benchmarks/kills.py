"""Measure what kill -9 costs: an extraction by several threads is killed at a random moment; the next try finishes it.

The server says which rows it sent to the second try. The benchmark counts its answers with rows of parts that the first
try had finished (they should be kept), and the rows lost and doubled in the set of the second try.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from airflow_provider_dotypos.transfers.piece_writer import PartAge
from benchmarks.child import Job, ids, ids_of
from benchmarks.contenders import environment, ours
from benchmarks.machine import machine
from benchmarks.orders import DAY, FIRST_ID, PAGE
from benchmarks.server import serving, told
from benchmarks.turns import keep

_fork = multiprocessing.get_context("fork")

FORMATS: dict[str, dict[str, object]] = {
    "jsonl": {},
    "jsonl, gzip": {"compression": "gzip"},
    "parquet": {"file_format": "parquet"},
}

#: Sizes in bytes of parts so small that some are finished at most moments of a run of a second or two.
SMALL = {"jsonl": 100_000, "jsonl, gzip": 5_000, "parquet": 5_000}


@dataclass(frozen=True)
class Kill:
    """The result of one kill.

    :param at: when, as a share of the time of a whole run.
    :param sent: rows that the server had sent by then.
    :param kept: rows in finished parts.
    :param again: answers of the next try with such rows.
    :param repeated: other rows that were sent to both tries: they were in flight.
    :param requests: list calls of the next try.
    :param pages: list calls that its rows need at least.
    :param lost: rows missing in the end.
    :param doubled: rows that the set holds more than once.
    """

    at: float
    sent: int
    kept: int
    again: int
    repeated: int
    requests: int
    pages: int
    lost: int
    doubled: int


def finished(folder: Path) -> set[int]:
    """Return the numbers of the rows in whole parts: parts with a sidecar."""
    parts = [path.with_name(path.name[1:]).with_suffix("") for path in folder.rglob("_*.meta")]
    # Killed while it removed what it had merged, it leaves sidecars without parts.
    return {id - FIRST_ID for path in parts if path.exists() for id in ids_of(path)}


def run(job: Job, arguments: Mapping[str, object], seconds: float | None = None) -> float:
    """Extract in a process of its own, kill it after some seconds if it still runs, and return how long it took."""
    process = _fork.Process(target=ours, args=(job,), kwargs=dict(arguments))
    started = time.perf_counter()
    process.start()
    process.join(seconds)
    took = time.perf_counter() - started
    process.kill()
    process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"an extraction failed, with exit code {process.exitcode}")
    return took


def kill_once(job: Job, arguments: Mapping[str, object], whole: float) -> Kill:
    """Kill an extraction at a random moment of a whole run's time, let the next try finish, and count."""
    at = random.random()
    told(job.url)
    run(job, arguments, at * whole)
    first = {row for rows in told(job.url)["sent"] for row in rows}
    kept = finished(job.folder)
    run(job, arguments)
    answers = told(job.url)["sent"]
    second = {row for rows in answers for row in rows}
    found = list(ids(job.folder))
    return Kill(
        at=at,
        sent=len(first),
        kept=len(kept),
        again=sum(not kept.isdisjoint(rows) for rows in answers),
        repeated=len(first & second - kept),
        requests=len(answers),
        pages=-(-(job.rows - len(kept)) // PAGE),
        lost=job.rows - len(set(found)),
        doubled=len(found) - len(set(found)),
    )


def kill_often(url: str, rows: int, kills: int, arguments: Mapping[str, object]) -> list[Kill]:
    """Kill that many extractions, each in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folders = [Path(name) / str(number) for number in range(kills + 1)]
        jobs = [Job(url, *DAY, rows, folder) for folder in folders]
        whole = run(jobs[0], arguments)
        return [kill_once(job, arguments, whole) for job in jobs[1:]]


def print_kills(name: str, found: list[Kill]) -> None:
    """Print a row of the table."""
    partly = [kill for kill in found if kill.kept > 0 and kill.requests]
    more = sum(kill.requests for kill in partly) / max(1, sum(kill.pages for kill in partly)) - 1
    sums = [sum(getattr(kill, what) for kill in found) for what in ("again", "lost", "doubled")]
    again = [kill.repeated / kill.sent for kill in found if kill.sent and kill.requests]
    shares = [f"{median(again):.0%}", f"{max(again):.0%}", f"{more:.0%}"]
    cells = [len(found), len(partly), *sums, f"{median(kill.repeated for kill in found):,.0f}", *shares]
    print(f"| {name} | {' | '.join(map(str, cells))} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what kill -9 costs an extraction by several threads.")
    parser.add_argument("--kills", type=int, default=50, help="for each format")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--latency-ms", type=float, default=5)
    parser.add_argument("--only", nargs="+", choices=FORMATS, help="some of the formats")
    parser.add_argument("--default-parts", action="store_true", help="parts of the default size; needs longer runs")
    parser.add_argument("--part-seconds", type=float, help="age at which parts end; small ones are merged in the end")
    asked = parser.parse_args()
    print(machine())
    print(f"\n### kill -9: {asked.rows:,} rows of an uneven day, {asked.workers} threads\n")
    print(
        "| | kills | with parts kept, not all | answers with rows of kept parts | rows lost | rows doubled | "
        "rows in flight, fetched again (median) | of those sent, % (median) | (most) | requests above pages needed |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    results = {}
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-") as home,
        serving(asked.rows, asked.latency_ms, uneven=True) as url,
    ):
        os.environ.update(environment(url, Path(home)))
        for module in ("dotypos_to_object_storage", "engine", "files.sink"):  # once, not in every process
            importlib.import_module(f"airflow_provider_dotypos.transfers.{module}")
        if asked.part_seconds:
            PartAge.LEAST, PartAge.SHARE = asked.part_seconds, 0.0
        for name in asked.only or FORMATS:
            parts = {} if asked.default_parts else {"max_part_bytes": SMALL[name]}
            found = kill_often(url, asked.rows, asked.kills, {"concurrency": asked.workers, **FORMATS[name], **parts})
            print_kills(name, found)
            results[name] = [vars(kill) for kill in found]
    keep("kills", {"results": results})


if __name__ == "__main__":
    main()
