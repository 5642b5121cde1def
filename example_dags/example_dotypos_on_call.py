"""
### What the people on call get

Every hour this DAG extracts the orders that have changed, and looks whether each branch still sells.

If a task fails for good, `DotyposFailureNotifier` makes a message that says what failed, whether that passes by itself,
what may be done, and how far the data is. Here a function writes it to the log. Give it a notifier of Airflow's in its
place, such as `SmtpNotifier` or `SlackNotifier`, whose templates use `dotypos_subject` and `dotypos_message`.

The check fails if a branch has sold nothing for a whole day of opening hours. Its error names the branch, and says
whether its till answers.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import dag

from airflow_provider_dotypos import (
    DotyposFailureNotifier,
    DotyposFreshnessCheckOperator,
    DotyposToObjectStorageOperator,
)

log = logging.getLogger(__name__)


# [START dotypos_on_call]
def tell(context: Mapping[str, Any]) -> None:
    """Write the message where people look."""
    log.error("%s", context["dotypos_message"])


on_call = DotyposFailureNotifier(tell)


@dag(
    dag_id="example_dotypos_on_call",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Prague")),
    catchup=False,
    on_failure_callback=on_call,  # of a run, in the DAG processor
    default_args={
        "retries": 3,
        "retry_delay": timedelta(minutes=5),
        "on_failure_callback": on_call,  # of a task, on its worker
    },
    tags=["example", "dotypos"],
    doc_md=__doc__,
)
def on_call_dag() -> None:
    """Extract the last hour's changes, and look at each branch's last sale."""
    orders = DotyposToObjectStorageOperator(
        task_id="orders",
        entity="orders",
        destination="{{ var.value.get('dotypos_destination', 'file:///tmp/dotypos') }}",
        since="{{ (dag_run.run_after - macros.timedelta(hours=1)).isoformat() }}",
        until="{{ dag_run.run_after.isoformat() }}",
    )
    sales = DotyposFreshnessCheckOperator(
        task_id="sales",
        max_gap=timedelta(hours=12),
        opening_hours={"mon-sun": "10:00-22:00"},
        holidays=["2026-12-24", "2026-12-25"],
        timezone="Europe/Prague",
    )
    orders >> sales


# [END dotypos_on_call]

on_call_dag()
