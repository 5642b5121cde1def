from __future__ import annotations

import random

import pytest

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.walk import Batch
from airflow_provider_dotypos.sandbox import Behaviour, Sandbox
from airflow_provider_dotypos.writes.read_all import read_all
from tests.conftest import NewClient


def read(client: object, entity: str) -> set[str]:
    ids: set[str] = set()

    def take(batch: Batch) -> None:
        ids.update(batch.ids)

    client.run(read_all(client, find_entity(entity), take))  # type: ignore[attr-defined]
    return ids


@pytest.mark.parametrize("deleted_null", ["live", "excluded"])
def test_no_row_is_missed_while_all_of_them_change(deleted_null: str, sandbox: Sandbox, new_client: NewClient) -> None:
    sandbox.behaviour = Behaviour(ties="shuffled", deleted_null=deleted_null)
    cloud, draw = sandbox.cloud_ids[0], random.Random(5)
    ids = [
        sandbox.shop.insert(cloud, "products", {"deleted": marker})["id"]
        for marker in (False, True, None)
        for _ in range(150)
    ]
    client = new_client()
    edits = iter(range(12))
    client._observer = lambda *_: [
        sandbox.shop.update(cloud, "products", id, {"name": "moved"})
        for id in draw.sample(ids, 100)
        if next(edits, None)
    ]
    assert read(client, "products") == {str(id) for id in ids}


@pytest.mark.parametrize("entity", ["customer-accounts", "portions", "taxes"])
def test_lists_that_cannot_be_sorted_by_their_cursor_are_read(
    entity: str, sandbox: Sandbox, new_client: NewClient
) -> None:
    cloud = sandbox.cloud_ids[0]
    before = {str(row["id"]) for row in sandbox.shop.rows(cloud, entity)}
    now = sandbox.shop.now()
    row = dict.fromkeys(find_entity(entity).cursors, now - 5000)
    ids = before | {str(sandbox.shop.insert(cloud, entity, row)["id"]) for _ in range(120)}
    assert read(new_client(), entity) == ids
