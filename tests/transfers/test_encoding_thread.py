"""The one thread in which Parquet writers work: they share its memory, and not each other's rows."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_dotypos.transfers.encoding_thread import EncodingThread
from airflow_provider_dotypos.transfers.files.formats import parquet
from airflow_provider_dotypos.transfers.files.formats.jsonl import JsonLinesWriter
from airflow_provider_dotypos.transfers.files.formats.parquet import ParquetWriter
from tests.transfers.sample_rows import columns_of, order, raw

CUSTOMERS = columns_of("customers")
LIMIT = 20_000


def test_work_runs_in_one_thread_which_ends_with_it() -> None:
    with EncodingThread() as encoder, ThreadPoolExecutor(4) as pool:
        threads = set(pool.map(lambda _: encoder.run(threading.current_thread), range(20)))
    (thread,) = threads
    assert not thread.is_alive()


def test_an_error_is_that_of_the_caller_and_work_goes_on() -> None:
    with EncodingThread() as encoder:
        with pytest.raises(ZeroDivisionError):
            encoder.run(lambda: 1 // 0)
        assert encoder.run(lambda: 1) == 1


@given(steps=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 40), st.integers(0, 300)), max_size=40))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
def test_writers_hold_no_more_than_the_limit_together(tmp_path: Path, steps: list[tuple[int, int, int]]) -> None:
    expected: dict[int, list[int]] = {0: [], 1: [], 2: [], 3: []}
    with pytest.MonkeyPatch.context() as patch, EncodingThread(LIMIT) as encoder:
        patch.setattr(parquet, "BATCH_ROWS", 20)
        writers = {name: ParquetWriter(tmp_path / str(name), CUSTOMERS, encoder) for name in expected}
        for step, (name, count, size) in enumerate(steps):
            ids = [step * 1000 + i for i in range(count)]
            writers[name].write([raw({"id": str(id), "note": "x" * size}) for id in ids])
            expected[name] += ids
            assert sum(writer.held_bytes for writer in writers.values()) <= LIMIT
        for writer in writers.values():
            writer.close()
    assert {name: pq.read_table(tmp_path / str(name))["id"].to_pylist() for name in expected} == expected


def test_the_fullest_writes_first(tmp_path: Path) -> None:
    with EncodingThread(300_000) as encoder:  # of which 500 such rows take 90,000
        little, much = (ParquetWriter(tmp_path / name, CUSTOMERS, encoder) for name in ("little", "much"))
        some = [raw({"id": str(id)}) for id in range(parquet.BATCH_ROWS)]
        little.write(some)
        held = little.held_bytes
        for _ in range(3):
            much.write(some)
        assert (little.held_bytes, much.held_bytes) == (held, 0)
        little.close()
        much.close()


def test_threads_write_at_once_and_each_file_has_its_own_rows(tmp_path: Path) -> None:
    def write(name: int) -> None:
        writer = ParquetWriter(tmp_path / str(name), columns_of("orders"), encoder)
        for start in range(0, 3000, 100):
            writer.write([order(id=str(name * 10_000 + i)) for i in range(start, start + 100)])
        writer.close()

    with EncodingThread(100_000) as encoder, ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    for name in range(8):
        found = pq.read_table(tmp_path / str(name))["id"].to_pylist()
        assert found == list(range(name * 10_000, name * 10_000 + 3000))


def test_a_discarded_writer_holds_nothing_and_makes_no_file(tmp_path: Path) -> None:
    with EncodingThread(LIMIT) as encoder:
        gone, other = (ParquetWriter(tmp_path / name, CUSTOMERS, encoder) for name in ("gone", "other"))
        gone.write([raw({"id": str(id)}) for id in range(900)])
        gone.discard()
        other.write([raw({"id": str(id)}) for id in range(900)])
        other.close()
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    assert pq.read_table(tmp_path / "other").num_rows == 900


def test_of_lines_that_a_full_disk_does_not_take_nothing_is_left(tmp_path: Path) -> None:
    lines = JsonLinesWriter(tmp_path / "lines", None)
    lines._staging._file.close()
    lines._staging._file = open("/dev/full", "wb")  # noqa: SIM115
    lines.write([raw({"id": "1"})])  # which waits in a buffer
    lines.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_and_the_rest_can_be_discarded(tmp_path: Path) -> None:
    with EncodingThread(LIMIT) as encoder:
        full, other = (ParquetWriter(tmp_path / name, CUSTOMERS, encoder) for name in ("full", "other"))
        full._staging._file.close()
        full._staging._file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115
        with pytest.raises((OSError, pa.ArrowException), match="No space left"):
            full.write([raw({"id": str(id)}) for id in range(9000)])
        other.write([raw({"id": "1"})])
        for writer in (full, other):
            writer.discard()
    assert list(tmp_path.iterdir()) == []
