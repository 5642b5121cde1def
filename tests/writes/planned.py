"""Rows to be written, a client of the sandbox whose waits move the shop's clock, and edits by a till."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.sandbox.api.wire import write_time
from airflow_provider_dotypos.writes.plan import PlannedRow

PRODUCTS = find_entity("products")


def product(sandbox: Sandbox, **fields: Any) -> int:
    """Put a product onto the shelf, and return its id."""
    cloud = sandbox.cloud_ids[0]
    category = (
        next((row["id"] for row in sandbox.shop.rows(cloud, "categories")), None)
        or sandbox.shop.insert(cloud, "categories", {"name": "Drinks"})["id"]
    )
    row = {"name": "Tea", "priceWithVat": 45.0, "priceWithoutVat": 37.5, "vat": 1.2, "_categoryId": category, **fields}
    return int(sandbox.shop.insert(cloud, "products", row)["id"])


def row_of(sandbox: Sandbox, id: object, entity: str = "products") -> dict[str, Any]:
    """Return a row as the shop holds it."""
    row = sandbox.shop.get(sandbox.cloud_ids[0], entity, int(str(id)))
    assert row is not None
    return dict(row)


def edit(sandbox: Sandbox, id: object, entity: str = "products", **fields: Any) -> None:
    """Change a row as a till does."""
    sandbox.shop.update(sandbox.cloud_ids[0], entity, int(str(id)), fields)


def update_of(id: object, before: Mapping[str, Any], after: Mapping[str, Any], row: int = 1) -> PlannedRow:
    """Plan an update."""
    return PlannedRow("update", (str(id),), row, id=str(id), before=before, after=after)


def create_of(id: object, after: Mapping[str, Any], row: int = 1) -> PlannedRow:
    """Plan a create under an id of ours."""
    return PlannedRow("create", (str(id),), row, id=str(id), after=after)


def versioned(sandbox: Sandbox, planned: PlannedRow) -> PlannedRow:
    """Return a planned row with the version of its row, as planning does."""
    version = row_of(sandbox, planned.id)["versionDate"]
    return msgspec.structs.replace(planned, version=version and write_time(version, sandbox.behaviour))


def sleep_by_the_shops_clock(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], None] = lambda: None
) -> list[float]:
    """Let clients sleep no time, while the shop's clock moves on.

    :param meanwhile: what happens during each sleep.
    :return: the seconds that they have slept, sleep by sleep.
    """
    slept: list[float] = []

    def sleep(self: DotyposClient, seconds: float) -> None:
        if seconds > 0:
            slept.append(seconds)
            sandbox.shop.advance(seconds)
            meanwhile()

    monkeypatch.setattr(DotyposClient, "sleep", sleep)
    return slept
