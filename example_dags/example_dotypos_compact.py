"""
### A lake that stays in order

Extractions by the hour leave a folder for each list and hour. On the second day of each month, this DAG makes one set
of the sets of each month that has ended, with the newest version of each row. Then it removes the sets that compacted
ones have covered for a day at least: those of this run go with the next one. What reads the sets meanwhile isn't
disturbed.

The Airflow variable `dotypos_destination` says what the extractions have as destination. It defaults to a folder on the
worker. Dotypos isn't asked, so the DAG needs no connection to it.
"""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.sdk import dag

from airflow_provider_dotypos import DotyposCompactOperator, DotyposPruneOperator

DESTINATION = "{{ var.value.get('dotypos_destination', 'file:///tmp/dotypos') }}"


# [START dotypos_compact]
@dag(
    dag_id="example_dotypos_compact",
    schedule="0 3 2 * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    tags=["example", "dotypos"],
    doc_md=__doc__,
)
def compact() -> None:
    """Compact what has ended, then remove what has been covered for long enough."""
    compacted = DotyposCompactOperator(task_id="compact", destination=DESTINATION)
    compacted >> DotyposPruneOperator(task_id="prune", destination=DESTINATION)


compact()
# [END dotypos_compact]
