"""Pytest fixtures for testing your own DAGs against the sandbox.

Load them with ``pytest_plugins = ["airflow_provider_dotypos.sandbox.pytest_plugin"]`` in the topmost ``conftest.py``
or with ``pytest -p airflow_provider_dotypos.sandbox.pytest_plugin``::

    def test_my_dag_survives_an_outage(dotypos_connection, dotypos_sandbox):
        dotypos_sandbox.faults.append(Fault("503", times=2, path="/orders"))
        my_dag.test()
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from airflow_provider_dotypos.sandbox import Sandbox, Shop

CONN_ID = "dotypos_default"


@pytest.fixture
def dotypos_sandbox() -> Iterator[Sandbox]:
    """Run a fresh sandbox with three days of a small shop's history."""
    with Sandbox(Shop.generate(days=3, orders_per_day=40)) as sandbox:
        yield sandbox


@pytest.fixture
def dotypos_connection(dotypos_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> str:
    """Point the connection ``dotypos_default`` at the sandbox's first cloud, and return its id."""
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(dotypos_sandbox.connection()))
    return CONN_ID
