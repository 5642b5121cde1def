"""Many entities in one task: each as if it had a task of its own, whatever befalls the others.

This tests `transfers.entities`, `task`, `object_storage`, `list_transfer` and `list_log`, too.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset, AssetAlias, ObjectStoragePath
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_dotypos import _compat
from airflow_provider_dotypos.api import channel, retry
from airflow_provider_dotypos.api.entities import cloud_lists
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.reach import DotyposListsError
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from airflow_provider_dotypos.sandbox.errors import RefusedError
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.dotypos_entities_to_object_storage import (
    DotyposEntitiesToObjectStorageOperator,
)
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator
from airflow_provider_dotypos.transfers.files import merge
from airflow_provider_dotypos.transfers.files.committed_set import read_manifest
from airflow_provider_dotypos.transfers.files.watermark_files import newest_record
from tests.transfers.test_watermark import Kept

Refuse = Callable[[str, RefusedError], None]

PutOff = type(_compat.reschedule_exception(datetime.now(timezone.utc)))
Failed = _compat.fail_exception()
Skipped = _compat._exception("AirflowSkipException")

SOME = ["orders", "products", "tags", "webhooks"]


class _Stores:
    """The state stores of a task's outlets."""

    def __init__(self, kept: dict[str, Kept], assets: list[Asset]) -> None:
        self._kept = kept
        self._uris = {asset.uri for asset in assets}

    def __getitem__(self, asset: Asset) -> Kept:
        assert asset.uri in self._uris
        return self._kept.setdefault(asset.uri, Kept())


class Lake:
    """Tasks that write to one destination, with Airflow's part played by the test."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.destination = f"file://{folder}/lake"
        self.assets: dict[str, Kept] = {}
        self.tasks: dict[str, Kept] = {}
        self.states: dict[tuple[str, str], str] = {}
        self.tries: Counter[str] = Counter()
        self.now = datetime.now(timezone.utc) - timedelta(days=1)
        self.events = OutletEventAccessors()

    def insert(self, *names: str) -> list[str]:
        """Make a row of each entity, a minute later."""
        self.now += timedelta(minutes=1)
        row = {"versionDate": int(self.now.timestamp() * 1000)}
        return [str(self.sandbox.shop.insert(self.sandbox.cloud_ids[0], name, dict(row))["id"]) for name in names]

    def many(self, run_id: str = "run", entities: Any = SOME, **arguments: Any) -> dict[str, Any]:
        return self.run(DotyposEntitiesToObjectStorageOperator, run_id, entities=entities, **arguments)

    def one(self, run_id: str, entity: str, **arguments: Any) -> dict[str, Any]:
        return self.run(DotyposToObjectStorageOperator, run_id, task_id=entity, entity=entity, **arguments)

    def run(self, kind: Any, run_id: str, *, task_id: str = "task", dies: bool = False, **arguments: Any) -> Any:
        """Run a task; it may die with its result."""
        name = f"{task_id} {run_id}"
        self.tries[name] += 1
        self.states[task_id, run_id] = "running"
        ti = SimpleNamespace(
            dag_id="dag", run_id=run_id, task_id=task_id, map_index=-1, try_number=self.tries[name],
            get_task_states=self._states, get_first_reschedule_date=lambda context: None,
        )  # fmt: skip
        operator = kind(task_id=task_id, destination=self.destination, **arguments)
        self.events = OutletEventAccessors()
        assets = [outlet for outlet in operator.outlets if isinstance(outlet, Asset)]
        context: Any = {
            "ti": ti,
            "dag_run": SimpleNamespace(run_after=self.now + timedelta(seconds=90)),
            "asset_state_store": _Stores(self.assets, assets),
            "task_state_store": self.tasks.setdefault(name, Kept()),
            "outlet_events": self.events,
        }
        result = operator.execute(context)
        self.states[task_id, run_id] = "failed" if dies else "success"
        return result

    def _states(self, dag_id: str, map_index: int, task_ids: list[str], run_ids: list[str]) -> dict[str, Any]:
        (task_id,) = task_ids
        return {run: {task_id: self.states[task_id, run]} for run in run_ids if (task_id, run) in self.states}

    def asked(self) -> Counter[str]:
        """Return how often each list was asked for since the last look."""
        counts = Counter(request.path.rpartition("/")[2] for request in self.sandbox.requests)
        self.sandbox.requests.clear()
        return counts

    def watermarks(self) -> list[str]:
        """Return the names of the lists that have been read up to a watermark."""
        keys = [key for kept in self.assets.values() for key in kept if "null-markers" not in key]
        for folder in Path(self.destination.removeprefix("file://")).rglob("_pending_*"):
            _, record = newest_record(Store(ObjectStoragePath(f"file://{folder}")))
            keys += [record.key] if record is not None and record.value else []
        return sorted(key.split("/")[2] for key in keys)

    def asset(self, name: str) -> Asset:
        return Asset(uri=f"{self.destination}/{name}")


def ids(result: dict[str, Any]) -> list[str]:
    files = [file for path in result["manifests"] for file in read_manifest(path).files]
    return [json.loads(line)["id"] for file in files for line in file.read_text().splitlines()]


@pytest.fixture
def lake(connection: None, sandbox: Sandbox, tmp_path: Path) -> Lake:
    return Lake(sandbox, tmp_path)


def end_of(error: BaseException) -> str:
    """Return an error's message on one line."""
    return " ".join(str(error).split())


