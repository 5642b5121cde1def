"""
### Into a database

Every hour this DAG brings the orders and order items that have changed into two tables of a database, and makes a third
one of them: the sales of each day and branch.

Make a connection `warehouse` first: PostgreSQL or DuckDB. (The load takes MySQL, MariaDB and SQLite, too. They need
another query for the days of a time zone.) Install `airflow-provider-dotypos[postgres]` or `[duckdb]`.

The load has no window. It continues from where the tables end, on every version of Airflow, and its first run reads
everything.
"""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.sdk import DAG

from airflow_provider_dotypos.transfers.dotypos_entities_to_sql import DotyposEntitiesToSqlOperator

# [START dotypos_daily_sales]
#: The table is made anew from what the orders say now, so a change to an old order changes its day. A cancelled order
#: stays in its day; the document that cancels it takes the sum away on the day on which it was made.
DAILY_SALES = """
BEGIN;
CREATE TABLE IF NOT EXISTS daily_sales (
    day date, branch_id bigint, currency text, receipts integer, items numeric(18, 3), sales numeric(18, 2)
);
DELETE FROM daily_sales;
INSERT INTO daily_sales
SELECT
    CAST(orders.completed AT TIME ZONE 'Europe/Prague' AS date),
    orders.branch_id,
    orders.currency,
    count(*),
    sum(items.quantity),
    sum(orders.total_value_rounded)
FROM orders
LEFT JOIN (
    SELECT cloud_id, order_id, sum(quantity) AS quantity FROM order_items GROUP BY cloud_id, order_id
) AS items ON items.cloud_id = orders.cloud_id AND items.order_id = orders.id
WHERE orders.completed IS NOT NULL AND orders.document_type = 'RECEIPT'
GROUP BY 1, 2, 3;
COMMIT;
"""
# [END dotypos_daily_sales]

# [START dotypos_to_database]
with DAG(
    dag_id="example_dotypos_to_database",
    schedule="5 * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    tags=["example", "dotypos"],
    doc_md=__doc__,
):
    load = DotyposEntitiesToSqlOperator(
        task_id="load",
        entities="orders,order-items",
        conn_id="warehouse",
        retries=2,
    )
    daily_sales = SQLExecuteQueryOperator(
        task_id="daily_sales",
        conn_id="warehouse",
        sql=DAILY_SALES,
        split_statements=True,
    )
    load >> daily_sales
# [END dotypos_to_database]
