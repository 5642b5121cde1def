"""
### When the register has closed

Every evening this DAG waits until somebody closes the register, at nine or after midnight, and then adds up what was
paid that day, by the type of payment.

The wait is deferred: it holds no worker slot. It asks once a minute for a money log of the type `REGISTER_CLOSE`. Wait
for one branch by a further condition, such as `transactionType|eq|REGISTER_CLOSE;_branchId|eq|1`. If nobody closes the
register within ten hours, the task fails.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import dag, task

from airflow_provider_dotypos import DotyposEntitySensor, DotyposToObjectStorageOperator

log = logging.getLogger(__name__)


# [START dotypos_nightly_close]
@dag(
    dag_id="example_dotypos_nightly_close",
    schedule="0 20 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Prague")),
    catchup=False,
    tags=["example", "dotypos"],
    doc_md=__doc__,
)
def nightly_close() -> None:
    """Wait for the closing entry, then extract the day and add it up."""
    closed = DotyposEntitySensor(
        task_id="register_closed",
        entity="money-logs",
        filter="transactionType|eq|REGISTER_CLOSE",
        # Closing entries from here on count. The run's own time doesn't move when the task is retried.
        since="{{ dag_run.run_after.isoformat() }}",
        deferrable=True,
        timeout=timedelta(hours=10).total_seconds(),
        retries=2,
    )
    payments = DotyposToObjectStorageOperator(
        task_id="payments",
        entity="money-logs",
        destination="{{ var.value.get('dotypos_destination', 'file:///tmp/dotypos') }}",
        # From the last evening to the closing entry. Windows overlap if the register is closed late: merge by id.
        since="{{ (dag_run.run_after - macros.timedelta(days=1)).isoformat() }}",
        until="{{ ti.xcom_pull(task_ids='register_closed')['until'] }}",
        retries=2,
    )

    @task
    def takings(extracted: dict[str, Any]) -> dict[str, str]:
        """Return what was paid, by type of payment."""
        from airflow_provider_dotypos import read_manifest

        paid: dict[str, Decimal] = defaultdict(Decimal)
        newest = {row["id"]: row for row in read_manifest(extracted["manifest"]).rows()}
        for row in newest.values():
            if row["transactionType"] in ("SALE", "REFUND"):
                paid[row["paymentTypeId"]] += Decimal(row["amount"])
        for kind, amount in sorted(paid.items()):
            log.info("Payment type %s: %s", kind, amount)
        return {kind: str(amount) for kind, amount in paid.items()}

    closed >> payments
    takings(payments.output)


# [END dotypos_nightly_close]

nightly_close()
