"""Compacting, pruning and erasing at once, as a state machine: nothing is lost, and what was erased stays erased.

Each of them is a thread that stops before every operation on a store. The machine decides who moves next, kills whom
it likes, and extracts windows in between: for the first time, again after rows have changed, and over the month's end.
After each step it reads all sets, and compares the newest version of each row with those of a dict.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
from airflow.sdk import ObjectStoragePath
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from airflow_provider_dotypos.api.window import Window, instant
from airflow_provider_dotypos.lake.compaction import ListFolder, compact_list
from airflow_provider_dotypos.lake.pruning import prune_list
from airflow_provider_dotypos.lake.rewriting import rewrite_set
from airflow_provider_dotypos.lake.sets import LakeSet
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.files.committed_set import set_table
from airflow_provider_dotypos.transfers.files.manifest import Rewriting
from airflow_provider_dotypos.transfers.sink import SupersededError
from tests.examples import examples
from tests.lake.lakes import CLOUD, Rows, commit_set, product
from tests.stepping import SteppedThread

#: The last moments of January 1970: what happens at 8 is in February.
BASE = 31 * 86_400_000 - 8

IDS = range(1, 4)

#: All months have ended.
ALWAYS = 10**12

_STEPPED = ("list", "folders", "read", "open", "put", "create", "delete", "remove_if_empty")


def _stepped(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a store's method that stops first in threads that are led step by step."""

    def wait(*arguments: Any, **named: Any) -> Any:
        thread = threading.current_thread()
        if isinstance(thread, SteppedThread):
            thread.wait()
        return method(*arguments, **named)

    return wait


class Compactor(SteppedThread):
    def __init__(self, folder: ListFolder, clock: Callable[[], float]) -> None:
        super().__init__()
        self._folder, self._clock = folder, clock
        self.begin()

    def work(self) -> None:
        for _ in compact_list(self._folder, ALWAYS, now=self._clock):
            pass


class Pruner(SteppedThread):
    def __init__(self, folder: ListFolder, clock: Callable[[], float]) -> None:
        super().__init__()
        self._folder, self._clock = folder, clock
        self.begin()

    def work(self) -> None:
        for _ in prune_list(self._folder, grace=0, now=self._clock):
            pass


class Eraser(SteppedThread):
    """Looks over all sets again and again, until a pass finds nothing new."""

    def __init__(self, folder: ListFolder, id: int) -> None:
        super().__init__()
        self._folder, self.id = folder, id
        self.begin()

    def work(self) -> None:
        while self._pass():
            pass

    def _pass(self) -> bool:
        found_any = False
        for found in self._folder.look_up().values():
            try:
                if found is None or not (edits := _secrets(found, self.id)):
                    # Whatever was committed here since, the next pass sees.
                    continue
                found_any = True
                rewrite_set(found, edits, _erased, Rewriting("erased", "2026-01-01T00:00:00.000Z", 1, "1"))
            except (SupersededError, FileNotFoundError):
                found_any = True
        return found_any


def _secrets(found: LakeSet, id: int) -> dict[str, list[int]]:
    """Return where a set holds personal data of a row, by file."""
    edits = {}
    for part in found.manifest.parts:
        rows = set_table(found.store, found.manifest, "products", [part]).rows()
        positions = [
            position for position, row in enumerate(rows) if int(row["id"]) == id and row.get("plu") == "secret"
        ]
        if positions:
            edits[part.name] = positions
    return edits


def _erased(table: str, row: msgspec.Raw) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(msgspec.json.decode(row) | {"plu": None}))


