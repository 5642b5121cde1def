from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.triggers.simulation import Simulation


@pytest.fixture
def simulation(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulation]:
    made = Simulation(monkeypatch)
    yield made
    monkeypatch.undo()
    made.loop.close()
