"""
### Any call

`DotyposOperator` makes one authorized, retried call to any path of the API v2. `response_filter` keeps the part of the
answer that you need.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from airflow.sdk import DAG

from airflow_provider_dotypos import DotyposOperator


def names_and_prices(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Keep a few fields of the last changed rows. Results go to XCom, which is meant for small values."""
    return [{name: row[name] for name in ("id", "name", "priceWithVat")} for row in answer["data"]]


with DAG(
    dag_id="example_dotypos_any_call",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    params={"days": 30},
    tags=["example", "dotypos"],
    doc_md=__doc__,
):
    # [START dotypos_any_call]
    products = DotyposOperator(
        task_id="products",
        path="products",
        query={
            # the API compares times in epoch milliseconds
            "filter": "deleted|eq|false;versionDate|gteq|"
            "{{ ((dag_run.run_after - macros.timedelta(days=params.days)).timestamp() * 1000) | int }}",
            "sort": "-versionDate",
            "limit": 5,
        },
        response_filter=names_and_prices,
    )
    # [END dotypos_any_call]

    # [START dotypos_one_object]
    branches = DotyposOperator(
        task_id="branches", path="branches", response_filter=lambda answer: [row["id"] for row in answer["data"]]
    )
    branch = DotyposOperator(
        task_id="branch",
        path="branches/{{ ti.xcom_pull(task_ids='branches')[0] }}",
        response_filter=lambda row: row["name"],
    )
    # [END dotypos_one_object]

    branches >> branch
