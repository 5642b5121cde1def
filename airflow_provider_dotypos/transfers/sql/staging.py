"""Staging: where rows wait until all of a load's are read, and the ranges that they cover.

A range in `PARTS` means that its rows are staged, because both are committed together, and both are equally durable: an
unlogged table is empty after a crash of PostgreSQL, so the other one must be, too.

Rows of staging name their part in `LOAD_ID`. A try merges the rows of its own parts alone, those that it has written
and those that it has kept. What tries have staged that overlap with it is removed first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from airflow_provider_dotypos import __version__
from airflow_provider_dotypos.api.list_log import list_log
from airflow_provider_dotypos.transfers.sql.names import LOAD_ID, PARTS, STAGING
from airflow_provider_dotypos.transfers.sql.oddities import Oddities

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect, RowEncoder
    from airflow_provider_dotypos.transfers.sql.tables import SqlTable
    from airflow_provider_dotypos.transfers.sql.transaction import Transaction

log = list_log(__name__)

#: How many parts a statement names at once.
_AT_ONCE = 500


@dataclass(frozen=True)
class StagedPart:
    """A range of a stream's cursors whose rows are staged.

    :param name: what its rows have in `LOAD_ID`.
    :param low: its first cursor; ``None`` from the beginning.
    :param high: the first cursor after it; ``None`` if its rows have none.
    :param rows: how many rows of the entity's own table it holds.
    :param child_rows: how many rows of child tables.
    """

    name: str
    stream: str
    low: int | None
    high: int | None
    rows: int = 0
    child_rows: int = 0
    oddities: Oddities = field(default_factory=Oddities)


class StagedRowsLostError(Exception):
    """Rows aren't staged that a try has staged: the database has crashed meanwhile, or somebody has removed them."""


