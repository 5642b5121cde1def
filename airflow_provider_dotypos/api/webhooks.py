"""Webhooks: what Dotypos delivers where. The payloads are of API v1: lower-case names, ids as numbers or texts.

https://docs.api.dotypos.com/others/webhook
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import NamedTuple

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.names import nearest, split_names
from airflow_provider_dotypos.api.settings import Settings


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


class DeliveryAddress(NamedTuple):
    """What the path of a delivery's address says; its parts are in this order."""

    conn_id: str
    cloud_id: int
    entity: str
    token: str

    @property
    def path(self) -> str:
        """The path, below `WEBHOOKS_PATH`."""
        return delivery_path(*self)


_PATH = re.compile(r"/([A-Za-z0-9_-][A-Za-z0-9_.-]{0,199})/([1-9][0-9]{0,9})/([a-z-]{1,40})/([0-9a-f]{64})", re.ASCII)


def delivery_path(conn_id: str, cloud_id: int, entity: str, token: str) -> str:
    """Return the path, below `WEBHOOKS_PATH`, at which deliveries are received."""
    return f"/{conn_id}/{cloud_id}/{entity}/{token}"


def read_delivery_path(path: str) -> DeliveryAddress | None:
    """Return what a path below `WEBHOOKS_PATH` says; ``None`` if it can't be a delivery's."""
    parts = _PATH.fullmatch(path)
    if parts is None or parts[3] not in PAYLOADS:
        return None
    return DeliveryAddress(parts[1], int(parts[2]), parts[3], parts[4])


def delivery_token(settings: Settings, cloud_id: int, entity: str) -> str:
    """Return the 64 hex digits that make a delivery's address secret.

    They depend on the connection's Webhook Secret or, without one, on its Refresh Token. So a new refresh token gives
    the webhooks other addresses.
    """
    own = settings.webhook_secret
    key = own.encode() if own else _digest(settings.refresh_token.encode(), "key").digest()
    return _digest(key, f"{cloud_id} {entity}").hexdigest()


def _digest(key: bytes, message: str) -> hmac.HMAC:
    return hmac.new(key, f"airflow-provider-dotypos webhook v1 {message}".encode(), hashlib.sha256)


def check_lists(entities: str | Sequence[str] | None) -> list[str]:
    """Return the lists whose changes a webhook can deliver, each once.

    :raises DotyposInputError: if Dotypos doesn't deliver those of one, or the text that names them is empty.
    """
    if entities is None or (isinstance(entities, str) and not entities.strip()):
        # A template that rendered to nothing must not mean that no list is wanted.
        raise DotyposInputError(f"entities names no list: it may name {', '.join(PAYLOADS)}")
    names = list(dict.fromkeys(split_names(entities, "entities")))
    for name in names:
        if name not in PAYLOADS:
            raise DotyposInputError(
                f"Dotypos delivers no changes of {name!r}{nearest(name, PAYLOADS)}: entities may be "
                f"{', '.join(PAYLOADS)}. Other lists can be watched by polling them"
            )
    return names
