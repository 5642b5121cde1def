"""
### Everything, from where the last run ended

Every entity of every cloud of a connection, one task each. There is no window: each task goes on from where its last
success ended, and the first run takes everything there is. A night on which Airflow was down needs nothing special.

The watermarks are kept on an asset of their own (**Assets → dotypos watermarks**, tab *Asset State Store*, shows them
and lets you set them), so this needs Airflow 3.3. The pool keeps all tasks together from asking too much of the API:
make it once, with `airflow pools set dotypos 4 "calls to Dotypos"`.

The asset of the lake is updated once everything is there. Name in `LEFT_OUT` what your licence doesn't include (its
tasks fail, and then the asset isn't updated) and what you don't want there, such as `webhooks`, whose addresses may
hold secrets.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone
from typing import Any

from airflow.sdk import Asset, dag, task

from airflow_provider_dotypos.api.entities import cloud_lists
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator

# [START dotypos_everything]
WATERMARKS = Asset("dotypos watermarks")
LAKE = Asset("dotypos lake")
LEFT_OUT: set[str] = set()


@dag(
    dag_id="example_dotypos_everything",
    schedule="0 4 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    tags=["example", "dotypos"],
    doc_md=__doc__,
)
def everything() -> None:
    """Extract what has changed since the last run, of every entity of every cloud."""

    @task
    def clouds() -> list[str]:
        """Return the ids of the clouds that the connection's token may use, and whose licence hasn't expired."""
        from airflow_provider_dotypos.hooks.dotypos import DotyposHook

        return [cloud["id"] for cloud in DotyposHook().clouds() if not cloud.get("expired")]

    extracted = DotyposToObjectStorageOperator.partial(
        task_id="extract",
        destination="{{ var.value.get('dotypos_destination', 'file:///tmp/dotypos') }}",
        outlets=[WATERMARKS],  # kept here; each mapped task updates it
        pool="dotypos",
        concurrency=1,  # there are enough tasks at once
        map_index_template="{{ task.cloud_id }} {{ task.entity }}",
        retries=2,
    ).expand(cloud_id=clouds(), entity=[name for name in cloud_lists() if name not in LEFT_OUT])

    @task(outlets=[LAKE], trigger_rule="none_failed")  # updated once all is there: schedule on this
    def summary(extracted: list[dict[str, Any]]) -> dict[str, int]:
        """Return how many rows of each entity there were in all clouds."""
        rows: Counter[str] = Counter()
        for one in extracted:
            rows[one["entity"]] += one["rows"]
        return dict(rows)

    summary(extracted.output)


# [END dotypos_everything]

everything()
