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

#: What `watch` may set: arguments of the trigger.
_WATCH_SETTINGS = ("filter", "deleted", "poll_interval", "overlap", "lookback")


def dotypos_asset(
    entity: str,
    *,
    cloud_id: int | str,
    dotypos_conn_id: str = "dotypos_default",
    watch: bool | Mapping[str, Any] = False,
    name: str | None = None,
    host: str = "api.dotykacka.cz",
) -> Asset:
    """Return the asset of a cloud's list. With `watch`, a DAG that it schedules runs soon after the list has changed.

    Equal arguments give equal assets. Name an asset by the same call in all DAG files, or by ``Asset.ref``: a file that
    names it otherwise takes the watcher from it.

    :param entity: the list's name in the API's paths, such as ``orders``.
    :param cloud_id: the cloud's number. No template, as Airflow knows assets before any run.
    :param dotypos_conn_id: the connection that the watcher uses. Defaults to ``dotypos_default``.
    :param watch: ``True`` has a watcher poll the list. A mapping sets `filter`, `deleted`, `poll_interval`, `overlap`
        or `lookback` of ``DotyposEntityEventTrigger``, too. With a filter, or without deleted rows, the asset is
        another one than the list's. Defaults to ``False``: only webhooks and tasks update the asset.
    :param name: the asset's name. Defaults to its URI.
    :param host: the host in the connection's *API base URL*, with its port if that isn't 443. Defaults to Dotypos's.
    :raises DotyposInputError: if there is no such list, if it can't be watched, or if an argument isn't allowed.
    """
    from airflow.sdk import Asset, AssetWatcher

    from airflow_provider_dotypos.api.entities import find_list
    from airflow_provider_dotypos.api.list_uri import watched_uri
    from airflow_provider_dotypos.api.overrides import read_given_cloud_id
    from airflow_provider_dotypos.triggers.entity_event import DotyposEntityEventTrigger

    listed, cloud = find_list(entity).name, read_given_cloud_id(cloud_id)
    settings = {} if watch is False else _watch_settings(listed, watch)
    which_rows = {key: value for key, value in settings.items() if key in ("filter", "deleted")}
    uri = sanitize_uri(urlsplit(watched_uri(host, cloud, listed, **which_rows))).geturl()
    asset = Asset(name=uri if name is None else name, uri=uri)
    if watch is not False:
        trigger = DotyposEntityEventTrigger(
            entity=listed,
            cloud_id=cloud,
            dotypos_conn_id=dotypos_conn_id,
            # Assets whose triggers are equal share one in Airflow, which can't keep a state then.
            asset=asset.name,
            **settings,
        )
        asset.watchers.append(AssetWatcher(name=asset.name, trigger=trigger))
    return asset


def _watch_settings(entity: str, watch: bool | Mapping[str, Any]) -> dict[str, Any]:
    """Return the trigger's arguments that `watch` sets, a filter as the API's text."""
    from airflow_provider_dotypos.api.errors import DotyposInputError
    from airflow_provider_dotypos.api.names import nearest
    from airflow_provider_dotypos.api.query import filter_text
    from airflow_provider_dotypos.api.watch import Watch

    if watch is not True and not isinstance(watch, Mapping):
        raise DotyposInputError(f"watch must be True, False or a mapping, not a value of type {type(watch).__name__}")
    settings = {} if watch is True else dict(watch)
    for key in settings:
        if key not in _WATCH_SETTINGS:
            known = ", ".join(_WATCH_SETTINGS)
            raise DotyposInputError(f"watch can't set {key!r}{nearest(str(key), _WATCH_SETTINGS)}; it can set: {known}")
    deleted = settings.get("deleted", True)
    if not isinstance(deleted, bool):
        raise DotyposInputError(f"watch: deleted must be True or False, not a value of type {type(deleted).__name__}")
    watched = Watch.of(entity, settings.get("filter"), deleted=deleted)
    return settings | {"filter": filter_text(watched.conditions)}


def create_asset(*, host: str, cloud_id: int | str, entity: str, extra: dict[str, Any] | None = None) -> Asset:
    """Return the asset of a cloud's list: what extractions of it name as their input.

    :param host: the API's host, such as ``api.dotykacka.cz``, with its port if that isn't 443.
    :param cloud_id: the cloud's number.
    :param entity: the list's name in the API's paths, such as ``orders``.
    :param extra: what else the asset holds. Defaults to nothing.
    :raises ValueError: if that isn't the address of a list.
    """
    from airflow.sdk import Asset

    return Asset(uri=f"{ASSET_SCHEME}://{host}/{cloud_id}/{entity}", extra=extra or {})


def changed_window(
    triggering_asset_events: Mapping[Any, Sequence[Any]] | None,
    *,
    overlap: float = 60.0,
    queued: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Return the window that a run has to read for the events that have started it: ``{"since": …, "until": …}``.

    It begins a minute before the earliest change, as changes may show so late, and ends now: of the events that come
    during a run Airflow gives the next run the first alone. Read it by ``settle=0`` where a watcher reports: what shows
    later has an event of its own. A webhook may report a row before it shows, and on Airflow 3.3 the watcher doesn't
    repeat that: leave ``settle`` as it is then.

    :param triggering_asset_events: what the context of a task holds under this name. Events that neither a watcher nor
        a webhook of this provider made don't count.
    :param overlap: seconds for which a change may show late: the watcher's, if you have set it. Defaults to 60.
    :param queued: what ``queued_change`` has returned of the deliveries in a queue, if there is one: the window holds
        these, too. Defaults to nothing.
    :raises DotyposInputError: if there is none, as in a run that was triggered by hand.
    """
    from airflow_provider_dotypos.api.errors import DotyposInputError
    from airflow_provider_dotypos.api.window import instant, iso

    payloads = [event.extra.get("payload") for events in (triggering_asset_events or {}).values() for event in events]
    payloads.append(None if queued is None else dict(queued))
    windows = [
        (instant(payload["since"], "since"), instant(payload["until"], "until"))
        for payload in payloads
        # Airflow puts what other providers' watchers say into the same place.
        if isinstance(payload, dict) and payload.keys() >= {"cloud_id", "entity", "since", "until"}
    ]
    if not windows:
        raise DotyposInputError(
            "no event of a watcher or a webhook has started this run, so nothing says what has changed: give since and "
            "until to runs that are triggered by hand"
        )
    since = min(since for since, _ in windows) - round(overlap * 1000)
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
