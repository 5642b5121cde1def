"""The URI of a cloud's list, ``dotypos://{host}/{cloud}/{entity}``: it names the list as an asset and in lineage."""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow_provider_dotypos.provider_info import ASSET_SCHEME


def list_uri(base_url: str, cloud_id: int, entity: str) -> str:
    """Return the URI of a cloud's list.

    :param base_url: the API's, as a connection has it.
    """
    return f"{ASSET_SCHEME}://{urlsplit(base_url).netloc}/{cloud_id}/{entity}"
