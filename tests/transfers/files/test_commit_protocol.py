"""The protocol of `commit` as a state machine: writers crash anywhere, end early, are resumed, write on as zombies.

Before they commit, they merge small parts, up to a size of their own (`merge`).

The window has a few cells, some of them without a row. A set must hold each row once. Each writer is a thread that
stops before every operation on the store; the machine decides who moves next, and after every single operation checks
what a reader would see.

Tests `transfers/files/commit`, `transfers/files/folder_files`.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec
from airflow.sdk import ObjectStoragePath
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from airflow_provider_dotypos.api.streams import Piece, Stream
from airflow_provider_dotypos.api.window import Window, iso
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.engine import gaps
from airflow_provider_dotypos.transfers.files.commit import Attempt, sidecar_name
from airflow_provider_dotypos.transfers.files.formats.jsonl import JsonLinesWriter
from airflow_provider_dotypos.transfers.files.manifest import Manifest, newest_generation, whole_manifest
from airflow_provider_dotypos.transfers.files.merge import Merger
from airflow_provider_dotypos.transfers.files.part import Contents, Part
from airflow_provider_dotypos.transfers.sink import SupersededError
from tests.examples import examples
from tests.stepping import KilledError, SteppedThread

CELLS = 6
ROWLESS = {1, 2, 5}
ROWS = [cell for cell in range(CELLS) if cell not in ROWLESS]
STREAM = Stream("rows", (), "versionDate")


class EndedError(Exception):
    """What a writer ends by early, in good order: it is throttled, say."""


class SteppedStore(Store):
    """A store whose every operation waits to be let through."""

    def __init__(self, folder: ObjectStoragePath, writer: Writer) -> None:
        super().__init__(folder)
        self._writer = writer

    def list(self) -> dict[str, int]:
        self._writer.wait()
        return super().list()

    def read(self, name: str) -> bytes:
        self._writer.wait()
        return super().read(name)

    def open(self, name: str) -> BinaryIO:
        self._writer.wait()
        return super().open(name)

    def put(self, staged: Path, name: str, *, private: bool = False) -> None:
        self._writer.wait()
        super().put(staged, name, private=private)

    def create(self, data: bytes, name: str) -> bool:
        self._writer.wait()
        return super().create(data, name)

    def delete(self, name: str) -> None:
        self._writer.wait()
        super().delete(name)

    @contextmanager
    def staging(self) -> Iterator[Path]:
        with super().staging() as directory:
            yield directory


class Writer(SteppedThread):
    """One attempt: keeps what it finds, walks the other cells in parts of `width` cells, merges them, then commits.

    :ivar ends: whether its next look at a cell ends it.
    :ivar walked: cells that it looked at.
    """

    def __init__(self, folder: Path, width: int, overwrite: bool, origin: str, merged_bytes: int = 1) -> None:
        super().__init__()
        self.width = width
        self.merged_bytes = merged_bytes
        self.overwrite = overwrite
        self.origin = origin
        self.result: Manifest | None = None
        self.ends = False
        self.walked: list[int] = []
        self._store = SteppedStore(ObjectStoragePath(f"file://{folder}"), self)
        self.begin()

    def work(self) -> None:
        self.result = self._write()

    def _write(self) -> Manifest:
        attempt = Attempt.begin(self._store, overwrite=self.overwrite, origin=self.origin)
        if attempt.finished is not None:
            return attempt.finished
        piece = Piece(STREAM, 0, CELLS)
        try:
            for gap in list(gaps(piece, attempt.keep(piece.name, 0, CELLS, self._rows_in))):
                self._walk(attempt, gap.lo or 0, gap.hi)
            return attempt.commit(self._merged(attempt), self._manifest)
        except SupersededError:
            return attempt.give_way()
        except EndedError:
            attempt.leave()
            raise

    def _rows_in(self, part: Part) -> int:
        return len(self._store.read(part.name).splitlines())

    def _walk(self, attempt: Attempt, low: int, end: int) -> None:
        """Look at cell after cell; whatever comes, put what was seen."""
        for cell in range(low, end):
            self.wait()
            if self.ends:
                self._put(attempt, low, cell)
                raise EndedError
            self.walked.append(cell)
            if cell + 1 - low == self.width:
                self._put(attempt, low, cell + 1)
                low = cell + 1
        self._put(attempt, low, end)

    def _put(self, attempt: Attempt, low: int, high: int) -> None:
        if low == high:
            return
        rows = [msgspec.Raw(b"%d" % cell) for cell in range(low, high) if cell not in ROWLESS]
        if not rows:
            attempt.note_rowless(STREAM.name, low, high)
            return
        with attempt.store.staging() as directory:
            writer = JsonLinesWriter(directory / attempt.store.staging_name(), None)
            writer.write(rows)
            attempt.put(writer, STREAM.name, low, high, ".jsonl")

    def _merged(self, attempt: Attempt) -> Contents:
        """Merge parts that are smaller than `merged_bytes`: none, some or all."""
        with attempt.store.staging() as directory:
            merger = Merger(
                attempt,
                lambda table: JsonLinesWriter(directory / attempt.store.staging_name(), None),
                ".jsonl",
                few=1,
                max_bytes=self.merged_bytes,
                check=self.wait,
            )
            return merger.merge("cells", (), lambda part: None)

    def _manifest(self, generation: int, contents: Contents) -> Manifest:
        return Manifest(
            entity="cells",
            cloud_id=1,
            since=None,
            until=iso(CELLS),
            filter="",
            include="",
            file_format="jsonl",
            compression=None,
            generation=generation,
            rows=len(ROWS),
            distinct_ids=len(ROWS),
            requests=0,
            bytes=0,
            parts=contents.parts,
            package_version="",
        )


class CommitProtocol(RuleBasedStateMachine):
    writers = Bundle("writers")

    def __init__(self) -> None:
        super().__init__()
        self.lake = Path(tempfile.mkdtemp())
        self.folder = self.lake / "1" / "cells" / f"{Window(None, CELLS).name}_00000000"
        self.reader = Store(ObjectStoragePath(f"file://{self.folder}"))
        self.all: list[Writer] = []
        self.newest = 0

    @rule(
        target=writers,
        width=st.integers(1, 3),
        overwrite=st.booleans(),
        origin=st.sampled_from("ab"),
        merged_bytes=st.sampled_from([1, 3, 100]),
        steps=st.integers(0, 12),
    )
    def begin(self, width: int, overwrite: bool, origin: str, merged_bytes: int, steps: int) -> Writer:
        writer = Writer(self.folder, width, overwrite, origin, merged_bytes)
        self.all.append(writer)
        self.go_on(writer, steps)
        return writer

    @rule(writer=writers, steps=st.integers(1, 12))
    def go_on(self, writer: Writer, steps: int) -> None:
        for _ in range(steps):
            if not writer.done:
                writer.step()
                self.check()

    @rule(writer=consumes(writers))
    def finish(self, writer: Writer) -> None:
        while not writer.done:
            writer.step()
            self.check()

    @rule(writer=writers)
    def end(self, writer: Writer) -> None:
        """It ends at the next cell; until it has, it can still crash."""
        writer.ends = True

    @rule(writer=consumes(writers))
    def crash(self, writer: Writer) -> None:
        if not writer.done:
            writer.kill()

    @invariant()
    def check(self) -> None:
        """Whatever a reader finds is whole, and what was committed stays until something newer is."""
        generation = newest_generation(self.reader.list())
        assert generation >= self.newest, "a committed set is gone"
        self.newest = generation
        if generation:
            manifest = whole_manifest(self.reader, generation)
            assert manifest is not None, "the newest set is not whole"
            self.check_set(manifest)

    def check_set(self, manifest: Manifest) -> None:
        cells: list[int] = []
        for part in manifest.parts:
            data = (self.folder / part.name).read_bytes()
            assert hashlib.sha256(data).hexdigest() == part.sha256
            in_part = list(map(int, data.split()))
            assert in_part == sorted(in_part), "a part isn't in order"
            cells += in_part
        assert sorted(cells) == ROWS, "a row is lost or doubled"

    def teardown(self) -> None:
        try:
            for writer in self.all:
                while not writer.done:
                    writer.step()
                    self.check()
                writer.join()
                assert isinstance(writer.error, (KilledError, EndedError, type(None))), writer.error
            if self.newest:
                self.check_left_overs()
        finally:
            shutil.rmtree(self.lake)

    def check_left_overs(self) -> None:
        """Whoever finds the window done next leaves nothing in the folder but the set."""
        last = Writer(self.folder, 1, overwrite=False, origin="last")
        self.all.append(last)
        while not last.done:
            last.step()
        assert last.error is None
        assert last.result is not None
        listed = {part.name for part in last.result.parts}
        expected = listed | {sidecar_name(name) for name in listed} | {f"_manifest-{last.result.generation:04d}.json"}
        ahead = {name for name in self.reader.list() if f"g{last.result.generation + 1:04d}-" in name}
        assert set(self.reader.list()) - ahead == expected


CommitProtocol.TestCase.settings = settings(
    max_examples=examples(25), stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestCommitProtocol = CommitProtocol.TestCase


@settings(max_examples=50, deadline=None)
@given(ends=st.lists(st.integers(0, CELLS), max_size=4), width=st.integers(1, CELLS))
def test_writers_that_end_in_good_order_look_at_each_cell_once(ends: list[int], width: int) -> None:
    folder = Path(tempfile.mkdtemp())
    walked: list[int] = []
    try:
        for looks in [*ends, CELLS + 1]:
            writer = Writer(folder, width, overwrite=False, origin="")
            while not writer.done:
                writer.ends = len(writer.walked) >= looks
                writer.step()
            walked += writer.walked
            if writer.result is not None:
                break
        assert writer.result is not None
        assert sorted(walked) == list(range(CELLS))
        cells = [cell for part in writer.result.parts for cell in map(int, (folder / part.name).read_bytes().split())]
        assert sorted(cells) == ROWS
    finally:
        shutil.rmtree(folder)
