"""A person's rows in the tables of a database: found, and updated so that they hold none of their data.

`held_tables` says which tables there are: every target that was loaded with rows of the cloud, the tables of child
lists, and the staging tables of loads under way. Each is updated in one transaction, which no merge of the same
table overlaps. A row keeps its key, version and load. So an older version that is merged later loses to it, as it did
before. Statements hold no values: ids and blanks go as parameters.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from airflow_provider_dotypos.api.blanks import blank_of, is_blank
from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.api.list_log import list_log
from airflow_provider_dotypos.lake.erasure.held_tables import HeldTable, HeldTables
from airflow_provider_dotypos.lake.erasure.person import Person
from airflow_provider_dotypos.lake.erasure.report import ErasureReport, Place
from airflow_provider_dotypos.lake.erasure.rows import is_harmless
from airflow_provider_dotypos.transfers.rows.lenient import ids_of_64_bits
from airflow_provider_dotypos.transfers.sql.errors import DotyposDatabaseError
from airflow_provider_dotypos.transfers.sql.names import UNKNOWN

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.sql.database import Database
    from airflow_provider_dotypos.transfers.sql.transaction import Transaction

log = list_log(__name__)

ResultT = TypeVar("ResultT")

#: How many ids a query names at once.
_AT_ONCE = 500

#: For how long a load that isn't finished counts as under way: as long as its staging tables stay.
_UNDER_WAY = timedelta(days=7)


class TableErasure:
    """The tables of one cloud in a database.

    :param schema: where the loads' own tables lie; ``None``: the connection's own schema.
    :param report: gets what is found.
    :param check: called between steps; what it raises ends the work.
    """

    def __init__(
        self,
        database: Database,
        schema: str | None,
        person: Person,
        report: ErasureReport,
        *,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._dialect = database.dialect
        self._schema = schema
        self._person = person
        self._report = report
        self._check = check
        self._held = HeldTables(self._dialect, schema, report.cloud_id, person.reach.entities)
        self._loads: set[tuple[str, str]] | None = None

    def merged(self) -> bool:
        """Return whether loads were merged since this was asked last: the first time it is so."""
        before, self._loads = self._loads, self._database.run(self._held.merged)
        return self._loads != before

    def note(self) -> None:
        """Note the ids of the rows that name the person."""
        for table in self._tables():
            for field in self._person.reach.naming.get(table.entity.name, ()):
                for row in self._rows(table, {field: {self._person.id}}, self._person.reach.fields):
                    self._person.note(table.entity.name, row)

    def note_related(self) -> None:
        """Note the ids of the rows that refer to those that name the person."""
        for table in self._tables():
            if table.entity.name in self._person.reach.relating():
                for row in self._rows(table, self._wanted(table), self._person.reach.fields):
                    self._person.note_related(table.entity.name, row)

    def erase(self) -> None:
        """Update the rows that hold data of the person; in a dry run say what they hold."""
        tables = self._tables()
        self._report.searched["table"] = len(tables)
        for table in tables:
            self._check()
            self._note_lacking(table)
            wanted = self._wanted(table)
            places: list[Place] = []

            def work(
                transaction: Transaction,
                table: HeldTable = table,
                wanted: Mapping[str, Collection[str]] = wanted,
                places: list[Place] = places,
            ) -> None:
                places.append(self._erase(transaction, table, wanted))

            self._run(table, work)
            # A transaction whose answer was lost is repeated, and finds its own work then.
            place = max(places, key=lambda place: place.changed, default=None)
            if place is not None and place.rows:
                self._report.add(place)
        since = self._database.read_at(monotonic()) - _UNDER_WAY  # before: it takes a transaction of its own
        self._report.open_loads = self._database.run(functools.partial(self._held.open_loads, since))

    def _erase(self, transaction: Transaction, table: HeldTable, wanted: Mapping[str, Collection[str]]) -> Place:
        place = Place("table", table.name, table.entity.name)
        if table.target is not None and not self._report.dry_run:
            self._dialect.lock(transaction, table.target, self._schema)
        by_key: dict[tuple[str, ...], tuple[Sequence[Any], dict[str, Any]]] = {}
        fields = self._person.reach.both
        for row_key, row in self._keyed_rows(transaction, table, wanted, fields):
            if self._person.owns(table.entity.name, row):
                # Somebody may have dropped the table's key: then several rows go by one, and each is updated.
                by_key.setdefault(tuple(map(str, row_key)), (row_key, {}))[1].update(self._changes(table, row))
        for key, changes in by_key.values():
            place.rows += 1
            if changes:
                place.changed += 1
                place.fields += Counter(changes.keys())
                if not self._report.dry_run:
                    self._update(transaction, table, key, changes)
        place.done = not self._report.dry_run
        return place

    def _changes(self, table: HeldTable, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a row of the person's is to hold, by field."""
        changes: dict[str, Any] = {}
        for name in self._person.reach.personal(table.entity.name):
            value = row.get(name)
            if name in table.columns and not is_blank(value) and value != "[]":
                changes[name] = self._parameter(blank_of(table.entity.fields[name]))
        unknown = row.get(UNKNOWN)
        if unknown is not None:
            fields = _MEMBERS.decode(unknown)
            kept = {name: value for name, value in fields.items() if self._may_stay(table.entity, name, value)}
            if len(kept) < len(fields):
                changes[UNKNOWN] = msgspec.json.encode(kept).decode() if kept else None
        return changes

    def _may_stay(self, entity: Entity, name: str, value: msgspec.Raw) -> bool:
        """Return whether a value that didn't fit its column may stay, as in a set."""
        field = entity.fields.get(name)
        if field is None or field.personal:
            return False
        return name in self._person.reach.fields(entity.name) or is_harmless(field, value)

    def _parameter(self, blank: Any) -> Any:
        return "[]" if blank == [] and not self._dialect.type_of("texts").endswith("[]") else blank

    def _update(
        self, transaction: Transaction, table: HeldTable, key: Sequence[Any], changes: Mapping[str, Any]
    ) -> None:
        quote = self._dialect.quote
        assignments = ", ".join(f"{quote(table.columns.get(name, name))} = ?" for name in changes)
        same = " AND ".join(f"{quote(name)} = ?" for name in table.key)
        transaction.execute(f"UPDATE {table.relation} SET {assignments} WHERE {same}", [*changes.values(), *key])

    def _wanted(self, table: HeldTable) -> dict[str, set[str]]:
        """Return in which fields which ids may show that a row is the person's."""
        person, entity = self._person, table.entity.name
        if entity == person.reach.subject:
            return {"id": {person.id}}
        wanted = {field: {person.id} for field in person.reach.naming.get(entity, ())}
        wanted["id"] = set(person.theirs[entity])
        for field, target in person.reach.referring.get(entity, {}).items():
            wanted[field] = wanted.get(field, set()) | person.naming[target]
        for parent, lists in person.reach.children.items():
            for child in lists.values():
                if child.entity == entity:
                    wanted[child.parent] = wanted.get(child.parent, set()) | person.theirs[parent]
        return wanted

    def _rows(
        self,
        table: HeldTable,
        wanted: Mapping[str, Collection[str]],
        fields: Callable[[str], Sequence[str]],
    ) -> list[Mapping[str, Any]]:
        """Return rows that hold one of some ids in a field."""
        self._check()
        rows = self._run(
            table, lambda transaction: [row for _, row in self._keyed_rows(transaction, table, wanted, fields)]
        )
        return rows or []

    def _run(self, table: HeldTable, work: Callable[[Transaction], ResultT]) -> ResultT | None:
        """Do work on a table; return ``None`` if the table is gone: a load that ends drops its staging tables."""
        try:
            return self._database.run(work, interruptible=True)
        except DotyposDatabaseError:
            if self._database.run(lambda transaction: self._dialect.existing(transaction, *table.place)) is None:
                return None
            raise

    def _keyed_rows(
        self,
        transaction: Transaction,
        table: HeldTable,
        wanted: Mapping[str, Collection[str]],
        fields: Callable[[str], Sequence[str]],
    ) -> Iterator[tuple[tuple[Any, ...], Mapping[str, Any]]]:
        """Yield rows with what they are known by, and some that may hold one of the ids in another form.

        A row that holds several of the ids comes several times.
        """
        quote = self._dialect.quote
        names = [name for name in dict.fromkeys(fields(table.entity.name)) if name in table.columns]
        selected = [quote(name) for name in (*table.key, *(table.columns[name] for name in names))]
        if table.unknown:
            names.append(UNKNOWN)
            selected.append(self._unknown_text())
        query = f"SELECT {', '.join(selected)} FROM {table.relation} WHERE {quote(table.cloud)} = ?"
        for condition, parameters in self._conditions(table, wanted):
            self._check()
            for values in transaction.rows(f"{query} AND {condition}", [self._report.cloud_id, *parameters]):
                key, rest = values[: len(table.key)], values[len(table.key) :]
                row = dict(zip(names, rest, strict=True))
                if row.get(UNKNOWN) is not None:
                    shown = self._person.reach.fields(table.entity.name)
                    others = msgspec.json.decode(row[UNKNOWN])
                    row |= {name: value for name, value in others.items() if name in shown}
                yield key, row

    def _conditions(
        self, table: HeldTable, wanted: Mapping[str, Collection[str]]
    ) -> Iterator[tuple[str, Sequence[int | str]]]:
        """Yield what is true of rows that hold one of some ids in a field, or something that didn't fit the field."""
        for field, ids in wanted.items():
            if field not in table.columns:
                continue
            left = iter(sorted(ids_of_64_bits(ids)))
            while some := list(islice(left, _AT_ONCE)):
                marks = ", ".join("?" for _ in some)
                yield f"{self._dialect.quote(table.columns[field])} IN ({marks})", some
            if ids and table.unknown:
                yield f"{self._unknown_text()} LIKE ?", [f'%"{field}"%']

    def _unknown_text(self) -> str:
        """Return what gives the column for what fits no other, as text."""
        name = self._dialect.quote(UNKNOWN)
        is_binary = self._dialect.type_of("json") == "jsonb"  # which a driver would make floats of
        return f"CAST({name} AS text)" if is_binary else name

    def _note_lacking(self, table: HeldTable) -> None:
        reach, entity = self._person.reach, table.entity.name
        if not any(name in table.columns for name in reach.personal(entity)):
            return
        if lacks := [name for name in reach.fields(entity) if name not in table.columns]:
            self._report.unsure[table.name, entity] = lacks

    def _tables(self) -> list[HeldTable]:
        tables = self._database.run(self._held.find)
        self._report.unreadable |= self._held.unreadable
        return tables


_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
