"""Runs without a window, one by one, with Airflow's part played by the test: what they return, and late clocks."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset, ObjectStoragePath
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_dotypos import _compat
from airflow_provider_dotypos._compat import has_state_store
from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator
from airflow_provider_dotypos.transfers.files import pending
from airflow_provider_dotypos.transfers.files.committed_set import read_manifest
from airflow_provider_dotypos.transfers.files.watermark_files import WatermarkFiles, newest_record
from tests.transfers.test_watermark import Kept

#: Where a watermark can be: in Airflow's state store, or in files, as on every Airflow before 3.3.
KINDS = ["airflow", "files"] if has_state_store() else ["files"]

ASSET = Asset("orders")


class Runs:
    """Runs of one task: their state stores, and which of them have succeeded.

    :param kind: one of `KINDS`.
    """

    def __init__(self, sandbox: Sandbox, destination: str, kind: str = KINDS[0]) -> None:
        self.sandbox = sandbox
        self.destination = destination
        self.kind = kind
        self.asset = Kept()
        self.tasks: dict[str, Kept] = {}
        self.states: dict[str, str] = {}
        self.tries: dict[str, int] = {}
        self.now = datetime.now(timezone.utc) - timedelta(days=1)

    def insert(self) -> str:
        """Make an order a minute later."""
        self.now += timedelta(minutes=1)
        moment = int(self.now.timestamp() * 1000)
        return str(self.sandbox.shop.insert(self.sandbox.cloud_ids[0], "orders", {"versionDate": moment})["id"])

    def run(self, run_id: str, at: datetime | None = None, *, dies: bool = False, **arguments: Any) -> dict[str, Any]:
        """Run the task, in a process of its own as far as what it knows of the server; it may die with its result."""
        channel.forget_tokens()
        self.tries[run_id] = self.tries.get(run_id, 0) + 1
        self.states[run_id] = "running"
        ti = SimpleNamespace(
            dag_id="dag", run_id=run_id, task_id="task", map_index=-1, try_number=self.tries[run_id],
            get_task_states=self._states,
        )  # fmt: skip
        context: Any = {
            "ti": ti,
            "dag_run": SimpleNamespace(run_after=at or self.now + timedelta(seconds=90)),
            "outlet_events": OutletEventAccessors(),
        }
        if self.kind == "airflow":
            context |= {
                "asset_state_store": {ASSET: self.asset},
                "task_state_store": self.tasks.setdefault(run_id, Kept()),
            }
        given = {"task_id": "task", "entity": "orders", "destination": self.destination, "outlets": [ASSET]}
        operator = DotyposToObjectStorageOperator(**given | arguments)
        result: dict[str, Any] = operator.execute(context)
        self.states[run_id] = "failed" if dies else "success"
        return result

    def _states(self, dag_id: str, map_index: int, task_ids: list[str], run_ids: list[str]) -> dict[str, Any]:
        assert (dag_id, map_index, task_ids) == ("dag", -1, ["task"])
        assert len(run_ids) <= 20
        return {run_id: {"task": self.states[run_id]} for run_id in run_ids if run_id in self.states}

    @property
    def lake(self) -> Path:
        return Path(self.destination.removeprefix("file://"))

    def notes(self) -> set[Path]:
        return {path for path in self.lake.rglob("_pending_*/*.json") if re.fullmatch("[0-9a-f]{16}", path.stem)}

    def files(self) -> WatermarkFiles:
        """Return the files that hold the watermark."""
        (folder,) = self.lake.rglob("_pending_*")
        store = Store(ObjectStoragePath(f"file://{folder}"))
        _, record = newest_record(store)
        return WatermarkFiles(store, record.key if record else "", "orders", "")

    @property
    def watermark(self) -> Any:
        """Where it is, as it is kept."""
        if self.kind == "files":
            record = self.files().read()
            return None if record is None else record.value
        values = [value for key, value in self.asset.items() if not key.endswith("null-markers")]
        return values[0] if values else None

    def set_watermark(self, value: str | None) -> None:
        """Set it as a person does, or forget it."""
        if self.kind == "files":
            self.files().put(value)
        else:
            (key,) = (key for key in self.asset if not key.endswith("null-markers"))
            self.asset[key] = value

    @property
    def kept(self) -> Kept | WatermarkFiles:
        """What else is kept beside it."""
        return self.files() if self.kind == "files" else self.asset

    def lists(self) -> int:
        return sum(request.path.endswith("/orders") for request in self.sandbox.requests)


def ids(result: dict[str, Any]) -> list[str]:
    files = [file for path in result["manifests"] for file in read_manifest(path).files]
    return [json.loads(line)["id"] for file in files for line in file.read_text().splitlines()]


@pytest.fixture(params=KINDS)
def runs(
    connection: None, sandbox: Sandbox, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Runs:
    monkeypatch.setattr(_compat, "has_state_store", lambda: request.param == "airflow")
    return Runs(sandbox, f"file://{tmp_path}/lake", request.param)


def test_the_result_says_what_the_newest_set_holds_and_lists_all(runs: Runs) -> None:
    runs.insert()
    runs.run("before")
    lost = [runs.insert(), runs.insert()]
    died = runs.run("died", dies=True)
    new = [runs.insert()]
    asked = runs.lists()
    result = runs.run("next")
    assert runs.lists() - asked == 1
    names = ["manifest", "manifests", "entity", "cloud_id", "since", "until", "rows", "files", "bytes"]
    assert list(result) == [*names, "new_fields", "misfits"]
    assert result["manifests"] == [died["manifest"], result["manifest"]]
    assert ids(result) == lost + new
    assert (result["since"], result["rows"], result["files"]) == (died["until"], 1, 1)


def test_an_explicit_window_lists_its_own_set(extract: Callable[..., dict[str, Any]]) -> None:
    result = extract()
    assert result["manifests"] == [result["manifest"]]


def test_what_was_returned_is_not_returned_again(runs: Runs) -> None:
    runs.run("died", dies=True)
    runs.insert()
    both = runs.run("next")
    assert len(both["manifests"]) == 2
    runs.insert()
    assert len(runs.run("last")["manifests"]) == 1
    assert len(runs.notes()) == 1


def test_if_the_next_dies_as_well_the_one_after_it_returns_all(runs: Runs) -> None:
    orders = []
    for number in range(25):  # more than are asked for at once
        orders.append(runs.insert())
        runs.run(f"died{number}", dies=True, settle=60)
    asked = runs.lists()
    result = runs.run("next", runs.now + timedelta(minutes=2))
    assert runs.lists() - asked == 1
    assert len(result["manifests"]) == 26
    assert ids(result) == orders


def test_of_very_many_earlier_sets_some_are_left_for_the_next_run(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "_MOST_RETURNED", 3)
    orders = []
    for number in range(8):
        orders.append(runs.insert())
        runs.run(f"died{number}", dies=True)
    returned: list[str] = []
    for number, sets in enumerate([4, 4, 3]):
        orders.append(runs.insert())
        result = runs.run(f"next{number}")
        assert len(result["manifests"]) == sets
        returned += ids(result)
    assert sorted(returned) == sorted(orders)


def test_a_run_that_has_nothing_new_returns_what_is_pending_or_else_is_skipped(runs: Runs) -> None:
    runs.insert()
    died = runs.run("died", dies=True)
    late = runs.now - timedelta(hours=1)
    asked = len(runs.sandbox.requests)
    result = runs.run("late", late)
    assert len(runs.sandbox.requests) == asked
    assert (result["manifests"], result["rows"]) == ([died["manifest"]], 1)
    with pytest.raises(_compat._exception("AirflowSkipException")):
        runs.run("late, too", late)


def test_a_retry_returns_its_own_set_and_what_was_pending_before(runs: Runs) -> None:
    first = runs.run("first", dies=True)
    runs.insert()
    second = runs.run("second", dies=True, at=runs.now + timedelta(seconds=90))
    runs.insert()
    third = runs.run("third", dies=True)
    again = runs.run("second", at=datetime.fromisoformat(second["until"].replace("Z", "+00:00")) + timedelta(minutes=1))
    assert again["manifests"] == [first["manifest"], second["manifest"]]
    runs.insert()
    last = runs.run("last")
    assert last["manifests"] == [third["manifest"], last["manifest"]]


def test_a_run_that_dies_between_its_note_and_the_watermark_is_rolled_over(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_dotypos.transfers.watermark import Watermark

    orders = [runs.insert()]
    with monkeypatch.context() as patch:
        patch.setattr(Watermark, "move", lambda *_, **__: pytest.fail("died"))
        with pytest.raises(BaseException, match="died"):
            runs.run("died")
    assert runs.watermark is None
    orders.append(runs.insert())
    result = runs.run("next")
    assert result["rows"] == 1
    assert ids(result) == orders


@pytest.mark.parametrize("moved", [True, False])
def test_a_set_that_is_gone_is_read_again(runs: Runs, moved: bool) -> None:
    runs.run("before")
    orders = [runs.insert()]
    mark = runs.watermark
    died = runs.run("died", dies=True)
    if not moved:
        runs.set_watermark(mark)
    shutil.rmtree(Path(died["manifest"].removeprefix("file://")).parent)
    orders.append(runs.insert())
    result = runs.run("next")
    assert result["since"] == died["since"]
    assert ids(result) == orders
    assert len(runs.run("last", runs.now + timedelta(minutes=5))["manifests"]) == 1


def test_a_set_that_was_replaced_is_returned_as_it_is_now(runs: Runs) -> None:
    order = runs.insert()
    died = runs.run("died", dies=True)
    runs.run("died", dies=True, overwrite=True)
    result = runs.run("next", runs.now + timedelta(minutes=5))
    assert result["manifests"][0] == died["manifest"].replace("0001.json", "0002.json")
    assert ids(result) == [order]


def test_a_watermark_set_back_by_hand_is_read_from_there(runs: Runs) -> None:
    orders = [runs.insert()]
    runs.run("first")
    orders.append(runs.insert())
    died = runs.run("died", dies=True)
    runs.set_watermark("2026-01-01T00:00:00Z")
    result = runs.run("next", runs.now + timedelta(minutes=5))
    assert result["since"] == "2026-01-01T00:00:00.000Z"
    assert result["manifests"][0] == died["manifest"]
    assert set(ids(result)) == set(orders)


@pytest.mark.parametrize("answer", [RuntimeError("the API server is gone"), None, {"died": {"task_0": "success"}}])
def test_where_airflow_does_not_say_what_succeeded_sets_are_returned_again(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    runs.run("died")

    def states(**_: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(runs, "_states", states)
    assert len(runs.run("next", runs.now + timedelta(minutes=5))["manifests"]) == 2


def test_a_process_that_its_run_has_outlived_leaves_no_note(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.insert()
    runs.run("other", dies=True)
    monkeypatch.setattr(runs, "_states", lambda **_: {"zombie": {"task": "success"}})
    before = runs.notes()
    assert len(runs.run("zombie", runs.now + timedelta(minutes=5))["manifests"]) == 2
    assert runs.notes() == before


@pytest.mark.parametrize("note", [b"", b"{}", b'{"run":["a","b","c",1],"folder":"../x","since":1,"until":2}'])
def test_notes_that_cannot_be_read_or_point_elsewhere_are_passed_over(runs: Runs, note: bytes) -> None:
    runs.run("first")
    (own,) = runs.notes()
    own.with_name("0123456789abcdef.json").write_bytes(note)
    own.with_name("README").write_text("somebody's")
    assert len(runs.run("next", runs.now + timedelta(minutes=5))["manifests"]) == 1


class TestAFirstRunWhereSetsLieAlready:
    """Airflow 3.3 reads from the start, as it always did. Where the watermark is in files, sets of the task count."""

    @staticmethod
    def days(runs: Runs, *numbers: int) -> list[dict[str, Any]]:
        """Extract some days by windows of their own."""
        first = runs.now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=9)
        day = timedelta(days=1)
        return [
            runs.run(f"day {n}", since=None if n == 0 else first + n * day, until=first + (n + 1) * day)
            for n in numbers
        ]

    def test_it_begins_where_whole_ones_end(self, runs: Runs, caplog: pytest.LogCaptureFixture) -> None:
        *_, last = self.days(runs, 0, 1, 2)
        order = runs.insert()
        result = runs.run("first", retries=0)
        assert result["since"] == (last["until"] if runs.kind == "files" else None)
        assert (f"whole sets reach from the beginning to {last['until']} without a gap" in caplog.text) == (
            runs.kind == "files"
        )
        assert ids(result)[-1] == order

    def test_a_gap_ends_what_counts(self, runs: Runs) -> None:
        first, _ = self.days(runs, 0, 2)
        result = runs.run("first")
        assert result["since"] == (first["until"] if runs.kind == "files" else None)

    def test_one_that_is_broken_is_a_gap(self, runs: Runs) -> None:
        first, second, _ = self.days(runs, 0, 1, 2)
        next(Path(second["manifest"].removeprefix("file://")).parent.glob("_manifest-*")).unlink()
        result = runs.run("first", start="2026-01-01T00:00:00Z")
        assert result["since"] == (first["until"] if runs.kind == "files" else "2026-01-01T00:00:00.000Z")

    def test_others_do_not_count(self, runs: Runs) -> None:
        self.days(runs, 0)
        assert runs.run("first", file_format="csv")["since"] is None

    def test_later_ones_move_nothing(self, runs: Runs) -> None:
        first = runs.run("first")
        self.days(runs, 1, 2)
        runs.run("backfill", since=first["until"], until=runs.now + timedelta(hours=2))
        order = runs.insert()
        result = runs.run("next")
        assert (result["since"], ids(result)) == (first["until"], [order])

    def test_a_run_that_died_with_its_first_set_alone_is_read_again(
        self, runs: Runs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No task has returned the set, and no note of it exists."""
        from airflow_provider_dotypos.transfers.watermark import Watermark

        order = runs.insert()
        with monkeypatch.context() as patch:
            patch.setattr(Watermark, "finish", lambda *_, **__: pytest.fail("died"))
            with pytest.raises(BaseException, match="died"):
                runs.run("died")
        result = runs.run("next", runs.now + timedelta(minutes=5))
        assert result["since"] is None
        assert order in ids(result)


