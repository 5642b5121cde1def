"""A destination that has grown: its many sets read as one table, beside DuckDB over the same files by hand.

The sets are those of an extraction: windows one after the other, written by the provider's own sink. Every fifth row is
a new version of a row of an earlier set. Contenders take turns, each in a fresh process with its imports done. All must
bring the same rows: as many, with the same sum of their ids and of their times of change.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from benchmarks.child import memory
from benchmarks.machine import machine, spread
from benchmarks.orders import CLOUD_ID, FIRST_ID, encoded_row, moment

#: How many rows before it lies the row that a new version is of.
BEFORE = 2999

#: What all contenders' rows are compared by: how many, and sums of ids and of times.
Sums = tuple[int, int, int]


def make_sets(folder: Path, sets: int, rows: int, file_format: str) -> None:
    """Write sets of orders with as many rows in all."""
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_dotypos.api.streams import Piece, Stream
    from airflow_provider_dotypos.api.walk import Batch
    from airflow_provider_dotypos.api.window import Window
    from airflow_provider_dotypos.transfers.files.formats.file_format import FileFormat
    from airflow_provider_dotypos.transfers.files.sink import FileSink, set_folder
    from airflow_provider_dotypos.transfers.selection import Selection
    from airflow_provider_dotypos.transfers.sink import Walked

    form = FileFormat.of(file_format)
    orders = Selection.of("orders", cloud_id=CLOUD_ID)
    for number in range(sets):
        first, end = (rows * at // sets for at in (number, number + 1))
        window = Window(moment(first), moment(end))
        place = ObjectStoragePath(f"file://{folder}") / set_folder(orders, window, form)
        with FileSink.begin(place, orders, window, form) as sink:
            indexes = [n if n % 5 or n <= BEFORE else n - BEFORE for n in range(first, end)]
            some = [msgspec.Raw(encoded_row(index, moment(first + i))) for i, index in enumerate(indexes)]
            writer = sink.open(Piece(Stream("rows", (), "versionDate"), moment(first), moment(end)))
            writer.write(Batch(some, [str(FIRST_ID + index) for index in indexes], moment(end)))
            writer.end(moment(first), moment(end))
            sink.commit(Walked(None, 1), lambda: None)


def ours_in_batches(folder: Path, file_format: str) -> Sums:
    """Read the current table in batches."""
    from airflow_provider_dotypos import read_entity

    return _sums(read_entity(f"file://{folder}", CLOUD_ID, "orders").to_batches())


def ours_in_duckdb(folder: Path, file_format: str) -> Sums:
    """Bring the current table into DuckDB, and ask it."""
    import duckdb

    from airflow_provider_dotypos import read_entity

    with duckdb.connect() as connection:
        read_entity(f"file://{folder}", CLOUD_ID, "orders").to_duckdb(connection)
        return _asked(connection)


def by_hand_in_batches(folder: Path, file_format: str) -> Sums:
    """Read the newest versions with DuckDB, in batches."""
    import duckdb

    with duckdb.connect() as connection:
        return _sums(connection.sql(_newest(folder, file_format)).to_arrow_reader(2000))


def by_hand_in_duckdb(folder: Path, file_format: str) -> Sums:
    """Make a table of the newest versions in DuckDB, and ask it."""
    import duckdb

    with duckdb.connect() as connection:
        connection.execute(f"CREATE TEMP TABLE orders AS {_newest(folder, file_format)}")
        return _asked(connection)


CONTENDERS: dict[str, Callable[[Path, str], Sums]] = {
    "batches": ours_in_batches,
    "batches by hand": by_hand_in_batches,
    "DuckDB": ours_in_duckdb,
    "DuckDB by hand": by_hand_in_duckdb,
}


def _newest(folder: Path, file_format: str) -> str:
    """Return the query by which one reads the newest versions by hand. It trusts that all files belong to sets."""
    files = f"{folder}/*/orders/*/g*.{file_format}"
    read = "read_parquet" if file_format == "parquet" else "read_json"
    return f"FROM {read}('{files}') QUALIFY row_number() OVER (PARTITION BY id ORDER BY \"versionDate\" DESC) = 1"


def _asked(connection: Any) -> Sums:
    count, ids, times = connection.execute(
        f'SELECT count(*), sum(id::BIGINT - {FIRST_ID}), sum(epoch_ms("versionDate"::TIMESTAMPTZ)) FROM orders'
    ).fetchall()[0]
    return int(count), int(ids), int(times)


def _sums(batches: Iterator[Any]) -> Sums:
    import pyarrow as pa
    import pyarrow.compute as pc

    count = ids = times = 0
    for batch in batches:
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        count += batch.num_rows
        ids += pc.sum(pc.subtract(columns["id"].cast(pa.int64()), FIRST_ID)).as_py() or 0
        moments = columns["versionDate"].cast(pa.timestamp("ms", "UTC")).cast(pa.int64())
        times += pc.sum(moments).as_py() or 0
    return count, ids, times


def measured(name: str, folder: Path, file_format: str) -> dict[str, Any]:
    """Run a contender in a fresh process; return its seconds, processor time, memory above its start, and sums."""
    command = [sys.executable, "-m", "benchmarks.lake", "--child", name, str(folder), file_format]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def child(name: str, folder: Path, file_format: str) -> None:
    """Be a contender."""
    import duckdb  # noqa: F401 (imports aren't measured)
    import pyarrow.parquet  # noqa: F401
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_dotypos.lake.current import read_entity  # noqa: F401
    from airflow_provider_dotypos.transfers.rows import arrow  # noqa: F401

    assert ObjectStoragePath(f"file://{folder}").exists()  # Airflow looks for file systems
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far was that of the imports
    before, cpu, started = memory("VmRSS"), time.process_time(), time.perf_counter()
    sums = CONTENDERS[name](folder, file_format)
    figures = {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        "above": memory("VmHWM") - before,
        "sums": sums,
    }
    print(json.dumps(figures))


def current(folder: Path, sets: int, rows: int, rounds: int, formats: list[str]) -> None:
    """Measure the reading of the current table.

    :raises AssertionError: if contenders bring different rows.
    """
    for file_format in formats:
        lake = folder / file_format
        make_sets(lake, sets, rows, file_format)
        results: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTENDERS}
        for _ in range(rounds):
            for name, figures in results.items():
                figures.append(measured(name, lake, file_format))
        same = {tuple(figures["sums"]) for some in results.values() for figures in some}
        assert len(same) == 1, f"contenders bring different rows: {same}"
        print(
            f"{rows:,} rows in {sets:,} sets of {file_format}: {next(iter(same))[0]:,} are the newest, {rounds} rounds"
        )
        for name, some in results.items():
            beside = results.get(f"{name} by hand", some)
            print(
                f"  {name:16}  {spread([one['seconds'] for one in some], 1)} s, "
                f"{spread([one['cpu'] for one in some], 1)} s of processor, "
                f"{spread([one['above'] for one in some])} MiB above the start"
                + (f"; ratio of seconds {_ratio(some, beside, 'seconds')}, of memory {_ratio(some, beside, 'above')}"
                   if beside is not some else "")
            )  # fmt: skip


def _ratio(some: list[dict[str, Any]], others: list[dict[str, Any]], figure: str) -> str:
    """Return the median of the ratios within rounds."""
    return f"{median(one[figure] / other[figure] for one, other in zip(some, others, strict=True)):.2f}"


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["current"], help="run one part alone")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--sets", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--formats", nargs="+", default=["parquet"], choices=["parquet", "jsonl"])
    parser.add_argument("--child", nargs=3, metavar=("NAME", "FOLDER", "FORMAT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child[0], Path(args.child[1]), args.child[2])
        return
    print(machine())
    with tempfile.TemporaryDirectory(prefix="dotypos-lake-") as folder:
        if args.only in (None, "current"):
            current(Path(folder), args.sets, args.rows, args.rounds, args.formats)


if __name__ == "__main__":
    main()
