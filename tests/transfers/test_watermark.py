"""Going on from the last success: by histories of runs, crashes, retries and hands, and through Airflow itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.window import Window, iso
from airflow_provider_dotypos.transfers.watermark import NothingNewError, Watermark, watermark_key

HOUR = 3_600_000


class Kept(dict[str, Any]):
    """What Airflow's state stores are to the watermark: values by key. (The real ones are used further below.)"""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


def watermark(asset: Kept, task: Kept | None = None) -> Watermark:
    return Watermark(asset, Kept() if task is None else task, "dotypos/1/orders/0")


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
    asset = Kept({"dotypos/1/orders/0": value})
    with pytest.raises(DotyposInputError, match="the watermark dotypos/1/orders/0 was set to"):
        watermark(asset).window(5 * HOUR)


def test_each_destination_and_filter_has_its_own() -> None:
    keys = {watermark_key(1, "orders", *identity) for identity in (("a", ""), ("b", ""), ("a", "f"), ("a", "", "7"))}
    assert len(keys) == 4
    assert watermark_key(1, "orders", "a") != watermark_key(2, "orders", "a")
    assert watermark_key(1, "orders", "a", None) == watermark_key(1, "orders", "a", "")


class Histories(RuleBasedStateMachine):
    """Whatever runs, crashes and is retried in whatever order: what was told to be done covers all, without a gap."""

    @initialize(start=st.sampled_from([None, 0]))
    def begin(self, start: int | None) -> None:
        self.asset = Kept()
        self.start = start
        self.now = 0
        self.runs: dict[int, Kept] = {}
        self.succeeded: list[tuple[int, int]] = []

    @rule(hours=st.integers(1, 3))
    def time_passes_and_a_run_is_due(self, hours: int) -> None:
        self.now += hours
        self.runs[self.now] = Kept()

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), end=st.sampled_from(["before the commit", "after it", "after the watermark", "well"]))
    def one_is_tried(self, data: st.DataObject, end: str) -> None:
        until = data.draw(st.sampled_from(sorted(self.runs)))
        mark = watermark(self.asset, self.runs[until])
        try:
            window = mark.window(until * HOUR, start=self.start)
        except NothingNewError:
            assert self.asset_reached() >= until
            return
        if end in ("after the watermark", "well"):
            mark.move(window, start=self.start)
        if end == "well" or (end == "after the watermark" and data.draw(st.booleans())):
            retried = watermark(self.asset, self.runs[until]).window(until * HOUR, start=self.start)
            assert retried == window
        if end in ("after the watermark", "well"):  # its retry, or itself, has told its set to who reads it
            self.succeeded.append((-1 if window.since is None else window.since // HOUR, until))

    def asset_reached(self) -> int:
        return (watermark(self.asset).read() or 0) // HOUR

    @invariant()
    def what_was_told_has_no_gap(self) -> None:
        reached = -1 if getattr(self, "start", None) is None else 0
        for since, until in sorted(getattr(self, "succeeded", [])):
            assert since <= reached, f"nobody read {reached} to {since}"
            reached = max(reached, until)
        if getattr(self, "succeeded", []):
            assert self.asset_reached() == reached
            assert watermark(self.asset).read() == reached * HOUR, iso(reached * HOUR)


TestHistories = Histories.TestCase
