"""Where a task's links lead. That Airflow shows them, ``test_incremental.py`` tests."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos import get_provider_info
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.transfers.dotypos_to_object_storage import DotyposToObjectStorageOperator
from airflow_provider_dotypos.transfers.links import CloudLink, FilesLink, console_url


def cloud_url(host: str | None) -> str | None:
    return Settings.from_fields(host=host, extra={"refresh_token": "secret", "cloud_id": "5"}).cloud_url


def test_a_cloud_is_in_dotyposs_administration_unless_it_is_a_sandboxes() -> None:
    assert cloud_url(None) == "https://admin.dotypos.com/cloud/5"
    assert cloud_url("http://127.0.0.1:8765") is None


def test_amazons_console_shows_a_folder_of_its_own_store_only(bucket: str) -> None:
    pytest.importorskip("s3fs")
    url = "https://console.aws.amazon.com/s3/buckets/lake?prefix=dotypos%2F5%2Forders%2Fa_b%2F"
    assert console_url(ObjectStoragePath("s3://lake/dotypos/5/orders/a_b", conn_id="none_such")) == url
    assert console_url(ObjectStoragePath(f"{bucket}/5/orders/a_b")) is None  # its connection names another server


@pytest.mark.parametrize(
    ("protocol", "url"),
    [
        ("gs", "https://console.cloud.google.com/storage/browser/lake/dotypos/5/orders/a_b"),
        ("gcs", "https://console.cloud.google.com/storage/browser/lake/dotypos/5/orders/a_b"),
        ("abfs", None),
        ("file", None),
    ],
)
def test_other_stores(protocol: str, url: str | None) -> None:
    folder: Any = SimpleNamespace(protocol=protocol, path="lake/dotypos/5/orders/a_b", fs=object())
    assert console_url(folder) == url


def test_a_task_that_has_not_begun_links_nowhere() -> None:
    operator = DotyposToObjectStorageOperator(task_id="x", entity="orders", destination="/lake")
    assert [link.get_link(operator, ti_key=None) for link in (CloudLink(), FilesLink())] == ["", ""]


def test_links_lead_to_what_the_task_has_read_and_written() -> None:
    operator = DotyposToObjectStorageOperator(task_id="x", entity="orders", destination="/lake")
    operator.cloud_url, operator.files_url = "https://cloud", "https://files"
    links = {link.name: link.get_link(operator, ti_key=None) for link in operator.operator_extra_links}  # type: ignore[arg-type]
    assert links == {"Cloud in Dotypos": "https://cloud", "Files": "https://files"}


def test_airflow_is_told_of_each_link() -> None:
    listed = {f"{type(link).__module__}.{type(link).__name__}" for link in (CloudLink(), FilesLink())}
    assert set(get_provider_info()["extra-links"]) == listed
