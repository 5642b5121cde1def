"""A metadata database of the tests of a file, and a connection in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ui.airflow_server import database_like_new


@pytest.fixture
def database(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Iterator[Path]:
    """A metadata database of the test's own, which this process uses."""
    with database_like_new(tmp_path_factory.getbasetemp(), tmp_path) as path:
        yield path
