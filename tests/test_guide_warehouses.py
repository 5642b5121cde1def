"""The guide *Warehouses*: its merge keeps the newest version of each row, whatever the order, with sets on S3."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_dotypos.api import channel
from airflow_provider_dotypos.sandbox import Sandbox, Shop
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator
from tests.test_docs import DOCS, blocks
from tests.transfers.conftest import HOUR_MS, SINCE, SINCE_MS, UNTIL, empty_bucket, s3_url

duckdb = pytest.importorskip("duckdb")

__all__ = ["s3_url"]


@pytest.fixture(scope="module")
def guide() -> dict[str, Any]:
    """What the page's code defines."""
    known: dict[str, Any] = {"__name__": "warehouses"}
    for block in blocks(DOCS / "guides" / "warehouses.md"):
        exec(compile(block, "warehouses.md", "exec"), known)
    return known


@pytest.fixture(scope="module")
def sets(s3_url: str) -> Iterator[tuple[list[str], dict[int, str]]]:
    """Three sets on S3 of orders that change, the last one of the whole day; the newest note of each order."""
    channel.forget_tokens()
    with pytest.MonkeyPatch.context() as patch, Sandbox(Shop.empty()) as sandbox:
        lake = empty_bucket(s3_url, patch)
        cloud, shop = sandbox.cloud_ids[0], sandbox.shop
        patch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(sandbox.connection(cloud)))
        notes: dict[int, str] = {}
        manifests = []

        def change(ids: list[int], note: str, hour: int) -> None:
            for number, id in enumerate(ids):
                shop.update(cloud, "orders", id, {"versionDate": SINCE_MS + hour * HOUR_MS + number, "note": note})
                notes[id] = note

        def extract(until: Any) -> None:
            operator = DotyposToObjectStorageOperator(
                task_id="extract", entity="orders", destination=lake, since=SINCE, until=until, file_format="parquet"
            )
            manifests.append(operator.execute({})["manifest"])  # type: ignore[arg-type]

        ids = [shop.insert(cloud, "orders", {"versionDate": SINCE_MS + n, "note": "new"})["id"] for n in range(200)]
        notes |= dict.fromkeys(ids, "new")
        extract("2026-03-01T12:00:00Z")
        change(ids[:50], "changed", hour=1)
        change(ids[:10], "it's changed", hour=2)
        extract("2026-03-01T18:00:00Z")
        change(ids[:10], "corrected, with the same date", hour=2)
        extract(UNTIL)
        yield manifests, notes


def rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(database)) as connection:
        return list(connection.sql(query).fetchall())


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_the_newest_version_wins_in_any_order_of_sets(
    guide: dict[str, Any], sets: tuple[list[str], dict[int, str]], tmp_path: Path, order: tuple[int, ...]
) -> None:
    manifests, notes = sets
    lake = tmp_path / "lake.duckdb"
    for number in [*order, order[0]]:
        guide["load_into_duckdb"](manifests[number], str(lake))
    held = rows(lake, "SELECT id, note FROM orders")
    assert dict(held) == notes
    assert len(held) == len(notes)
    assert rows(lake, "SELECT count(*), count(DISTINCT manifest) FROM dotypos_loads") == [(3, 3)]


def test_a_row_that_has_not_changed_is_not_written_again(
    guide: dict[str, Any], sets: tuple[list[str], dict[int, str]], tmp_path: Path
) -> None:
    manifests, _ = sets
    lake = tmp_path / "lake.duckdb"
    written = []
    for manifest in manifests:
        guide["load_into_duckdb"](manifest, str(lake))
        until = guide["describe"](manifest)["until"]
        written += rows(lake, f"SELECT count(*) FROM orders WHERE _until = '{until}'")
    assert written == [(200,), (50,), (10,)]


def test_a_load_that_was_broken_off_leaves_nothing(
    guide: dict[str, Any], sets: tuple[list[str], dict[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first, second, _), _ = sets
    lake = tmp_path / "lake.duckdb"
    guide["load_into_duckdb"](first, str(lake))
    before = rows(lake, "SELECT id, note FROM orders ORDER BY id")
    monkeypatch.setitem(guide, "MERGE", [*guide["MERGE"][:-1], "INSERT INTO nowhere VALUES (1)"])
    with pytest.raises(duckdb.Error, match="nowhere"):
        guide["load_into_duckdb"](second, str(lake))
    assert rows(lake, "SELECT id, note FROM orders ORDER BY id") == before


def test_redshifts_manifest_lists_every_file_with_its_size(
    guide: dict[str, Any], sets: tuple[list[str], dict[int, str]]
) -> None:
    (manifest, *_), _ = sets
    (entry,) = json.loads(guide["redshift_manifest"](guide["describe"](manifest)))["entries"]
    assert entry["url"].startswith("s3://lake/dotypos/")
    assert entry["meta"]["content_length"] > 10_000
