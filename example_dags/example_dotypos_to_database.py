"""
### Into a database

Every hour this DAG brings the orders and order items that have changed into two tables of a database, and makes a third
one of them: the sales of each day and branch. Then it compares yesterday's orders with the report that Dotypos itself
makes of them.

Make a connection `warehouse` first, to PostgreSQL or DuckDB, and install `airflow-provider-dotypos[postgres]` or
`[duckdb]`. The load takes MySQL, MariaDB and SQLite, too, but they need another query for the days of a time zone.

The load has no window. It continues from where the tables end, on every version of Airflow. Its first run reads
everything.
"""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.sdk import DAG

from airflow_provider_dotypos import DotyposEntitiesToSqlOperator, DotyposSalesReportCheckOperator

# [START dotypos_daily_sales]
#: The table is made anew, of what the orders say now: a change to an old order changes its day. A cancelled order
#: counts on its day, and the document that cancels it takes its sum away on the day on which it was made.
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
WHERE
    orders.completed IS NOT NULL
    -- movements of cash, and invoices that repeat receipts, are no sales
    AND coalesce(orders.document_type, '') NOT IN (
        'CASH_IN', 'CASH_OUT', 'EXTERNAL_INVOICE_PAYMENT', 'INVOICE_FROM_RECEIPTS'
    )
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
    # A request for each branch, and one for the branches: once a day is often enough.
    check = DotyposSalesReportCheckOperator(
        task_id="check",
        conn_id="warehouse",
        timezone="Europe/Prague",
        on_difference="warn",  # a till that was offline may have sent an order since the load; the next hour has it
        retries=2,
    )
    load >> daily_sales >> check
# [END dotypos_to_database]
