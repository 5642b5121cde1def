"""The checked rows of a source, in a temporary file: a million take little memory."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.writes.errors import Problem
from airflow_provider_dotypos.writes.keys import Key, source_key
from airflow_provider_dotypos.writes.sources.problems import Problems
from airflow_provider_dotypos.writes.sources.rules import Nulls, checked_row
from airflow_provider_dotypos.writes.sources.source import Source
from airflow_provider_dotypos.writes.sources.temporary_database import temporary_database

#: How many rows are written, and read, at once.
_ROWS_AT_ONCE = 2000


class SourceRow(NamedTuple):
    """A checked row of a source.

    :param number: its number in the source, from 1 on.
    :param key: see `keys`.
    :param values: its values in the API's form, those of the key among them.
    """

    number: int
    key: Key
    values: dict[str, Any]


class SourceIndex:
    """The checked rows of a source.

    :ivar digest: SHA-256 of the rows, in hex: of their values in the API's form, in the source's order.
    :ivar fields: the fields that some row has, be it as a null.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._count = 0
        self.digest = hashlib.sha256().hexdigest()
        self.fields: set[str] = set()

    def __len__(self) -> int:
        """Return how many rows there are."""
        return self._count

    def rows(self) -> Iterator[SourceRow]:
        """Yield the rows in the source's order."""
        last = 0
        query = "SELECT number, key, content FROM source WHERE number > ? ORDER BY number LIMIT ?"
        while records := self._database.execute(query, (last, _ROWS_AT_ONCE)).fetchall():
            rows = [SourceRow(number, tuple(_KEYS.decode(key)), _VALUES.decode(text)) for number, key, text in records]
            yield from rows
            last = rows[-1].number

    def fill(self, rows: Iterator[SourceRow]) -> None:
        """Add all rows."""
        digest = hashlib.sha256()

        def records() -> Iterator[tuple[int, str, bytes]]:
            for row in rows:
                values = msgspec.json.encode(row.values, order="deterministic")
                digest.update(values + b"\n")
                self._count += 1
                yield row.number, _encoded(row.key), values

        with self._database:
            self._database.executemany("INSERT INTO source VALUES (?, ?, ?)", records())
            self._database.execute("CREATE INDEX by_key ON source (key)")
        self.digest = digest.hexdigest()

    def doubled(self) -> Iterator[tuple[int, int]]:
        """Yield the numbers of rows whose key is there already, each with that of the first row of the key."""
        yield from self._database.execute(
            "SELECT number, first FROM source JOIN (SELECT key AS doubled, min(number) AS first FROM source"
            " GROUP BY key HAVING count(*) > 1) ON key = doubled WHERE number > first ORDER BY number"
        )


@contextmanager
def index_source(
    source: Source,
    entity: Entity,
    *,
    match: Sequence[str],
    cloud_id: int,
    fields: Collection[str] | None = None,
    nulls: Nulls = "keep",
    problems: Problems,
) -> Iterator[SourceIndex]:
    """Read a source, check every row, and give the index of those that are right.

    The other parameters are those of `checked_row`.

    :param problems: gets what is wrong with the others, and with rows whose key is there already.
    """
    with temporary_database() as database:
        database.execute("CREATE TABLE source (number INTEGER PRIMARY KEY, key TEXT, content BLOB)")
        index = SourceIndex(database)
        index.fill(_checked(source, entity, match, cloud_id, fields, nulls, problems, index.fields))
        for number, first in index.doubled():
            problems.add(Problem(number, ", ".join(match), f"has the same key as row {first}; each may be there once"))
        yield index


def _checked(
    source: Source,
    entity: Entity,
    match: Sequence[str],
    cloud_id: int,
    fields: Collection[str] | None,
    nulls: Nulls,
    problems: Problems,
    present: set[str],
) -> Iterator[SourceRow]:
    """Yield the rows that are right.

    :param present: gets the fields that some row has.
    """
    number = 0
    for number, raw in source.numbered(problems):
        present |= raw.keys() & entity.fields.keys()
        values, wrong = checked_row(entity, raw, number, match=match, cloud_id=cloud_id, fields=fields, nulls=nulls)
        for problem in wrong:
            problems.add(problem)
        if wrong:
            continue
        try:
            key = source_key(entity, match, values)
        except ValueError as error:
            problems.add(Problem(number, None, str(error)))
        else:
            yield SourceRow(number, key, values)
    for name in sorted(
        {*(fields or ())} - present if number else ()
    ):  # a column with another name would never be written, unnoticed
        problems.add(Problem(None, name, "no row has it, and fields= names it"))


def _encoded(key: Key) -> str:
    return msgspec.json.encode(key).decode()


_KEYS = msgspec.json.Decoder(list[str])
_VALUES = msgspec.json.Decoder(dict[str, Any])
