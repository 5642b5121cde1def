from __future__ import annotations

import pytest

from tests.ui.airflow_server import AirflowHome, airflow_home


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> AirflowHome:
    """An Airflow of the tests' own, migrated; the API server's tests share it."""
    return airflow_home(tmp_path_factory.getbasetemp())
