"""One storm over an extraction: a shop that changes, requests that fail, and tries that get in each other's way.

What is promised is checked here: of a set when it is committed, and of the windows when all is over.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import random
import time
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.errors import DotyposCancelledError, DotyposRateLimitError
from airflow_provider_dotypos.api.markers import DeletedFilter, Division, UndatedRows
from airflow_provider_dotypos.api.page import timestamp
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.files.commit import sidecar_name
from airflow_provider_dotypos.transfers.files.formats.file_format import FileFormat
from airflow_provider_dotypos.transfers.files.manifest import Manifest, manifest_name, newest_manifest
from airflow_provider_dotypos.transfers.files.sink import set_folder
from airflow_provider_dotypos.transfers.selection import Selection
from tests.api.walking import HOUR, SINCE, UNTIL, Drift, empty_shop
from tests.transfers.turns import BrokenDiskError, Death, FileTry, Killed, Try, Turns

Row = dict[str, Any]


@dataclass
class Burst:
    """Rows around a moment of the window: `spread` 0 makes them a tie."""

    second: int
    rows: int
    spread: int


@dataclass
class Plan:
    """One try of a storm.

    :param after: turns that the try before gets until this one begins; ``None``: it ends first.
    :param stall: from this step on it waits until nobody else can move: a zombie.
    :param rot: damage a part before it begins. :param origin: whose try it is.
    :param deleted_filter: as the task says it, or knows it by then. One filter is used where it hides nothing.
    """

    concurrency: int
    part_bytes: int
    after: int | None
    stall: int | None
    death: Death | None
    rot: bool
    overwrite: bool = False
    origin: str = ""
    deleted_filter: DeletedFilter = "two"


QUIET = Plan(concurrency=1, part_bytes=10**9, after=None, stall=None, death=None, rot=False)


@dataclass
class Weather:
    """All that a storm is made of but its tries.

    :param grain: of rows' times, in milliseconds. :param edge: milliseconds by which the window begins and ends later.
    :param rate: changes per request. :param faults: kind, requests that pass before, and requests that meet it.
    :param from_the_beginning: whether the first window has no `since`, so that its set has a tail.
    """

    name: str
    behaviour: Behaviour
    bursts: list[Burst]
    grain: int
    rate: float
    faults: list[tuple[str, int, int]]
    file_format: FileFormat
    worth_splitting: float
    seed: int
    edge: int = 0
    from_the_beginning: bool = False
    undated_rows: UndatedRows = "always"

    def has_undated(self, since: object) -> bool:
        """Whether sets of windows that begin there hold the rows without a cursor."""
        return since is None or self.undated_rows == "always"


class Wind(Fault):
    """Lets the shop change before each request is answered, which tells the shop's time, and harms none."""

    def __init__(self, drift: Drift, api: Sandbox) -> None:
        super().__init__("500")
        self.drift = drift
        self.api = api

    def strikes(self, method: str, path: str) -> bool:
        self.drift()
        # By any other clock, the tail's end wouldn't lie in the shop's past.
        self.api.date_offset = self.drift.shop.now() / 1000 - time.time()
        return False