WINDOW = {"until": "2026-03-02T00:00:00Z"}


def test_all_lists_of_a_cloud_by_one_sign_in(lake: Lake) -> None:
    rows = {name: lake.insert(name) for name in SOME}
    until = lake.now + timedelta(minutes=1)
    result = lake.many(entities="all", until=until)
    assert list(result) == ["cloud_id", "rows", "entities", "skipped"]
    assert list(result["entities"]) == cloud_lists()
    assert lake.sandbox.sign_ins == 1
    assert {name: ids(result["entities"][name]) for name in SOME} == rows
    assert result["rows"] == sum(of_list["rows"] for of_list in result["entities"].values())
    assert len(json.dumps(result)) < 30_000


@pytest.mark.parametrize("arguments", [{}, {"file_format": "csv", "compression": "gzip", "personal_data": False}])
def test_each_set_is_that_of_a_task_of_its_own(lake: Lake, arguments: dict[str, Any]) -> None:
    lake.insert(*SOME)
    until = lake.now + timedelta(minutes=1)
    together = lake.many(until=until, **arguments)
    lake.asked()
    for name in SOME:
        assert lake.one("run", name, until=until, **arguments) == together["entities"][name]
    assert not lake.asked()


def test_a_dag_changes_its_form_and_continues_with_sets_that_were_not_returned(lake: Lake) -> None:
    lake.insert("orders", "tags")
    for name in ("orders", "tags"):
        lake.one("first", name)
    lost = lake.insert("orders")
    died = lake.one("second", "orders", dies=True)
    new = lake.insert("orders", "tags")

    third = lake.many("third", ["orders", "tags"], dies=True)

    assert third["entities"]["orders"]["manifests"][0] == died["manifest"]
    assert ids(third["entities"]["orders"]) == [*lost, new[0]]
    assert ids(third["entities"]["tags"]) == [new[1]]
    newest = lake.insert("orders", "tags")
    orders, tags = (lake.one("fourth", name) for name in ("orders", "tags"))
    assert ids(orders) == [*lost, new[0], newest[0]]
    assert ids(tags) == [new[1], newest[1]]
    last = lake.insert("tags")
    assert ids(lake.many("fifth", ["orders", "tags"])["entities"]["tags"]) == last
    assert lake.watermarks() == ["orders", "tags"]


def test_watermarks_may_be_kept_on_one_asset_in_either_form(lake: Lake) -> None:
    kept = [Asset("watermarks")]
    lake.insert("orders", "tags")
    lake.many("first", ["orders", "tags"], outlets=kept)
    new = lake.insert("orders")
    assert ids(lake.one("second", "orders", outlets=kept)) == new
    newer = lake.insert("orders", "tags")
    third = lake.many("third", "orders, tags", outlets=kept)
    assert [ids(third["entities"][name]) for name in ("orders", "tags")] == [[newer[0]], [newer[1]]]
    assert lake.watermarks() == ["orders", "tags"]
    assert lake.events[kept[0]].extra == third


def test_each_asset_has_the_event_of_its_list(lake: Lake, refuse: Refuse) -> None:
    lake.insert("orders", "tags")
    refuse("tags", RefusedError(403, "AUTHORIZATION_FAILED", "no"))
    result = lake.many(entities=["orders", "tags"])
    assert lake.events[lake.asset("orders")].extra == result["entities"]["orders"]
    event = lake.events[lake.asset("tags")].extra
    assert (event["skipped"], event["rows"], event["manifests"]) == ("forbidden", 0, [])


def test_an_alias_gets_an_event_of_each_list_that_was_written(lake: Lake, refuse: Refuse) -> None:
    alias, lakes = AssetAlias("whatever"), Asset("lake")
    refuse("tags", RefusedError(403, "AUTHORIZATION_FAILED", "no"))
    result = lake.many(entities=["orders", "tags"], outlets=[alias, lakes], **WINDOW)
    (event,) = lake.events[alias].asset_alias_events
    assert (event.dest_asset_key.uri, event.extra) == (lake.asset("orders").uri, result["entities"]["orders"])
    assert lake.events[lakes].extra == result


