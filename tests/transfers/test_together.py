"""Several threads walk one window, and attempts go on where others ended."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from airflow.sdk import ObjectStoragePath
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos.api import listing
from airflow_provider_dotypos.api.page import Page, read_page
from airflow_provider_dotypos.api.pieces import Pieces
from airflow_provider_dotypos.api.streams import Piece, Stream
from airflow_provider_dotypos.api.window import Window, iso
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers import piece_writer
from airflow_provider_dotypos.transfers.engine import gaps
from airflow_provider_dotypos.transfers.files import commit, merge
from airflow_provider_dotypos.transfers.files.commit import Attempt, sidecar_name
from airflow_provider_dotypos.transfers.files.committed_set import read_manifest
from airflow_provider_dotypos.transfers.files.formats.jsonl import JsonLinesWriter
from airflow_provider_dotypos.transfers.files.manifest import Manifest
from airflow_provider_dotypos.transfers.files.part import Contents, Part
from demo import children
from tests.transfers.conftest import SINCE, SINCE_MS, UNTIL

Extract = Callable[..., dict[str, Any]]

STREAM = Stream("rows", (), "versionDate")
DAY_MS = 86_400_000


def fill(sandbox: Sandbox, rows: int) -> list[str]:
    """Fill a day with orders, most of them at lunch and in the evening; some share an instant."""
    chance = random.Random(rows)
    cloud = sandbox.cloud_ids[0]
    moments = [int(chance.gauss(chance.choice([12, 19.5]), 1) * 3_600_000) % DAY_MS for _ in range(rows)]
    moments[:130] = [moments[0]] * min(130, rows)
    return [str(sandbox.shop.insert(cloud, "orders", {"versionDate": SINCE_MS + moment})["id"]) for moment in moments]


def ids_in(result: dict[str, Any]) -> list[str]:
    found = []
    for file in read_manifest(result["manifest"]).files:
        found += [json.loads(line)["id"] for line in file.read_text().splitlines()]
    return found


@pytest.fixture(autouse=True)
def nothing_is_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets show the parts as the threads wrote them."""
    monkeypatch.setattr(merge, "SMALL_BYTES", 0)


def list_calls(sandbox: Sandbox) -> int:
    return sum(request.path.endswith("/orders") for request in sandbox.requests)


@pytest.mark.parametrize("concurrency", [2, 16])
def test_threads_share_a_window_and_no_row_is_lost_or_doubled(
    extract: Extract, sandbox: Sandbox, concurrency: int
) -> None:
    orders = fill(sandbox, 6000)
    sandbox.latency = 0.02

    result = extract(concurrency=concurrency)

    assert sorted(ids_in(result)) == sorted(orders)
    manifest = read_manifest(result["manifest"]).manifest
    assert (manifest.rows, manifest.distinct_ids) == (6000, 6000)
    parts = manifest.parts
    assert len(parts) > concurrency / 2
    for one, other in pairwise(parts):
        assert one.high is not None
        assert other.low is not None
        assert one.high <= other.low


