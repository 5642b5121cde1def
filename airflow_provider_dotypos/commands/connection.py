"""From an Airflow connection to a Dotypos client, outside of a task."""

from __future__ import annotations

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.errors import HOW_TO_CONNECT, DotyposConfigurationError
from airflow_provider_dotypos.api.retry import Patience
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.connections.errors import ConnectError
from airflow_provider_dotypos.connections.lookup import look_up

#: A person is waiting at a terminal. Throttling isn't a reason to give up soon.
_PATIENCE = Patience(faults=4.0, throttling=120.0)


def read_settings(conn_id: str, cloud_id: int | None = None, max_concurrency: int | None = None) -> Settings:
    """Read an Airflow connection.

    :param cloud_id: overrides the connection's.
    :param max_concurrency: overrides the connection's.
    :raises DotyposConfigurationError: if there is no such connection, or if a field of it is unusable.
    """
    try:
        connection = look_up(conn_id)
    except ConnectError as error:
        raise DotyposConfigurationError(str(error)) from None
    if connection is None:
        raise DotyposConfigurationError(
            f"There is no connection {conn_id!r} in this Airflow (none that can be read, in its database, the "
            f"environment or a secrets backend). Connect a cloud ({HOW_TO_CONNECT}), or name another with --conn-id."
        )
    for secret in (connection.extra.get("refresh_token"), connection.client_secret):
        if isinstance(secret, str) and secret:
            _airflow.mask_secret(secret)
    return connection.settings(cloud_id=cloud_id, max_concurrency=max_concurrency)


def new_client(settings: Settings, patience: Patience = _PATIENCE) -> DotyposClient:
    """Return a client that keeps the connection's limits.

    :param patience: how long to try again. By default not for minutes.
    """
    return DotyposClient(settings, on_token=_airflow.mask_secret, patience=patience)
