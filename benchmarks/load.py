"""Measure loading alone: rows that are in memory go into a table of PostgreSQL, beside a plain COPY of the same rows.

The processor time of the server is measured, too: on a machine that does other work it says more than the time.

Run by ``benchmarks.sql`` in a process of its own. A plain COPY gets text that was made before its clock starts, and its
table has the key as its only index.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import msgspec
import psutil

from airflow_provider_dotypos.api.streams import Piece, streams
from airflow_provider_dotypos.api.walk import Batch
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.transfers.piece_writer import PartAge, PieceWriter
from airflow_provider_dotypos.transfers.selection import Selection
from airflow_provider_dotypos.transfers.sink import Walked
from airflow_provider_dotypos.transfers.sql.database import Database
from airflow_provider_dotypos.transfers.sql.ddl import prepare
from airflow_provider_dotypos.transfers.sql.loads import Load, Loaded
from airflow_provider_dotypos.transfers.sql.sink import Place, SqlSink
from airflow_provider_dotypos.transfers.sql.tables import tables_of
from benchmarks.orders import CLOUD_ID, PAGE, encoded_row, moment
from benchmarks.tables import connected, connection
from benchmarks.turns import Result


class Loading:
    """Loads of the same rows, into tables that are made anew.

    :param threads: how many write at once.
    """

    def __init__(self, database: str, rows: int, threads: int) -> None:
        os.environ["AIRFLOW_CONN_WAREHOUSE"] = json.dumps(connection(database))
        self._server = database
        self._rows = rows
        self._threads = threads
        self._selection = Selection.of("orders", cloud_id=CLOUD_ID)
        self._window = Window(moment(0), moment(rows))
        self._database = Database.of("warehouse", threads + 1)
        self._loads = 0
        self._text = b""
        bodies = [msgspec.Raw(encoded_row(index, moment(index))) for index in range(rows)]
        self._pages = [(start, bodies[start : start + PAGE]) for start in range(0, rows, PAGE)]

    def ours(self) -> dict[str, Result]:
        """Load into a new table, and then the same once more."""
        self._execute("DROP TABLE IF EXISTS orders")
        tables = tables_of(self._selection, name="orders", schema=None, naming="snake", deletes="keep")
        with self._database.transaction() as transaction:
            dialect = self._database.dialect
            prepare(transaction, dialect, tables.values(), None, create=True, alter=True, indexes=True)
        place = Place(self._database, tables)
        first = self._timed(lambda: self._load(place))
        before = self._versions()
        again = self._timed(lambda: self._load(place))
        assert self._versions() == before, "rows that haven't changed were touched"
        return {"ours": first, "ours, again": again}

    def plain(self) -> dict[str, Result]:
        """Copy the rows of our table into one with the key."""
        with connected(self._server) as cursor:
            if not self._text:
                text = BytesIO()
                cursor.copy_expert("COPY orders TO STDOUT", text)
                self._text = text.getvalue()
            cursor.execute("DROP TABLE IF EXISTS plain")
            cursor.execute("CREATE TABLE plain (LIKE orders)")
            cursor.execute("ALTER TABLE plain ADD PRIMARY KEY (cloud_id, id)")

            def copy() -> Result:
                cursor.copy_expert("COPY plain FROM STDIN", BytesIO(self._text), size=2**20)
                return {}

            return {"plain COPY": self._timed(copy)}

    def _load(self, place: Place) -> Result:
        self._loads += 1
        load = Load.of(
            self._selection, self._window, list(place.tables.values()), "upsert", again=f"{os.getpid()}-{self._loads}"
        )
        started, server = time.perf_counter(), self._server_cpu()
        with SqlSink.begin(place, self._selection, load, threads=self._threads) as sink:
            with ThreadPoolExecutor(self._threads) as threads:
                for _ in threads.map(lambda number: self._stage(sink, number), range(self._threads)):
                    pass
            staged, server_staged = time.perf_counter(), self._server_cpu()
            loaded: Loaded = sink.commit(Walked(None, 0), lambda: None)
        merged = time.perf_counter()
        assert loaded.rows == self._rows
        return {
            "staging": staged - started,
            "merge": merged - staged,
            "staging_cpu": server_staged - server,
            "merge_cpu": self._server_cpu() - server_staged,
            "inserted": loaded.inserted,
            "updated": loaded.updated,
        }

    def _stage(self, sink: SqlSink, number: int) -> None:
        """Write a thread's share of the pages."""
        pages = self._pages[
            len(self._pages) * number // self._threads : len(self._pages) * (number + 1) // self._threads
        ]
        stream = streams(self._selection.entity, self._window)[0]
        start, (end, last) = pages[0][0], pages[-1]
        piece = Piece(stream, moment(start), moment(end + len(last)))
        with PieceWriter(piece, sink.open(piece), sink.max_part_bytes, PartAge()) as writer:
            for first, rows in pages:
                writer.take(Batch(rows, [""] * len(rows), moment(first + len(rows)), read_at=time.monotonic()))
            writer.end()

    def _timed(self, load: Callable[[], Result]) -> Result:
        self._execute("CHECKPOINT")
        server, cpu, started = self._server_cpu(), time.process_time(), time.perf_counter()
        result = load()
        seconds, cpu, server = time.perf_counter() - started, time.process_time() - cpu, self._server_cpu() - server
        return {"rows": self._rows, "seconds": seconds, "cpu": cpu, "server_cpu": server, **result}

    def _server_cpu(self) -> float:
        """Return the processor time of all the server's processes so far, in seconds."""
        postmaster = psutil.Process(int((Path(self._server) / "postmaster.pid").read_text().splitlines()[0]))
        ended = postmaster.cpu_times()
        used = float(ended.children_user + ended.children_system)
        for process in postmaster.children():
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                used += times.user + times.system
        return used

    def _versions(self) -> list[tuple[object, ...]]:
        """Return what changes if a row is touched."""
        with connected(self._server) as cursor:
            cursor.execute("SELECT id, ctid::text, xmin::text, _read_at FROM orders ORDER BY id")
            return list(cursor.fetchall())

    def _execute(self, statement: str) -> None:
        with connected(self._server) as cursor:
            cursor.execute(statement)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("database")
    parser.add_argument("rows", type=int)
    parser.add_argument("threads", type=int)
    parser.add_argument("rounds", type=int)
    parser.add_argument("result", type=Path)
    asked = parser.parse_args()
    Loading(asked.database, 1000, asked.threads).ours()  # imports, connections
    loading = Loading(asked.database, asked.rows, asked.threads)
    loading.ours()  # the rows that a plain COPY copies
    results: dict[str, list[Result]] = {}
    for number in range(asked.rounds):
        turns = [loading.ours, loading.plain]
        for turn in turns if number % 2 else reversed(turns):
            for name, result in turn().items():
                results.setdefault(name, []).append(result)
    asked.result.write_text(json.dumps(results))


if __name__ == "__main__":
    main()
