"""
### When orders have arrived

This DAG runs whenever `example_dotypos_first_orders` has extracted orders. It counts them by the hour of the day.

The event of an asset holds what the task that updated it has returned: `manifests`, `rows`, `since`, `until` and so on.
A run gets all events that have come since the last one.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import Asset, dag, task

# [START dotypos_asset_triggered]
ORDERS = Asset("dotypos orders")  # an outlet of example_dotypos_first_orders


@dag(
    dag_id="example_dotypos_asset_triggered",
    schedule=ORDERS,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    tags=["example", "dotypos"],
    doc_md=__doc__,
)
def asset_triggered() -> None:
    """Read what the events say has been extracted."""

    @task
    def orders_by_hour(triggering_asset_events: Any = None) -> dict[str, int]:
        """Return how many orders were made in each hour of the day."""
        from airflow_provider_dotypos import read_manifest

        hour_of: dict[str, int] = {}
        for event in triggering_asset_events[ORDERS]:
            for manifest in event.extra["manifests"]:
                # The folder's newest set is read: the one of the event may have been replaced by now.
                for row in read_manifest(manifest.rpartition("/")[0]).rows():
                    hour_of[row["id"]] = _hour(row["created"])
        return {str(hour): count for hour, count in sorted(Counter(hour_of.values()).items())}

    orders_by_hour()


# [END dotypos_asset_triggered]


def _hour(time: str) -> int:
    return datetime.fromisoformat(time.replace("Z", "+00:00")).astimezone(ZoneInfo("Europe/Prague")).hour


asset_triggered()
