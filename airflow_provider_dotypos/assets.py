"""Assets of a cloud's lists: ``dotypos://{host}/{cloud}/{entity}``.

Airflow asks this module whenever it makes an asset with this scheme, so importing it costs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
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


def changed_window(triggering_asset_events: Mapping[Any, Sequence[Any]] | None) -> dict[str, str]:
    """Return the window that a run has to read for the events that have started it: ``{"since": …, "until": …}``.

    It begins a minute before the earliest change, as changes may show so late, and ends now: of the events that come
    during a run Airflow gives the next run the first alone. Read it by ``settle=0``: what shows later has an event of
    its own.

    :param triggering_asset_events: what the context of a task holds under this name. Events that neither a watcher nor
        a webhook made don't count.
    :raises DotyposInputError: if there is none, as in a run that was triggered by hand.
    """
    from airflow_provider_dotypos.api.errors import DotyposInputError
    from airflow_provider_dotypos.api.watch import OVERLAP
    from airflow_provider_dotypos.api.window import instant, iso

    events = [event for events in (triggering_asset_events or {}).values() for event in events]
    payloads = [event.extra["payload"] for event in events if isinstance(event.extra.get("payload"), dict)]
    windows = [(instant(payload["since"], "since"), instant(payload["until"], "until")) for payload in payloads]
    if not windows:
        raise DotyposInputError(
            "no event has started this run, so nothing says what has changed: give since and until to runs that are "
            "triggered by hand"
        )
    since = min(since for since, _ in windows) - round(OVERLAP * 1000)
    # A worker's clock may be behind the server's, which has dated the changes.
    until = max(time.time_ns() // 1_000_000, *(until for _, until in windows))
    return {"since": iso(since), "until": iso(until)}


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
