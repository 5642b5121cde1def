"""Run one contender in a process of its own: warm it up, time it, and read back its files.

Every contender first extracts one page into a scratch folder. So imports, Airflow's search for providers and the first
connection are over when memory is read and the clock starts. The files are on the disk (``fsync``) when the clock
stops, and are then read back.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import json
import os
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.orders import FIRST_ID, PAGE, moment

Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """Which rows a contender fetches, and where it writes them.

    :param url: the server.
    :param since: start of the window, in epoch milliseconds.
    :param until: end of the window, in epoch milliseconds.
    :param rows: number of rows in it.
    :param folder: an empty folder.
    """

    url: str
    since: int
    until: int
    rows: int
    folder: Path

    @classmethod
    def first(cls, rows: int, url: str, folder: Path) -> Job:
        """Return a job for the first of the even rows."""
        folder.mkdir(parents=True, exist_ok=True)
        return cls(url, moment(0), moment(rows), rows, folder)

    def query(self) -> dict[str, str]:
        """Return the query of the window's pages, without the page number."""
        return {**window_query(self.since, self.until), "sort": "versionDate", "limit": str(PAGE)}

    def cut(self, parts: int) -> list[tuple[int, int]]:
        """Return the window cut into that many windows of equal length."""
        edges = [self.since + (self.until - self.since) * number // parts for number in range(parts + 1)]
        return list(pairwise(edges))


def window_query(since: int, until: int) -> dict[str, str]:
    return {"filter": f"versionDate|gteq|{since};versionDate|lt|{until}"}


def measure(
    extract: Callable[[Job], object], check: Callable[[Job], None], url: str, rows: int, folder: Path
) -> dict[str, float]:
    """Run a contender and return its time, processor time and memory.

    :param check: reads back what it has written.
    :raises AssertionError: if it didn't write each row once.
    """
    warm = Job.first(PAGE, url, folder / "warm")
    extract(warm)
    check(warm)
    job = Job.first(rows, url, folder / "work")
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far was that of the imports
    baseline = memory("VmRSS")
    cpu = _cpu()
    started = time.perf_counter()
    extract(job)
    _on_disk(job.folder)
    seconds = time.perf_counter() - started
    cpu = _cpu() - cpu
    peak = memory("VmHWM")
    check(job)
    return {"rows": rows, "seconds": seconds, "cpu": cpu, "peak": peak, "above": peak - baseline}


def check(job: Job) -> None:
    """Read the files back.

    :raises AssertionError: if they don't hold each row once.
    """
    found = sorted(ids(job.folder))
    assert found == list(range(FIRST_ID, FIRST_ID + job.rows)), f"{len(found)} rows, not {job.rows} once each"


def ids(folder: Path) -> Iterator[int]:
    """Yield the ids in a contender's files: ours through the manifest, otherwise every file."""
    manifests = list(folder.glob("*/*/*/_manifest-*.json"))
    files = [path for manifest in manifests for path in parts(manifest)] if manifests else folder.rglob("*")
    for path in files:
        yield from ids_of(path)


def ids_of(path: Path) -> Iterator[int]:
    """Yield the ids in one file; none if it doesn't hold rows."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        yield from (int(id.as_py()) for id in pq.read_table(path, columns=["id"]).column("id"))
    elif path.name.endswith(".jsonl.gz"):
        with gzip.open(path) as lines:
            yield from (int(row["id"]) for row in _rows(lines))
    elif path.suffix == ".jsonl":
        with path.open("rb") as lines:
            yield from (int(row["id"]) for row in _rows(lines))


def parts(manifest: Path) -> Iterator[Path]:
    """Yield the files that one of our manifests lists."""
    for part in json.loads(manifest.read_bytes())["parts"]:
        yield manifest.parent / part["name"]


def _rows(lines: Iterable[bytes]) -> Iterator[Row]:
    """Yield the rows of a file: a line is a row, an answer with its page of rows, or a Singer message."""
    for line in lines:
        found = json.loads(line)
        if "data" in found:
            yield from found["data"]
        elif found.get("type") == "RECORD":
            yield found["record"]
        elif "id" in found:
            yield found


def _on_disk(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _cpu() -> float:
    """Return the seconds of processor time of this process and of its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def memory(name: str) -> float:
    """Return a line of this process's memory in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(name)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("extract", help="module:function")
    parser.add_argument("options", type=json.loads)
    parser.add_argument("url")
    parser.add_argument("rows", type=int)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    name, _, function = asked.extract.partition(":")
    module = importlib.import_module(name)
    extract = partial(getattr(module, function), **asked.options)
    # Of those that write files, all are read back in one way.
    read_back = partial(module.check, **asked.options) if "database" in asked.options else check
    result = measure(extract, read_back, asked.url, asked.rows, asked.folder)
    (asked.folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
