"""A database in a temporary file, for what would take too much memory. Only this user can read it.

A process that is killed leaves its folder, and the next one removes it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from airflow_provider_dotypos.storage.staging import remove_left_overs, staging_folder

#: Kilobytes of the file that are kept in memory.
_CACHE = 16_000


@contextmanager
def temporary_database() -> Iterator[sqlite3.Connection]:
    """Give an empty database. It is removed in the end."""
    remove_left_overs()
    with (
        staging_folder() as folder,
        closing(sqlite3.connect(folder / "rows.db", check_same_thread=False)) as database,
    ):
        # The file ends with its process: it needs neither a journal nor to be on the disk.
        for pragma in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{_CACHE}", "temp_store=FILE"):
            database.execute(f"PRAGMA {pragma}")
        yield database
