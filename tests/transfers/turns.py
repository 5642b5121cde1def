"""Extractions whose threads move one at a time, as a test decides: races and crashes that can be run again.

A thread stops before every call, at its answer, and before every operation on the store. Nothing else is changed: the
operations are the package's own, on a real disk and over real sockets.
"""

from __future__ import annotations

import functools
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from unittest.mock import patch

from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api import gate, retry
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.errors import error_for
from airflow_provider_dotypos.api.reading import Reader
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers import crew
from airflow_provider_dotypos.transfers.engine import extract
from airflow_provider_dotypos.transfers.files.commit import Attempt
from airflow_provider_dotypos.transfers.files.formats.file_format import FileFormat
from airflow_provider_dotypos.transfers.files.sink import FileSink
from airflow_provider_dotypos.transfers.selection import Selection
from airflow_provider_dotypos.transfers.sink import Sink
from tests.patience import PATIENCE

T = TypeVar("T")

#: Who waits for a turn: the try's number, and the number of its thread.
Key = tuple[int, int]


class Killed(BaseException):
    """What a crashed try dies of: nothing that it does afterwards touches a file."""


class BrokenDiskError(OSError):
    """What an operation on the store fails with."""


class Here(threading.local):
    """Which try and which of its threads the present thread is."""

    tried: Try
    key: Key


here = Here()


class Turns:
    """Lets one of many threads go on, and waits until it stops again."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self._waiting: dict[Key, threading.Semaphore] = {}

    def start(self) -> None:
        """Count one more thread that runs."""
        with self._changed:
            self._running += 1

    def end(self) -> None:
        """Count one less."""
        with self._changed:
            self._running -= 1
            self._changed.notify()

    def pause(self) -> None:
        """Stop until it is this thread's turn."""
        turn = threading.Semaphore(0)
        with self._changed:
            self._waiting[here.key] = turn
            self._running -= 1
            self._changed.notify()
        assert turn.acquire(timeout=PATIENCE), "threads wait for each other"

    def waiting(self) -> list[Key]:
        """Return who waits, once nobody runs."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._running == 0, PATIENCE), "threads wait for each other"
            return sorted(self._waiting)

    def let(self, key: Key) -> None:
        """Let one go on."""
        with self._changed:
            self._running += 1
            self._waiting.pop(key).release()


@dataclass
class Death:
    """How a try ends before it is done: at which of its steps, by what."""

    how: str  # crash, error (before an operation), late (after it), cancel, or throttled
    step: int


class Try(threading.Thread):
    """One run of `extract`, moved by turns. A subclass says into which sink.

    :param stall: the step at which it stalls.
    :param death: what befalls it, if anything.
    :ivar result: what it returned.
    :ivar error: what it raised.
    """

    def __init__(
        self,
        turns: Turns,
        number: int,
        selection: Selection,
        window: Window,
        settings: Settings,
        *,
        stall: int | None = None,
        death: Death | None = None,
    ) -> None:
        super().__init__(daemon=True)
        self.turns = turns
        self.number = number
        self.selection = selection
        self.window = window
        self._stall = stall
        self.death = death
        self.result: Any = None
        self.error: BaseException | None = None
        self.steps = 0
        self.dead = False
        self.client = SteppedClient(settings, self)

    def sink(self) -> Sink[Any]:
        """Return the sink, which takes a step before whatever others can see."""
        raise NotImplementedError

    def run(self) -> None:
        here.tried, here.key = self, (self.number, 0)
        try:
            self.step()
            self.result = extract(self.selection, self.window, Reader(self.client), self.sink())
        except BaseException as error:
            self.error = error
        finally:
            self.client.close()
            self.ended()
            self.turns.end()

    def ended(self) -> None:
        """After its end, before anything else moves."""

    def go(self) -> None:
        """Begin, up to the first stop."""
        self.turns.start()
        self.start()

    @property
    def stalled(self) -> bool:
        """Whether it is to wait until it is woken."""
        return self._stall is not None and self.steps >= self._stall

    def wake(self) -> None:
        """Let it move on."""
        self._stall = None

    def step(self, operation: bool = False) -> None:
        """Wait for a turn; meet one's death, if this is the step."""
        self.turns.pause()
        self.steps += 1
        if self.death is not None and self.steps >= self.death.step:
            if self.death.how == "crash":
                self.crash()
            elif self.death.how == "cancel":
                self.client.cancel()
            elif self.death.how == "throttled" and not operation:
                raise error_for("GET", "/v2/orders", 429, {"Retry-After": "3600"}, b"")
            elif self.death.how == "error" and operation:
                raise BrokenDiskError("the disk broke")
        if self.dead:
            raise Killed

    def done(self) -> None:
        """After an operation: it may have been carried out, and be said to have failed."""
        if self.death is not None and self.steps >= self.death.step and self.death.how == "late":
            raise BrokenDiskError("the answer got lost")

    def crash(self) -> None:
        """Die: from now on no operation is carried out."""
        self.dead = True


