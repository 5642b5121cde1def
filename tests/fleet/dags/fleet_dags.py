"""The DAGs of the fleet: everything of two clouds, and windows of their order items to backfill."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.sdk import Asset, CronDataIntervalTimetable, dag

from airflow_provider_dotypos.transfers.dotypos_entities_to_object_storage import (
    DotyposEntitiesToObjectStorageOperator,
)
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator

#: The sandbox's clouds.
CLOUDS = (310_101_001, 320_202_002)

#: What the tasks of both DAGs have in common.
COMMON: dict[str, Any] = {
    "concurrency": 2,
    # The scheduler takes a lost try for a failure. Accidents are frequent here, and a run is short.
    "retries": 5,
    "retry_delay": timedelta(seconds=3),
    # The sandbox shows changes at once, so the default of a minute would only be waited for.
    "settle": 5,
}


@dag(dag_id="fleet_everything", schedule=None, max_active_runs=1)
def everything() -> None:
    """Extract all lists of each cloud."""
    for cloud in CLOUDS:
        DotyposEntitiesToObjectStorageOperator(
            task_id=f"everything_{cloud}",
            cloud_id=cloud,
            entities="all",
            destination="s3://aws_default@lake/everything",
            outlets=[Asset(f"everything {cloud}")],
            pool="dotypos",
            priority_weight=10,  # before the windows, which wait for the same pool
            on_forbidden="fail",
            **COMMON,
        )


# A plain cron expression makes runs whose intervals have no length.
@dag(
    dag_id="fleet_windows",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
)
def windows() -> None:
    """Extract a day's order items of each cloud."""
    for cloud in CLOUDS:
        DotyposToObjectStorageOperator(
            task_id=f"order_items_{cloud}",
            cloud_id=cloud,
            entity="order-items",
            destination="s3://aws_default@lake/windows",
            since="{{ data_interval_start }}",
            until="{{ data_interval_end }}",
            pool="dotypos",
            **COMMON,
        )


everything()
windows()