class Lake(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp())
        self.destination = ObjectStoragePath(f"file://{self.place}")
        self.folder = ListFolder(self.destination, CLOUD, "products")
        self.patches = ExitStack()
        for name in _STEPPED:
            self.patches.enter_context(mock.patch.object(Store, name, _stepped(getattr(Store, name))))
        self.time = 0
        self.seconds = 0
        #: What the API holds: of each row its cursor, and whether it holds personal data.
        self.api: dict[int, tuple[int, bool]] = dict.fromkeys(IDS, (0, True))
        #: What each window's extraction brought last, and every version there ever was.
        self.sets: dict[Window, dict[int, int]] = {}
        self.erased: set[int] = set()
        self.threads: list[SteppedThread] = []
        self.extract(0, 1)

    def clock(self) -> float:
        self.seconds += 1
        return float(self.seconds)

    @rule(ids=st.sets(st.sampled_from(IDS)))
    def change(self, ids: set[int]) -> None:
        self.time += 1
        for id in ids:
            self.api[id] = (self.time, id not in self.erased)

    @rule(begin=st.integers(0, 4), length=st.integers(1, 3))
    def extract_lately(self, begin: int, length: int) -> None:
        self.extract(max(0, self.time - begin), length)

    @rule(since=st.integers(0, 12), length=st.integers(1, 8), overwrite=st.booleans())
    def extract(self, since: int, length: int, overwrite: bool = False) -> None:
        until = min(since + length, self.time + 1)
        if since < until:
            self._extract(Window(BASE + since, BASE + until), overwrite)

    @rule(overwrite=st.booleans())
    def extract_from_the_beginning(self, overwrite: bool) -> None:
        self._extract(Window(None, BASE + self.time + 1), overwrite)

    def _extract(self, window: Window, overwrite: bool) -> None:
        rows = {
            id: (cursor, personal)
            for id, (cursor, personal) in self.api.items()
            if BASE + cursor < window.until and (window.since is None or BASE + cursor >= window.since)
        }
        there = next((found for found in self.folder.sets() if found.folder.window == window), None)
        parts = [
            Rows(
                window.since,
                window.until,
                [_row(id, *version) for id, version in sorted(rows.items(), key=lambda item: item[1])],
            )
        ]
        if there is not None and not overwrite:
            return
        commit_set(self.destination, window, parts, overwrite=overwrite)
        if there is not None and there.manifest.compacted_from:
            # The month was read anew, so what it was made of counts no more: what has left it comes with later windows.
            for inside in [other for other in self.sets if _is_inside(other, window)]:
                del self.sets[inside]
        self.sets[window] = {id: cursor for id, (cursor, _) in rows.items()}

    @rule()
    def begin_compacting(self) -> None:
        self.threads.append(Compactor(self.folder, self.clock))

    @rule()
    def begin_pruning(self) -> None:
        self.threads.append(Pruner(self.folder, self.clock))

    @rule(id=st.sampled_from(IDS))
    def begin_erasing(self, id: int) -> None:
        self.erased.add(id)
        cursor, _ = self.api[id]
        self.api[id] = (cursor, False)
        self.threads.append(Eraser(self.folder, id))

    @precondition(lambda self: self.threads)
    @rule(data=st.data(), steps=st.integers(1, 60))
    def go_on(self, data: st.DataObject, steps: int) -> None:
        thread = data.draw(st.sampled_from(self.threads))
        for _ in range(steps):
            if thread.done:
                break
            thread.step()
            self._nothing_is_lost()
        self._collect()

    @precondition(lambda self: self.threads)
    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        thread = data.draw(st.sampled_from(self.threads))
        thread.kill()
        if isinstance(thread, Eraser):  # is to be done again
            self.threads.append(Eraser(self.folder, thread.id))
        self._collect(killed=True)

    @invariant()
    def nothing_is_lost(self) -> None:
        self._nothing_is_lost()

    def teardown(self) -> None:
        try:
            while self.threads:
                self.threads[0].step()
                self._collect()
            self._nothing_is_lost()
            for id in self.erased:  # a compaction that was killed may have left what the next one replaces
                self._run(lambda: Compactor(self.folder, self.clock))
                assert not [found.folder.name for found in self.folder.sets() if _secrets(found, id)]
            self._run(lambda: Pruner(self.folder, self.clock))
            self._nothing_is_lost()
            self._run(lambda: Compactor(self.folder, self.clock))
            self._run(lambda: Pruner(self.folder, self.clock))
            self._nothing_is_lost()
            self._is_tidy()
        finally:
            for thread in self.threads:
                thread.kill()
            self.patches.close()
            shutil.rmtree(self.place)

    def _run(self, make: Callable[[], SteppedThread]) -> None:
        self.threads.append(make())
        while self.threads:
            self.threads[0].step()
            self._collect()

    def _collect(self, killed: bool = False) -> None:
        """Forget threads that have ended. None ends by an error of its own."""
        for thread in [thread for thread in self.threads if thread.done]:
            self.threads.remove(thread)
            if isinstance(thread.error, Exception):
                raise thread.error

    def _nothing_is_lost(self) -> None:
        newest: dict[int, int] = {}
        for found in self.folder.sets():
            for row in _read(found):
                cursor = instant(row["versionDate"], "versionDate") - BASE
                assert row["name"] == f"{row['id']} at {cursor}"
                newest[int(row["id"])] = max(newest.get(int(row["id"]), -1), cursor)
        for content in self.sets.values():
            for id, cursor in content.items():
                assert newest.get(id, -1) >= cursor, f"version {cursor} of {id} is lost"
        assert all(cursor <= self.api[id][0] for id, cursor in newest.items())

    def _is_tidy(self) -> None:
        """What is left can't be compacted or pruned, and no folder holds anything but its set."""
        for name, found in self.folder.look_up().items():
            names = {path.name for path in (self.place / str(CLOUD) / "products" / name).iterdir()}
            if found is None:
                assert not any(one.startswith("g") for one in names), names
            else:
                assert {one for one in names if one.startswith("g")} == set(found.manifest.contents.sizes)


def _row(id: int, cursor: int, personal: bool) -> dict[str, Any]:
    return product(id, BASE + cursor, name=f"{id} at {cursor}", plu="secret" if personal else None)


def _read(found: LakeSet) -> Iterator[Mapping[str, Any]]:
    return set_table(found.store, found.manifest, "products").rows()


def _is_inside(window: Window, other: Window) -> bool:
    if other.since is None or window.since is None:
        return False
    return other.since <= window.since and window.until <= other.until


Lake.TestCase.settings = settings(
    max_examples=examples(20),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestLake = Lake.TestCase
