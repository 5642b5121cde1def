"""
### Everything, from where the last run ended

This DAG extracts every entity of every cloud of a connection, with one task for each cloud. It has no window: each
entity continues from where its last success ended, and the first run reads all rows. A night on which Airflow was down
needs nothing special.

The watermarks belong to an asset of their own. `airflow dotypos watermark show file:///tmp/dotypos` lists them, and
`watermark set` sets them. On Airflow 3.3 **Assets → dotypos watermarks**, tab *Asset State Store*, shows them as well.
The pool limits how many clouds are read at once. Make it once, with `airflow pools set dotypos 4 "calls to Dotypos"`.

An entity that the token may not read is skipped, and the log says so. List in `EXCLUDED` the entities that you don't
want in the lake, such as `webhooks`, whose addresses may hold secrets. If an entity fails, its task does, once it has
extracted the others, and a retry reads only what is missing. The asset of the lake is updated when all tasks have
succeeded.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone
from typing import Any

from airflow.sdk import Asset, dag, task

from airflow_provider_dotypos import DotyposEntitiesToObjectStorageOperator
from airflow_provider_dotypos.api.entities import cloud_lists

# [START dotypos_everything]
WATERMARKS = Asset("dotypos watermarks")
LAKE = Asset("dotypos lake")
EXCLUDED: set[str] = set()


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
    """Extract the rows that have changed since the last run, of every entity of every cloud."""

    @task
    def clouds() -> list[str]:
        """Return the ids of the clouds that the connection's token may use, and whose licence hasn't expired."""
        from airflow_provider_dotypos import DotyposHook

        return [cloud["id"] for cloud in DotyposHook().clouds() if not cloud.get("expired")]

    extracted = DotyposEntitiesToObjectStorageOperator.partial(
        task_id="extract",
        entities=[name for name in cloud_lists() if name not in EXCLUDED],
        destination="{{ var.value.get('dotypos_destination', 'file:///tmp/dotypos') }}",
        outlets=[WATERMARKS],  # keeps the watermarks; each mapped task updates it
        pool="dotypos",
        map_index_template="{{ task.cloud_id }}",
        retries=2,
    ).expand(cloud_id=clouds())

    @task(outlets=[LAKE], trigger_rule="none_failed")  # updated when all tasks have succeeded: schedule on this
    def summary(extracted: list[dict[str, Any]], outlet_events: Any = None) -> dict[str, int]:
        """Return the number of rows of each entity in all clouds. The lake's event lists the manifests to read."""
        lists = [of_list for cloud in extracted for of_list in cloud["entities"].values()]
        new = [of_list for of_list in lists if of_list["rows"] or of_list["manifests"][1:]]
        outlet_events[LAKE].extra["manifests"] = [manifest for of_list in new for manifest in of_list["manifests"]]
        rows: Counter[str] = Counter()
        for of_list in lists:
            rows[of_list["entity"]] += of_list["rows"]
        return dict(rows)

    summary(extracted.output)


# [END dotypos_everything]

everything()
