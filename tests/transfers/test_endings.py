"""Whatever ends an attempt and leaves its process alive: what is read and covered is kept, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos._compat import fail_exception, reschedule_exception
from airflow_provider_dotypos.api import channel, retry
from airflow_provider_dotypos.api.errors import DotyposError
from airflow_provider_dotypos.sandbox import Fault, Limit, Sandbox
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers import engine, piece_writer
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator
from airflow_provider_dotypos.transfers.files.commit import Attempt, sidecar_name
from airflow_provider_dotypos.transfers.files.committed_set import read_manifest
from airflow_provider_dotypos.transfers.files.formats.jsonl import JsonLinesWriter
from airflow_provider_dotypos.transfers.files.manifest import Manifest
from airflow_provider_dotypos.transfers.files.part import Contents, Part
from tests.transfers.conftest import HOUR_MS, SINCE, SINCE_MS, UNTIL
from tests.transfers.test_together import fill, ids_in, list_calls

Extract = Callable[..., dict[str, Any]]

PutOff = type(reschedule_exception(UNTIL))


class TimeoutOfTaskError(BaseException):
    """As Airflow's: it may break in anywhere in the main thread."""


@pytest.fixture(autouse=True)
def no_part_ends_by_age(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine some would."""
    monkeypatch.setattr(piece_writer.PartAge, "is_over", lambda self, since: False)


def sidecars(lake: Path) -> list[Part]:
    return [msgspec.json.decode(path.read_bytes(), type=Part) for path in sorted(lake.rglob("_g*.meta"))]


def rows_kept(lake: Path) -> int:
    return sum(part.rows for part in sidecars(lake))


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize(
    ("kind", "header"),
    [("429", "3600"), ("503", "3600"), ("redirect", None), ("500", None), ("429", None)],
    ids=["put off", "put off by a fault", "refused for good", "faults past patience", "throttled past patience"],
)
def test_what_was_read_is_kept(
    extract: Extract,
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    header: str | None,
    concurrency: int,
) -> None:
    monkeypatch.setattr(retry, "PUT_OFF_SOON", retry.Patience(faults=0.2, throttling=0.2, blind=0.2))
    orders = fill(sandbox, 2400)
    sandbox.latency = 0.01
    sandbox.faults.append(Fault(kind, retry_after=header, path="/orders", skip=12, times=10_000))
    with pytest.raises((PutOff, DotyposError, fail_exception())) as ended:
        extract(concurrency=concurrency)
    assert (ended.type is PutOff) == (kind == "429" or header is not None)
    kept = rows_kept(tmp_path)
    assert kept >= 0.9 * 12 * 99 - 230  # the tie may be open
    assert not list(tmp_path.rglob(".staging*"))
    sandbox.faults.clear()
    sandbox.requests.clear()

    result = extract(concurrency=concurrency)

    assert sorted(ids_in(result)) == sorted(orders)
    # Each gap costs a page that isn't full, and so does its end where another thread takes half of it.
    assert list_calls(sandbox) <= (2400 - kept) / 100 * 1.25 + 3 * concurrency


def test_what_was_read_is_kept_when_the_task_is_killed(
    connection: None, extract: Extract, sandbox: Sandbox, tmp_path: Path
) -> None:
    orders = fill(sandbox, 4000)
    sandbox.latency = 0.02
    operator = DotyposToObjectStorageOperator(
        task_id="x", entity="orders", destination=f"file://{tmp_path}/lake", since=SINCE, until=UNTIL, concurrency=4
    )

    class Killer(Fault):
        def strikes(self, method: str, path: str) -> bool:
            if super().strikes(method, path):
                operator.on_kill()
            return False

    sandbox.faults.append(Killer("500", path="/orders", skip=20))
    context: Any = {"ti": SimpleNamespace(try_number=1), "dag_run": SimpleNamespace(run_after=UNTIL)}
    with pytest.raises(Exception, match="killed"):
        operator.execute(context)
    assert rows_kept(tmp_path) >= 0.9 * 20 * 99 - 230
    assert sorted(ids_in(extract(concurrency=4))) == sorted(orders)


def test_what_was_read_is_kept_when_the_task_times_out(
    extract: Extract, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = fill(sandbox, 4000)
    told: list[int] = []

    def report(self: object, rows: int, *_: object) -> None:
        told.append(rows)
        if sum(told) > 2000:
            raise TimeoutOfTaskError

    with monkeypatch.context() as patch:
        patch.setattr(engine.Progress, "report", report)
        with pytest.raises(TimeoutOfTaskError):
            extract(concurrency=1)
    assert rows_kept(tmp_path) == sum(told)
    assert sorted(ids_in(extract())) == sorted(orders)


@pytest.mark.parametrize("rows_written", [0, 50])
def test_a_part_in_which_a_write_was_broken_off_is_not_kept(
    extract: Extract, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_written: int
) -> None:
    orders = fill(sandbox, 1000)
    write, writes = JsonLinesWriter.write, []

    def interrupted(self: JsonLinesWriter, rows: Iterable[msgspec.Raw]) -> None:
        writes.append(1)
        if len(writes) == 5:
            write(self, list(rows)[:rows_written])
            raise TimeoutOfTaskError
        write(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(JsonLinesWriter, "write", interrupted)
        with pytest.raises(TimeoutOfTaskError):
            extract(concurrency=1)
    assert rows_kept(tmp_path) == 0
    assert sorted(ids_in(extract())) == sorted(orders)


@pytest.mark.parametrize("note", ["", "x" * 9000], ids=["held in memory", "in a part of its own"])
def test_of_an_open_tie_nothing_is_kept(extract: Extract, sandbox: Sandbox, tmp_path: Path, note: str) -> None:
    cloud = sandbox.cloud_ids[0]
    tie = SINCE_MS + 5 * HOUR_MS
    moments = [SINCE_MS + 1000 * i for i in range(450)] + [tie] * 330
    ids = [str(sandbox.shop.insert(cloud, "orders", {"versionDate": moment, "note": note})["id"]) for moment in moments]
    sandbox.faults.append(Fault("429", retry_after="3600", path="/orders", skip=7))
    with pytest.raises(PutOff):
        extract(concurrency=1)
    assert [(part.rows, part.high) for part in sidecars(tmp_path)] == [(450, tie)]
    assert not list(tmp_path.rglob(".staging*"))
    sandbox.requests.clear()
    assert sorted(ids_in(extract(concurrency=1))) == sorted(ids)
    assert list_calls(sandbox) <= 5


def test_rows_without_a_cursor_are_read_again(extract: Extract, sandbox: Sandbox, tmp_path: Path) -> None:
    cloud = sandbox.cloud_ids[0]
    tags = [sandbox.shop.insert(cloud, "tags", {"versionDate": None})["id"] for _ in range(400)]
    sandbox.faults.append(Fault("429", retry_after="3600", path="/tags", skip=4))
    with pytest.raises(PutOff):
        extract(entity="tags", concurrency=1, undated_rows="always")
    assert rows_kept(tmp_path) == 0
    assert sorted(ids_in(extract(entity="tags", concurrency=1, undated_rows="always"))) == sorted(map(str, tags))


def test_a_stretch_without_rows_is_not_walked_again(extract: Extract, sandbox: Sandbox, tmp_path: Path) -> None:
    product = sandbox.shop.insert(
        sandbox.cloud_ids[0], "products", {"versionDate": SINCE_MS + HOUR_MS, "deleted": True}
    )
    extract(entity="products", concurrency=1, destination=f"file://{tmp_path}/before")
    calls = [request.query["filter"] for request in sandbox.requests if request.path.endswith("/products")]
    first = next(number for number, terms in enumerate(calls) if "deleted|eq|1" in terms)
    sandbox.requests.clear()
    sandbox.faults.append(Fault("429", retry_after="3600", path="/products", skip=first))
    with pytest.raises(PutOff):
        extract(entity="products", concurrency=1)
    assert [(part.stream, part.rows, part.sizes) for part in sidecars(tmp_path / "lake")] == [("live", 0, {})]
    sandbox.requests.clear()

    result = extract(entity="products", concurrency=1)

    assert ids_in(result) == [str(product["id"])]
    asked = [request.query["filter"] for request in sandbox.requests if request.path.endswith("/products")]
    assert not [terms for terms in asked if "deleted|eq|1" not in terms and "null" not in terms]
    assert {part.rows for part in read_manifest(result["manifest"]).manifest.parts} == {1}
    assert len(sidecars(tmp_path / "lake")) == 1


def test_the_tail_of_an_extraction_from_the_beginning_is_resumed(
    extract: Extract, sandbox: Sandbox, tmp_path: Path
) -> None:
    cloud = sandbox.cloud_ids[0]
    day_later = SINCE_MS + 24 * HOUR_MS
    moments = [SINCE_MS + 1000 * i for i in range(250)] + [day_later + 1000 * i for i in range(1, 951)]
    ids = [str(sandbox.shop.insert(cloud, "orders", {"versionDate": moment})["id"]) for moment in moments]
    sandbox.faults.append(Fault("429", retry_after="3600", path="/orders", skip=9))
    with pytest.raises(PutOff):
        extract(since=None, concurrency=1)
    assert rows_kept(tmp_path) >= 800
    sandbox.requests.clear()
    assert sorted(ids_in(extract(since=None, concurrency=1))) == sorted(ids)
    assert list_calls(sandbox) <= 7


def test_a_run_that_succeeds_writes_nothing_of_stretches_without_rows(
    extract: Extract, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    put_bytes = Store.put_bytes
    monkeypatch.setattr(
        Store, "put_bytes", lambda self, data, name: (written.append(name), put_bytes(self, data, name))
    )
    assert extract(entity="products")["rows"] == 0
    assert written == []


def test_a_store_that_fails_on_the_way_out_hides_nothing(
    extract: Extract, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = fill(sandbox, 1000)
    sandbox.faults.append(Fault("429", retry_after="3600", path="/orders", skip=5))

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", fail)
        with pytest.raises(PutOff):
            extract(concurrency=1)
    assert sorted(ids_in(extract())) == sorted(orders)


def test_what_is_superseded_writes_nothing(tmp_path: Path) -> None:
    def manifest(generation: int, contents: Contents) -> Manifest:
        return Manifest(
            entity="orders", cloud_id=1, since=None, until="", filter="", include="", file_format="jsonl",
            compression=None, generation=generation, rows=0, distinct_ids=0, requests=0, bytes=0,
            parts=contents.parts, package_version="",
        )  # fmt: skip

    store = Store(ObjectStoragePath(f"file://{tmp_path}/set"))
    zombie, heir = (Attempt.begin(store, overwrite=False) for _ in range(2))
    zombie.note_rowless("live", 0, 5)
    heir.commit(Contents((), {}), manifest)
    zombie.leave()
    assert set(store.list()) == {"_manifest-0001.json"}


def test_ranges_without_rows_that_touch_are_written_down_as_one(tmp_path: Path) -> None:
    store = Store(ObjectStoragePath(f"file://{tmp_path}/set"))
    attempt = Attempt.begin(store, overwrite=False)
    for stream, low, high in (("live", 5, 8), ("live", None, 3), ("deleted", 8, 9), ("live", 3, 5)):
        attempt.note_rowless(stream, low, high)
    attempt.leave()
    found = {(part.stream, part.low, part.high): part for part in sidecars(tmp_path)}
    assert found.keys() == {("live", None, 8), ("deleted", 8, 9)}
    assert {sidecar_name(part.name) for part in found.values()} == set(store.list())
    heir = Attempt.begin(store, overwrite=False)
    assert [part.high for part in heir.keep("live", None, 20, lambda part: 1 // 0)] == [8]


def test_a_range_without_rows_across_the_end_of_the_window_is_kept_for_both_sides(tmp_path: Path) -> None:
    """What touches is written down as one: the end of a window from the beginning, and the start of its tail."""
    store = Store(ObjectStoragePath(f"file://{tmp_path}/set"))
    attempt = Attempt.begin(store, overwrite=False)
    attempt.note_rowless("live", None, 5)
    attempt.note_rowless("live", 5, 8)
    attempt.leave()
    heir = Attempt.begin(store, overwrite=False)
    assert [(part.low, part.high) for part in heir.keep("live", None, 5, lambda part: 1 // 0)] == [(None, 5)]
    assert [(part.low, part.high) for part in heir.keep("live", 5, 20, lambda part: 1 // 0)] == [(5, 8)]
    assert list(heir.keep("live", 8, 20, lambda part: 1 // 0)) == []


def test_the_log_says_that_the_task_is_put_off(
    extract: Extract, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    fill(sandbox, 300)
    sandbox.faults.append(Fault("429", retry_after="3600", path="/orders"))
    with pytest.raises(PutOff):
        extract()
    assert any("gives its slot back" in record.getMessage() for record in caplog.records)


def test_the_log_says_if_nothing_of_many_requests_can_be_kept(
    extract: Extract, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tie counts only as a whole, so under the same limit it would be read in vain again and again."""
    monkeypatch.setattr(engine, "_MANY", 10)
    for _ in range(700):
        sandbox.shop.insert(sandbox.cloud_ids[0], "orders", {"versionDate": SINCE_MS + HOUR_MS})
    sandbox.limit = Limit(requests=12)
    with pytest.raises(PutOff):
        extract(concurrency=1)
    assert "Nothing that 12 requests brought can be kept" in caplog.text


def test_an_instant_that_a_budget_never_lets_be_read_fails_at_once_and_says_what_to_do(
    extract: Extract, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = sandbox.connection(sandbox.cloud_ids[0])
    connection["extra"]["request_budget"] = "20/30min"
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(connection))
    channel.forget_tokens()
    for _ in range(2500):
        sandbox.shop.insert(sandbox.cloud_ids[0], "orders", {"versionDate": SINCE_MS + HOUR_MS})
    with pytest.raises(fail_exception(), match="requests have not been enough for the rows of one instant"):
        extract(concurrency=1)


def test_a_used_up_budget_keeps_the_rows_and_puts_the_task_off(
    extract: Extract, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = sandbox.connection(sandbox.cloud_ids[0])
    connection["extra"]["request_budget"] = "20/30min"
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(connection))
    fill(sandbox, 2500)
    channel.forget_tokens()
    with pytest.raises(PutOff):
        extract(concurrency=4)
    assert len(sandbox.requests) == 20
    channel.forget_tokens()  # as if the window were over
    assert extract(concurrency=4)["rows"] == 2500
    assert len(sandbox.requests) <= 20 + 12
