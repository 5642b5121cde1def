"""Ranges of cursors whose rows a sink keeps: which of those that earlier attempts have left fit together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from airflow_provider_dotypos.transfers.sink import Range

RangeT = TypeVar("RangeT", bound=Range)


def disjoint(ranges: Iterable[RangeT], is_whole: Callable[[RangeT], bool] = lambda range: True) -> Iterator[RangeT]:
    """Yield ranges in order, none over another: of those that begin together, the widest.

    :param is_whole: returns whether a range may be yielded. Only asked if it fits.
    """
    reached = float("-inf")
    for range in sorted(ranges, key=lambda range: (start(range), -end(range))):
        if start(range) >= reached and is_whole(range):
            reached = end(range)
            yield range


def start(range: Range) -> float:
    """Return where a range begins."""
    return float("-inf") if range.low is None else range.low


def end(range: Range) -> float:
    """Return where a range ends."""
    return float("inf") if range.high is None else range.high