def test_a_list_that_is_forbidden_is_skipped_and_continues_once_it_is_not(
    lake: Lake, refuse: Refuse, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, _ = lake.insert("tags", "orders")
    with monkeypatch.context():
        refuse("tags", RefusedError(403, "LICENSE_UPGRADE_REQUIRED", "upgrade"))
        result = lake.many("first")
    assert result["skipped"] == ["tags"]
    assert "tags" not in result["entities"]
    assert "tags: skipped, since the token may not read this list." in caplog.text
    assert "licence does not include this" in caplog.text
    assert "tags" not in lake.watermarks()
    monkeypatch.undo()
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(lake.sandbox.connection(lake.sandbox.cloud_ids[0])))
    assert row in ids(lake.many("second")["entities"]["tags"])


def test_a_forbidden_list_can_fail_the_task_and_the_others_come_with_the_next_success(
    lake: Lake, refuse: Refuse, caplog: pytest.LogCaptureFixture
) -> None:
    (order,) = lake.insert("orders")
    refuse("tags", RefusedError(403, "AUTHORIZATION_FAILED", "no"))
    with pytest.raises(Failed, match="1 of 2 lists failed"):
        lake.many("first", ["orders", "tags"], on_forbidden="fail")
    assert "List tags: GET" in caplog.text
    later = lake.insert("orders")
    assert ids(lake.many("second", ["orders", "tags"])["entities"]["orders"]) == [order, *later]


@pytest.mark.parametrize("reason", ["AUTHORIZATION_FAILED", "CLOUD_FORBIDDEN"])
def test_a_task_that_may_read_nothing_fails(lake: Lake, refuse: Refuse, reason: str) -> None:
    refuse("all", RefusedError(403, reason, "no"))
    with pytest.raises(Failed):
        lake.many(**WINDOW, concurrency=1)
    asked = lake.asked()
    assert sum(asked[name] for name in SOME) == (1 if reason == "CLOUD_FORBIDDEN" else len(SOME))


@pytest.mark.parametrize("concurrency", [1, 4])
def test_an_error_of_one_list_stops_no_other_and_a_retry_asks_only_for_it(lake: Lake, concurrency: int) -> None:
    lake.insert(*SOME)
    until = lake.now + timedelta(minutes=1)
    lake.sandbox.faults.append(Fault("redirect", path="/products", times=100))
    with pytest.raises(Failed, match="1 of 4 lists failed") as ended:
        lake.many(until=until, concurrency=concurrency)
    assert "List products: " in end_of(ended.value)
    assert "A retry reads only what is missing" in end_of(ended.value)
    asked = lake.asked()
    assert all(asked[name] for name in SOME)
    lake.sandbox.faults.clear()

    result = lake.many(until=until, concurrency=concurrency)

    assert list(result["entities"]) == SOME
    asked = lake.asked()
    assert asked["products"]
    assert not [name for name in ("orders", "tags", "webhooks") if asked[name]]


def test_what_can_be_cured_by_a_retry_gets_one_whatever_else_failed(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "PUT_OFF_SOON", retry.Patience(faults=0.2, throttling=0.2, blind=0.2))
    lake.sandbox.faults += [
        Fault("redirect", path="/products", times=100),
        Fault("500", path="/tags", times=100),
    ]
    with pytest.raises(DotyposListsError, match="2 of 4 lists failed") as ended:
        lake.many(**WINDOW)
    assert set(ended.value.failures) == {"products", "tags"}


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_long_wait_puts_the_task_off_with_all_that_was_read(lake: Lake, concurrency: int) -> None:
    lake.insert(*SOME)
    until = lake.now + timedelta(minutes=1)
    lake.sandbox.faults.append(Fault("429", retry_after="3600", path="/tags", times=100))
    with pytest.raises(PutOff) as ended:
        lake.many(until=until, concurrency=concurrency)
    left = ended.value.reschedule_date - datetime.now(timezone.utc)
    assert timedelta(minutes=55) < left < timedelta(minutes=70)
    before = lake.asked()
    if concurrency == 1:
        assert not before["webhooks"]  # it would have been refused alike
    lake.sandbox.faults.clear()
    channel.forget_tokens()  # an hour later, in another process
    result = lake.many(until=until, concurrency=concurrency)
    assert [of_list["rows"] for of_list in result["entities"].values()] == [1, 1, 1, 1]
    assert not lake.asked()["orders"] or not before["orders"] or concurrency > 1