class FileTry(Try):
    """A try that writes files.

    :param created: receives each manifest that it creates, before anything else moves.
    :ivar left: staging files that it left.
    """

    def __init__(
        self,
        *arguments: Any,
        folder: Path,
        file_format: FileFormat,
        part_bytes: int,
        overwrite: bool,
        origin: str,
        created: Callable[[Path], None],
        **further: Any,
    ) -> None:
        super().__init__(*arguments, **further)
        self._store = SteppedStore(ObjectStoragePath(f"file://{folder}"), self)
        self._folder = folder
        self._file_format = file_format
        self._part_bytes = part_bytes
        self._overwrite = overwrite
        self._origin = origin
        self._created = created
        self.left: list[Path] = []

    def sink(self) -> FileSink:
        attempt = Attempt.begin(self._store, overwrite=self._overwrite, try_number=self.number, origin=self._origin)
        return FileSink(self.selection, self.window, attempt, self._file_format, self._part_bytes)

    def ended(self) -> None:
        self.left = [path for path in self._store.staged if path.exists()]

    def committed(self, name: str) -> None:
        """Tell of a manifest just created, before anything else moves."""
        self._created(self._folder / name)

    def crash(self) -> None:
        """Die, and leave files that clean-ups would remove."""
        if not self.dead:
            super().crash()
            for staged in self._folder.glob(".staging-*"):
                os.link(staged, staged.with_name(staged.name[:-16] + secrets.token_hex(8)))


class SteppedStore(Store):
    """A store whose every operation waits for its turn."""

    def __init__(self, folder: ObjectStoragePath, tried: FileTry) -> None:
        super().__init__(folder)
        self._try = tried
        self.staged: list[Path] = []

    def staging_name(self) -> str:
        name = super().staging_name()
        self.staged.append(Path(str(self.folder.path)) / name)
        return name

    def _stepped(self, operation: Callable[..., T], *arguments: Any) -> T:
        self._try.step(operation=True)
        result = operation(*arguments)
        self._try.done()
        return result

    def list(self) -> dict[str, int]:
        return self._stepped(super().list)

    def read(self, name: str) -> bytes:
        return self._stepped(super().read, name)

    def open(self, name: str) -> BinaryIO:
        return self._stepped(super().open, name)

    def put(self, staged: Path, name: str, *, private: bool = False) -> None:
        self._stepped(functools.partial(super().put, private=private), staged, name)

    def create(self, data: bytes, name: str) -> bool:
        return self._stepped(self._create, data, name)

    def _create(self, data: bytes, name: str) -> bool:
        created = super().create(data, name)
        if created:
            self._try.committed(name)
        return created

    def delete(self, name: str) -> None:
        self._stepped(super().delete, name)


class SteppedClient(DotyposClient):
    """A client whose every call and every answer wait for their turn; it tries again at once."""

    def __init__(self, settings: Settings, tried: Try) -> None:
        super().__init__(settings)
        self._try = tried

    def call(self, *arguments: Any, **named: Any) -> Any:
        self._try.step()
        answer = super().call(*arguments, **named)
        self._try.step()
        return answer

    def sleep(self, seconds: float) -> None:
        super().sleep(0)


class SteppedPool(ThreadPoolExecutor):
    """The threads of a try, each moved by turns; the try's own thread rests while they are there."""

    def __init__(self, workers: int, prefix: str) -> None:
        super().__init__(workers, prefix)
        self._try = here.tried
        self._missing = self._alive = workers

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        self._try.turns.start()
        future = super().submit(self._run, (self._try.number, self._missing), fn, *args, **kwargs)
        self._missing -= 1
        if not self._missing:
            self._try.turns.end()
        return future

    def _run(self, key: Key, fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        here.tried, here.key = self._try, key
        try:
            self._try.turns.pause()
            return fn(*args, **kwargs)
        finally:
            self._alive -= 1
            if self._alive:  # after the last thread the try's own moves on
                self._try.turns.end()


class _Yielding(threading.Condition):
    """A condition that wakes whoever waits at their every turn, as conditions may."""

    def wait(self, timeout: float | None = None) -> bool:
        self.release()
        try:
            here.tried.turns.pause()
        finally:
            self.acquire()
        return True


@contextmanager
def by_turns() -> Iterator[None]:
    """Let extractions take turns.

    A gate that grows its waits would be asked again and again until they are over, as these clients don't sleep.
    """
    stepped = patch.multiple(crew, Condition=_Yielding, ThreadPoolExecutor=SteppedPool)
    with stepped, patch.object(gate, "backoff", lambda tries: 0.0), patch.object(retry, "backoff", lambda tries: 0.0):
        yield