class Staging:
    """The staging tables of a load.

    :param schema: where our own tables lie.
    :param tables: the tables of the load, by entity.
    """

    def __init__(self, dialect: Dialect, schema: str | None, load_id: str, tables: Mapping[str, SqlTable]) -> None:
        self._dialect = dialect
        self._schema = schema
        self._tables = tables
        self._parts = dialect.relation(schema, PARTS)
        self.name = f"{STAGING}{load_id}_{_digest(dialect, tables.values())}"
        #: The staging tables' names, quoted and with their schema, by entity.
        self.relations = {
            entity: dialect.relation(schema, f"{self.name}_{number}") for number, entity in enumerate(tables)
        }

    def create(self, transaction: Transaction) -> None:
        """Create the staging tables, unless an earlier try has."""
        with self._dialect.creating(transaction):
            for entity, relation in self.relations.items():
                for statement in self._dialect.create_staging(self._tables[entity], relation):
                    transaction.execute(statement)

    def parts(self, transaction: Transaction) -> list[StagedPart]:
        """Return the parts that tries have staged."""
        columns = self._dialect.listed(("part", "stream", "low", "high", "rows", "child_rows", "misfits"))
        query = f"SELECT {columns} FROM {self._parts} WHERE staging = ?"
        return [
            StagedPart(name, stream, low, high, rows, child_rows, Oddities.read(misfits))
            for name, stream, low, high, rows, child_rows, misfits in transaction.rows(query, [self.name])
        ]

    def add(
        self,
        transaction: Transaction,
        part: StagedPart,
        encoders: Mapping[str, RowEncoder] | None = None,
        oddities: Oddities | None = None,
    ) -> None:
        """Stage a part, unless that was done by a transaction whose end is unknown.

        Such a transaction may not even have ended: inserting the part waits for it.

        :param encoders: hold the rows of each table, by entity.
        :param oddities: what was odd in rows before they came to the encoders.
        """
        values = {
            "part": part.name,
            "staging": self.name,
            "stream": part.stream,
            "low": part.low,
            "high": part.high,
            "rows": part.rows,
            "child_rows": part.child_rows,
        }
        if transaction.execute(self._dialect.insert_new(self._parts, tuple(values)), list(values.values())) == 0:
            return
        odd = [] if oddities is None else [oddities]
        own = next(iter(self.relations))
        for entity, encoder in (encoders or {}).items():
            encoder.copy(transaction, self.relations[entity])
            prefix = "" if entity == own else f"{entity}."
            misfits = {prefix + field: number for field, number in (+encoder.misfits).items()}
            odd.append(Oddities(misfits, {entity: encoder.new_fields.fields}))
        all_of_it = Oddities.sum(odd)
        if all_of_it != Oddities():
            update = f"UPDATE {self._parts} SET misfits = ? WHERE part = ?"
            transaction.execute(update, [all_of_it.written(), part.name])

    def settle(self, transaction: Transaction, tried: Collection[StagedPart]) -> list[StagedPart]:
        """Leave nothing in staging but the rows of a try's parts, and return these.

        :param tried: the parts, as the try knows them.
        :raises StagedRowsLostError: if some of them are gone.
        """
        staged = {part.name: part for part in self.parts(transaction)}
        names = {part.name for part in tried}
        if missing := names - staged.keys():
            raise StagedRowsLostError(f"{len(missing)} of {len(names)} parts")
        mine = [staged[name] for name in names]
        others = staged.keys() - names
        for relation in self.relations.values():
            self._delete(transaction, relation, LOAD_ID, others)
        self._delete(transaction, self._parts, "part", others)
        counts = [transaction.rows(f"SELECT count(*) FROM {relation}")[0][0] for relation in self.relations.values()]
        rows, child_rows = sum(part.rows for part in mine), sum(part.child_rows for part in mine)
        if (counts[0], sum(counts[1:])) != (rows, child_rows):
            raise StagedRowsLostError(f"of {rows + child_rows} rows, {sum(counts)} are there")
        for relation in self.relations.values():
            for statement in self._dialect.analyze(relation):
                transaction.execute(statement)
        return mine

    def forget(self, transaction: Transaction) -> None:
        """Forget the parts."""
        transaction.execute(f"DELETE FROM {self._parts} WHERE staging = ?", [self.name])

    def drop(self, transaction: Transaction) -> None:
        """Remove the staging tables."""
        for relation in self.relations.values():
            transaction.execute(f"DROP TABLE IF EXISTS {relation}")

    def _delete(self, transaction: Transaction, relation: str, column: str, names: Iterable[str]) -> None:
        left = iter(sorted(names))
        while chunk := list(islice(left, _AT_ONCE)):
            marks = ", ".join("?" for _ in chunk)
            transaction.execute(f"DELETE FROM {relation} WHERE {self._dialect.quote(column)} IN ({marks})", chunk)


def sweep(
    transaction: Transaction, dialect: Dialect, schema: str | None, open_loads: Callable[[], Collection[str]]
) -> list[str]:
    """Remove staging tables of loads that nobody will finish, with their parts; return their names.

    :param open_loads: returns the ids of the loads whose staging tables stay. It is asked once the tables are listed:
        a load that begins meanwhile has its row by then, if it has a table.
    """
    parts = dialect.relation(schema, PARTS)
    with dialect.creating(transaction):
        names = dialect.table_names(transaction, schema, STAGING)
        keep = open_loads()
        old = [name for name in names if _load_of(name) not in keep]
        for name in old:
            transaction.execute(f"DELETE FROM {parts} WHERE staging = ?", [name.rpartition("_")[0]])
            transaction.execute(f"DROP TABLE IF EXISTS {dialect.relation(schema, name)}")
    return old


def _load_of(name: str) -> str:
    """Return the id of the load that a staging table is of."""
    return name.removeprefix(STAGING).partition("_")[0]


def _digest(dialect: Dialect, tables: Iterable[SqlTable]) -> str:
    """Return what keeps staging tables apart that hold rows in another form: columns, names, the package's version."""
    columns: Sequence[object] = [[table.name, [[c.name, c.kind, c.field] for c in table.columns]] for table in tables]
    return hashlib.sha256(msgspec.json.encode([__version__, dialect.title, columns])).hexdigest()[:8]