def test_a_token_that_is_refused_ends_all_at_once(
    lake: Lake, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = sandbox.connection(sandbox.cloud_ids[0])
    connection["extra"]["refresh_token"] = "0" * 32
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(connection))
    with pytest.raises(Failed, match="refresh token is not valid"):
        lake.many(entities="all", concurrency=4, **WINDOW)
    assert len(sandbox.requests) <= 4


def test_a_destination_that_cannot_be_written_to_is_named_once(lake: Lake) -> None:
    lake.insert(*SOME)
    lake.destination = "file:///proc/nowhere"
    with pytest.raises(DotyposListsError) as ended:
        lake.many(until=lake.now + timedelta(minutes=1))
    assert str(ended.value).count("Check destination") == len({str(e) for e in ended.value.failures.values()})


def test_a_kill_ends_all_and_every_list_keeps_what_was_read(connection: None, sandbox: Sandbox, tmp_path: Path) -> None:
    cloud, now = sandbox.cloud_ids[0], datetime.now(timezone.utc) - timedelta(days=1)
    names = ["orders", "order-items", "money-logs"]
    for name in names:
        for i in range(1500):
            sandbox.shop.insert(cloud, name, {"versionDate": int(now.timestamp() * 1000) + i * 1000})
    operator = DotyposEntitiesToObjectStorageOperator(
        task_id="x",
        entities=names,
        destination=f"file://{tmp_path}/lake",
        until=now + timedelta(hours=1),
        concurrency=3,
    )
    sandbox.latency = 0.01

    class Killer(Fault):
        def strikes(self, method: str, path: str) -> bool:
            if super().strikes(method, path):
                operator.on_kill()
            return False

    sandbox.faults.append(Killer("500", path="/clouds/", skip=30))
    with pytest.raises(Exception, match="killed"):
        operator.execute({})  # type: ignore[arg-type]
    kept = {path.parent.parent.name for path in tmp_path.rglob("_g*.meta")}
    assert kept == set(names)
    sandbox.requests.clear()
    operator = DotyposEntitiesToObjectStorageOperator(
        task_id="x",
        entities=names,
        destination=f"file://{tmp_path}/lake",
        until=now + timedelta(hours=1),
        concurrency=3,
    )
    assert operator.execute({})["rows"] == 4500  # type: ignore[arg-type]
    assert len(sandbox.requests) < 45 - 15
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dotypos-walk")]


def test_all_threads_help_with_the_list_that_is_large(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "SMALL_BYTES", 0)  # sets show the parts as the threads wrote them
    cloud, moment = lake.sandbox.cloud_ids[0], int(lake.now.timestamp() * 1000)
    for i in range(5000):
        lake.sandbox.shop.insert(cloud, "orders", {"versionDate": moment + 1000 * i})
    lake.sandbox.latency = 0.02
    result = lake.many(entities="all", until=lake.now + timedelta(hours=2), concurrency=4)
    manifest = read_manifest(result["entities"]["orders"]["manifest"]).manifest
    assert (manifest.rows, manifest.distinct_ids) == (5000, 5000)
    assert len(manifest.parts) > 2


class TornError(BaseException):
    """As a crash: nothing is done any more."""


