"""
### Reprice when a product changes

Soon after somebody changes a product, this DAG rounds its price up to a whole number. Airflow's triggerer asks Dotypos
what has changed, once a minute: 36 requests in half an hour, however many DAGs watch the products. No task waits, so no
worker slot is held.

An event says which rows have changed between which times. It may come again, so whatever it starts must be harmless a
second time: here a whole price stays as it is. That also ends the circle which every DAG begins that writes to the
list that it watches: its own write is a change, starts it once more, and that run finds nothing to do.

Write your cloud's number into `CLOUD`. It must be in the file, because an asset has a name before any task runs.
"""

from __future__ import annotations

import logging
from contextlib import closing
from datetime import datetime, timedelta, timezone
from decimal import ROUND_CEILING, Decimal
from typing import Any

from airflow.sdk import dag, task

from airflow_provider_dotypos import changed_window, dotypos_asset

log = logging.getLogger(__name__)

#: The sandbox's first bistro.
CLOUD = 310101001

# [START dotypos_reprice_on_change]
PRODUCTS = dotypos_asset("products", cloud_id=CLOUD, watch=True)


@dag(
    dag_id="example_dotypos_reprice_on_change",
    schedule=PRODUCTS,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    # Changes that come during a run start one more run, which reads up to now.
    max_active_runs=1,
    tags=["example", "dotypos"],
    doc_md=__doc__,
)
def reprice_on_change() -> None:
    """Round the prices of changed products up."""

    @task(retries=3, retry_delay=timedelta(minutes=1))
    def reprice(triggering_asset_events: Any = None) -> dict[str, str]:
        """Return the new prices, by the products' ids."""
        from airflow_provider_dotypos import DotyposHook

        prices = {}
        # Closed, the hook gives back what it has claimed of a request budget: a tenth of it, many times what it needs.
        with closing(DotyposHook(cloud_id=CLOUD)) as hook:
            # Nothing has to settle: a change that shows later has an event of its own.
            for product in hook.changes("products", **changed_window(triggering_asset_events), settle=0):
                price = whole(product["priceWithVat"])
                if not product["deleted"] and price != Decimal(product["priceWithVat"]):
                    set_price(hook, product["id"], price)
                    prices[product["id"]] = str(price)
        log.info("%d prices were rounded up.", len(prices))
        return prices

    reprice()


def whole(price: str) -> Decimal:
    """Return a price rounded up. The API's numbers are text, so they stay exact."""
    return Decimal(price).to_integral_value(ROUND_CEILING)


def set_price(hook: Any, product_id: str, price: Decimal) -> None:
    """Change a product's price, unless somebody else changes the product at the same moment."""
    product, etag = hook.request(
        "GET", f"products/{product_id}", decode=lambda answer: (answer.json(), answer.headers["ETag"])
    )
    prices = {"priceWithVat": price, "priceWithoutVat": price / Decimal(product["vat"])}
    hook.request("PATCH", f"products/{product_id}", json=prices, headers={"If-Match": etag})


# [END dotypos_reprice_on_change]

reprice_on_change()
