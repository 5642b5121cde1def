"""
### Prices from a table to the tills

Every night this DAG compares a table of prices with the products of a cloud, and plans what has to change. Somebody
looks at the plan and approves it in Airflow's UI (*Required Actions*). Then each price is changed once. A product whose
price somebody has edited since the plan was made keeps that edit, and the task fails and says so. If nothing has to
change, nobody is asked.

Make a connection `warehouse` first, to PostgreSQL, MySQL, DuckDB or SQLite, with a table such as

    CREATE TABLE till_prices (sku varchar(256) PRIMARY KEY, price numeric(18, 2))

The plan and the report are files below the Airflow Variable `dotypos_plans`, or below `/tmp/dotypos-plans`. Tasks on
several machines need a store that all of them reach, such as `s3://…`.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, task

from airflow_provider_dotypos import DotyposApplyPlanOperator, DotyposPlanWritesOperator, Sql

# [START dotypos_price_sync]
#: The columns have the names of the API's fields. The plan adds the price without VAT, by the product's VAT rate.
PRICES = """
SELECT sku AS "externalId", price AS "priceWithVat" FROM till_prices WHERE price IS NOT NULL ORDER BY sku
"""

with DAG(
    dag_id="example_dotypos_price_sync",
    schedule="0 3 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    tags=["example", "dotypos"],
    doc_md=__doc__,
):
    plan = DotyposPlanWritesOperator(
        task_id="plan",
        entity="products",
        source=Sql("warehouse", PRICES),
        match="externalId",
        # A run that would change more than this writes nothing: a wrong query is more likely than such a night.
        limits={"changes": 0.5, "price_move": 0.3},
        plan="{{ var.value.get('dotypos_plans', 'file:///tmp/dotypos-plans') }}/{{ run_id }}",
        retries=3,
        retry_delay=timedelta(minutes=5),
    )

    @task.short_circuit
    def something_to_do(planned: dict[str, Any]) -> bool:
        """Return whether a row of the table differs from the cloud. If none does, nobody is asked."""
        counts: dict[str, int] = planned["counts"]
        return counts.get("unchanged", 0) < counts["rows"]

    approve = ApprovalOperator(
        task_id="approve",
        subject="New prices for the tills",
        body="{{ ti.xcom_pull('plan')['summary'] }}",
        # No defaults: nobody's silence approves.
    )
    apply = DotyposApplyPlanOperator(
        task_id="apply",
        plan="{{ ti.xcom_pull('plan')['plan'] }}",
        digest="{{ ti.xcom_pull('plan')['digest'] }}",
        approval="{{ ti.xcom_pull('approve') }}",
        retries=3,
        retry_delay=timedelta(minutes=5),
    )
    something_to_do(plan.output) >> approve >> apply
# [END dotypos_price_sync]
