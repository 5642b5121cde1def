"""Which tables of a database hold rows of a cloud, and which loads bring some: the loads' own table says it."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from airflow_provider_dotypos.api.entities import Entity, find_entity
from airflow_provider_dotypos.lake.erasure.report import OpenLoad
from airflow_provider_dotypos.transfers.sql.names import CLOUD_ID, LOADS, READ_AT, STAGING, UNKNOWN
from airflow_provider_dotypos.transfers.sql.own_tables import require_own_tables
from airflow_provider_dotypos.transfers.sql.tables import Naming, named, snake

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.sql.database import Database
    from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect
    from airflow_provider_dotypos.transfers.sql.transaction import Transaction


@dataclass(frozen=True)
class HeldTable:
    """A table with rows of an entity, as the database has it.

    :param name: as reports show it.
    :param place: its schema, and its name there.
    :param columns: the names of its columns, by the API's fields.
    :param cloud: the column of the cloud's id.
    :param key: what a row is known by: columns, or the database's own name of a row.
    :param unknown: whether it has the column for what doesn't fit the others.
    :param target: the name, quoted and with its schema, whose lock merges take; ``None`` for a staging table.
    """

    name: str
    place: tuple[str | None, str]
    relation: str
    entity: Entity
    columns: Mapping[str, str]
    cloud: str
    key: tuple[str, ...]
    unknown: bool
    target: str | None


class HeldTables:
    """Finds the tables of a cloud in a database.

    :param schema: where the loads' own tables lie; ``None``: the connection's own schema.
    :param entities: the entities that are looked for.
    :ivar unreadable: tables that can't be searched, and why.
    """

    def __init__(self, dialect: Dialect, schema: str | None, cloud_id: int, entities: Collection[str]) -> None:
        self._dialect = dialect
        self._schema = schema
        self._cloud_id = cloud_id
        self._entities = entities
        self.unreadable: dict[str, str] = {}

    def merged(self, transaction: Transaction) -> set[tuple[str, str]]:
        """Return the loads of the cloud that were merged, each with when it was."""
        query = (
            f"SELECT load_id, loaded_at FROM {self._dialect.relation(self._schema, LOADS)} "
            "WHERE cloud_id = ? AND loaded_at IS NOT NULL"
        )
        return {(load_id, str(at)) for load_id, at in transaction.rows(query, [self._cloud_id])}

    def open_loads(self, since: datetime, transaction: Transaction) -> dict[str, OpenLoad]:
        """Return the loads of the cloud that aren't merged, by their ids.

        :param since: since when they were tried.
        """
        loads = transaction.rows(
            f"SELECT load_id, target, run_id, tables, entity FROM {self._dialect.relation(self._schema, LOADS)} "
            "WHERE cloud_id = ? AND loaded_at IS NULL AND tried_at >= ?",
            [self._cloud_id, self._dialect.moment(since)],
        )
        return {
            load_id: OpenLoad(target, run_id or "")
            for load_id, target, run_id, tables, entity in loads
            if {name for _, name in _entities_of(msgspec.json.decode(tables), entity)} & set(self._entities)
        }

    def find(self, transaction: Transaction) -> list[HeldTable]:
        """Return the tables that hold rows of the cloud, those of loads under way among them."""
        loads = transaction.rows(
            f"SELECT load_id, tables, entity, cloud_id FROM {self._dialect.relation(self._schema, LOADS)}"
        )
        of_loads = {
            load_id: _entities_of(msgspec.json.decode(tables), entity)
            for load_id, tables, entity, cloud_id in loads
            if cloud_id == self._cloud_id
        }
        known = {load[0] for load in loads}
        held: dict[str, HeldTable] = {}
        for tables in of_loads.values():
            for name, entity in tables:
                schema, _, last = name.rpartition(".")
                if name not in held and entity in self._entities:
                    table = self._held(transaction, schema or None, last, entity, name)
                    if table is not None:
                        held[name] = table
        for name in self._dialect.table_names(transaction, self._schema, STAGING):
            staging, _, number = name.removeprefix(STAGING).rpartition("_")
            load_id = staging.partition("_")[0]
            if load_id not in known:
                self.unreadable[name] = "it is of a load that nobody knows any more. The next load removes it"
                continue
            tables = of_loads.get(load_id, [])
            if number.isdecimal() and int(number) < len(tables):
                entity = tables[int(number)][1]
                if entity in self._entities:
                    table = self._held(transaction, self._schema, name, entity, name, staging=True)
                    if table is not None:
                        held[name] = table
        return list(held.values())

    def _held(
        self,
        transaction: Transaction,
        schema: str | None,
        name: str,
        entity: str,
        shown: str,
        *,
        staging: bool = False,
    ) -> HeldTable | None:
        """Return a table; ``None`` if it doesn't exist any more."""
        existing = self._dialect.existing(transaction, schema, name)
        if existing is None:
            return None
        if not existing.is_table:
            self.unreadable[shown] = "it isn't a table any more. Erase in the tables that its rows come from"
            return None
        there = {_folded(self._dialect, column): column for column in existing.names}
        naming: Naming = "snake" if _folded(self._dialect, CLOUD_ID["snake"]) in there else "api"
        cloud = there.get(_folded(self._dialect, CLOUD_ID[naming]))
        columns = {
            field: there[column]
            for field in find_entity(entity).fields
            if (column := _folded(self._dialect, named(field, naming))) in there
        }
        if cloud is None or "id" not in columns:
            self.unreadable[shown] = "it lacks the column of the cloud's id, or that of the rows' ids"
            return None
        relation = self._dialect.relation(schema, name)
        key = (cloud, *(columns[field] for field in find_entity(entity).primary_key))
        versions = there.get(_folded(self._dialect, READ_AT), READ_AT)
        if any({*key, versions} == each.columns for each in existing.keys):  # a row for each version
            key = (*key, versions)
        return HeldTable(
            shown,
            (schema, name),
            relation,
            find_entity(entity),
            columns,
            cloud,
            (self._dialect.row_id,) if staging else key,
            UNKNOWN in existing.names,
            None if staging else relation,
        )


def find_clouds(database: Database, schema: str | None) -> set[int]:
    """Return the clouds that loads have brought rows of into a database.

    :raises DotyposInputError: if no load has brought anything there.
    """
    return database.run(functools.partial(_find_clouds, database.dialect, schema))


def _find_clouds(dialect: Dialect, schema: str | None, transaction: Transaction) -> set[int]:
    require_own_tables(transaction, dialect, schema)
    return {int(id) for (id,) in transaction.rows(f"SELECT DISTINCT cloud_id FROM {dialect.relation(schema, LOADS)}")}


def _entities_of(tables: Sequence[str], entity: str) -> list[tuple[str, str]]:
    """Return a load's tables, each with the entity of its rows: a child list's table ends with its name."""
    children = [child.entity for child in find_entity(entity).includes.values()]
    of_children = (
        (name, next((child for child in children if name.endswith(snake(child))), "")) for name in tables[1:]
    )
    return [(tables[0], entity), *of_children] if tables else []


def _folded(dialect: Dialect, name: str) -> str:
    return name.lower() if dialect.ignores_case else name
