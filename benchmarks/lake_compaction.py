"""Measure compacting many sets of a list: rows a second, and the peak memory above that of the process before.

Each set is an hour of a month, written as an extraction writes it. A part of its rows are newer versions of rows that
earlier hours hold. In the end the compacted set is read back, and its rows are compared with what they should be.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import machine

CLOUD = 310101001
BEGIN = 1_767_225_600_000  # 2026-01-01
HOUR = 2_400_000  # shorter than an hour, so that 1,000 of them are in a month

FORMATS: dict[str, dict[str, Any]] = {
    "jsonl": {"file_format": "jsonl"},
    "jsonl, gzip": {"file_format": "jsonl", "compression": "gzip"},
    "csv": {"file_format": "csv"},
    "parquet": {"file_format": "parquet"},
}


def write_sets(place: Path, sets: int, rows: int, shape: dict[str, Any]) -> int:
    """Write the sets; return how many different rows they hold. Each set updates a tenth of the rows of the one before.

    :param rows: in each set.
    """
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_dotypos.api.window import Window, iso
    from tests.lake.lakes import Rows, commit_set

    destination = ObjectStoragePath(f"file://{place}")
    fresh = rows - rows // 10
    for number in range(sets):
        since = BEGIN + number * HOUR
        first = number * fresh - (rows // 10 if number else 0)
        moment = iso(since + HOUR // 2)
        content = [
            {
                "id": str(id),
                "versionDate": moment,
                "_branchId": str(1 + id % 7),
                "documentNumber": f"2026{id:08}",
                "totalValueRounded": f"{id % 1000}.50",
                "created": moment,
                "completed": moment,
                "paid": True,
                "note": f"order {id} of hour {number}",
                "flags": "0",
            }
            for id in range(first, number * fresh + fresh)
        ]
        window = Window(since, since + HOUR)
        commit_set(destination, window, [Rows(window.since, window.until, content)], entity="orders", **shape)
    return sets * fresh


def compact(place: Path, expected: int) -> None:
    """Compact in this process, and print what it took."""
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_dotypos.lake.compaction import ListFolder, compact_list
    from airflow_provider_dotypos.transfers.files.committed_set import read_manifest
    from airflow_provider_dotypos.transfers.files.formats.parquet import require_pyarrow

    require_pyarrow()  # its import isn't part of the work
    folder = ListFolder(ObjectStoragePath(f"file://{place}"), CLOUD, "orders")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun, cpu = time.perf_counter(), time.process_time()
    made = list(compact_list(folder, BEGIN + 90 * 86_400_000))
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    [one] = made
    committed = read_manifest(folder.store(one.group.folder.name).folder, verify=True)
    ids = {int(row["id"]) for row in committed.rows()}
    assert len(ids) == committed.manifest.rows == expected, "rows are lost or doubled"
    print(
        f"{one.rows_before:,} rows in {len(one.group.sets):,} sets, {one.bytes_before / 1e6:.0f} MB: {seconds:.1f} s "
        f"({cpu:.1f} s of CPU), {one.rows_before / seconds:,.0f} rows/s, peak {peak:.0f} MiB above the start; "
        f"{committed.manifest.rows:,} rows left, {committed.manifest.bytes / 1e6:.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Compacting many sets: rows a second, and memory.")
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1000, help="rows in each set")
    parser.add_argument("--only", nargs="+", choices=FORMATS, help="some of the formats")
    parser.add_argument("--folder", help="where to write (default: a temporary folder)")
    parser.add_argument("--compact", nargs=2, metavar=("FOLDER", "ROWS"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.compact:
        compact(Path(asked.compact[0]), int(asked.compact[1]))
        return
    print(machine())
    for name in asked.only or FORMATS:
        place = Path(tempfile.mkdtemp(prefix="compaction-", dir=asked.folder))
        try:
            expected = write_sets(place, asked.sets, asked.rows, FORMATS[name])
            print(f"{name}: ", end="", flush=True)
            # In a process of its own, whose memory holds nothing of the writing.
            command = [sys.executable, "-m", "benchmarks.lake_compaction", "--compact", str(place), str(expected)]
            subprocess.run(command, check=True, env=os.environ | {"AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING"})
        finally:
            shutil.rmtree(place)


if __name__ == "__main__":
    main()
