"""
### Webhooks by a queue

Dotypos can't reach this Airflow, but a small public program takes its deliveries and puts them into a list of Redis.
Then it rings a bell: it publishes a message without content. The bell starts this DAG, which takes the list and
extracts what has changed.

A bell that nobody hears loses nothing. What was delivered stays in the list, and the watcher of `ORDERS`, which asks
Dotypos every ten minutes, starts the DAG as well.

It needs `apache-airflow-providers-common-messaging`, `apache-airflow-providers-redis` and the connection
`redis_default`. Without these providers Airflow doesn't offer this DAG. The guide *Webhooks by a queue* has the
program.
"""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from typing import Any

from airflow.sdk import Asset, AssetWatcher, dag, task

from airflow_provider_dotypos import (
    DotyposToObjectStorageOperator,
    changed_window,
    dotypos_asset,
    exceptions,
    queued_change,
)

try:
    from airflow.providers.common.messaging.triggers.msg_queue import MessageQueueTrigger
    from airflow.providers.redis.hooks.redis import RedisHook
except ImportError as error:
    MessageQueueTrigger = None
    logging.getLogger(__name__).warning(
        "example_dotypos_webhooks_by_a_queue isn't offered (%s): pip install "
        "apache-airflow-providers-common-messaging apache-airflow-providers-redis",
        error,
    )

#: The sandbox's first bistro.
CLOUD = 310101001

# [START dotypos_webhooks_by_a_queue]
#: The list that holds deliveries, and the channel of the bell.
QUEUE, BELL = "dotypos:orders", "dotypos:orders:bell"

#: Messages that a run takes at most. What is left starts with the next bell.
MOST = 1000


def webhooks_by_a_queue() -> None:
    """Extract what the deliveries in the queue name."""

    @task.short_circuit(multiple_outputs=True, retries=3)
    def window(triggering_asset_events: Any = None) -> dict[str, Any] | None:
        """Return the window to read, and how many messages it is for; nothing if an earlier run has taken them all."""
        messages = RedisHook("redis_default").get_conn().lrange(QUEUE, 0, MOST - 1)
        queued = queued_change(messages, entity="orders", cloud_id=CLOUD)
        try:
            return {**changed_window(triggering_asset_events, queued=queued), "messages": len(messages)}
        except exceptions.DotyposInputError:
            return None  # a bell without messages: what follows is skipped

    @task(retries=3)
    def forget(messages: int) -> None:
        """Remove the messages whose changes have been extracted."""
        RedisHook("redis_default").get_conn().ltrim(QUEUE, messages, -1)

    changed: Any = window()
    extracted = DotyposToObjectStorageOperator(
        task_id="orders",
        entity="orders",
        destination="{{ var.value.get('dotypos_destination', 'file:///tmp/dotypos') }}/by_a_queue",
        cloud_id=CLOUD,
        since=changed["since"],
        until=changed["until"],
        retries=3,
    )
    extracted >> forget(changed["messages"])


if MessageQueueTrigger is not None:
    trigger = MessageQueueTrigger(
        scheme="redis+pubsub", channels=[BELL], redis_conn_id="redis_default", poll_interval=1
    )
    RUNG = Asset("dotypos orders by a queue", watchers=[AssetWatcher(name="dotypos bell of orders", trigger=trigger)])
    ORDERS = dotypos_asset("orders", cloud_id=CLOUD, watch={"poll_interval": 600})

    dag(
        dag_id="example_dotypos_webhooks_by_a_queue",
        schedule=RUNG | ORDERS,
        start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
        catchup=False,
        # Two runs at once would take the same messages.
        max_active_runs=1,
        tags=["example", "dotypos"],
        doc_md=__doc__,
    )(webhooks_by_a_queue)()
# [END dotypos_webhooks_by_a_queue]
