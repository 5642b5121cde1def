"""The URI of a cloud's list, ``dotypos://{host}/{cloud}/{entity}``: it names the list as an asset and in lineage."""

from __future__ import annotations

import re
from urllib.parse import urlencode, urlsplit

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.provider_info import ASSET_SCHEME

#: Most characters of an asset's URI that Airflow stores.
_LONGEST_URI = 1500


def list_uri(base_url: str, cloud_id: int, entity: str) -> str:
    """Return the URI of a cloud's list.

    :param base_url: the API's, as a connection has it.
    """
    return f"{ASSET_SCHEME}://{urlsplit(base_url).netloc}/{cloud_id}/{entity}"


def watched_uri(host: str, cloud_id: int, entity: str, filter: str = "", deleted: bool = True) -> str:
    """Return the URI of what is watched of a cloud's list: the list's own if all of it is.

    :param host: the API's, with its port if that isn't 443.
    :param filter: in the API's grammar. Defaults to none.
    :param deleted: whether deleted rows count.
    :raises DotyposInputError: if that isn't a host, or if the filter makes the URI longer than Airflow can store.
    """
    if not isinstance(host, str) or not re.fullmatch(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?", host):
        raise DotyposInputError(
            "host must be the host of the API, such as api.dotykacka.cz or 127.0.0.1:8765, without https:// and not a "
            "template"
        )
    # In the order into which Airflow puts them.
    narrowed = ({} if deleted else {"deleted": "false"}) | ({"filter": filter} if filter else {})
    uri = f"{list_uri(f'https://{host}', cloud_id, entity)}{'?' if narrowed else ''}{urlencode(narrowed)}"
    if len(uri) > _LONGEST_URI:
        raise DotyposInputError(
            f"the filter makes the asset's URI {len(uri)} characters long, and Airflow stores {_LONGEST_URI}: compare "
            "with fewer values, or filter in the DAG"
        )
    return uri
