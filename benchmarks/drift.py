"""Measure what it costs to look at a few rows of every page for fields that the entity table doesn't know.

The operator with JSON lines runs beside itself without looking, in turns. Then the look at one page is timed alone: of
usual rows, of the first rows of a part, and of rows that all have a new field.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from collections.abc import Callable

import msgspec

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.sandbox import Behaviour, Shop
from airflow_provider_dotypos.sandbox.api import lists
from airflow_provider_dotypos.transfers.rows.columns import columns_of
from airflow_provider_dotypos.transfers.rows.looking import Looking
from airflow_provider_dotypos.transfers.rows.new_fields import NewFields
from benchmarks.machine import machine
from benchmarks.turns import Contender, compare

CONTENDERS = (
    Contender("ours", "benchmarks.contenders:ours", {"concurrency": 1}),
    Contender("without looking", "benchmarks.contenders:ours_without_looking", {"concurrency": 1}),
)

#: Pages that are looked at for one number.
_PAGES = 500


def main() -> None:
    parser = argparse.ArgumentParser(description="The cost of looking for new fields in JSON lines.")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    print(machine())
    one_page()
    compare("looking for new fields", CONTENDERS, rows=asked.rows, latency_ms=0, rounds=asked.rounds, own=["ours"])


def one_page() -> None:
    """Print the time of one page of a hundred orders."""
    shop = Shop.generate(days=2, orders_per_day=100)
    looking = Looking(columns_of(find_entity("orders")), values=True)
    for name, behaviour, first in (
        ("usual rows", Behaviour(), False),
        ("the first rows of a part", Behaviour(), True),
        ("rows with a new field", Behaviour(added_fields=("orders.loyaltyTier",)), False),
    ):
        page = lists.page(shop, shop.cloud_ids[0], "orders", {"limit": "100"}, behaviour, {})
        answer = msgspec.json.decode(page.body, type=dict[str, msgspec.Raw])
        rows = msgspec.json.decode(answer["data"], type=list[msgspec.Raw])

        def look(rows: list[msgspec.Raw] = rows, first: bool = first) -> None:
            looking.look(rows, NewFields(exact=False), Counter(), first=first)

        print(f"{name}: {_median(look) * 1e6:.0f} microseconds a page of {len(rows)} rows")


def _median(work: Callable[[], None]) -> float:
    """Return how many seconds a call takes."""
    times = []
    for _ in range(_PAGES):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


if __name__ == "__main__":
    main()
