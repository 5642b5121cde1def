"""When ``versionDate`` moves, and how late a change shows."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from airflow_provider_dotypos.api.page import SECOND, timestamp
from airflow_provider_dotypos.api.reading import Row
from airflow_provider_dotypos.commands.probes.asking import NewestRows, ProbedCloud, UnclearError, rows_of

_LISTS = ("orders", "order-items", "money-logs")
_PAGE = 100


def order_moves(cloud: ProbedCloud) -> str:
    """Return whether an order's version date moves when one of its items or payments changes, as far as it shows."""
    orders = cloud.list_rows("orders", {"sort": "-versionDate", "limit": _PAGE, "include": "orderItems,moneyLogs"})
    compared = [(_version(order), _newest_child(order)) for order in orders]
    pairs = [(own, child) for own, child in compared if own is not None and child is not None]
    if not pairs:
        raise UnclearError("no orders with items")
    # A till may write an order and its items at slightly different moments.
    behind = sum(child - own > 10 * SECOND for own, child in pairs)
    if behind:
        return f"no: {behind} of {len(pairs)} orders are older than an item or a payment of theirs"
    return f"perhaps: none of {len(pairs)} orders is older than an item or a payment of its"


def look(cloud: ProbedCloud) -> Mapping[str, NewestRows]:
    """Return the newest rows of some lists."""
    newest = {}
    for name in _LISTS:
        answer = cloud.ask_list(name, {"sort": "-versionDate", "limit": _PAGE})
        if answer.status == 200 and answer.headers.get("Date"):
            rows = rows_of(answer)
            versions = {str(row["id"]): version for row in rows if (version := _version(row)) is not None}
            newest[name] = NewestRows(parsedate_to_datetime(answer.headers["Date"]), versions, len(rows) >= _PAGE)
    return newest


def look_first(cloud: ProbedCloud) -> str:
    """Keep a first look, to compare the second one with."""
    cloud.first_look = look(cloud)
    return f"{len(cloud.first_look)} lists"


def lag(cloud: ProbedCloud) -> str:
    """Return how much later than its version date a row shows, as far as two looks can show it."""
    now = look(cloud)
    if not cloud.first_look:
        raise UnclearError("the first look showed nothing")
    both = [(cloud.first_look[name], second) for name, second in now.items() if name in cloud.first_look]
    ages = [_at(seen) - max(seen.versions.values()) for pair in both for seen in pair if seen.versions]
    if not ages:
        raise UnclearError("no rows to see")
    late = [seconds for first, second in both for seconds in _came_late(first, second)]
    apart = max((second.date - first.date).total_seconds() for first, second in both)
    if late:
        return f"at least {max(late):.0f} s: {len(late)} rows showed after a first look that should have held them"
    # A row that shows soon says nothing about others, which may take longer.
    newest = f"the newest row seen was {_age(max(0, min(ages)))} old, so its own lag is at most that"
    return f"nothing came late in the {apart:.0f} s between two looks; {newest}"


def _came_late(first: NewestRows, second: NewestRows) -> list[float]:
    """Return the seconds by which rows were late that the first look should have held by their dates."""
    oldest = min(first.versions.values(), default=0) if first.full else 0
    # Version dates may be cut to the second.
    return [
        (_at(first) - version) / SECOND
        for id, version in second.versions.items()
        if oldest < version and version + SECOND <= _at(first) and first.versions.get(id, 0) < version
    ]


def _at(seen: NewestRows) -> int:
    return round(seen.date.timestamp() * 1000)


def _newest_child(order: Row) -> int | None:
    children = [*(order.get("orderItems") or []), *(order.get("moneyLogs") or [])]
    return max((version for child in children if (version := _version(child)) is not None), default=None)


def _version(row: Row) -> int | None:
    value = row.get("versionDate")
    return None if value is None else timestamp(value)


def _age(milliseconds: int) -> str:
    seconds = milliseconds // SECOND
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"
