from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.transfers.files.reached import find_reached

HOUR = 3_600_000
SHAPE = "0123abcd"

windows = st.builds(
    lambda since, length: Window(None if since < 0 else since * HOUR, (max(since, 0) + length) * HOUR),
    st.integers(-1, 8),
    st.integers(1, 4),
)


def named(*found: Window, shape: str = SHAPE) -> list[str]:
    return [f"{window.name}_{shape}" for window in found]


@given(found=st.lists(windows, max_size=10), broken=st.sets(st.integers(0, 9)), start=st.none() | st.integers(0, 8))
def test_every_moment_up_to_there_is_in_a_whole_set_and_the_next_one_is_not(
    found: list[Window], broken: set[int], start: int | None
) -> None:
    gone = {name for number, name in enumerate(named(*found)) if number in broken}
    whole = [window for window in found if named(window)[0] not in gone]
    reached, why = find_reached(
        named(*found), SHAPE, None if start is None else start * HOUR, lambda name: name not in gone
    )

    def holds(hour: int) -> bool:
        return any(
            (window.since is None or window.since <= hour * HOUR) and hour * HOUR < window.until for window in whole
        )

    first = -1 if start is None else start
    hour = first
    while holds(hour):
        hour += 1
    assert reached == (None if hour == first else hour * HOUR)
    assert why


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ([], "no sets of this task lie there, so it begins at the beginning"),
        ([Window(HOUR, 2 * HOUR)], "no whole one begins at the beginning, so it begins there"),
        ([Window(None, HOUR)], "whole sets reach from the beginning to 1970-01-01T01:00:00.000Z without a gap"),
        (
            [Window(None, HOUR), Window(2 * HOUR, 3 * HOUR)],
            "to 1970-01-01T01:00:00.000Z without a gap; the next set begins at 1970-01-01T02:00:00.000Z",
        ),
    ],
)
def test_the_log_says_where_and_why(found: list[Window], why: str) -> None:
    others = [*named(Window(None, 9 * HOUR), shape="another0"), "_pending_0", "x"]
    assert find_reached([*named(*found), *others], SHAPE, None, lambda name: True).why.endswith(why)


def test_of_a_compacted_set_and_those_that_it_was_made_of_the_widest_alone_is_opened() -> None:
    opened = []
    hours = [Window(hour * HOUR, (hour + 1) * HOUR) for hour in range(24)]
    found = named(*hours, Window(0, 24 * HOUR), Window(24 * HOUR, 25 * HOUR))
    assert find_reached(found, SHAPE, 0, lambda name: not opened.append(name)).until == 25 * HOUR
    assert len(opened) == 2
