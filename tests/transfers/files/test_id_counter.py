"""How different ids are counted: exactly, in little memory."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.transfers.files import id_counter
from airflow_provider_dotypos.transfers.files.committed_set import read_manifest
from airflow_provider_dotypos.transfers.files.id_counter import DistinctIds
from tests.transfers.conftest import SINCE_MS


@given(ids=st.lists(st.integers(-(2**60), 2**60), max_size=300), length=st.integers(1, 50), batch=st.integers(1, 40))
def test_different_ids_are_counted_exactly(ids: list[int], length: int, batch: int) -> None:
    ids = ids + ids[: len(ids) // 3]
    with pytest.MonkeyPatch.context() as patch, DistinctIds() as counter:
        patch.setattr(id_counter, "RUN_LENGTH", length)
        patch.setattr(id_counter, "MOST_RUNS", 3)
        patch.setattr(id_counter, "_READ_AT_ONCE", 4)
        for start in range(0, len(ids), batch):
            counter.add(map(str, ids[start : start + batch]))
        assert counter.count() == len(set(ids))


def test_counting_takes_little_memory_however_many_there_are() -> None:
    chance = random.Random(1)
    tracemalloc.start()
    with DistinctIds() as counter:
        for _ in range(600):
            counter.add([str(chance.randrange(10**15)) for _ in range(1000)])
        assert counter.count() > 599_000
        _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * 2**20


def test_the_manifest_counts_rows_below_each_warehouse_apart(
    extract: Callable[..., dict[str, Any]], sandbox: Sandbox
) -> None:
    cloud = sandbox.cloud_ids[0]
    warehouses = [row["id"] for row in sandbox.shop.rows(cloud, "warehouses")]
    warehouses.append(sandbox.shop.insert(cloud, "warehouses", {"name": "Sklep"})["id"])
    for warehouse in warehouses:
        for id in (1, 2, 3):
            row = {"_warehouseId": warehouse, "id": id, "stockStatusVersiondate": SINCE_MS, "versionDate": SINCE_MS}
            sandbox.shop.insert(cloud, "warehouse-products", row)
    manifest = read_manifest(extract(entity="warehouse-products")["manifest"]).manifest
    assert (manifest.rows, manifest.distinct_ids) == (3 * len(warehouses), 3 * len(warehouses))