class Storm:
    """One storm: a shop that changes, a folder, and the tries that fill it."""

    def __init__(self, api: Sandbox, weather: Weather, lake: Path) -> None:
        channel.forget_tokens()
        self.weather = weather
        self.lake = lake
        self.window = Window(None if weather.from_the_beginning else SINCE + weather.edge, UNTIL + weather.edge)
        self.chance = random.Random(weather.seed)
        self.tick = 1000 if weather.behaviour.timestamp_precision == "s" else 1
        self.shop = api.shop = empty_shop()
        self.cloud = self.shop.cloud_ids[0]
        self.cursor = find_entity(weather.name).cursors[0]
        self.drift = Drift(self.shop, weather.name, weather.seed, weather.rate)
        api.behaviour = weather.behaviour
        self._fill()
        faults = [Fault(kind, retry_after="0", skip=skip, times=times) for kind, skip, times in weather.faults]
        api.faults[:] = [Wind(self.drift, api), *faults]
        extra = {"refresh_token": api.refresh_token, "cloud_id": self.cloud, "timeout": 5}
        self._settings = Settings.from_fields(host=api.url, extra=extra)
        self._selection = Selection.of(weather.name, cloud_id=self.cloud)
        self._turns = Turns()
        self._tries: list[Try] = []
        self._committed: list[Manifest] = []

    def rows(self) -> list[Row]:
        return self.shop.rows(self.cloud, self.weather.name)

    def _fill(self) -> None:
        entity = find_entity(self.weather.name)
        moments: list[int | None] = [SINCE, UNTIL - 1, UNTIL, SINCE - 1]
        for burst in self.weather.bursts:
            at = SINCE + burst.second * 1000
            for _ in range(burst.rows):
                later = at + self.chance.randrange(burst.spread + 1) - SINCE
                moments.append(SINCE + later % HOUR // self.weather.grain * self.weather.grain)
        if entity.fields[self.cursor].nullable:
            moments += [None] * self.chance.choice([0, 3, 120])
        for moment in moments:
            row: Row = {self.cursor: moment}
            if entity.has_deleted:
                row["deleted"] = self.chance.choice([False, False, True, None])
            self.shop.insert(self.cloud, self.weather.name, row)

    def folder(self, window: Window) -> Path:
        return self.lake / set_folder(self._selection, window, self.weather.file_format)

    def run(self, window: Window, plans: list[Plan]) -> None:
        """Run tries by turns, until the last has ended."""
        coming = list(plans)
        given = 0
        while True:
            waiting = self._turns.waiting()
            fit = [key for key in waiting if not self._tries[key[0] - 1].stalled]
            if coming and (not fit or (coming[0].after is not None and given >= coming[0].after)):
                self._begin(window, coming.pop(0), alone=not waiting)
                given = 0
            elif fit:
                self._turns.let(self.chance.choice(fit))
                given += 1
            elif waiting:
                self._tries[self.chance.choice(waiting)[0] - 1].wake()
            else:
                break
        for tried in self._tries:
            tried.join()

    def _begin(self, window: Window, plan: Plan, alone: bool) -> None:
        if plan.rot and alone:
            self._rot(self.folder(window))
        settings = replace(self._settings, max_concurrency=plan.concurrency)
        death = replace(plan.death) if plan.death else None
        deleted_filter = "two" if self.weather.behaviour.deleted_null == "excluded" else plan.deleted_filter
        division = Division(deleted_filter, self.weather.undated_rows)
        selection = replace(self._selection, division=division)
        tried = self.new_try(
            plan, self._turns, len(self._tries) + 1, selection, window, settings, stall=plan.stall, death=death
        )
        self._tries.append(tried)
        tried.go()

    def new_try(self, plan: Plan, *arguments: Any, **further: Any) -> Try:
        """Return a try, not begun yet."""
        window: Window = arguments[3]
        return FileTry(
            *arguments,
            folder=self.folder(window),
            file_format=self.weather.file_format,
            part_bytes=plan.part_bytes,
            overwrite=plan.overwrite,
            origin=plan.origin,
            created=self.check_commit,
            **further,
        )

    def _rot(self, folder: Path) -> None:
        """Turn a digit of an id in a part that no manifest lists (of a packed one, any bit), or cut it off."""
        parts = sorted(path for path in folder.glob("g*"))
        if not parts or any(folder.glob("_manifest-*")):
            return
        path = self.chance.choice(parts)
        data = bytearray(path.read_bytes())
        packed = path.suffix in (".gz", ".parquet")
        data[len(data) // 2 if packed else data.find(b"4100") + 8] ^= 1
        path.write_bytes(data if self.chance.random() < 0.8 else data[: len(data) // 2])

    def check_commit(self, path: Path) -> None:
        """Check a set at the moment in which it becomes one (a newer one may be there already, and is the set then)."""
        folder = Store(ObjectStoragePath(f"file://{path.parent}"))
        manifest = newest_manifest(folder)
        assert manifest is not None
        if manifest_name(manifest.generation) == path.name:
            self.read(path.parent, manifest)
            self._committed.append(manifest)

    def read(self, folder: Path, manifest: Manifest) -> list[Row]:
        """Return the rows of a set, checked: whole parts that don't overlap, true counts, and what it has to hold."""
        found: list[Row] = []
        ranges: dict[str, list[tuple[int, int]]] = {}
        for part in manifest.parts:
            data = (folder / part.name).read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (part.bytes, part.sha256)
            rows = rows_of(data, self.weather.file_format, self.cursor)
            assert len(rows) == part.rows
            covered = [(range.stream, range.low, range.high) for range in part.ranges if range.high is not None]
            for stream, low, high in covered:
                assert low is not None or manifest.since is None
                ranges.setdefault(stream, []).append((low or 0, high))
            if len(covered) == len(part.ranges):
                for row in rows:
                    assert any(
                        (low or 0) // self.tick * self.tick <= row[self.cursor] < high for _, low, high in covered
                    )
            found += rows
        for stream in ranges.values():
            assert all(one[1] <= other[0] for one, other in pairwise(sorted(stream)))
        ids = {row["id"] for row in found}
        assert (manifest.rows, manifest.distinct_ids) == (len(found), len(ids))
        assert manifest.bytes == sum(part.bytes for part in manifest.parts)
        check_set(self, manifest, found)
        return found

    def finish(self, window: Window, plans: list[Plan]) -> list[Row]:
        """Run tries, and one more to the end; return the rows of the set, which alone is left in the folder."""
        before = len(self._tries)
        self.run(window, plans)
        self.run(window, [QUIET])
        for tried in self._tries[before:]:
            self._check_end(tried)
        last: Manifest = self._tries[-1].result.manifest
        assert last.generation <= 1 + sum(plan.overwrite for plan in plans)
        folder = self.folder(window)
        listed = {part.name for part in last.parts}
        expected = listed | {sidecar_name(name) for name in listed} | {manifest_name(last.generation)}
        # What a replacement left that nobody has finished is its own generation's business.
        ahead = {path.name for path in folder.iterdir() if f"g{last.generation + 1:04d}-" in path.name}
        assert {path.name for path in folder.iterdir()} - ahead == expected
        return self.read(folder, last)

    def _check_end(self, tried: Try) -> None:
        if tried.death is None:
            assert tried.error is None, tried.error
        elif tried.error is not None:
            assert isinstance(tried.error, (Killed, BrokenDiskError, DotyposCancelledError, DotyposRateLimitError)), (
                tried.error
            )
        if isinstance(tried, FileTry):
            assert tried.error is not None or tried.result.manifest in self._committed
            assert tried.dead or not tried.left


def rows_of(data: bytes, file_format: FileFormat, cursor: str) -> list[Row]:
    """Return what counts of a part's rows, the same from every format: id, cursor in epoch ms, and whether deleted."""
    rows: list[Row]
    if file_format.name == "parquet":
        file = pq.ParquetFile(io.BytesIO(data))
        table = file.read([name for name in ("id", cursor, "deleted") if name in file.schema_arrow.names])
        times = table.column(cursor).cast("int64")
        rows = table.set_column(table.schema.get_field_index(cursor), cursor, times).to_pylist()
    else:
        data = gzip.decompress(data) if file_format.gzip_level else data
        if file_format.name == "csv":
            rows = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
        else:
            rows = [msgspec.json.decode(line) for line in data.splitlines()]
        for row in rows:
            row[cursor] = timestamp(row[cursor]) if row.get(cursor) else None
    return [
        {"id": str(row["id"]), cursor: row[cursor], "deleted": row.get("deleted") in (True, "true")} for row in rows
    ]


def check_promises(storm: Storm, plans: list[Plan]) -> None:
    """Fill the window by these tries, then two later ones, the last in a shop at rest; check what is promised."""
    stormy = storm.finish(storm.window, plans)
    # What ends now has settled in a minute.
    middle = Window(storm.window.until, storm.shop.now())
    storm.shop.advance(60)
    later = storm.finish(middle, [replace(plans[-1], overwrite=False)])
    storm.drift.rate = 0
    last = Window(middle.until, storm.shop.now())
    storm.shop.advance(60)
    check_merged(storm, [stormy, later, storm.finish(last, [])], last.until)


def check_set(storm: Storm, manifest: Manifest, rows: list[Row]) -> None:
    """Every row that last changed in the window, or its tail, is there once as it is, whatever it was before.

    What has changed since may be there as it was. Rows without a cursor are there at least once, or in no window.
    """
    assert (manifest.tail_until is None) == (manifest.since is not None)
    since = 0 if manifest.since is None else timestamp(manifest.since)
    end = timestamp(manifest.tail_until or manifest.until)
    counts = Counter(row["id"] for row in rows)
    versions = Counter((row["id"], row[storm.cursor]) for row in rows)
    for row in storm.rows():
        id, moment = str(row["id"]), row[storm.cursor]
        if moment is None:
            assert (counts[id] >= 1) == storm.weather.has_undated(manifest.since), "lost, or of no window"
        elif since <= moment < end:
            assert versions[id, moment - moment % storm.tick] == 1, "lost or doubled"
            assert counts[id] == 1 or id in storm.drift.touched, "doubled"
        elif id not in storm.drift.touched:
            assert counts[id] == 0, "of another window"


def check_merged(storm: Storm, windows: list[list[Row]], end: int) -> None:
    """Merged by id, the newest version winning, the windows make what the shop holds."""
    merged: dict[str, tuple[int, int, Row]] = {}
    for number, rows in enumerate(windows):
        for row in rows:
            version = (-1 if row[storm.cursor] is None else row[storm.cursor], number, row)
            merged[row["id"]] = max(merged.get(row["id"], (-1, -1, row)), version, key=lambda v: v[:2])
    there = {str(row["id"]): row for row in storm.rows()}
    for id, row in there.items():
        moment = row[storm.cursor]
        undated = moment is None and storm.weather.has_undated(storm.window.since)
        if undated or (moment is not None and (storm.window.since or 0) <= moment < end):
            assert id in merged, "in no window"
            assert merged[id][0] == (-1 if moment is None else moment - moment % storm.tick), "an old version wins"
            assert merged[id][2]["deleted"] == bool(row.get("deleted"))
    assert merged.keys() - there.keys() <= storm.drift.gone
