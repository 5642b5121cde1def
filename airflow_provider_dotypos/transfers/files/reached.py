"""How far whole sets below a destination reach without a gap: where a first run begins that knows no more."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import NamedTuple

from airflow_provider_dotypos.api.window import Window, iso


class Reached(NamedTuple):
    """How far sets reach.

    :param until: the end of the last one before a gap, in epoch milliseconds; ``None`` if none begins at the start.
    :param why: the same for the log.
    """

    until: int | None
    why: str


def find_reached(folders: Iterable[str], shape: str, start: int | None, is_whole: Callable[[str], bool]) -> Reached:
    """Return how far sets of a shape reach from a start on, if each begins at the latest where one before it ends.

    :param folders: names of folders of a list's sets, of any shape.
    :param start: in epoch milliseconds; ``None``: the beginning of all rows.
    :param is_whole: returns whether a folder holds a whole set.
    """
    windows = sorted(_windows(folders, shape), key=lambda each: each[0].begin)
    position = float("-inf") if start is None else start
    reached: int | None = None
    begun: list[tuple[int, str]] = []  # windows that begin by `position`, those that reach furthest first
    next_window = 0
    while True:
        while next_window < len(windows) and windows[next_window][0].begin <= position:
            window, name = windows[next_window]
            heapq.heappush(begun, (-window.until, name))
            next_window += 1
        if not begun or -begun[0][0] <= position:
            break
        until, name = heapq.heappop(begun)
        if is_whole(name):
            position = reached = -until
    return Reached(reached, _why(start, reached, [window for window, _ in windows[next_window:]], bool(windows)))


def _windows(folders: Iterable[str], shape: str) -> list[tuple[Window, str]]:
    named = ((name.rpartition("_"), name) for name in folders)
    windows = ((Window.named(parts[0]), name) for parts, name in named if parts[2] == shape)
    return [(window, name) for window, name in windows if window is not None]


def _why(start: int | None, reached: int | None, beyond: list[Window], any_sets: bool) -> str:
    begin = "the beginning" if start is None else iso(start)
    if not any_sets:
        return f"no sets of this task lie there, so it begins at {begin}"
    if reached is None:
        return f"sets lie there, but no whole one begins at {begin}, so it begins there"
    gap = f"; the next set begins at {iso(beyond[0].since)}" if beyond and beyond[0].since is not None else ""
    return f"whole sets reach from {begin} to {iso(reached)} without a gap{gap}"
