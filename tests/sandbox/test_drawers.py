"""The sandbox's drawers import one way, so that each can be read without those above it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_architecture import PACKAGE, imported

SANDBOX = PACKAGE / "sandbox"

#: Drawers, each with the drawers below it.
BELOW = {"api": {"bistro", "shop"}, "bistro": {"shop"}, "shop": set()}
#: Plain values that every drawer may use, and that use no drawer.
VALUES = {"behaviour", "errors", "faults", "limit"}


@pytest.mark.parametrize("path", sorted(SANDBOX.rglob("*.py")), ids=lambda path: str(path.relative_to(SANDBOX)))
def test_drawers_import_one_way(path: Path) -> None:
    within = {name.split(".")[2] for name in imported(path) if name.startswith("airflow_provider_dotypos.sandbox.")}
    place = path.relative_to(SANDBOX).parts[0].removesuffix(".py")
    if place in BELOW:
        assert within - {place} <= BELOW[place] | VALUES
    if place in VALUES:
        assert within <= VALUES