class Crash:
    """Ends a process at an operation on the store: it isn't carried out, and nothing is after it.

    :ivar met: whether there were so many operations.
    """

    def __init__(self, patch: pytest.MonkeyPatch, number: int) -> None:
        self._left = number
        self.met = False
        for name in ("put", "create", "put_bytes", "delete", "list"):
            patch.setattr(Store, name, self._counted(getattr(Store, name)))

    def _counted(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        def counted(store: Store, *arguments: Any, **options: Any) -> Any:
            self._left -= 1
            self.met = self.met or self._left <= 0
            if self.met:
                raise TornError
            return operation(store, *arguments, **options)

        return counted


def test_whatever_operation_on_the_store_is_the_last_a_retry_loses_and_repeats_nothing(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {name: [row] for name, row in zip(("orders", "tags"), lake.insert("orders", "tags"), strict=True)}
    given = {"entities": list(rows), "until": lake.now + timedelta(minutes=1), "concurrency": 1}
    destination = lake.destination
    for number in itertools.count(1):
        lake.destination = f"{destination}/{number}"
        with monkeypatch.context() as patch, suppress(TornError):
            crash = Crash(patch, number)
            lake.many(**given)
        result = lake.many(**given)
        assert {name: ids(result["entities"][name]) for name in rows} == rows
        if not crash.met:
            break
    assert number > 6


@pytest.mark.parametrize(("again", "first"), [("crashed", 1), ("next", 2)])
def test_whatever_operation_is_the_last_no_row_is_missed_by_who_goes_by_results(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, again: str, first: int
) -> None:
    """The crashed run is tried again, or the next one comes. Each meets every second operation."""
    destination = lake.destination
    for number in itertools.count(first, 2):
        lake.destination = f"{destination}/{number}"
        before = lake.insert("orders", "tags")
        lake.many(f"before {number}", ["orders", "tags"], start=lake.now - timedelta(seconds=1))
        rows = lake.insert("orders", "tags")
        with monkeypatch.context() as patch, suppress(TornError):
            crash = Crash(patch, number)
            lake.many(f"crashed {number}", ["orders", "tags"], concurrency=1, dies=True)
        result = lake.many(f"{again} {number}", ["orders", "tags"], concurrency=1)
        assert [ids(result["entities"][name]) for name in ("orders", "tags")] == [[row] for row in rows]
        assert not {*before} & {*rows}
        if not crash.met:
            break
    assert number > 10


def test_a_run_whose_time_later_runs_have_passed_is_skipped(lake: Lake) -> None:
    lake.insert("orders", "tags")
    lake.many("late", ["orders", "tags"])
    lake.now -= timedelta(hours=1)
    with pytest.raises(Skipped, match="read by later runs"):
        lake.many("early", ["orders", "tags"])
    assert lake.many("mixed", ["orders", "tags", "webhooks"])["entities"].keys() == {"webhooks"}
    assert lake.events[lake.asset("orders")].extra["skipped"] == "nothing new"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"entities": []}, "entities is empty"),
        ({"entities": "orders,odrers"}, "did you mean"),
        ({"entities": 5}, "entities must be names"),
        ({"entities": ["manifest"]}, "not a list"),
        ({"on_forbidden": "ignore"}, "on_forbidden must be one of skip, fail"),
        ({"destination": "lake"}, "destination must be"),
        ({"start": "2026-01-01T00:00:00Z", **WINDOW}, "start"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused_when_the_dag_is_parsed(arguments: dict[str, Any], text: str) -> None:
    given = {"entities": "all", "destination": "file:///lake", **arguments}
    with pytest.raises(DotyposInputError, match=text):
        DotyposEntitiesToObjectStorageOperator(task_id="x", **given)


def test_a_template_decides_later_and_gives_no_outlets() -> None:
    operator = DotyposEntitiesToObjectStorageOperator(
        task_id="x", entities="{{ var.value.lists }}", destination="file:///lake"
    )
    assert operator.outlets == []


def test_lines_of_the_log_name_their_list(lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="airflow_provider_dotypos")
    lake.insert(*SOME)
    lake.many(until=lake.now + timedelta(minutes=1))
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("airflow_provider_dotypos.t")]
    assert lines.pop(0).endswith(": orders, products, tags, webhooks.")
    assert [line for line in lines if line.startswith("orders: 1 order in 1 file, ")]
    assert re.fullmatch(r"4 of 4 lists: 4 rows, 4 files, \d+ requests\.", lines.pop())
    assert all(line.split(":")[0] in SOME for line in lines), lines


def test_a_quiet_hour_of_all_lists_asks_airflow_once_for_earlier_runs_and_is_a_short_log(
    lake: Lake, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.many("first")
    lake.insert("orders")
    asked = []
    monkeypatch.setattr(lake, "_states", lambda _states=lake._states, **runs: asked.append(runs) or _states(**runs))
    caplog.set_level("INFO", logger="airflow_provider_dotypos.transfers")
    caplog.clear()
    lake.many("second")
    windows = [line.partition(" UTC: ")[2] for line in caplog.messages if line.startswith("Reading from ")]
    assert windows == ["orders, products, tags.", "webhooks."]  # webhooks have no cursor
    assert len(caplog.messages) == 2 + 2 + 1  # what orders brought, and the sum
    assert len(asked) == 1


def test_a_quiet_hour_of_all_lists_costs_a_request_each_and_a_sign_in(lake: Lake) -> None:
    """Products need two, those of a warehouse four, and the warehouses themselves are asked for twice more."""
    lake.insert("warehouses")  # beside the one that there is
    lake.many("first", "all")
    lake.asked()
    channel.forget_tokens()  # an hour later, in another process
    lake.now += timedelta(hours=1)
    result = lake.many("quiet", "all")
    asked = lake.asked()
    assert len(result["entities"]) == len(cloud_lists()) == 30
    assert sum(asked.values()) <= 40, asked
    assert asked.pop("token") == 1
