"""An estimate from a shell: counts lists, reckons what reading them costs, and prints both."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from airflow_provider_dotypos.api.budget import KNOWN_LIMIT, Budget, DotyposBudgetError
from airflow_provider_dotypos.api.costs import list_requests, nested_requests, seconds_needed
from airflow_provider_dotypos.api.entities import Entity, cloud_lists
from airflow_provider_dotypos.api.errors import (
    DotyposInputError,
    DotyposRateLimitError,
)
from airflow_provider_dotypos.api.estimate import Counted, ListCounter
from airflow_provider_dotypos.api.markers import Division
from airflow_provider_dotypos.api.reach import forbids_one_list
from airflow_provider_dotypos.api.reading import Reader
from airflow_provider_dotypos.api.retry import Patience
from airflow_provider_dotypos.api.window import Window, duration
from airflow_provider_dotypos.commands.connection import new_client, read_settings
from airflow_provider_dotypos.commands.output import ATTENTION, WELL, Report, note
from airflow_provider_dotypos.transfers.arguments import HISTORY_LISTS, check_times
from airflow_provider_dotypos.transfers.selection import check_selection
from airflow_provider_dotypos.transfers.wording import count

#: An estimate waits for no limit and no budget. It stops, and shows what it has.
_PATIENCE = Patience(faults=4.0, throttling=0.0)

#: The columns that a narrow terminal shows.
_NARROW = ("entity", "rows", "precision", "requests", "time")


def estimate_report(args: argparse.Namespace) -> Report:
    """Count lists and return what it would cost to read them.

    :raises DotyposError: if an option is wrong, or the API can't be asked.
    """
    check_times({"since": args.since, "until": args.until, "timezone": args.timezone})
    names = args.entities or (HISTORY_LISTS if args.history else cloud_lists())
    if args.history and args.since is not None:
        raise DotyposInputError(
            "--history reads orders with their items and payments, which is safe from the beginning only: omit --since"
        )
    if args.history and not _can_nest(names):
        raise DotyposInputError(
            "--history reads orders with their items and payments: name orders, and order-items or money-logs"
        )
    wanted = [check_selection({"entity": name}) for name in dict.fromkeys(names)]
    settings = read_settings(args.conn_id, args.cloud_id)
    reader = Reader(new_client(settings, _PATIENCE))
    window = _window(args)
    counter = ListCounter(reader, window, shows_null=settings.deleted_filter == "shows_null")
    counted: dict[str, Counted] = {}
    remarks: dict[str, str] = {}
    try:
        for entity, result in counter.lists(wanted):
            if isinstance(result, Counted):
                counted[entity.name] = result
            else:
                remarks[entity.name] = "forbidden" if forbids_one_list(result) else "failed"
                note(str(result))
    except (DotyposRateLimitError, DotyposBudgetError) as error:
        note(f"Stopped: {error}")
    prices = _prices([*counted.values()], window or Window.of(None, _now()), reader, history=args.history)
    budget = settings.request_budget or KNOWN_LIMIT
    rows = [_row(entity, counted.get(entity.name), prices, remarks, budget) for entity in wanted]
    limit = "the connection's Request budget" if settings.request_budget else "the known limit"
    note(f"The time is that of {limit}, {budget}, if none of it is used yet.")
    note(f"This estimate took {count(reader.requests, 'list calls')}.")
    if 0 < len(counted) < len(wanted):
        note(f"The choices are those of what was counted: {count(len(counted), 'lists')} of {len(wanted)}.")
    tables = [Report(rows, narrow=_NARROW), *([Report([*_choices(prices, budget)])] if prices else [])]
    return Report(rows, WELL if len(counted) == len(wanted) else ATTENTION, tables=tables)


@dataclass(frozen=True)
class _Price:
    """What a list costs, in requests without the sign-in.

    :param requests: as it is read.
    :param one_filter: how many of them one filter for live and deleted rows saves.
    :param nested: how many of them reading it as a part of a history saves.
    """

    requests: int
    one_filter: int
    nested: int


def _prices(counts: Sequence[Counted], window: Window, reader: Reader, *, history: bool) -> dict[str, _Price]:
    """Return what each list costs.

    :param history: whether orders are read with their children; otherwise it is said what that would save.
    """
    can_nest = window.since is None and _can_nest([counted.entity.name for counted in counts])
    prices = {}
    for counted in counts:
        entity = counted.entity
        usual = reader.reads_as_one(entity, window, Division())
        requests, fewest = (
            list_requests(entity, window, counted.rows.likely, one_filter=one_filter, lists=counted.lists)
            for one_filter in (usual, usual or not entity.null_markers)
        )
        nested = requests - nested_requests(entity, requests) if can_nest else 0
        price = _Price(requests, requests - fewest, nested)
        prices[entity.name] = replace(price, requests=requests - nested, nested=0) if history else price
    return prices


def _can_nest(names: Collection[str]) -> bool:
    """Return whether lists are orders and something that orders bring."""
    orders, *nested = HISTORY_LISTS
    return orders in names and not set(nested).isdisjoint(names)


def _row(
    entity: Entity, counted: Counted | None, prices: Mapping[str, _Price], remarks: Mapping[str, str], budget: Budget
) -> dict[str, Any]:
    """Return a list's line. One that wasn't counted says why in place of the precision."""
    price = prices.get(entity.name)
    return {
        "entity": entity.name,
        "rows": counted and counted.rows.likely,
        "precision": counted.rows.precision if counted else remarks.get(entity.name, "not asked"),
        "requests": price and price.requests,
        "time": price and _time(price.requests, budget),
        "one filter saves": price and price.one_filter,
        "a history saves": price and price.nested,
    }


def _choices(prices: Mapping[str, _Price], budget: Budget) -> Iterator[dict[str, Any]]:
    """Yield what the ways to read all of these lists cost, sign-ins included; each does what those before it do."""
    requests = sum(price.requests for price in prices.values()) + len(prices)
    savings = {
        "a task for each list": 0,
        "one task for all of them": max(0, len(prices) - 1),
        "one filter for live and deleted rows": sum(price.one_filter for price in prices.values()),
        "orders with their items and payments": max(0, sum(price.nested for price in prices.values())),
    }
    for number, (choice, saves) in enumerate(savings.items()):
        requests -= saves
        if saves or not number:
            yield {"choice": choice, "saves": saves, "requests": requests, "time": _time(requests, budget)}


def _time(requests: int, budget: Budget) -> str:
    seconds = seconds_needed(requests, budget)
    return duration(seconds) if seconds else "at once"


def _window(args: argparse.Namespace) -> Window | None:
    """Return the window whose rows are counted; ``None`` for all rows."""
    if args.since is None and args.until is None:
        return None
    return Window.of(args.since, args.until if args.until is not None else _now(), timezone=args.timezone)


def _now() -> datetime:
    return datetime.now(timezone.utc)
