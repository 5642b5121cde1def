"""Airflow's collector of hook lineage, as a process has it in which a plugin reads it."""

from __future__ import annotations

from typing import Any

import pytest


def collect_lineage(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have Airflow collect hook lineage; return what collects it."""
    try:
        from airflow.sdk import lineage, plugins_manager

        monkeypatch.setattr(plugins_manager, "get_hook_lineage_readers_plugins", lambda: [lineage.HookLineageReader])
    except ImportError:  # 3.1
        from airflow import plugins_manager
        from airflow.lineage import hook as lineage

        monkeypatch.setattr(plugins_manager, "hook_lineage_reader_classes", [lineage.HookLineageReader])
    collector = lineage.HookLineageCollector()
    monkeypatch.setattr(lineage, "get_hook_lineage_collector", lambda: collector)
    return collector


def inputs_and_outputs(collector: Any) -> tuple[list[str], list[str]]:
    """Return the URIs of the assets that were collected."""
    collected = collector.collected_assets
    return [each.asset.uri for each in collected.inputs], [each.asset.uri for each in collected.outputs]
