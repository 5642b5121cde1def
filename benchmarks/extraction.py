"""Rows a second and peak memory of an extraction, beside the ways one would otherwise take, in one run.

Each contender runs in a fresh process, one worker, from the same server through to a file that is on the disk; what it
wrote is then read back, and must hold each row once and in order. Contenders take turns within a round, each round
begins with another one, and ratios are taken within a round: a busy machine slows all of them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.contenders import CONTENDERS, environment
from benchmarks.machine import machine, spread
from benchmarks.server import encoded_row, serving

Result = dict[str, float]

#: Rows for a run with latency: a page a round trip makes it long, and what is learned shows after some hundred pages.
LATENCY_ROWS = 20_000


def run(contender: str, url: str, rows: int) -> Result:
    """Return what one run of a contender in a process of its own took."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        command = [sys.executable, "-m", "benchmarks.contenders", contender, url, str(rows), str(folder)]
        done = subprocess.run(command, env=environment(url, folder / "home"), capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{contender} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        result: Result = json.loads((folder / "result.json").read_bytes())
        return result


def compare(rows: int, latency_ms: float, rounds: int, names: list[str]) -> None:
    """Run the rounds and print the table."""
    results: dict[str, list[Result]] = {name: [] for name in names}
    with serving(rows, latency_ms) as url:
        for number in range(rounds):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                results[name].append(run(name, url, rows))
    print(f"\n### {rows:,} rows of {len(encoded_row(0)):,} bytes, {latency_ms:g} ms latency, {rounds} rounds\n")
    print("| | rows/s | CPU us/row | peak above start, MiB | peak of the process, MiB |")
    print("|---|---|---|---|---|")
    for name, found in results.items():
        rates = spread([result["rows"] / result["seconds"] for result in found])
        cpu = spread([result["cpu"] / result["rows"] * 1e6 for result in found], 1)
        above = spread([result["above"] for result in found], 1)
        print(f"| {name} | {rates} | {cpu} | {above} | {median(result['peak'] for result in found):.0f} |")
    if "ours" not in results:
        return
    print("\n| ours beside | rows/s, ratio | CPU per row, ratio | memory above start, ratio |")
    print("|---|---|---|---|")
    for name, found in results.items():
        if name != "ours":
            pairs = list(zip(results["ours"], found, strict=True))
            rates = spread([theirs["seconds"] / own["seconds"] for own, theirs in pairs], 2)
            cpu = spread([own["cpu"] / theirs["cpu"] for own, theirs in pairs], 2)
            # A loop that streams may stay within what its process had already: no ratio below 1 MiB.
            above = spread([max(1.0, own["above"]) / max(1.0, theirs["above"]) for own, theirs in pairs], 3)
            print(f"| {name} | {rates} | {cpu} | {above} |")


def main() -> None:
    parser = argparse.ArgumentParser(description="Extraction beside HttpOperator, a plain loop and a raw socket.")
    parser.add_argument("--rows", type=int, default=100_000, help="rows without latency")
    parser.add_argument("--latency-rows", type=int, default=LATENCY_ROWS, help="rows with latency")
    parser.add_argument("--latency-ms", type=float, nargs="+", default=[0, 50])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, help="some of the contenders")
    asked = parser.parse_args()
    print(machine())
    for latency in asked.latency_ms:
        rows = asked.rows if latency == 0 else min(asked.rows, asked.latency_rows)
        compare(rows, latency, asked.rounds, asked.only or list(CONTENDERS))


if __name__ == "__main__":
    main()
