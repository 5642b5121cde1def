"""The statements of each dialect's merge, as values. This module writes them when it is run as a program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from airflow_provider_dotypos.api.entities import entities
from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect
from airflow_provider_dotypos.transfers.sql.dialects.duckdb import DuckDb
from airflow_provider_dotypos.transfers.sql.dialects.mysql import MySql
from airflow_provider_dotypos.transfers.sql.dialects.postgres import Postgres
from airflow_provider_dotypos.transfers.sql.dialects.sqlite import Sqlite
from airflow_provider_dotypos.transfers.sql.merge import Merge, Mode, Staged, lock_tables, merge
from airflow_provider_dotypos.transfers.sql.merge_statements import newer
from airflow_provider_dotypos.transfers.sql.tables import Deletes
from airflow_provider_dotypos.transfers.sql.transaction import Transaction
from tests.transfers.sql.merging import at, items, orders

DIALECTS: list[Dialect] = [Postgres(), Sqlite(), DuckDb(), MySql()]
GOLDEN = Path(__file__).parent / "golden"


class Recorder:
    """A transaction in which each query has an answer, so that no step is passed over."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        self.statements.append(f"{sql};  -- {', '.join(map(str, parameters))}".rstrip(" -"))
        return 0

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        self.execute(sql, parameters)
        return [(0, 0)] if "MERGE INTO" in sql else [(1,)]


def golden(dialect: Dialect) -> str:
    """Return all statements of merges that show every step."""
    texts = []
    cases: list[tuple[Mode, Deletes]] = [("replace", "remove"), ("replace", "mark"), ("append", "keep")]
    for mode, deletes in cases:
        own = replace(orders(deletes=deletes, cursors=2 if mode == "replace" else 0), schema="pos")
        tables = [own, replace(items(own), schema="pos")] if mode == "replace" else [own]
        staged = [Staged(table, dialect.relation(None, f"staging_{table.name}")) for table in tables]
        recorder = Recorder()
        transaction = cast("Transaction", recorder)
        lock_tables(transaction, dialect, tables, None)
        merge(transaction, dialect, Merge(7, "load", mode, deletes, staged, at(60)))
        texts.append(f"-- mode={mode}, deletes={deletes}\n" + "\n".join(recorder.statements))
    return "\n\n".join(texts) + "\n"


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.title)
def test_the_statements_are_those_that_were_looked_at(dialect: Dialect) -> None:
    assert golden(dialect) == (GOLDEN / f"merge-{dialect.title}.sql").read_text()


def test_versions_are_compared_by_each_part_in_turn() -> None:
    assert newer(["t.r"], ["s.r"]) == "t.r > s.r"
    assert newer(["t.c", "t.r"], ["s.c", "s.r"]) == (
        "(t.c > s.c OR t.c IS NOT NULL AND s.c IS NULL OR (t.c = s.c OR t.c IS NULL AND s.c IS NULL) AND t.r > s.r)"
    )


def test_keys_and_cursors_are_what_the_table_of_removed_rows_can_hold() -> None:
    """It has whole numbers for up to two columns besides the cloud's id, and times for two cursors."""
    for entity in entities().values():
        kinds = {name: field.type for name, field in entity.fields.items()}
        assert len(entity.primary_key) <= 2
        assert {kinds.get(name, "long") for name in entity.primary_key} <= {"long", "int"}
        assert [kinds[name] for name in entity.cursors] in ([], ["timestamp"], ["timestamp"] * 2)


if __name__ == "__main__":
    for each in DIALECTS:
        (GOLDEN / f"merge-{each.title}.sql").write_text(golden(each))
