"""Reading a committed set: what DAGs import. The manifest itself is in ``files.manifest``."""

import warnings
from typing import Any

from airflow_provider_dotypos.transfers.errors import DamagedSetError
from airflow_provider_dotypos.transfers.files.committed_set import CommittedSet, read_manifest, uri
from airflow_provider_dotypos.transfers.files.manifest import (
    FORMAT_VERSION,
    Manifest,
    find_set,
    manifest_name,
    newest_manifest,
)
from airflow_provider_dotypos.transfers.files.part import ChildFile, Part, StreamRange

__all__ = [
    "FORMAT_VERSION",
    "ChildFile",
    "CommittedSet",
    "DamagedSetError",
    "Manifest",
    "Part",
    "StreamRange",
    "find_set",
    "manifest_name",
    "newest_manifest",
    "read_manifest",
    "uri",
]


def __getattr__(name: str) -> Any:
    if name != "Set":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn("Set is called CommittedSet now", DeprecationWarning, stacklevel=2)
    return CommittedSet