@pytest.mark.skipif(not has_state_store(), reason="an upgrade to Airflow 3.3")
def test_an_upgrade_to_airflow_33_reads_on(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if runs.kind == "airflow":
        pytest.skip("before it")
    runs.run("first")
    lost = runs.insert()
    died = runs.run("died", dies=True)
    runs.kind = "airflow"
    monkeypatch.setattr(_compat, "has_state_store", lambda: True)
    new = runs.insert()
    result = runs.run("next")
    assert (result["since"], ids(result)) == (died["until"], [lost, new])
    assert "is kept by Airflow now" in caplog.text
    assert runs.watermark == result["until"]
    runs.asset.clear()
    assert runs.run("from the beginning", runs.now + timedelta(minutes=5))["since"] is None


class TestAServersClockThatIsBehind:
    def test_is_read_up_to_what_has_settled_by_it(
        self, runs: Runs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        now = datetime.now(timezone.utc).replace(microsecond=0)
        runs.now = now - timedelta(hours=3)
        early = runs.insert()
        runs.now = now - timedelta(minutes=90)
        late = runs.insert()
        runs.sandbox.date_offset = -7200
        first = runs.run("first", now, dies=True)
        until = datetime.fromisoformat(first["until"].replace("Z", "+00:00"))
        assert timedelta(0) <= until - (now - timedelta(seconds=7260)) < timedelta(seconds=60)
        assert ids(first) == [early]
        assert capsys.readouterr().out.count("minutes behind the time of this run") == 1

        again = runs.run("first", now)
        assert again["until"] == first["until"]
        assert "behind" not in capsys.readouterr().out

        runs.sandbox.date_offset = 0
        assert ids(runs.run("next", now)) == [late]

    def test_costs_no_further_call(self, runs: Runs) -> None:
        runs.insert()
        runs.run("first")
        before = [request.path for request in runs.sandbox.requests]
        runs.run("quiet", runs.now + timedelta(minutes=5))
        after = [request.path.rsplit("/", 1)[-1] for request in runs.sandbox.requests[len(before) :]]
        assert after == ["token", "orders"]

    def test_and_has_gone_back_behind_the_watermark_has_nothing_new(self, runs: Runs) -> None:
        now = datetime.now(timezone.utc)
        runs.run("first", now)
        runs.sandbox.date_offset = -7200
        with pytest.raises(_compat._exception("AirflowSkipException"), match="nothing has settled since"):
            runs.run("next", now + timedelta(minutes=1))
