"""Which time some windows cover together, and where they leave gaps."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_provider_dotypos.api.window import Window


def covered(windows: Iterable[Window], since: int | None = None, until: int | None = None) -> list[Window]:
    """Return windows joined, in order: those that touch or overlap become one.

    :param since: the first time that is of interest, in epoch milliseconds. Defaults to the beginning.
    :param until: the first time that isn't any more. Defaults to the end.
    """
    joined: list[Window] = []
    for window in sorted(windows, key=lambda window: (window.begin, window.until)):
        if joined and window.begin <= joined[-1].until:
            joined[-1] = Window(joined[-1].since, max(joined[-1].until, window.until))
        else:
            joined.append(window)
    clipped = (
        Window(
            window.since if since is None else since if window.since is None else max(window.since, since),
            window.until if until is None else min(window.until, until),
        )
        for window in joined
    )
    return [window for window in clipped if window.begin < window.until]


def gaps(covered: list[Window], since: int | None = None, until: int | None = None) -> list[Window]:
    """Return the times between what is covered, and between it and the bounds.

    Without `since` a gap begins after the first time that is covered: nobody knows where the first set was to begin.

    :param covered: what `covered` returns for the same bounds.
    """
    if not covered:
        return [] if until is None or (since is not None and since >= until) else [Window(since, until)]
    ends = [*([] if since is None else [since]), *(window.until for window in covered)]
    begins = [*(window.since for window in covered[since is None :]), *([] if until is None else [until])]
    return [Window(end, begin) for end, begin in zip(ends, begins, strict=False) if begin is not None and end < begin]
