"""The commit protocol as a state machine: writers crash anywhere, zombies write on, runs interleave.

Each writer is a thread that stops before every operation on the store; the machine decides who moves next, and after
every single operation checks what a reader would see.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from airflow.sdk import ObjectStoragePath
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from airflow_provider_dotypos.transfers.commit import Attempt, SupersededError
from airflow_provider_dotypos.transfers.manifest import Manifest, Part, newest_generation, whole_manifest
from airflow_provider_dotypos.transfers.parts import PartWriter
from airflow_provider_dotypos.transfers.store import Store


class Killed(BaseException):
    """What a writer dies of: nothing of its own code runs after it."""


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

    def put(self, staged: Path, name: str) -> None:
        self._writer.wait()
        super().put(staged, name)

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


class Writer(threading.Thread):
    """One attempt: writes `parts` parts of rows that carry its number, then commits."""

    def __init__(self, folder: Path, number: int, parts: int, overwrite: bool) -> None:
        super().__init__(daemon=True)
        self.number = number
        self.parts = parts
        self.overwrite = overwrite
        self.result: Manifest | None = None
        self.error: BaseException | None = None
        self.done = False
        self._store = SteppedStore(ObjectStoragePath(f"file://{folder}"), self)
        self._go = threading.Semaphore(0)
        self._stopped = threading.Semaphore(0)
        self._killed = False
        self.start()
        self._stopped.acquire()

    def wait(self) -> None:
        self._stopped.release()
        self._go.acquire()
        if self._killed:
            raise Killed

    def step(self) -> None:
        self._go.release()
        self._stopped.acquire()

    def kill(self) -> None:
        self._killed = True
        self.step()

    def run(self) -> None:
        try:
            self.result = self._write()
        except BaseException as error:
            self.error = error
        self.done = True
        self._stopped.release()

    def _write(self) -> Manifest:
        attempt = Attempt.begin(self._store, overwrite=self.overwrite)
        if attempt.finished is not None:
            return attempt.finished
        try:
            for number in range(self.parts):
                with self._store.staging() as directory:
                    writer = PartWriter(directory / self._store.staging_name(), None)
                    writer.write([msgspec.Raw(b'{"writer":%d,"part":%d}' % (self.number, number))])
                    attempt.put(writer, "rows", number, number + 1, ".jsonl")
        except SupersededError:
            return attempt.give_way()
        return attempt.commit(self._manifest)

    def _manifest(self, generation: int, parts: tuple[Part, ...]) -> Manifest:
        return Manifest(
            entity=f"writer-{self.number}",
            cloud_id=1,
            since=None,
            until="",
            filter="",
            include="",
            file_format="jsonl",
            compression=None,
            generation=generation,
            rows=self.parts,
            distinct_ids=self.parts,
            requests=0,
            bytes=0,
            parts=parts,
            package_version="",
        )


class CommitProtocol(RuleBasedStateMachine):
    writers = Bundle("writers")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.reader = Store(ObjectStoragePath(f"file://{self.folder}"))
        self.all: list[Writer] = []
        self.newest = 0

    @rule(target=writers, parts=st.integers(0, 3), overwrite=st.booleans())
    def begin(self, parts: int, overwrite: bool) -> Writer:
        writer = Writer(self.folder, len(self.all), parts, overwrite)
        self.all.append(writer)
        return writer

    @rule(writer=writers, steps=st.integers(1, 12))
    def go_on(self, writer: Writer, steps: int) -> None:
        for _ in range(steps):
            if not writer.done:
                writer.step()
                self.check()

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
        number = int(manifest.entity.removeprefix("writer-"))
        assert len(manifest.parts) == self.all[number].parts
        for index, part in enumerate(manifest.parts):
            data = (self.folder / part.name).read_bytes()
            assert hashlib.sha256(data).hexdigest() == part.sha256
            assert msgspec.json.decode(data) == {"writer": number, "part": index}

    def teardown(self) -> None:
        try:
            for writer in self.all:
                while not writer.done:
                    writer.step()
                    self.check()
                writer.join()
                assert isinstance(writer.error, (Killed, type(None))), writer.error
            if self.newest:
                self.check_left_overs()
        finally:
            shutil.rmtree(self.folder)

    def check_left_overs(self) -> None:
        """Whoever finds the window done next leaves nothing in the folder but the set."""
        last = Writer(self.folder, len(self.all), 1, overwrite=False)
        self.all.append(last)
        while not last.done:
            last.step()
        assert last.error is None
        assert last.result is not None
        listed = {part.name for part in last.result.parts}
        expected = listed | {f"{name}.meta" for name in listed} | {f"manifest-{last.result.generation:04d}.json"}
        ahead = {name for name in self.reader.list() if f"g{last.result.generation + 1:04d}-" in name}
        assert set(self.reader.list()) - ahead == expected


CommitProtocol.TestCase.settings = settings(
    max_examples=80, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestCommitProtocol = CommitProtocol.TestCase
