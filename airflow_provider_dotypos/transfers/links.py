"""Links of a task in Airflow's UI. The worker stores them when the task ends; one that leads nowhere isn't shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath


class CloudLink(BaseOperatorLink):
    """The cloud in Dotypos's administration."""

    name = "Cloud in Dotypos"

    def get_link(self, operator: Any, *, ti_key: object) -> str:
        """Return the address, of the cloud that the task has read."""
        return operator.cloud_url or ""


class FilesLink(BaseOperatorLink):
    """The folder of the files in the console of their object store."""

    name = "Files"

    def get_link(self, operator: Any, *, ti_key: object) -> str:
        """Return the address, of the folder that the task has written to."""
        return operator.files_url or ""


def console_url(folder: ObjectStoragePath) -> str | None:
    """Return where a browser shows a folder; ``None`` if nothing is known that does.

    Amazon's and Google's consoles do. Azure's portal needs more than a path says, other servers that speak S3 have no
    console in common, and a browser opens no ``file://`` address from a page.
    """
    bucket, _, prefix = folder.path.strip("/").partition("/")
    if folder.protocol in ("s3", "s3a") and not getattr(folder.fs, "endpoint_url", None):
        return f"https://console.aws.amazon.com/s3/buckets/{bucket}?{urlencode({'prefix': f'{prefix}/'})}"
    if folder.protocol in ("gs", "gcs"):
        return f"https://console.cloud.google.com/storage/browser/{bucket}/{quote(prefix)}"
    return None
