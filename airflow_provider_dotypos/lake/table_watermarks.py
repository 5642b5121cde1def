"""Watermarks of tables as a person looks at them and sets them, in the database that the tables are in."""

from __future__ import annotations

import functools
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_dotypos.api.window import iso, milliseconds
from airflow_provider_dotypos.lake.watermarks import KEY, ListWatermark
from airflow_provider_dotypos.transfers.sql.loads import utc
from airflow_provider_dotypos.transfers.sql.names import LOADS, STATE
from airflow_provider_dotypos.transfers.sql.own_tables import require_own_tables
from airflow_provider_dotypos.transfers.sql.state import State

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.sql.database import Database
    from airflow_provider_dotypos.transfers.sql.transaction import Transaction


def table_watermarks(database: Database, schema: str | None) -> list[ListWatermark]:
    """Return the watermarks of the tables of a database.

    :param schema: where our own tables lie; ``None``: the connection's own.
    :raises DotyposInputError: if no tables of ours lie there.
    """
    states, loads = database.run(functools.partial(_read, database, schema))
    marks = []
    for target, key, value in states:
        if (match := KEY.fullmatch(key)) is not None:
            cloud_id, entity = int(match[1]), match[2]
            kept = msgspec.json.decode(value)
            moved_at, moved_by = loads.get((target, cloud_id, entity), (None, ""))
            marks.append(
                ListWatermark(
                    cloud_id,
                    entity,
                    target,
                    "",
                    key,
                    kept,
                    f"table {STATE}",
                    functools.partial(_write, database, schema, target, key, kept),
                    moved_at,
                    moved_by,
                )
            )
    return sorted(marks, key=lambda mark: (mark.cloud_id, mark.entity, mark.owner))


def _read(
    database: Database, schema: str | None, transaction: Transaction
) -> tuple[list[tuple[Any, ...]], dict[tuple[str, int, str], tuple[str, str]]]:
    """Return all that is kept, and when the last load of each table ended, and of which run it was."""
    dialect = database.dialect
    require_own_tables(transaction, dialect, schema)
    states = transaction.rows(f"SELECT target, {dialect.quote('key')}, value FROM {dialect.relation(schema, STATE)}")
    loads = transaction.rows(
        f"SELECT target, cloud_id, entity, loaded_at, run_id FROM {dialect.relation(schema, LOADS)} "
        "WHERE loaded_at IS NOT NULL ORDER BY loaded_at"
    )
    return states, {
        (target, int(cloud), entity): (_moment(loaded_at), run_id or "")
        for target, cloud, entity, loaded_at, run_id in loads
    }


def _write(database: Database, schema: str | None, target: str, key: str, kept: Any, value: str | None) -> bool:
    """Keep another value, in the turn of the loads of the table: one that merges now has moved the watermark then."""

    def write(transaction: Transaction) -> bool:
        of_table, _, name = target.rpartition(".")
        database.dialect.lock(transaction, database.dialect.relation(of_table or None, name), schema)
        state = State(database, schema, target, transaction=transaction)
        if state.get(key) != kept:
            return bool(state.get(key) == value)  # an answer to the commit was lost
        if value is None:
            state.delete(key)
        else:
            state.set(key, value)
        return True

    return database.run(write)


def _moment(value: object) -> str:
    moment: datetime = utc(value)
    return iso(milliseconds(moment))
