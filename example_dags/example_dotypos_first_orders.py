"""
### The first orders

Every night this DAG extracts all orders that changed in the last whole days, as files of JSON lines, and adds up the
sales of each day.

The Airflow variable `dotypos_destination` says where the files go. It defaults to a folder on the worker. For more than
a trial, set it to a bucket, such as `s3://aws_default@bucket/dotypos`.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import Asset, dag, task

from airflow_provider_dotypos import DotyposToObjectStorageOperator

log = logging.getLogger(__name__)

ZONE = "Europe/Prague"

#: Movements of cash, and invoices that repeat receipts, are no sales.
NO_SALES = {"CASH_IN", "CASH_OUT", "EXTERNAL_INVOICE_PAYMENT", "INVOICE_FROM_RECEIPTS"}


# [START dotypos_sales]
def sales_by_day(rows: Iterable[dict[str, Any]], since: str | None) -> list[list[Any]]:
    """Return ``[day, currency, orders, sum]`` of the sales since a time. Amounts are text, so they stay exact.

    A cancelled order counts on its day, and the document that cancels it takes its sum away on the day on which it was
    made, as in Dotypos's own report.

    An extraction holds the orders that *changed* in its window. A note that is added today to an order of last month
    includes that order, so the days before the window would be incomplete.
    """
    start = _time(since) if since else datetime.min.replace(tzinfo=timezone.utc)
    newest = {row["id"]: row for row in rows}  # an order that changed twice may come twice: the later row counts
    orders: dict[tuple[str, str], int] = defaultdict(int)
    total: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in newest.values():
        sold = row["completed"] and row["documentType"] not in NO_SALES
        if not sold or _time(row["completed"]) < start:
            continue
        key = _time(row["completed"]).astimezone(ZoneInfo(ZONE)).date().isoformat(), row["currency"]
        orders[key] += 1
        total[key] += Decimal(row["totalValueRounded"])
    return [[*key, orders[key], f"{total[key]:.2f}"] for key in sorted(orders)]


# [END dotypos_sales]


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


# [START dotypos_first_orders]
@dag(
    dag_id="example_dotypos_first_orders",
    schedule="0 3 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=ZoneInfo(ZONE)),
    # Each run reads the last days anew, so nights without a run leave no gap and need no catching up.
    catchup=False,
    # Two runs at once would ask Dotypos for the same window twice. That can't harm the files, but uses up the limit.
    max_active_runs=1,
    params={"days": 7},
    tags=["example", "dotypos"],
    doc_md=__doc__,
)
def first_orders() -> None:
    """Extract orders, then add up what was sold."""
    orders = DotyposToObjectStorageOperator(
        task_id="orders",
        entity="orders",
        destination="{{ var.value.get('dotypos_destination', 'file:///tmp/dotypos') }}",
        # Scheduled and manual runs both have `run_after`. A plain cron schedule has an empty data interval in Airflow
        # 3: it starts where it ends. Bare dates begin at midnight in `timezone`, also when clocks change.
        since="{{ (dag_run.run_after - macros.timedelta(days=params.days)) | ds }}",
        until="{{ dag_run.run_after | ds }}",
        timezone=ZONE,
        outlets=[Asset("dotypos orders")],  # its events hold the result: see example_dotypos_asset_triggered
        retries=2,
    )

    @task
    def sales(extracted: dict[str, Any]) -> list[list[Any]]:
        """Read the extracted orders through their manifest, and return the sales of each day."""
        from airflow_provider_dotypos import read_manifest

        days = sales_by_day(read_manifest(extracted["manifest"]).rows(), extracted["since"])
        for day, currency, count, amount in days:
            log.info("%s  %5d orders  %12s %s", day, count, amount, currency)
        return days

    sales(orders.output)


# [END dotypos_first_orders]

first_orders()
