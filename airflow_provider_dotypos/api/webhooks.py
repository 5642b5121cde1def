"""Webhooks: what Dotypos delivers where. The payloads are of API v1: lower-case names, ids as numbers or texts.

https://docs.api.dotypos.com/others/webhook
"""

from __future__ import annotations

from typing import NamedTuple

from airflow_provider_dotypos.api.settings import Settings

#: Where Airflow's API server receives deliveries, below its base URL.
WEBHOOKS_PATH = "/dotypos-webhooks"


class PayloadEntity(NamedTuple):
    """What a webhook may deliver.

    :param name: as the API calls it, such as ``ORDERBEAN``.
    :param entity: the list that has changed then, such as ``orders``.
    :param id: the payload's field that holds the row's id; ``None`` if it names no row of the list.
    """

    name: str
    entity: str
    id: str | None


#: By the lists' names. Points and stock movements can't be read, but what they change can.
PAYLOADS: dict[str, PayloadEntity] = {
    payload.entity: payload
    for payload in (
        PayloadEntity("ORDERBEAN", "orders", "orderid"),
        PayloadEntity("PRODUCT", "products", "productid"),
        PayloadEntity("RESERVATION", "reservations", "reservationid"),
        PayloadEntity("CUSTOMER", "customers", "customerid"),
        PayloadEntity("STOCKLOG", "warehouse-products", None),
    )
}


def delivery_path(conn_id: str, cloud_id: int, entity: str, token: str) -> str:
    """Return the path, below `WEBHOOKS_PATH`, at which deliveries are received."""
    return f"/{conn_id}/{cloud_id}/{entity}/{token}"


def delivery_token(settings: Settings, cloud_id: int, entity: str) -> str:
    """Return the 64 hex digits that make a delivery's address secret.

    HMAC-SHA256 by the connection's webhook_secret, else by a key derived from its refresh token.
    """
    raise NotImplementedError
