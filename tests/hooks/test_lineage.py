"""Which lists a hook has read, for plugins that read hook lineage (`hooks/lineage`)."""

from __future__ import annotations

import json

import pytest

from airflow_provider_dotypos import _compat
from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.sandbox import Sandbox
from tests.hook_lineage import collect_lineage, inputs_and_outputs


@pytest.fixture
def hook(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> DotyposHook:
    channel.forget_tokens()
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(sandbox.connection(sandbox.cloud_ids[0])))
    return DotyposHook()


def test_each_list_that_a_hook_has_read_is_an_input(
    hook: DotyposHook, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector = collect_lineage(monkeypatch)
    cloud = sandbox.cloud_ids[0]
    order = sandbox.shop.insert(cloud, "orders", {"versionDate": 1})
    hook.get("orders", order["id"])
    list(hook.rows("branches"))
    list(hook.changes("customers", since=None, until="2026-01-01T00:00:00Z"))
    names = ("orders", "branches", "customers")
    place = sandbox.url.removeprefix("http://")
    assert inputs_and_outputs(collector) == ([f"dotypos://{place}/{cloud}/{name}" for name in names], [])


def test_what_was_refused_is_no_input(hook: DotyposHook, monkeypatch: pytest.MonkeyPatch) -> None:
    collector = collect_lineage(monkeypatch)
    with pytest.raises(DotyposInputError, match="orderz"):
        list(hook.rows("orderz"))
    assert inputs_and_outputs(collector) == ([], [])


def test_nothing_is_collected_where_no_plugin_reads_it(hook: DotyposHook) -> None:
    list(hook.rows("branches"))
    assert _compat.lineage_collector() is None
