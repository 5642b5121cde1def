"""
### Extract orders as they change

About a minute after somebody opens, pays or cancels an order, this DAG extracts it, as a file of JSON lines. Airflow's
triggerer asks Dotypos what has changed, once a minute: 30 requests in half an hour, and some more for each run.

The Airflow variable `dotypos_destination` says where the files go. It defaults to a folder on the worker. Write your
cloud's number into `CLOUD`. It must be in the file, because an asset has a name before any task runs.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from airflow.sdk import dag, task

from airflow_provider_dotypos import DotyposToObjectStorageOperator, changed_window, dotypos_asset

#: The sandbox's first bistro.
CLOUD = 310101001

# [START dotypos_orders_on_change]
ORDERS = dotypos_asset("orders", cloud_id=CLOUD, watch=True)


@dag(
    dag_id="example_dotypos_orders_on_change",
    schedule=ORDERS,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    # Changes that come during a run start one more run, which reads up to now.
    max_active_runs=1,
    tags=["example", "dotypos"],
    doc_md=__doc__,
)
def orders_on_change() -> None:
    """Extract what has changed."""

    @task(multiple_outputs=True)
    def window(triggering_asset_events: Any = None) -> dict[str, str]:
        """Return the window to read. Retries of the extraction read the same one."""
        return changed_window(triggering_asset_events)

    changed: Any = window()
    DotyposToObjectStorageOperator(
        task_id="orders",
        entity="orders",
        destination="{{ var.value.get('dotypos_destination', 'file:///tmp/dotypos') }}/on_change",
        cloud_id=CLOUD,
        since=changed["since"],
        until=changed["until"],
        # Nothing has to settle: a change that shows later has an event of its own.
        settle=0,
        retries=3,
    )


# [END dotypos_orders_on_change]

orders_on_change()
