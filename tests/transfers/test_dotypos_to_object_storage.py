"""From the API to committed files, over real sockets."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import date
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos._compat import fail_exception, reschedule_exception
from airflow_provider_dotypos.api.entities import entities
from airflow_provider_dotypos.api.errors import DotyposInputError, error_for
from airflow_provider_dotypos.hooks.failures import airflow_failures
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers import dotypos_to_object_storage as module
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator
from airflow_provider_dotypos.transfers.files.commit import sidecar_name
from airflow_provider_dotypos.transfers.files.committed_set import read_manifest
from airflow_provider_dotypos.transfers.piece_writer import PartAge
from demo import children
from tests.sleeping import sleep_at_once
from tests.transfers.conftest import SINCE, SINCE_MS, UNTIL

Extract = Callable[..., dict[str, Any]]


def ids_in(result: dict[str, Any]) -> list[str]:
    return [row["id"] for row in rows_in(result)]


def rows_in(result: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for file in read_manifest(result["manifest"]).files:
        data = file.read_bytes()
        text = gzip.decompress(data) if file.name.endswith(".gz") else data
        rows += [json.loads(line) for line in text.decode().splitlines()]
    return rows


def names_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_every_row_of_the_window_lands_once(extract: Extract, orders: list[str], tmp_path: Path) -> None:
    result = extract()
    assert sorted(ids_in(result)) == sorted(orders)
    assert result["rows"] == 750
    assert result["since"] == "2026-03-01T00:00:00.000Z"
    assert result["until"] == "2026-03-02T00:00:00.000Z"
    manifest = read_manifest(result["manifest"]).manifest
    assert (manifest.rows, manifest.distinct_ids, manifest.complete) == (750, 750, True)
    for part, file in zip(manifest.parts, read_manifest(result["manifest"]).files, strict=True):
        data = file.read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (part.bytes, part.sha256)
        assert data.count(b"\n") == part.rows
    assert not [name for name in names_in(tmp_path) if "staging" in name]


def test_rows_are_the_bytes_of_the_api(extract: Extract, orders: list[str], sandbox: Sandbox) -> None:
    result = extract(until="2026-03-01T00:00:30+00:00")
    line = read_manifest(result["manifest"]).files[0].read_bytes().rstrip(b"\n")
    _, body = sandbox.shop.list(sandbox.cloud_ids[0], "orders", {"filter": f"versionDate|eq|{SINCE_MS}"})
    assert line in body
    assert "Příliš žluťoučký".encode() in line or b"\\u" in line


@pytest.mark.parametrize("name", sorted(name for name, row in entities().items() if row.listed))
def test_every_entity_can_be_extracted(extract: Extract, sandbox: Sandbox, name: str) -> None:
    cloud = sandbox.cloud_ids[0]
    cursors = entities()[name].cursors
    before = {str(row["id"]) for row in sandbox.shop.rows(cloud, name)} if name == "clouds" else set()
    for i in range(3):
        row: dict[str, Any] = dict.fromkeys(cursors, SINCE_MS + i)
        if name == "warehouse-products":
            row["_warehouseId"] = sandbox.shop.rows(cloud, "warehouses")[0]["id"]
        if name != "clouds":
            before.add(str(sandbox.shop.insert(cloud, name, row)["id"]))
    result = extract(entity=name, since=SINCE if cursors else None)
    found = set(ids_in(result))
    assert found == {str(id) for id in sandbox.cloud_ids} if name == "clouds" else before <= found
    assert result["rows"] == len(ids_in(result))


@pytest.mark.parametrize(
    "fault",
    [
        Fault("429", retry_after="0"),
        Fault("429", retry_after="Wed, 21 Oct 2015 07:28:00 GMT"),
        Fault("500"),
        Fault("502-html"),
        Fault("reset"),
        Fault("reset-body"),
        Fault("short-body"),
        Fault("cut-json"),
        Fault("hang"),
        Fault("drip"),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.retry_after}",
)
def test_after_a_fault_the_files_are_those_of_a_quiet_run(
    extract: Extract,
    orders: list[str],
    sandbox: Sandbox,
    fault: Fault,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection = sandbox.connection(sandbox.cloud_ids[0])
    connection["extra"]["timeout"] = 1
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(connection))
    monkeypatch.setattr(PartAge, "LEAST", 120.0)  # the faults take longer than a part may get old
    quiet = extract(destination=f"file://{tmp_path}/quiet", concurrency=1)
    sandbox.faults.append(Fault(fault.kind, retry_after=fault.retry_after, path="orders", skip=3, times=2))
    faulty = extract(destination=f"file://{tmp_path}/faulty", concurrency=1)
    parts = [
        [(part.stream, part.low, part.high, part.rows, part.sha256) for part in read_manifest(path).manifest.parts]
        for path in (quiet["manifest"], faulty["manifest"])
    ]
    assert parts[0] == parts[1]


def test_an_expired_token_in_the_middle_costs_nothing(extract: Extract, orders: list[str], sandbox: Sandbox) -> None:
    sandbox.token_lifetime = 1  # renewed after three quarters of a second, or refused by a server that was slow
    sandbox.latency = 0.15
    assert sorted(ids_in(extract())) == sorted(orders)
    assert sandbox.sign_ins >= 2


class TestParts:
    def test_parts_end_at_their_size_and_cover_ranges_that_meet(self, extract: Extract, orders: list[str]) -> None:
        result = extract(max_part_bytes=50_000, concurrency=1)
        parts = read_manifest(result["manifest"]).manifest.parts
        assert len(parts) > 3
        assert parts[0].low == SINCE_MS
        assert parts[-1].high == int(UNTIL.timestamp() * 1000)
        assert all(one.high == other.low for one, other in pairwise(parts))
        assert sorted(ids_in(result)) == sorted(orders)

    def test_a_part_never_ends_inside_a_tie(self, extract: Extract, sandbox: Sandbox) -> None:
        for _ in range(350):
            sandbox.shop.insert(sandbox.cloud_ids[0], "orders", {"versionDate": SINCE_MS + 5})
        parts = read_manifest(extract(max_part_bytes=1)["manifest"]).manifest.parts
        assert [part.rows for part in parts] == [350]

    def test_gzip_holds_the_same_rows(self, extract: Extract, orders: list[str]) -> None:
        plain, packed = extract(), extract(compression="gzip", compression_level=2)
        assert rows_in(plain) == rows_in(packed)
        assert packed["bytes"] < plain["bytes"] / 3
        assert Path(plain["manifest"]).parent != Path(packed["manifest"]).parent

    def test_pretty_printed_rows_become_one_line_each(
        self, extract: Extract, sandbox: Sandbox, orders: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import msgspec

        from airflow_provider_dotypos.api import listing
        from airflow_provider_dotypos.api.page import read_page

        monkeypatch.setattr(listing, "read_page", lambda body, *fields: read_page(msgspec.json.format(body), *fields))
        assert sorted(ids_in(extract())) == sorted(orders)


class TestWindows:
    def test_a_finished_window_is_kept_without_asking_the_api(
        self, extract: Extract, orders: list[str], sandbox: Sandbox
    ) -> None:
        first = extract()
        sandbox.requests.clear()
        assert extract() == first
        assert not sandbox.requests

    def test_overwrite_replaces_the_set_as_a_whole(
        self, extract: Extract, orders: list[str], sandbox: Sandbox, tmp_path: Path
    ) -> None:
        first = extract(max_part_bytes=50_000)
        sandbox.shop.insert(sandbox.cloud_ids[0], "orders", {"versionDate": SINCE_MS + 1})
        second = extract(overwrite=True)
        assert second["rows"] == first["rows"] + 1
        names = {Path(name).name for name in names_in(tmp_path)}
        listed = {part.name for part in read_manifest(second["manifest"]).manifest.parts}
        assert names == {*listed, *(sidecar_name(name) for name in listed), Path(second["manifest"]).name}
        with pytest.raises(FileNotFoundError):
            read_manifest(first["manifest"])

    def test_a_finished_window_needs_no_staging(
        self, extract: Extract, orders: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = extract()
        monkeypatch.setattr(Store, "staging", lambda store: pytest.fail("staging was opened"))
        assert extract() == first

    def test_an_empty_window_is_a_success_with_an_empty_manifest(self, extract: Extract) -> None:
        result = extract()
        assert (result["rows"], result["files"]) == (0, 0)
        assert read_manifest(result["manifest"]).files == []

    def test_the_folder_is_found_by_its_window_as_well(self, extract: Extract, orders: list[str]) -> None:
        result = extract()
        folder = result["manifest"].rsplit("/", 1)[0]
        assert read_manifest(folder).manifest == read_manifest(result["manifest"]).manifest

    def test_a_set_that_lost_a_file_is_not_whole_and_is_extracted_anew(
        self, extract: Extract, orders: list[str]
    ) -> None:
        result = extract()
        read_manifest(result["manifest"]).files[0].unlink()
        with pytest.raises(FileNotFoundError, match="no whole set"):
            read_manifest(result["manifest"])
        again = extract()
        assert sorted(ids_in(again)) == sorted(orders)

    def test_different_filters_never_share_a_folder(self, extract: Extract, orders: list[str]) -> None:
        folders = {extract(filter=filter)["manifest"].rsplit("/", 1)[0] for filter in (None, "paid|eq|true")}
        assert len(folders) == 2

    def test_the_end_is_waited_for_until_it_has_settled(
        self, extract: Extract, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waited = sleep_at_once(monkeypatch)
        now, started = sandbox.shop.now(), time.monotonic()
        extract(since=None, until=_iso(now), settle=60)
        assert 58 - (time.monotonic() - started) < max(waited) <= 61

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"since": UNTIL, "until": UNTIL}, "empty.*data_interval"),
            ({"since": UNTIL, "until": SINCE}, "reversed"),
            ({"since": "2026-03-01"}, "bare date.*timezone="),
            ({"since": date(2026, 3, 1)}, "bare date.*timezone="),
            ({"since": "2026-03-01T00:00:00"}, "no time zone"),
            ({"since": "yesterday"}, "ISO 8601"),
            ({"since": "None"}, "since must be"),
            ({"entity": "order"}, "did you mean 'orders'"),
            ({"entity": "portions"}, "always read whole: omit since"),
            ({"entity": "manifest"}, "not a list"),
            ({"filter": "created|gte|1"}, "did you mean 'gteq'"),
            ({"filter": [("versionDate", "gteq", 1)]}, "is the cursor"),
            ({"include": "items"}, "can't include"),
            ({"include": "orderItems", "columns": "note"}, "include asks for orderItems: don't leave it out"),
            ({"columns": ["nots"]}, "did you mean 'notes?'"),
            ({"exclude": "versionDate"}, "exclude can't name versionDate"),
            ({"columns": "note", "personal_data": False}, "which personal_data=False leaves out"),
            ({"cloud_id": "abc"}, "cloud_id must be the cloud's number"),
            ({"warehouse_id": 5}, "takes no warehouse_id"),
            ({"destination": ""}, "absolute path or an address"),
            ({"destination": "None/x"}, "absolute path or an address"),
            ({"destination": "s3:/key:secret@bucket"}, r"not '\*\*\*@bucket'"),
            ({"destination": Path("/lake")}, "absolute path or an address"),
            ({"destination": "file://lake/dotypos"}, "three slashes"),  # it would be below the worker's own folder
            ({"destination_conn_id": 5}, "destination_conn_id must be the id"),
            ({"dotypos_conn_id": ""}, "dotypos_conn_id must be the id"),
        ],
        ids=str,
    )
    def test_bad_input_is_refused_when_the_dag_is_parsed_and_fails_a_task_that_renders_it(
        self, connection: None, orders: list[str], arguments: dict[str, Any], message: str, tmp_path: Path
    ) -> None:
        given = {"destination": f"file://{tmp_path}/lake", "since": SINCE, "until": UNTIL, **arguments}
        with pytest.raises(DotyposInputError, match=message):
            _operator(**given)
        operator = _operator(since="{{ since }}", until="{{ until }}")
        for name, value in given.items():  # as rendering does, or a cluster policy
            setattr(operator, name, value)
        if arguments != {"destination_conn_id": 5}:  # a file system doesn't look at it
            with pytest.raises(fail_exception(), match=message):
                operator.execute({"ti": SimpleNamespace(try_number=1), "dag_run": None})  # type: ignore[typeddict-item]
            assert names_in(tmp_path) == set()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"until": "2999-01-01T00:00:00Z"}, "future"),
            ({"destination": "ftpx://x/y"}, "no file system for 'ftpx://'"),
            ({"cloud_id": 999}, "sign-in for cloud 999, which cloud_id .*connection 'dotypos_default'"),
        ],
        ids=str,
    )
    def test_what_only_a_run_can_know_fails_the_task_at_once_and_writes_nothing(
        self, extract: Extract, orders: list[str], arguments: dict[str, Any], message: str, tmp_path: Path
    ) -> None:
        with pytest.raises(fail_exception(), match=message):
            extract(**arguments)
        assert names_in(tmp_path) == set()

    def test_a_mapped_task_without_outlets_has_nothing_to_keep_a_watermark_on_so_it_must_have_a_window(
        self, connection: None, orders: list[str], tmp_path: Path
    ) -> None:
        operator = _operator(destination=f"file://{tmp_path}/lake", since=None, until=None)
        ti = SimpleNamespace(try_number=1, is_mapped=True)
        with pytest.raises(fail_exception(), match="give a window"):
            operator.execute({"ti": ti, "dag_run": SimpleNamespace(run_after=UNTIL)})  # type: ignore[typeddict-item]
        assert names_in(tmp_path) == set()

    @pytest.mark.parametrize(
        "arguments",
        [
            {"entity": "{{ params.entity }}", "filter": "no|such|field", "include": "items", "columns": "nots"},
            {"since": "{{ ds }}", "until": "{{ ts }}"},
            {"destination": "{{ var.value.lake }}/dotypos", "cloud_id": "{{ params.cloud }}"},
            {"include": "{{ params.lists }}", "columns": "orderItems.name,note"},
            {"filter": [("_branchId", "in", ["{{ params.branch }}"])]},
            {"since": date(2026, 3, 1), "until": "2026-03-02", "timezone": "Europe/Prague"},
            {"destination": ObjectStoragePath("file:///lake")},
        ],
        ids=str,
    )
    def test_templates_and_good_literals_are_taken(self, arguments: dict[str, Any]) -> None:
        operator = _operator(**arguments)
        assert {name: getattr(operator, name) for name in arguments} == arguments

    @pytest.mark.parametrize(
        "arguments",
        [
            {"file_format": "parquet2"},
            {"compression": "zip"},
            {"compression_level": 9},
            {"max_part_bytes": 0},
            {"settle": -1},
            {"settle": "60"},
            {"timezone": "Europe/Nowhere"},
            {"overwrite": "{{ params.overwrite }}"},
            {"personal_data": "False"},
            {"flatten": "no", "include": "orderItems"},
            {"snapshot": 1},
            {"flatten": True},
            {"snapshot": True, "include": "orderItems"},
            {"snapshot": True, "since": "2026-01-01T00:00:00Z"},
            {"columns": "note", "exclude": "printData"},
        ],
        ids=str,
    )
    def test_bad_settings_are_told_when_the_dag_is_parsed(self, arguments: dict[str, Any]) -> None:
        with pytest.raises(DotyposInputError, match=next(iter(arguments))):
            DotyposToObjectStorageOperator(task_id="x", entity="orders", destination="file:///x", **arguments)

    def test_a_snapshot_has_no_start(self) -> None:
        with pytest.raises(ValueError, match="start and lookback are for tasks without since, until and snapshot"):
            _operator(snapshot=True, start=SINCE)

    def test_what_the_base_asks_of_a_subclass_is_no_parameter(self) -> None:
        with pytest.raises(TypeError, match="incremental"):
            DotyposToObjectStorageOperator.partial(task_id="x", incremental=False)


class TestEarlierNames:
    def test_goes_on_is_called_incremental(self) -> None:
        for arguments, incremental in (({}, True), ({"snapshot": True}, False), ({"since": SINCE}, False)):
            with pytest.warns(DeprecationWarning, match="incremental"):
                assert _operator(**arguments).goes_on is incremental

    def test_the_choices_are_in_the_operator_s_module(self) -> None:
        assert module.FILE_FORMATS == ("jsonl", "parquet", "csv")
        assert module.COMPRESSIONS == (None, "gzip")


@pytest.mark.parametrize("policy", [{"file_format": "csv"}, {"compression": "gzip"}], ids=str)
def test_what_a_policy_sets_on_the_operator_counts(
    connection: None, orders: list[str], tmp_path: Path, policy: dict[str, str]
) -> None:
    operator = _operator(destination=f"file://{tmp_path}", since=SINCE, until=UNTIL)
    for name, value in policy.items():
        setattr(operator, name, value)
    result = operator.execute({"ti": SimpleNamespace(try_number=1), "dag_run": None})  # type: ignore[typeddict-item]
    manifest = read_manifest(result["manifest"]).manifest
    assert {name: getattr(manifest, name) for name in policy} == policy


def test_what_a_policy_sets_is_checked_when_the_task_runs(connection: None, tmp_path: Path) -> None:
    operator = _operator(destination=f"file://{tmp_path}", since=SINCE, until=UNTIL)
    operator.file_format = "xml"  # type: ignore[assignment]
    with pytest.raises(fail_exception(), match="file_format must be one of"):
        operator.execute({"ti": SimpleNamespace(try_number=1), "dag_run": None})  # type: ignore[typeddict-item]


class TestFailures:
    def test_what_a_retry_cannot_cure_fails_the_task_at_once(
        self, extract: Extract, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connection = sandbox.connection(sandbox.foreign_cloud_id)
        monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(connection))
        with pytest.raises(fail_exception(), match="Cloud ID"):
            extract()

    @pytest.mark.parametrize("kind", ["429", "503"])
    def test_a_long_retry_after_puts_the_task_off(self, extract: Extract, sandbox: Sandbox, kind: str) -> None:
        sandbox.faults.append(Fault(kind, retry_after="3600", path="orders"))
        with pytest.raises(type(reschedule_exception(UNTIL))):
            extract()

    @pytest.mark.parametrize("status", [400, 401, 403, 404])
    def test_what_a_retry_cannot_cure_is_not_put_off(self, status: int) -> None:
        sign_in = "for cloud 5" if status == 401 else None
        error = error_for("GET", "/v2/x", status, {"Retry-After": "3600"}, b'{"reason": "NO"}', sign_in=sign_in)
        with pytest.raises(fail_exception()), airflow_failures("dotypos_default"):
            raise error

    def test_a_killed_task_stops_waiting_and_commits_nothing(
        self, connection: None, sandbox: Sandbox, orders: list[str], tmp_path: Path
    ) -> None:
        sandbox.faults.append(Fault("429", retry_after="60", path="orders", skip=2))
        operator = DotyposToObjectStorageOperator(
            task_id="x", entity="orders", destination=f"file://{tmp_path}", since=SINCE, until=UNTIL
        )
        context: Any = {"ti": SimpleNamespace(try_number=1), "dag_run": SimpleNamespace(run_after=UNTIL)}
        threading.Timer(1.0, operator.on_kill).start()
        with pytest.raises(Exception, match="killed"):
            operator.execute(context)
        assert not [name for name in names_in(tmp_path) if "manifest" in name or "staging" in name]

    def test_kill_9_leaves_no_set_and_the_next_attempt_a_clean_one(
        self, extract: Extract, sandbox: Sandbox, orders: list[str], tmp_path: Path
    ) -> None:
        sandbox.faults.append(Fault("hang", path="orders", skip=5))
        script = (
            "from types import SimpleNamespace as N\n"
            "from airflow_provider_dotypos.transfers.dotypos_to_object_storage import *\n"
            f"DotyposToObjectStorageOperator(task_id='x', entity='orders', destination='file://{tmp_path}/lake',"
            f"since='{SINCE.isoformat()}', until='{UNTIL.isoformat()}', max_part_bytes=30000)"
            ".execute({'ti': N(try_number=1), 'dag_run': None})"
        )
        process = children.Child([sys.executable, "-c", script], stderr=subprocess.DEVNULL, env=os.environ.copy())
        while not [request for request in sandbox.requests if request.path.endswith("orders")][4:]:
            assert process.poll() is None
            threading.Event().wait(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert names_in(tmp_path)
        assert not [name for name in names_in(tmp_path) if "manifest" in name]
        sandbox.faults.clear()
        result = extract()
        assert sorted(ids_in(result)) == sorted(orders)
        assert len(names_in(tmp_path)) == 2 * result["files"] + 1


def test_under_every_switch_of_the_sandbox_the_rows_are_the_same(
    extract: Extract, orders: list[str], sandbox: Sandbox, tmp_path: Path
) -> None:
    switches = [
        Behaviour(timestamp_precision="s", ties="shuffled"),
        Behaviour(timestamp_zone="+01:00", next_page="null"),
        Behaviour(allow_version="ignored", nulls="omitted"),
        Behaviour(numbers="number", timestamp_zone="+0000"),
    ]
    for number, behaviour in enumerate(switches):
        sandbox.behaviour = behaviour
        result = extract(destination=f"file://{tmp_path}/{number}")
        assert sorted(str(id) for id in ids_in(result)) == sorted(orders)


def test_engines_that_read_a_folder_whole_see_its_parts_alone(extract: Extract, orders: list[str]) -> None:
    """Spark's convention: names that begin with an underscore or a dot aren't data."""
    result = extract(max_part_bytes=100_000)
    folder = Path(result["manifest"].removeprefix("file://")).parent
    parts = {file.name for file in read_manifest(result["manifest"]).files}
    assert {path.name for path in folder.iterdir() if not path.name.startswith(("_", "."))} == parts
    assert {path.name for path in folder.glob("*.jsonl")} == parts  # nor do those that match names
    assert len(parts) > 2


def test_it_reads_like_any_object_storage_path(extract: Extract, orders: list[str]) -> None:
    assert all(isinstance(file, ObjectStoragePath) for file in read_manifest(extract()["manifest"]).files)


def _operator(**arguments: Any) -> DotyposToObjectStorageOperator:
    return DotyposToObjectStorageOperator(
        **{"task_id": "x", "entity": "orders", "destination": "file:///x", **arguments}
    )


def _iso(moment: int) -> str:
    from airflow_provider_dotypos.api.window import iso

    return iso(moment)
