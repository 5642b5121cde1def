"""A copy of a stored file on the worker, checked: rows of files that have changed never get into others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.files.part import ChildFile, Part


@contextmanager
def checked_copy(store: Store, file: Part | ChildFile) -> Iterator[BinaryIO | None]:
    """Give a file's bytes in a temporary file without a name; ``None`` if they aren't those that were written.

    It is copied whole before it is used, so a store that fails meanwhile is asked again.

    :raises FileNotFoundError: if there is no such file.
    """
    with TemporaryFile(prefix="dotypos-") as copy:
        digest = store.sha256(file.name, copy)
        copy.seek(0)
        yield cast("BinaryIO", copy) if digest == file.sha256 else None
