"""
### The hook inside a task

Where no operator fits, use `DotyposHook` in a `@task`. This DAG lists the products that run low in any warehouse.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from airflow.sdk import dag, task


# [START dotypos_hook_in_task]
@dag(
    dag_id="example_dotypos_hook_in_task",
    schedule="0 6 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    params={"least": 20},
    tags=["example", "dotypos"],
    doc_md=__doc__,
)
def hook_in_task() -> None:
    """List the products that run low."""

    @task(retries=2)
    def running_low(params: dict[str, Any] | None = None) -> list[dict[str, str]]:
        """Return the products with less stock than a number. Numbers arrive as text, so compare them as decimals."""
        from decimal import Decimal

        from airflow_provider_dotypos import DotyposHook

        least = (params or {})["least"]  # Airflow fills in params
        hook = DotyposHook(dotypos_conn_id="dotypos_default")
        return [
            {"warehouse": warehouse["name"], "product": product["name"], "left": product["stockQuantityStatus"]}
            for warehouse in hook.rows("warehouses")
            for product in hook.rows("warehouse-products", warehouse_id=warehouse["id"])
            if Decimal(product["stockQuantityStatus"] or 0) < least
        ]

    running_low()


# [END dotypos_hook_in_task]

hook_in_task()
