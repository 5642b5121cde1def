"""Going on from the last success: by histories of runs, crashes, retries and hands, and through Airflow itself.

This tests `watermark` and `pending`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from airflow_provider_dotypos._airflow import TaskInstanceKey
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.window import Window, iso
from airflow_provider_dotypos.transfers.files.manifest import Committed
from airflow_provider_dotypos.transfers.files.pending import PendingSets
from airflow_provider_dotypos.transfers.files.reached import find_reached
from airflow_provider_dotypos.transfers.files.watermark_files import BegunFiles, TakenOver, WatermarkFiles
from airflow_provider_dotypos.transfers.watermark import NothingNewError, Watermark, watermark_key
from tests.examples import examples
from tests.stepping import KilledError, SteppedThread

HOUR = 3_600_000
KEY = "dotypos/1/orders/0"
SHAPE = "0123abcd"


class Kept(dict[str, Any]):
    """What Airflow's state stores and a folder are to the watermark: values by key. (The real ones are used elsewhere.)

    `before` is called before each use.
    """

    def __init__(self, *values: Any, before: Callable[[], None] = lambda: None) -> None:
        super().__init__(*values)
        self.before = before

    def get(self, key: str, default: Any = None) -> Any:
        self.before()
        return super().get(key, default)

    def set(self, key: str, value: Any) -> None:
        self.before()
        self[key] = value


class Notes:
    """A folder that several runs use, with what is used of a `Store`; `before` is called before each use."""

    def __init__(self, files: dict[str, bytes], before: Callable[[], None] = lambda: None, folder: str = "") -> None:
        self._files = files
        self._before = before
        self.folder = folder

    def below(self, name: str) -> Notes:
        return Notes(self._files, self._before, f"{self.folder}{name}/")

    def list(self) -> dict[str, int]:
        self._before()
        return {name: len(data) for name, data in self._inside().items() if "/" not in name}

    def folders(self) -> tuple[str, ...]:
        self._before()
        return tuple(sorted({name.partition("/")[0] for name in self._inside() if "/" in name}))

    def read(self, name: str) -> bytes:
        self._before()
        if self.folder + name not in self._files:
            raise FileNotFoundError(name)
        return self._files[self.folder + name]

    def put_bytes(self, data: bytes, name: str) -> None:
        self._before()
        self._files[self.folder + name] = data

    def create(self, data: bytes, name: str) -> bool:
        self._before()
        return self._files.setdefault(self.folder + name, data) == data

    def delete(self, name: str) -> None:
        self._before()
        self._files.pop(self.folder + name, None)

    def remove(self) -> None:
        for name in self._inside():
            self.delete(name)

    def _inside(self) -> dict[str, bytes]:
        start = self.folder
        return {name[len(start) :]: data for name, data in list(self._files.items()) if name.startswith(start)}


def pending(notes: Notes | None = None) -> PendingSets:
    """Return the pending sets of a run that is alone."""
    return PendingSets(
        notes or Notes({}), ("dag", "run", "task", -1), 1, find=lambda folder: None, succeeded=lambda runs: set()
    )


def watermark(asset: Kept, task: Kept | None = None) -> Watermark[Any]:
    return Watermark(asset, Kept() if task is None else task, KEY, pending())


def test_the_first_run_begins_at_the_beginning_or_at_start() -> None:
    assert watermark(Kept()).window(5 * HOUR) == Window(None, 5 * HOUR)
    assert watermark(Kept()).window(5 * HOUR, start=HOUR) == Window(HOUR, 5 * HOUR)
    with pytest.raises(DotyposInputError, match="start=1970-01-01T05"):
        watermark(Kept()).window(5 * HOUR, start=5 * HOUR)


def test_later_ones_go_on_where_it_ended_and_look_back_if_told_to() -> None:
    asset = Kept()
    first = watermark(asset)
    first.move(first.window(5 * HOUR))
    assert watermark(asset).window(7 * HOUR, start=HOUR) == Window(5 * HOUR, 7 * HOUR)
    assert watermark(asset).window(7 * HOUR, lookback=2 * HOUR) == Window(3 * HOUR, 7 * HOUR)


def test_it_never_moves_back() -> None:
    asset = Kept()
    watermark(asset).move(Window(None, 7 * HOUR))
    watermark(asset).move(Window(None, 5 * HOUR))
    assert watermark(asset).read() == 7 * HOUR


def test_a_run_that_comes_too_late_has_nothing_to_do() -> None:
    asset = Kept()
    watermark(asset).move(Window(None, 7 * HOUR))
    with pytest.raises(NothingNewError, match="set the watermark back"):
        watermark(asset).window(6 * HOUR)


def test_a_retry_after_the_commit_finds_its_window_again() -> None:
    asset, task = Kept(), Kept()
    window = watermark(asset, task).window(5 * HOUR)
    watermark(asset, task).move(window)
    assert watermark(asset, task).window(5 * HOUR) == window


def test_setting_it_back_makes_a_cleared_task_read_again_from_there() -> None:
    asset, task = Kept(), Kept()
    watermark(asset, task).move(watermark(asset, task).window(5 * HOUR))
    asset[watermark(asset).key] = "1970-01-01T02:00:00+00:00"
    assert watermark(asset, task).window(5 * HOUR) == Window(2 * HOUR, 5 * HOUR)


@pytest.mark.parametrize("to", [None, "1970-01-01T01:00:00Z"])
@pytest.mark.parametrize("start", [None, 0])
def test_a_hand_that_sets_it_back_during_a_run_is_heeded(to: str | None, start: int | None) -> None:
    asset = Kept()
    watermark(asset).move(Window(None, 3 * HOUR))
    run = watermark(asset)
    window = run.window(5 * HOUR, start=start)
    del asset[run.key]
    if to is not None:
        asset[run.key] = to
    run.move(window, start=start)
    assert asset.get(run.key) == to
    assert watermark(asset).window(6 * HOUR, start=start) == Window(HOUR if to else start, 6 * HOUR)


@pytest.mark.parametrize("value", ["yesterday", 17, "2026-01-01T00:00:00", ["a"]])
def test_what_is_no_time_is_told(value: object) -> None:
    asset = Kept({KEY: value})
    with pytest.raises(DotyposInputError, match="the watermark dotypos/1/orders/0 was set to"):
        watermark(asset).window(5 * HOUR)


def test_each_destination_and_filter_has_its_own() -> None:
    keys = {watermark_key(1, "orders", *identity) for identity in (("a", ""), ("b", ""), ("a", "f"), ("a", "", "7"))}
    assert len(keys) == 4
    assert watermark_key(1, "orders", "a") != watermark_key(2, "orders", "a")
    assert watermark_key(1, "orders", "a", None) == watermark_key(1, "orders", "a", "")


def test_a_window_ends_earlier_if_that_has_not_settled_and_stays_so_for_all_tries() -> None:
    asset, task = Kept(), Kept()
    window = watermark(asset, task).window(5 * HOUR, settled=lambda due: due - HOUR)
    assert window == Window(None, 4 * HOUR)
    assert watermark(asset, task).window(5 * HOUR, settled=lambda due: pytest.fail("asked again")) == window
    watermark(asset, task).move(window)
    assert watermark(asset, task).window(5 * HOUR) == window
    assert watermark(asset).window(5 * HOUR) == Window(4 * HOUR, 5 * HOUR)
    with pytest.raises(NothingNewError, match="nothing has settled since 1970-01-01T04"):
        watermark(asset).window(5 * HOUR, settled=lambda due: 3 * HOUR)


def test_nobody_asks_what_has_settled_where_nothing_is_new() -> None:
    asset = Kept()
    watermark(asset).move(Window(None, 7 * HOUR))
    with pytest.raises(NothingNewError, match="read by later runs"):
        watermark(asset).window(7 * HOUR, settled=lambda due: pytest.fail("asked"))


class TestPendingSets:
    """What the histories below come upon too seldom."""

    @staticmethod
    def of(
        files: dict[str, bytes], run: str, number: int = 1, sets: tuple[str, ...] = (), done: tuple[str, ...] = ()
    ) -> PendingSets:
        return PendingSets(
            Notes(files),
            ("dag", run, "task", -1),
            number,
            find=lambda folder: (folder, folder) if folder in sets else None,  # type: ignore[arg-type,return-value]
            succeeded=lambda runs: {run for run in runs if run[1] in done},
        )

    def test_only_what_the_last_try_returned_was_told(self) -> None:
        files: dict[str, bytes] = {}
        retry = self.of(files, "retried", 2, ("a", "b"))
        retry.add(Window(0, 2), 0, "b")
        self.of(files, "other", 1, ("a", "b")).add(Window(0, 1), 0, "a")
        self.of(files, "retried", 1, ("a", "b")).add(Window(0, 2), 0, "b")  # a zombie: it returns both
        left = self.of(files, "next", 1, ("a", "b"), ("retried",)).read()
        assert [note.folder for note in left.values()] == ["a"]

    @pytest.mark.parametrize("deletes", [0, 1])
    def test_a_death_while_notes_are_removed_makes_no_set_pending_again(self, deletes: int) -> None:
        files: dict[str, bytes] = {}
        self.of(files, "died", 3).add(Window(0, 1), 0, "a")
        self.of(files, "well", 1, ("a", "b")).add(Window(1, 2), 1, "b")
        cleaner = self.of(files, "cleaner", done=("well",))
        operations = itertools.count()

        def die() -> None:
            if next(operations) == 3 + deletes:  # one list, two reads
                raise KeyboardInterrupt

        cleaner._notes = Notes(files, die)
        with pytest.raises(KeyboardInterrupt):
            cleaner.read()
        assert len(files) == 2 - deletes
        assert self.of(files, "next", done=("well",)).read() == {}

    def test_one_that_is_lost_during_a_run_stays_for_the_next(self) -> None:
        files: dict[str, bytes] = {}
        self.of(files, "died").add(Window(0, 1), 0, "a")
        assert self.of(files, "next").add(Window(1, 2), 1, "b") == []
        left = self.of(files, "last", done=("next",)).read()
        assert [note.folder for note in left.values()] == ["a"]
        assert self.of(files, "last", done=("next",)).add(Window(0, 3), 2, "c") == []
        assert self.of(files, "after", done=("last",)).read() == {}

    def test_each_death_on_the_way_of_removing_notes_leaves_what_was_not_told(self) -> None:
        """The note of a run's last try, which says what else was told, is removed last."""

        class Dying(Notes):
            left = 0

            def delete(self, name: str) -> None:
                if self.left == 0:
                    raise KilledError
                self.left -= 1
                super().delete(name)

        for left in range(4):
            files: dict[str, bytes] = {}
            self.of(files, "run", 1, ("x", "y")).add(Window(0, 2), 0, "y")
            self.of(files, "other", 1, ("x", "y")).add(Window(0, 1), 0, "x")
            self.of(files, "run", 2, ("x", "y")).add(Window(0, 2), 0, "y")
            self.of(files, "third", 1, ("x", "y", "z")).add(Window(2, 3), 0, "z")
            reader = self.of(files, "next", 1, ("x", "y", "z"), ("run",))
            reader._notes = Dying(files)
            reader._notes.left = left
            if left < 3:
                with pytest.raises(KilledError):
                    reader.read()
            rest = self.of(files, "next", 1, ("x", "y", "z"), ("run",)).read()
            assert [note.folder for note in rest.values()] == ["z"]


