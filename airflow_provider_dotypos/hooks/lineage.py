"""Hook lineage: Airflow learns which lists a process has read, and what it has written of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow_provider_dotypos import _airflow, _compat
from airflow_provider_dotypos.api.list_uri import list_uri

if TYPE_CHECKING:
    from airflow.sdk import Asset, BaseHook

    from airflow_provider_dotypos.api.settings import Settings


def report_lineage(hook: BaseHook, source: str, outputs: Iterable[Asset] = ()) -> None:
    """Have Airflow's plugins for lineage learn that a list was read, and what its rows were brought to.

    :param hook: what has read it.
    :param source: the URI of the list's asset.
    """
    with _airflow.asking:  # threads may make the collector together
        collector = _compat.lineage_collector()
        if collector is None:
            return
        collector.add_input_asset(hook, uri=source)
        for asset in outputs:
            collector.add_output_asset(hook, uri=asset.uri)


def source_of(settings: Settings, entity: str) -> str:
    """Return the URI of the asset of a list of the connection's cloud."""
    return list_uri(settings.base_url, settings.require_cloud_id(), entity)
