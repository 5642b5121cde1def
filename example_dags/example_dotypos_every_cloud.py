"""
### Every cloud of a connection

One refresh token can serve many clouds. The first task lists them, and Airflow maps the extraction over the list. A
cloud that is connected tomorrow is extracted tomorrow, without a change to the DAG.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from airflow.sdk import Asset, dag, task

from airflow_provider_dotypos import DotyposToObjectStorageOperator


# [START dotypos_every_cloud]
@dag(
    dag_id="example_dotypos_every_cloud",
    schedule="30 3 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    tags=["example", "dotypos"],
    doc_md=__doc__,
)
def every_cloud() -> None:
    """Extract yesterday's order items of every cloud."""

    @task
    def clouds() -> list[str]:
        """Return the ids of the clouds that the connection's token may use."""
        from airflow_provider_dotypos import DotyposHook

        return [cloud["id"] for cloud in DotyposHook().clouds()]

    # Files of different clouds lie in different folders: {destination}/{cloud}/order-items/{window}/
    order_items = DotyposToObjectStorageOperator.partial(
        task_id="order_items",
        entity="order-items",
        destination="{{ var.value.get('dotypos_destination', 'file:///tmp/dotypos') }}",
        since="{{ (dag_run.run_after - macros.timedelta(days=1)) | ds }}",
        until="{{ dag_run.run_after | ds }}",
        timezone="Europe/Prague",
        compression="gzip",
        map_index_template="cloud {{ task.cloud_id }}",  # text, even if templates render to numbers
        max_active_tis_per_dagrun=4,  # keeps the load on the API low
        outlets=[Asset("dotypos order items")],  # updated once for each cloud
        retries=2,
    ).expand(cloud_id=clouds())

    @task
    def summary(extracted: list[dict[str, Any]]) -> dict[str, int]:
        """Return how many rows each cloud had."""
        return {str(one["cloud_id"]): one["rows"] for one in extracted}

    summary(order_items.output)


# [END dotypos_every_cloud]

every_cloud()