class Try(SteppedThread):
    """One try of a run: stops before every use of a store, at its commit, and once it has a result."""

    def __init__(self, airflow: Histories, run: TaskInstanceKey, number: int) -> None:
        super().__init__()
        self.airflow = airflow
        self.run_key = run
        self.number = number
        self.result: list[str] | None = None
        self.begin()

    def finish(self) -> None:
        while not self.done:
            self.step()

    def work(self) -> None:
        self.wait()
        self._execute()

    def _execute(self) -> None:
        """Do what the operator does."""
        world = self.airflow
        sets = PendingSets(
            Notes(world.notes, self.wait), self.run_key, self.number, find=world.find, succeeded=world.succeeded
        )
        mark = Watermark(*world.stores(self, sets), KEY, sets)
        due = world.due[self.run_key]
        try:
            window = mark.window(due * HOUR, start=world.start)
        except NothingNewError:
            self.result = [path for path, _ in mark.earlier_sets()]
            return
        self.wait()
        folder = f"{window.since}_{window.until}"
        world.sets[folder] = window
        committed = Committed(f"lake/{folder}/manifest", None)  # type: ignore[arg-type]
        self.result = [*(path for path, _ in mark.finish(window, committed, start=world.start)), folder]


class Histories(RuleBasedStateMachine):
    """Runs, retries, zombies, deaths at any instant, hands: whoever goes by results of successful tasks has every row.

    A row is an hour here. When all is over one more run succeeds; together with what was returned before it must hold
    every hour.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asset = Kept()
        self.notes: dict[str, bytes] = {}
        self.sets: dict[str, Window] = {}
        self.tasks: dict[TaskInstanceKey, Kept] = {}
        self.due: dict[TaskInstanceKey, int] = {}
        self.latest: dict[TaskInstanceKey, Try] = {}
        self.states: dict[TaskInstanceKey, str] = {}
        self.under_way: list[Try] = []
        self.told: list[Window] = []
        self.airflow_answers = True
        self.now = 0

    @initialize(start=st.sampled_from([None, 0]))
    def begin(self, start: int | None) -> None:
        self.start = start

    def find(self, folder: str) -> Any:
        return (folder, self.sets[folder]) if folder in self.sets else None

    def succeeded(self, runs: set[TaskInstanceKey]) -> set[TaskInstanceKey]:
        return {run for run in runs if self.airflow_answers and self.states.get(run) == "success"}

    def stores(self, tried: Try, sets: PendingSets) -> tuple[Any, Any]:
        """Return the state stores of a try, as Airflow 3.3 has them."""
        asset = Kept(before=tried.wait)
        asset.get = lambda key, default=None: (tried.wait(), self.asset.get(key, default))[1]  # type: ignore[method-assign]
        asset.set = lambda key, value: (tried.wait(), self.asset.set(key, value))[1]  # type: ignore[method-assign,func-returns-value]
        return asset, self.tasks.setdefault(tried.run_key, Kept())

    def reached(self) -> str | None:
        """Return where the watermark is."""
        kept: str | None = self.asset.get(KEY)
        return kept

    def put(self, value: str | None) -> None:
        """Set the watermark as a person does, or forget it."""
        if value is None:
            self.asset.pop(KEY, None)
        else:
            self.asset.set(KEY, value)

    @rule(hours=st.integers(1, 3), steps=st.integers(0, 25))
    def a_run_is_due(self, hours: int, steps: int) -> None:
        self.now += hours
        run = ("dag", f"run{self.now}", "task", -1)
        self.due[run] = self.now
        self._try(run, steps)

    @precondition(lambda self: self.due)
    @rule(data=st.data(), steps=st.integers(0, 25))
    def one_is_retried_or_cleared(self, data: st.DataObject, steps: int) -> None:
        """Its earlier try may still be there, as a zombie."""
        self._try(data.draw(st.sampled_from(sorted(self.due))), steps)

    def _try(self, run: TaskInstanceKey, steps: int) -> None:
        tried = Try(self, run, self.latest[run].number + 1 if run in self.latest else 1)
        self.latest[run] = tried
        self.states[run] = "running"
        self.under_way.append(tried)
        self._step(tried, steps)

    def _step(self, tried: Try, steps: int) -> None:
        for _ in range(steps):
            if not tried.done:
                tried.step()

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), steps=st.integers(1, 25))
    def one_goes_on(self, data: st.DataObject, steps: int) -> None:
        self._step(data.draw(st.sampled_from(self.under_way)), steps)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def one_ends_well(self, data: st.DataObject) -> None:
        self._end_well(data.draw(st.sampled_from(self.under_way)))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def one_dies(self, data: st.DataObject) -> None:
        """Before a step, or with a result that nobody will see."""
        tried = data.draw(st.sampled_from(self.under_way))
        self.under_way.remove(tried)
        tried.kill()
        if self.latest[tried.run_key] is tried:
            self.states[tried.run_key] = "failed"

    def _end_well(self, tried: Try) -> None:
        tried.finish()
        assert tried.error is None, tried.error
        self.under_way.remove(tried)
        if self.latest[tried.run_key] is tried:  # Airflow takes no report from an earlier try
            self.states[tried.run_key] = "success" if tried.result else "skipped"
            self.told += [self.sets[folder] for folder in tried.result or () if folder in self.sets]

    @precondition(lambda self: self.now)
    @rule(data=st.data())
    def somebody_sets_the_watermark_back(self, data: st.DataObject) -> None:
        reached = self.reached()
        if reached is not None:
            hour = data.draw(st.integers(0, int(reached[11:13])))
            self.put(f"1970-01-01T{hour:02}:00:00Z")

    @rule()
    def somebody_removes_the_watermark(self) -> None:
        self.put(None)

    @precondition(lambda self: self.sets)
    @rule(data=st.data())
    def a_set_is_lost(self, data: st.DataObject) -> None:
        """Not while somebody is about to return it: that is up to whoever removes sets."""
        if not self.under_way:
            del self.sets[data.draw(st.sampled_from(sorted(self.sets)))]

    @rule(answers=st.booleans())
    def airflow_tells_states_or_not(self, answers: bool) -> None:
        self.airflow_answers = answers

    def teardown(self) -> None:
        if not hasattr(self, "start"):
            return
        for tried in self.under_way:
            tried.kill()
        self.under_way = []
        self.now += 1
        run = ("dag", "last", "task", -1)
        self.due[run] = self.now
        self._try(run, 0)
        self._end_well(self.latest[run])
        reached = -1 if self.start is None else 0
        for since, until in sorted((-1 if told.since is None else told.since, told.until) for told in self.told):
            assert since <= reached, f"nobody was told of {reached / HOUR} to {since / HOUR}"
            reached = max(reached, until)
        assert reached == self.now * HOUR


Histories.TestCase.settings = settings(
    max_examples=examples(80), stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestHistories = Histories.TestCase


class HistoriesInFiles(Histories):
    """The same where Airflow keeps no state, up to an upgrade; and others write sets below the same destination."""

    def __init__(self) -> None:
        super().__init__()
        self.upgraded = False

    def files(self, before: Callable[[], None] = lambda: None) -> WatermarkFiles:
        return WatermarkFiles(Notes(self.notes, before), KEY, "orders", SHAPE)  # type: ignore[arg-type]

    def stores(self, tried: Try, sets: PendingSets) -> tuple[Any, Any]:
        files, begun = self.files(tried.wait), Notes(self.notes, tried.wait).below("begun")
        if self.upgraded:
            asset, task = super().stores(tried, sets)
            return TakenOver(asset, files, lambda: sets.listed, begun), task  # type: ignore[arg-type]
        files.begin(self.find_reached)
        now = datetime.now(timezone.utc)
        return files, BegunFiles(begun, tried.run_key[1], now)  # type: ignore[arg-type]

    def find_reached(self) -> str | None:
        folders = [f"{window.name}_{SHAPE}" for window in self.sets.values()]
        until = find_reached(folders, SHAPE, self.start, lambda folder: True).until
        return None if until is None else iso(until)

    def reached(self) -> str | None:
        kept: str | None = super().reached() or self.files().get(KEY)
        return kept

    def put(self, value: str | None) -> None:
        if self.upgraded:
            super().put(value)
        if not self.upgraded or self.files().names_of(KEY, Notes(self.notes).list()):
            self.files().put(value)

    @rule(since=st.none() | st.integers(0, 10), hours=st.integers(1, 5))
    def a_window_of_its_own_is_extracted(self, since: int | None, hours: int) -> None:
        """Its task has succeeded, so its reader knows of it."""
        window = Window(None if since is None else since * HOUR, ((since or 0) + hours) * HOUR)
        if window.until <= self.now * HOUR:
            self.sets[f"{window.since}_{window.until} by hand"] = window
            self.told.append(window)

    @precondition(lambda self: not self.upgraded and not self.under_way)
    @rule()
    def airflow_is_upgraded(self) -> None:
        self.upgraded = True


HistoriesInFiles.TestCase.settings = settings(Histories.TestCase.settings, max_examples=examples(40))
TestHistoriesInFiles = HistoriesInFiles.TestCase
