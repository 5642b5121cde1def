"""How often a list is asked that nobody wants asked otherwise: seldom, where webhooks report its changes."""

from __future__ import annotations

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api.addresses import Addresses
from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.list_uri import list_uri
from airflow_provider_dotypos.triggers.clouds import Cloud

#: Seconds between polls, and where they only catch what a webhook hasn't delivered.
USUAL, SAFETY_NET = 60.0, 600.0


async def usual_interval(cloud: Cloud, conn_id: str, entity: Entity, asset: str | None) -> float:
    """Return how many seconds lie between the polls of a list.

    :param conn_id: the connection to which webhooks would deliver.
    :param asset: the name of the asset that its changes update. Webhooks update only the one that is named by the
        list's URI, which is the one without a filter.
    """
    settings = cloud.settings
    if asset != list_uri(settings.base_url, settings.require_cloud_id(), entity.name):
        return USUAL
    if not _airflow.receives_webhooks():
        return USUAL
    addresses = Addresses(settings, conn_id, _airflow.base_url(), _airflow.mask_secret_on_loop)
    known = [addresses.read(url) for url in await cloud.webhook_urls()]
    delivers = any(address.state == "current" and address.entity == entity.name for address in known)
    return SAFETY_NET if delivers else USUAL
