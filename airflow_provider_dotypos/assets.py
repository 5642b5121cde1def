"""Assets of a cloud's lists: ``dotypos://{host}/{cloud}/{entity}``.

Airflow asks this module whenever it makes an asset with this scheme, so importing it costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from airflow_provider_dotypos.provider_info import ASSET_SCHEME

if TYPE_CHECKING:
    from airflow.sdk import Asset
    from openlineage.client.event_v2 import Dataset


def create_asset(*, host: str, cloud_id: int | str, entity: str, extra: dict[str, Any] | None = None) -> Asset:
    """Return the asset of a cloud's list: what extractions of it name as their input.

    :param host: the API's host, such as ``api.dotykacka.cz``, with its port if that isn't 443.
    :param cloud_id: the cloud's number.
    :param entity: the list's name in the API's paths, such as ``orders``.
    :param extra: what else the asset holds. Defaults to nothing.
    :raises ValueError: if that is no list's address.
    """
    from airflow.sdk import Asset

    return Asset(uri=f"{ASSET_SCHEME}://{host}/{cloud_id}/{entity}", extra=extra or {})


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Return the one form of a list's address, for Airflow.

    :raises ValueError: if it isn't one.
    """
    cloud_id, _, entity = uri.path.removeprefix("/").partition("/")
    if not uri.netloc or not cloud_id.isdecimal() or not entity or "/" in entity:
        raise ValueError(
            f"URI format {ASSET_SCHEME}:// must name host, cloud and list: {ASSET_SCHEME}://api.dotykacka.cz/123/orders"
        )
    return uri._replace(netloc=uri.netloc.lower().removesuffix(":443"))


def convert_asset_to_openlineage(asset: Asset, lineage_context: object) -> Dataset:
    """Return what OpenLineage calls a list."""
    from openlineage.client.event_v2 import Dataset

    uri = urlsplit(asset.uri)
    return Dataset(namespace=f"{uri.scheme}://{uri.netloc}", name=uri.path.removeprefix("/"))
