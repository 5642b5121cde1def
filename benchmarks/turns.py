"""Run contenders in turns, each in a fresh process, and print tables of their results.

Each round begins with another contender. Ratios are taken within a round, as a busy machine slows all of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from benchmarks.contenders import environment
from benchmarks.machine import machine, spread
from benchmarks.server import serving

Result = dict[str, float]
Results = dict[str, list[Result]]

#: The checkout; contenders run from here, so that they find this package.
TOP = Path(__file__).resolve().parent.parent

#: Where results are kept for the plot.
KEPT = TOP / ".work" / "benchmarks"


@dataclass(frozen=True)
class Contender:
    """One way to extract.

    :param name: its name in tables.
    :param extract: its function, as ``module:function``.
    :param options: further arguments of the function.
    :param python: the interpreter of its environment.
    :param rows: how many rows it extracts, if not all. Slow contenders would take too long for all.
    """

    name: str
    extract: str
    options: Mapping[str, object] = field(default_factory=dict)
    python: str = sys.executable
    rows: int | None = None

    def run(self, url: str, rows: int) -> Result:
        """Run it in a process of its own and return the result."""
        with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
            folder = Path(name)
            given = [self.extract, json.dumps(self.options), url, str(min(rows, self.rows or rows)), name]
            command = [self.python, "-m", "benchmarks.child", *given]
            done = subprocess.run(
                command, cwd=TOP, env=environment(url, folder / "home"), capture_output=True, text=True
            )
            if done.returncode:
                raise RuntimeError(f"{self.name} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
            result: Result = json.loads((folder / "result.json").read_bytes())
            return result


def take_turns(
    contenders: Sequence[Contender], rows: int, latency_ms: float, rounds: int, make: str = "usual"
) -> Results:
    """Run the rounds on one server and return the results of each contender.

    :param make: what rows look like, see ``benchmarks.orders.MAKES``.
    """
    results: Results = {contender.name: [] for contender in contenders}
    with serving(rows, latency_ms, make=make) as url:
        for number in range(rounds):
            turn = number % len(contenders)
            for contender in [*contenders[turn:], *contenders[:turn]]:
                results[contender.name].append(contender.run(url, rows))
                print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return results


def print_results(results: Results) -> None:
    """Print the results of each contender."""
    print("| | rows | rows/s | CPU us/row | peak above start, MiB | peak of the process, MiB |")
    print("|---|---|---|---|---|---|")
    for name, found in results.items():
        rates = spread(rate(found))
        cpu = spread([result["cpu"] / result["rows"] * 1e6 for result in found], 1)
        above = spread([result["above"] for result in found], 1)
        peak = spread([result["peak"] for result in found])
        print(f"| {name} | {found[0]['rows']:,} | {rates} | {cpu} | {above} | {peak} |")


def print_ratios(results: Results, own: str) -> None:
    """Print the ratios of one contender to each other one."""
    print(f"\n| {own}, beside | rows/s, ratio | CPU per row, ratio | memory above start, ratio |")
    print("|---|---|---|---|")
    for name, found in results.items():
        if name != own:
            pairs = list(zip(results[own], found, strict=True))
            rates = spread([a / b for a, b in zip(rate(results[own]), rate(found), strict=True)], 2)
            cpu = spread([(a["cpu"] / a["rows"]) / (b["cpu"] / b["rows"]) for a, b in pairs], 2)
            # A loop that streams may stay within the memory that its process already had: no ratio below 1 MiB.
            above = spread([max(1.0, a["above"]) / max(1.0, b["above"]) for a, b in pairs], 3)
            print(f"| {name} | {rates} | {cpu} | {above} |")


def compare(
    title: str,
    contenders: Sequence[Contender],
    *,
    rows: int,
    latency_ms: float,
    rounds: int,
    own: Iterable[str] = (),
    make: str = "usual",
) -> Results:
    """Run the rounds, print the tables, and keep the results under the title.

    :param own: whose ratios to print.
    :param make: what rows look like, see ``benchmarks.orders.MAKES``.
    """
    results = take_turns(contenders, rows, latency_ms, rounds, make)
    print(f"\n### {title}: {rows:,} rows, {latency_ms:g} ms latency, {rounds} rounds\n")
    print_results(results)
    for name in own:
        if name in results and len(results) > 1:
            print_ratios(results, name)
    print(flush=True)
    keep(title, {"rows": rows, "latency_ms": latency_ms, "results": results})
    return results


def keep(title: str, found: Mapping[str, object]) -> None:
    """Store results as JSON, with date and machine."""
    KEPT.mkdir(parents=True, exist_ok=True)
    told = {"title": title, "date": date.today().isoformat(), "machine": machine(), **found}
    (KEPT / f"{title.replace(' ', '-')}.json").write_text(json.dumps(told, indent=1))


def rate(found: Iterable[Result]) -> list[float]:
    return [result["rows"] / result["seconds"] for result in found]
