from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos.api.window import Window
from airflow_provider_dotypos.lake.coverage import covered, gaps

#: Moments, and one before them all that stands for the beginning.
MOMENTS, BEGINNING = range(12), -1

windows = st.builds(
    lambda pair, open: Window(None if open else min(pair), max(pair)),
    st.tuples(st.sampled_from(MOMENTS), st.sampled_from(MOMENTS)).filter(lambda pair: pair[0] != pair[1]),
    st.booleans(),
)
bounds = st.none() | st.sampled_from(MOMENTS)


def moments(some: list[Window]) -> set[int]:
    return {m for one in some for m in range(BEGINNING if one.since is None else one.since, one.until)}


@given(st.lists(windows, max_size=6), bounds, bounds)
def test_each_moment_is_covered_or_in_a_gap(some: list[Window], since: int | None, until: int | None):
    asked = set(range(BEGINNING if since is None else since, MOMENTS.stop if until is None else until))
    together = covered(some, since, until)
    between = gaps(together, since, until)

    assert moments(together) == moments(some) & asked
    assert together == sorted(together, key=lambda one: one.until)
    assert all(one.until < other.since for one, other in pairwise(together))  # type: ignore[operator]

    # Without bounds only what lies between windows is a gap.
    first = min(moments(together), default=MOMENTS.stop) if since is None else since
    last = max(moments(together), default=BEGINNING) + 1 if until is None else until
    wanted = {moment for moment in asked - moments(together) if first <= moment < last}
    if not together and since is None and until is not None:
        wanted = asked  # nothing at all up to then
    assert moments(between) == wanted
