"""The same commit on an object store: a real S3 server (moto's) over real sockets."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos import read_entity
from airflow_provider_dotypos._compat import reschedule_exception
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.files.committed_set import read_manifest
from airflow_provider_dotypos.transfers.files.manifest import manifest_name
from airflow_provider_dotypos.transfers.piece_writer import PartAge
from tests.lake.lakes import CLOUD, commit_set
from tests.lake.test_current import current, hour, names
from tests.transfers.conftest import SINCE_MS, UNTIL
from tests.transfers.test_without_a_window import Runs, ids

pytest.importorskip("moto.server")

Extract = Callable[..., dict[str, Any]]


def keys(s3_url: str) -> list[str]:
    import boto3

    client = boto3.client("s3", endpoint_url=s3_url, region_name="us-east-1")
    return sorted(found["Key"] for found in client.list_objects_v2(Bucket="lake").get("Contents", []))


def test_a_window_lands_whole(extract: Extract, orders: list[str], bucket: str, s3_url: str) -> None:
    result = extract(destination=bucket, max_part_bytes=100_000)
    found = read_manifest(result["manifest"])
    ids = [json.loads(line)["id"] for file in found.files for line in file.read_bytes().splitlines()]
    assert sorted(ids) == sorted(orders)
    assert len(keys(s3_url)) == 2 * result["files"] + 1
    assert extract(destination=bucket, max_part_bytes=100_000) == result
    assert all(address.startswith("s3://lake/dotypos/") for address in found.uris)


@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
def test_small_parts_are_merged(
    extract: Extract, orders: list[str], bucket: str, s3_url: str, monkeypatch: pytest.MonkeyPatch, file_format: str
) -> None:
    monkeypatch.setattr(PartAge, "is_over", lambda self, since: True)  # each page is a part
    result = extract(destination=bucket, concurrency=1, file_format=file_format)
    assert result["files"] == 1
    assert len(keys(s3_url)) == 3  # the sources are gone
    assert read_manifest(result["manifest"], verify=True).manifest.rows == len(orders)


def test_overwrite_replaces_it(extract: Extract, orders: list[str], bucket: str, s3_url: str, sandbox: Sandbox) -> None:
    extract(destination=bucket)
    sandbox.shop.insert(sandbox.cloud_ids[0], "orders", {"versionDate": SINCE_MS})
    result = extract(destination=bucket, overwrite=True)
    assert result["rows"] == len(orders) + 1
    assert len(keys(s3_url)) == 2 * result["files"] + 1
    assert result["manifest"].endswith(manifest_name(2))


def test_a_failed_attempt_leaves_no_set(
    extract: Extract, orders: list[str], bucket: str, s3_url: str, sandbox: Sandbox
) -> None:
    sandbox.faults.append(Fault("429", retry_after="3600", path="orders", skip=4))
    with pytest.raises(type(reschedule_exception(UNTIL))):
        extract(destination=bucket, max_part_bytes=10_000)
    assert keys(s3_url)
    assert not [key for key in keys(s3_url) if "manifest" in key]
    sandbox.faults.clear()
    result = extract(destination=bucket)
    assert len(keys(s3_url)) == 2 * result["files"] + 1


def test_of_two_writers_of_one_name_one_creates_it(bucket: str) -> None:
    store = Store(ObjectStoragePath(f"{bucket}/race"))
    barrier = threading.Barrier(4)
    created: list[bytes] = []

    def create(number: int) -> None:
        data = b"writer %d" % number
        barrier.wait()
        if store.create(data, "_manifest-0001.json"):
            created.append(data)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert created == [store.read("_manifest-0001.json")]


def test_pending_sets_are_returned_and_their_notes_removed(sandbox: Sandbox, bucket: str, connection: None) -> None:
    runs = Runs(sandbox, bucket)
    orders = [runs.insert()]
    died = runs.run("died", dies=True)
    orders.append(runs.insert())
    result = runs.run("next")
    assert result["manifests"] == [died["manifest"], result["manifest"]]
    assert ids(result) == orders
    runs.insert()
    assert len(runs.run("last")["manifests"]) == 1


def test_the_current_table_is_read_anew_after_a_set_was_replaced(bucket: str) -> None:
    place = ObjectStoragePath(bucket)
    commit_set(place, file_format="parquet", **hour(0, 1, 2))
    commit_set(place, compression="gzip", **hour(1, 2, 3))
    assert names(read_entity(bucket, CLOUD, "products")) == ["0:1", "1:2", "1:3"]
    table = current(place)
    commit_set(place, overwrite=True, file_format="parquet", **hour(0, 1))
    assert sorted(table.to_arrow()["name"].to_pylist()) == ["0:1", "1:2", "1:3"]
