"""
### Webhooks: set up and tear down

With a webhook Dotypos reports a change itself, and the DAG starts within seconds. This DAG registers the webhooks of a
cloud, or removes them: trigger it with `state` as `present` or `absent`. Both may run as often as you like. What is
registered already isn't registered again, and other programs' webhooks stay.

Airflow must accept deliveries (`[dotypos] webhooks = True` on its API servers), and Dotypos must reach its address
(`[api] base_url`).
"""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.sdk import DAG, Param

from airflow_provider_dotypos import DotyposWebhookOperator

# [START dotypos_webhooks]
with DAG(
    dag_id="example_dotypos_webhooks",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    params={"state": Param("present", enum=["present", "absent"])},
    tags=["example", "dotypos"],
    doc_md=__doc__,
):
    DotyposWebhookOperator(task_id="webhooks", entities=["orders", "products"], state="{{ params.state }}", retries=2)
# [END dotypos_webhooks]
