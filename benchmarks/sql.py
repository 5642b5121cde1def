"""Measure loading into PostgreSQL: end to end beside dlt's merge, loading alone beside a plain COPY, memory, accidents.

Contenders take turns within one run, as in the other benchmarks, and their tables are read back. The database is a
PostgreSQL from pip, in processes of its own, with its usual settings.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import machine, spread
from benchmarks.peers.setup import python, requirements
from benchmarks.sql_accidents import accidents
from benchmarks.turns import TOP, Contender, Result, Results, compare, keep
from tests.transfers.sql.databases import Postgres, postgres_server

PARTS = ("end-to-end", "load", "memory", "accidents")
WINDOWS = 8


def end_to_end(server: Postgres, rounds: int, rows: int, latency_ms: float, workers: int) -> None:
    """Compare with dlt's merge: as usual, and with the window cut by hand. It is slow, so it gets fewer rows."""
    database, some = str(server.folder / "data"), rows // 5
    dlt = {"python": python("dlt"), "rows": some}
    peer, ours = "benchmarks.peers.dlt_tables:extract", "benchmarks.tables:ours"
    by_hand = {"database": database, "windows": WINDOWS}
    contenders = [
        Contender(f"ours x {workers}", ours, {"database": database, "concurrency": workers}),
        Contender(f"ours x {workers}, {some:,} rows", ours, {"database": database, "concurrency": workers}, rows=some),
        Contender("dlt", peer, {"database": database}, **dlt),
        Contender(f"dlt, {WINDOWS} windows by hand", peer, by_hand, **dlt),
        Contender(f"dlt, {WINDOWS} windows by hand, CSV", peer, by_hand | {"file_format": "csv"}, **dlt),
        Contender(f"dlt, {WINDOWS} windows by hand, upsert", peer, by_hand | {"strategy": "upsert"}, **dlt),
    ]
    own = [each.name for each in contenders[:2]]
    compare("into PostgreSQL", contenders, rows=rows, latency_ms=latency_ms, rounds=rounds, own=own)


def load(server: Postgres, rounds: int, rows: int, workers: int) -> None:
    """Compare loading alone with a plain COPY, and merging what hasn't changed with the first merge."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        result = Path(name) / "result.json"
        arguments = [str(server.folder / "data"), str(rows), str(workers), str(rounds), str(result)]
        subprocess.run([sys.executable, "-m", "benchmarks.load", *arguments], cwd=TOP, check=True)
        results: Results = json.loads(result.read_bytes())
    print(f"\n### loading alone: {rows:,} rows, {workers} threads, {rounds} rounds\n")
    print("| | rows/s | CPU us/row: ours | the server's | staging, s | merge, s |")
    print("|---|---|---|---|---|---|")
    for name, found in results.items():
        rates = spread([each["rows"] / each["seconds"] for each in found])
        cpu = [spread([each[of] / each["rows"] * 1e6 for each in found], 1) for of in ("cpu", "server_cpu")]
        steps = [spread([each[step] for each in found], 2) if step in found[0] else "" for step in ("staging", "merge")]
        print(f"| {name} | {rates} | {' | '.join(cpu + steps)} |")
    rounds_of = list(zip(results["ours"], results["plain COPY"], results["ours, again"], strict=True))
    speeds = spread([copy["seconds"] / own["seconds"] for own, copy, _ in rounds_of], 2)
    cpu_of = spread([_all_cpu(copy) / _all_cpu(own) for own, copy, _ in rounds_of], 2)
    print(f"\nours / plain COPY: rows/s {speeds}; rows for the same processor time of both sides {cpu_of}")
    times = spread([again["merge"] / first["merge"] for first, _, again in rounds_of], 2)
    cpu_of = spread([again["merge_cpu"] / first["merge_cpu"] for first, _, again in rounds_of], 2)
    print(f"merging again / first: time {times}; the server's processor time {cpu_of}")
    touched = max(again["inserted"] + again["updated"] for _, _, again in rounds_of)
    print(f"rows touched by merging again: {touched}", flush=True)
    keep("loading alone", {"rows": rows, "results": results})


def _all_cpu(result: Result) -> float:
    return result["cpu"] + result["server_cpu"]


def memory(server: Postgres, rounds: int, rows: int, workers: int) -> None:
    """Measure the peak memory of a large load by many threads."""
    options = {"database": str(server.folder / "data"), "concurrency": workers}
    contenders = [Contender(f"ours x {workers}", "benchmarks.tables:ours", options)]
    for make in ("usual", "other"):
        compare(
            f"memory of {workers} threads into PostgreSQL, {make} rows",
            contenders, rows=rows, latency_ms=0, rounds=rounds, make=make,
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Loading into PostgreSQL, beside dlt and a plain COPY.")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="some of the parts")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--latency-ms", type=float, default=50)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--memory-rows", type=int, default=1_000_000)
    parser.add_argument("--memory-rounds", type=int, default=1)
    parser.add_argument("--kills", type=int, default=50, help="kill -9 of the worker, one a load")
    parser.add_argument("--stops", type=int, default=10, help="immediate stops of the server, one a load")
    parser.add_argument("--cuts", type=int, default=20, help="connections cut at COMMIT, one a load")
    asked = parser.parse_args()
    print(machine(), requirements("dlt").split()[0], sep=", ")
    with postgres_server() as server:
        version = server.server.psql("SHOW server_version").split()[2]
        print(f"PostgreSQL {version}")
        if "end-to-end" in asked.only:
            end_to_end(server, asked.rounds, asked.rows, asked.latency_ms, asked.workers)
        if "load" in asked.only:
            load(server, asked.rounds, asked.rows, asked.workers)
        if "memory" in asked.only:
            memory(server, asked.memory_rounds, asked.memory_rows, 16)
        if "accidents" in asked.only:
            accidents(server, asked.kills, asked.stops, asked.cuts)


if __name__ == "__main__":
    main()