@pytest.mark.parametrize("pages", [100, 200])
def test_few_requests_are_wasted_on_an_uneven_day(
    extract: Extract, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    fill(sandbox, pages * 100)
    sandbox.latency = 0.02
    answers: list[Sequence[str]] = []

    def read(body: bytes, cursor: str | None, *further: Any) -> Page:
        page = read_page(body, cursor, *further)
        answers.append(page.ids)
        return page

    monkeypatch.setattr(listing, "read_page", read)

    result = extract(concurrency=16)

    assert result["rows"] == pages * 100
    seen: set[str] = set()
    wasted = 0
    for ids in answers:
        wasted += seen.issuperset(ids)  # empty, or nothing new
        seen.update(ids)
    assert len(answers) == list_calls(sandbox)
    assert wasted <= len(answers) * 0.15
    assert len(answers) <= pages * 1.25  # each end of a piece costs part of a page


def test_rows_without_a_cursor_are_parted_too(extract: Extract, sandbox: Sandbox) -> None:
    cloud = sandbox.cloud_ids[0]
    unordered = [sandbox.shop.insert(cloud, "tags", {"versionDate": None})["id"] for _ in range(700)]
    ordered = sandbox.shop.insert(cloud, "tags", {"versionDate": SINCE_MS})["id"]

    result = extract(entity="tags", max_part_bytes=10_000, undated_rows="always")

    assert sorted(ids_in(result)) == sorted(map(str, [*unordered, ordered]))
    parts = read_manifest(result["manifest"]).manifest.parts
    assert len([part for part in parts if part.high is None]) > 2
    assert all(part.bytes < 40_000 for part in parts)


def test_a_part_ends_at_a_tenth_of_the_time_that_an_extraction_takes(
    extract: Extract, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = fill(sandbox, 4000)
    clock = iter(range(0, 100_000, 3))  # each look at the clock is three seconds after the last
    monkeypatch.setattr(piece_writer, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))

    result = extract(concurrency=1)

    assert sorted(ids_in(result)) == sorted(orders)
    pages = [part.rows / 100 for part in read_manifest(result["manifest"]).manifest.parts]
    assert pages[0] <= 3  # after 5 s
    assert 3 < pages[-2] <= 7  # after 12 s of two minutes


def test_half_of_another_piece_is_taken_if_the_widest_cannot_be_parted() -> None:
    instant = Piece(STREAM, 0, 1000, rate=1.0)  # a bulk change within a second: ten pages
    day = Piece(STREAM, 10_000, 90_000, rate=0.01)  # eight
    pieces = Pieces([instant, day])
    assert [pieces.next(), pieces.next()] == [instant, day]
    half = pieces.next()
    assert half is not None
    assert (day.hi, half.lo, half.hi) == (50_000, 50_000, 90_000)


def test_a_small_window_is_not_split(extract: Extract, sandbox: Sandbox) -> None:
    fill(sandbox, 150)
    assert extract(concurrency=16)["files"] == 1


def test_all_threads_share_one_token(extract: Extract, sandbox: Sandbox) -> None:
    fill(sandbox, 3000)
    sandbox.latency = 0.02
    extract(concurrency=16)
    assert sandbox.sign_ins == 1


def test_of_an_error_in_one_thread_all_end_and_nothing_is_committed(
    extract: Extract, sandbox: Sandbox, tmp_path: Path
) -> None:
    fill(sandbox, 6000)
    sandbox.latency = 0.02
    sandbox.faults.append(Fault("redirect", path="/orders", skip=20))
    before = threading.active_count()

    with pytest.raises(Exception, match="redirect"):
        extract(concurrency=8)

    assert threading.active_count() <= before
    names = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert not [name for name in names if "manifest" in name or "staging" in name]


def run_apart(tmp_path: Path, **arguments: object) -> subprocess.Popen[bytes]:
    given = {"task_id": "x", "entity": "orders", "destination": f"file://{tmp_path}/lake", **arguments}
    script = (
        "from types import SimpleNamespace as N\n"
        "from airflow_provider_dotypos.transfers.dotypos_to_object_storage import *\n"
        f"DotyposToObjectStorageOperator(**{given!r}).execute({{'ti': N(try_number=1), 'dag_run': None}})"
    )
    return children.Child([sys.executable, "-c", script], stderr=subprocess.DEVNULL, env=os.environ.copy())


@pytest.mark.parametrize("concurrency", [1, 4])
def test_after_kill_9_only_what_was_in_flight_is_fetched_again(
    extract: Extract, sandbox: Sandbox, tmp_path: Path, concurrency: int
) -> None:
    orders = fill(sandbox, 6000)
    sandbox.latency = 0.02
    window = {"since": SINCE.isoformat(), "until": UNTIL.isoformat()}
    process = run_apart(tmp_path, **window, max_part_bytes=50_000, concurrency=concurrency)
    while list_calls(sandbox) < 45:
        assert process.poll() is None
        threading.Event().wait(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {
        path.name: path.stat().st_ino
        for path in tmp_path.rglob("*.jsonl")
        if path.with_name(sidecar_name(path.name)).exists()
    }
    assert kept
    sandbox.requests.clear()

    result = extract(max_part_bytes=50_000, concurrency=concurrency)

    assert sorted(ids_in(result)) == sorted(orders)
    manifest = read_manifest(result["manifest"]).manifest
    assert (manifest.rows, manifest.distinct_ids) == (6000, 6000)
    assert kept.keys() <= {part.name for part in manifest.parts}
    rows_kept = sum(part.rows for part in manifest.parts if part.name in kept)
    assert list_calls(sandbox) <= (6000 - rows_kept) / 100 * 1.3 + 10


@given(
    cuts=st.lists(st.integers(0, 40), max_size=8, unique=True),
    taken=st.lists(st.booleans(), min_size=9, max_size=9),
    low=st.sampled_from([None, 0]),
)
def test_parts_and_gaps_cover_a_piece_once(cuts: list[int], taken: list[bool], low: int | None) -> None:
    edges: list[int | None] = [low, *sorted({cut for cut in cuts if cut not in (0, 40)}), 40]
    ranges = list(pairwise(edges))
    parts = [Part("", "rows", a, b, 1, 1, "") for (a, b), kept in zip(ranges, taken, strict=False) if kept]

    found = [(gap.lo, gap.hi) for gap in gaps(Piece(STREAM, low, 40), parts)]

    together = sorted([*found, *((part.low, part.high) for part in parts)], key=lambda r: -1 if r[0] is None else r[0])
    assert together[0][0] == low
    assert together[-1][1] == 40
    assert all(one[1] == other[0] for one, other in pairwise(together))


def rows_in(store: Store, part: Part) -> int:
    return len(store.read(part.name).splitlines())


class TestAnEarlierAttempt:
    """What is kept of it."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return Store(ObjectStoragePath(f"file://{tmp_path}/set"))

    def put(self, store: Store, *ranges: tuple[int, int], stream: str = "rows", origin: str = "") -> list[Part]:
        attempt = Attempt.begin(store, overwrite=False, origin=origin)
        parts = []
        for low, high in ranges:
            with store.staging() as directory:
                writer = JsonLinesWriter(directory / store.staging_name(), None)
                writer.write([msgspec.Raw(b'{"id":"%d"}' % cell) for cell in range(low, high)])
                parts.append(attempt.put(writer, stream, low, high, ".jsonl"))
        return parts

    def kept(self, store: Store, *, overwrite: bool = False, origin: str = "") -> list[tuple[int | None, int | None]]:
        attempt = Attempt.begin(store, overwrite=overwrite, origin=origin)
        return [(part.low, part.high) for part in attempt.keep("rows", 0, 10, partial(rows_in, store))]

    def test_is_kept_where_it_is_whole(self, store: Store) -> None:
        self.put(store, (0, 3), (5, 7))
        assert self.kept(store) == [(0, 3), (5, 7)]

    def test_of_overlapping_parts_one_is_kept(self, store: Store) -> None:
        self.put(store, (0, 3), (4, 6))
        self.put(store, (2, 5))
        self.put(store, (0, 1))
        assert self.kept(store) == [(0, 3), (4, 6)]

    def test_is_not_kept_if_a_byte_has_changed(self, store: Store, tmp_path: Path) -> None:
        part, _ = self.put(store, (0, 3), (3, 5))
        path = tmp_path / "set" / part.name
        path.write_bytes(path.read_bytes().replace(b"1", b"7"))
        assert self.kept(store) == [(3, 5)]

    def test_is_not_kept_if_it_has_other_rows_than_it_says(self, store: Store, tmp_path: Path) -> None:
        part, _ = self.put(store, (0, 3), (3, 5))
        path = tmp_path / "set" / sidecar_name(part.name)
        path.write_bytes(path.read_bytes().replace(b'"rows":3', b'"rows":4'))
        assert self.kept(store) == [(3, 5)]

    def test_is_not_taken_for_a_range_without_rows_if_its_digest_is_missing(self, store: Store, tmp_path: Path) -> None:
        part, _ = self.put(store, (0, 3), (3, 5))
        path = tmp_path / "set" / sidecar_name(part.name)
        path.write_bytes(path.read_bytes().replace(part.sha256.encode(), b""))
        assert self.kept(store) == [(3, 5)]

    def test_is_not_kept_without_its_sidecar_or_in_part(self, store: Store, tmp_path: Path) -> None:
        one, two, _ = self.put(store, (0, 3), (3, 5), (5, 6))
        (tmp_path / "set" / sidecar_name(one.name)).unlink()
        os.truncate(tmp_path / "set" / two.name, 5)
        assert self.kept(store) == [(5, 6)]

    def test_is_not_kept_outside_or_of_another_stream(self, store: Store) -> None:
        self.put(store, (8, 12))
        self.put(store, (1, 2), stream="deleted")
        assert self.kept(store) == []

    def test_is_kept_for_a_replacement_only_of_the_same_task_instance(self, store: Store) -> None:
        self.put(store, (0, 3), origin="mine")
        self.put(store, (3, 5), origin="theirs")
        assert self.kept(store, overwrite=True, origin="mine") == [(0, 3)]
        assert self.kept(store, overwrite=True) == []
        assert self.kept(store) == [(0, 3), (3, 5)]

    def test_is_not_kept_if_another_version_of_the_package_wrote_it(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It may have had other columns, and written what is personal data by now."""
        with monkeypatch.context() as patch:
            patch.setattr(commit, "__version__", "0.0.1")
            self.put(store, (0, 3))
        self.put(store, (3, 5))
        assert self.kept(store) == [(3, 5)]

    @pytest.mark.parametrize("elsewhere", ["1/orders/w_22222222", "2/orders/w_11111111", "1/tags/w_11111111"])
    def test_is_not_kept_where_it_was_copied_from_another_folder(self, tmp_path: Path, elsewhere: str) -> None:
        """It may be of another shape, with columns that aren't wanted here, of another cloud or of another entity."""
        here = "1/orders/w_11111111"
        self.put(Store(ObjectStoragePath(f"file://{tmp_path}/{here}")), (0, 3))
        shutil.copytree(tmp_path / here, tmp_path / elsewhere)
        shutil.copytree(tmp_path / here, tmp_path / "moved" / here)
        assert self.kept(Store(ObjectStoragePath(f"file://{tmp_path}/{elsewhere}"))) == []
        assert self.kept(Store(ObjectStoragePath(f"file://{tmp_path}/moved/{here}"))) == [(0, 3)]

    def test_is_left_to_whoever_took_it_over(self, tmp_path: Path) -> None:
        store = Store(ObjectStoragePath(f"file://{tmp_path}/1/orders/{Window(None, 10).name}_00000000"))

        def manifest(generation: int, contents: Contents) -> Manifest:
            return Manifest(
                entity="orders", cloud_id=1, since=None, until=iso(10), filter="", include="", file_format="jsonl",
                compression=None, generation=generation, rows=0, distinct_ids=0, requests=0, bytes=0,
                parts=contents.parts, package_version="",
            )  # fmt: skip

        zombie = Attempt.begin(store, overwrite=False)
        with store.staging() as directory:
            for low in (0, 5):
                writer = JsonLinesWriter(directory / store.staging_name(), None)
                writer.write([msgspec.Raw(b'{"id":"1"}')])
                zombie.put(writer, "rows", low, low + 5, ".jsonl")
        heir = Attempt.begin(store, overwrite=False)
        assert len(list(heir.keep("rows", 0, 5, partial(rows_in, store)))) == 1
        committed = heir.commit(Contents(heir.parts, {}), manifest)

        assert zombie.commit(Contents(zombie.parts, {}), manifest) == committed
        assert set(store.list()) == {
            name for part in committed.parts for name in (part.name, sidecar_name(part.name))
        } | {"_manifest-0001.json"}
