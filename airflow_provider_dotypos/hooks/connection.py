"""What a connection says, once Airflow has read it for a task or a trigger."""

from __future__ import annotations

from typing import Any

from airflow_provider_dotypos.api.extra import read_extra
from airflow_provider_dotypos.api.settings import Settings


def settings_of(conn: Any, cloud_id: int | str | None = None, max_concurrency: int | None = None) -> Settings:
    """Return the settings in a connection of Airflow.

    :param cloud_id: overrides the connection's Cloud ID.
    :param max_concurrency: overrides the connection's Max concurrency.
    :raises DotyposConfigurationError: if the connection lacks something or holds something unusable.
    """
    return Settings.from_fields(
        conn_type=conn.conn_type,
        host=conn.host,
        port=conn.port,
        extra=read_extra(conn),
        cloud_id=cloud_id,
        max_concurrency=max_concurrency,
    )


def secrets_of(conn: Any, settings: Settings) -> list[str]:
    """Return what no log may show of a connection."""
    return [secret for secret in (settings.refresh_token, settings.webhook_secret, conn.password) if secret]
