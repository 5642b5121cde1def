"""Apache Airflow provider for the Dotypos (Dotykačka) point-of-sale cloud."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def get_provider_info() -> dict[str, Any]:
    """Return what Airflow learns of this provider (entry point ``apache_airflow_provider``)."""
    from airflow_provider_dotypos.provider_info import provider_info

    return provider_info()
