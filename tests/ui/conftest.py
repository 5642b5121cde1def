from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_dotypos.sandbox import Sandbox
from tests.patience import PATIENCE
from tests.ui.airflow_server import AirflowServer, airflow_home, serve


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowServer]:
    """A running Airflow API server."""
    with serve(airflow_home(tmp_path_factory.getbasetemp())) as server:
        # As the page of connections does, before anybody can press Test there. On Airflow 3.1 a server that tests a
        # connection before it was asked for the forms has none for that type until it ends.
        answer = server.session.get(f"{server.url}/ui/connections/hook_meta", timeout=PATIENCE)
        assert answer.ok, answer.text
        yield server


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox
