"""What the cloud holds of a plan's rows, by key, in a temporary file: a million rows take little memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from airflow_provider_dotypos.writes.keys import Key
from airflow_provider_dotypos.writes.sources.temporary_database import temporary_database

_rows = msgspec.json.Decoder(dict[str, Any])


class CloudRows:
    """Rows by their keys. Of a row that comes again the later one counts."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def put(self, rows: Iterable[tuple[Key, Mapping[str, Any]]]) -> None:
        """Keep rows, each with its key."""
        with self._database:
            self._database.executemany(
                "INSERT OR REPLACE INTO cloud VALUES (?, ?, ?)",
                ((_text(key), str(row.get("id")), msgspec.json.encode(row)) for key, row in rows),
            )

    def find(self, key: Key) -> list[dict[str, Any]]:
        """Return the rows of a key, in the order of their ids."""
        records = self._database.execute("SELECT content FROM cloud WHERE key = ? ORDER BY id", (_text(key),))
        return [_rows.decode(content) for (content,) in records]


@contextmanager
def new_cloud_rows() -> Iterator[CloudRows]:
    """Give a store of rows that is empty. It is removed in the end."""
    with temporary_database() as database:
        database.execute("CREATE TABLE cloud (key TEXT, id TEXT, content BLOB, PRIMARY KEY (key, id)) WITHOUT ROWID")
        yield CloudRows(database)


def _text(key: Key) -> str:
    return msgspec.json.encode(key).decode()
