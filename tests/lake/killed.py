"""Compact or prune in a process that kills itself (``kill -9``) before one of its operations on the store.

``python -m tests.lake.killed DESTINATION compact|prune OPERATIONS``
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.lake.compaction import ListFolder, compact_list
from airflow_provider_dotypos.lake.pruning import prune_list
from airflow_provider_dotypos.storage.store import Store
from tests.lake.lakes import CLOUD

#: What changes a store.
_CHANGES = ("put", "create", "delete", "remove_if_empty")

#: When all months have ended, in epoch milliseconds.
_ALWAYS = 10**13


def _killing(method: Callable[..., Any], left: Iterator[int]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return method(*arguments, **named)

    return call


def main() -> None:
    destination, what, operations = sys.argv[1:]
    left = iter(range(int(operations)))
    for name in _CHANGES:
        setattr(Store, name, _killing(getattr(Store, name), left))
    folder = ListFolder(ObjectStoragePath(destination), CLOUD, "products")
    done = compact_list(folder, _ALWAYS) if what == "compact" else prune_list(folder, grace=0)
    for _ in done:
        pass


if __name__ == "__main__":
    main()
