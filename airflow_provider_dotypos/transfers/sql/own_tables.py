"""The tables of our own, beside those that rows go to: loads, parts, removed rows, and what else is remembered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_dotypos.transfers.sql.names import LOADS, PARTS, REMOVED, STATE
from airflow_provider_dotypos.transfers.sql.tables import SqlColumn

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect
    from airflow_provider_dotypos.transfers.sql.tables import SqlKind


@dataclass(frozen=True)
class OwnTable:
    """A table of our own.

    :param durable: whether its rows outlive a crash of the database: those of `PARTS` mustn't, as the staging tables'
        don't.
    """

    name: str
    columns: tuple[SqlColumn, ...]
    key: tuple[str, ...]
    durable: bool = True


def create_own_tables(dialect: Dialect, schema: str | None) -> Iterator[str]:
    """Yield the statements that create the tables of our own, unless they are there."""
    for table in OWN_TABLES:
        relation = dialect.relation(schema, table.name)
        yield dialect.create_table(relation, table.columns, table.key, durable=table.durable)


def _own(name: str, key: str, durable: bool = True, /, **kinds: SqlKind) -> OwnTable:
    names = tuple(key.split())
    columns = (SqlColumn(column, kind, required=column in names) for column, kind in kinds.items())
    return OwnTable(name, tuple(columns), names, durable)


OWN_TABLES = (
    _own(
        LOADS,
        "load_id",
        load_id="name",
        target="text",
        entity="text",
        cloud_id="long",
        shape="text",
        since="timestamp",
        until="timestamp",
        mode="text",
        rows="long",
        inserted="long",
        updated="long",
        removed="long",
        misfits="json",
        requests="long",
        run_id="text",
        try_number="int",
        package_version="text",
        begun_at="timestamp",
        loaded_at="timestamp",
    ),
    _own(
        PARTS,
        "",
        False,
        load_id="name",
        stream="text",
        parent="text",
        low="long",
        high="long",
        rows="long",
        attempt="text",
    ),
    _own(
        REMOVED,
        "target cloud_id parent_id id",
        target="name",
        cloud_id="long",
        parent_id="long",  # the first column of a key of two besides the cloud's id, otherwise 0
        id="long",
        cursor_1="timestamp",
        cursor_2="timestamp",
        read_at="timestamp",
        load_id="name",
    ),
    _own(STATE, "key", key="name", value="json"),
)
