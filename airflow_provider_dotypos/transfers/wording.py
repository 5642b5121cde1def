"""Numbers, sizes, times and names as a task's log shows them to people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING

from airflow_provider_dotypos.api.window import Window

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.selection import Selection

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def spoken(name: str) -> str:
    """Return an entity's name as words: ``order items``."""
    return name.replace("-", " ")


def count(number: int, name: str) -> str:
    """Return a number of things: ``1 order item``, ``1,204 order items``.

    :param name: what they are, in the plural; an entity's name, for example.
    """
    return f"{number:,} {spoken(name) if number != 1 else _singular(spoken(name))}"


def size(number: int) -> str:
    """Return a number of bytes: ``64 kB``, ``1.5 GB``."""
    for unit, bytes_of_it in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= bytes_of_it:
            return f"{number / bytes_of_it:.{0 if number >= 10 * bytes_of_it else 1}f} {unit}"
    return count(number, "bytes")


def period(window: Window, zone: tzinfo = timezone.utc) -> str:
    """Return a window: ``from 2026-03-01 00:00 to 2026-03-02 00:00 UTC``."""
    end = f"{_moment(window.until, zone)} {zone}"
    return f"from {'the beginning' if window.since is None else _moment(window.since, zone)} to {end}"


def opening(selection: Selection, cloud: str, window: Window, zone: tzinfo) -> Iterator[str]:
    """Yield lines that say what is extracted. A filter may hold personal data, so only that there is one is said."""
    is_whole = selection.snapshot or not selection.entity.cursors
    which = ("the ids of " if selection.snapshot else "") + ("all " if is_whole else "")
    rows = f"{which}{'filtered ' if selection.filter else ''}{spoken(selection.entity.name)}"
    if selection.include:
        rows += f" with {', '.join(spoken(child.entity) for child in selection.lists.values())}"
    yield f"Extracting {rows} of {cloud}."
    if not is_whole:
        yield f"The window is {period(window, zone)}."


def _moment(milliseconds: int, zone: tzinfo) -> str:
    """Return a time without what is zero of its seconds."""
    date = (_EPOCH + timedelta(milliseconds=milliseconds)).astimezone(zone).replace(tzinfo=None)
    precision = "milliseconds" if date.microsecond else "seconds" if date.second else "minutes"
    return date.isoformat(" ", precision)


def _singular(plural: str) -> str:
    if plural.endswith("ies"):
        return f"{plural.removesuffix('ies')}y"
    return plural.removesuffix("es" if plural.endswith(("ches", "xes")) else "s")
