"""Loads whose threads move one at a time, as a test decides, and what they left: see `turns`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow_provider_dotypos.api.page import timestamp
from airflow_provider_dotypos.api.retry_table import DATABASE_LOST
from airflow_provider_dotypos.api.window import Window, iso
from airflow_provider_dotypos.exceptions import DotyposDatabaseError
from airflow_provider_dotypos.sandbox import Sandbox
from airflow_provider_dotypos.transfers.sink import Walked
from airflow_provider_dotypos.transfers.sql.database import Database
from airflow_provider_dotypos.transfers.sql.ddl import prepare
from airflow_provider_dotypos.transfers.sql.loads import Load, Loaded
from airflow_provider_dotypos.transfers.sql.sink import Place, SqlSink
from airflow_provider_dotypos.transfers.sql.tables import tables_of
from airflow_provider_dotypos.transfers.sql.transaction import Transaction
from tests.transfers.sql.databases import Warehouse
from tests.transfers.storms import QUIET, Plan, Row, Storm, Weather, check_set
from tests.transfers.turns import BrokenDiskError, Death, Killed, Try


class SteppedDatabase(Database):
    """A database whose every transaction waits for its turn."""

    tried: Try

    @contextmanager
    def transaction(self, *, interruptible: bool = False) -> Iterator[Transaction]:
        try:
            self.tried.step(operation=True)
        except BrokenDiskError:
            raise lost() from None
        with super().transaction(interruptible=interruptible) as transaction:
            yield transaction
        try:
            self.tried.done()
        except BrokenDiskError:
            raise lost() from None


def lost() -> DotyposDatabaseError:
    """Return the error of a lost connection."""
    error = DotyposDatabaseError("the connection was lost")
    error.reason = DATABASE_LOST
    return error


class SqlTry(Try):
    """A try that loads into a table.

    :param walks: receives the walk that is merged, by its window.
    """

    def __init__(
        self, *arguments: Any, table: str, mode: Any, part_bytes: int, walks: dict[Window, Walked], **further: Any
    ) -> None:
        super().__init__(*arguments, **further)
        self._table = table
        self._walks = walks
        self._mode = mode
        self._part_bytes = part_bytes
        self.database = SteppedDatabase.of("warehouse", 10)
        self.database.tried = self

    def sink(self) -> SqlSink:
        tables = tables_of(
            self.selection,
            name=self._table,
            schema=None,
            naming="snake",
            deletes="keep",
            versions=self._mode == "append",
        )
        load = Load.of(self.selection, self.window, list(tables.values()), self._mode, try_number=self.number)
        sink = SqlSink.begin(Place(self.database, tables), self.selection, load, threads=4)
        sink.max_part_bytes = self._part_bytes
        merge = sink._merge

        def merge_and_note(transaction: Transaction, walked: Walked, now: datetime) -> Loaded:
            is_first = sink._loads.find(transaction, load) is None
            loaded = merge(transaction, walked, now)
            if is_first:
                self._walks[self.window] = walked
            return loaded

        sink._merge = merge_and_note  # type: ignore[method-assign]
        return sink

    def ended(self) -> None:
        self.database.close()


class SqlStorm(Storm):
    """A storm over loads into tables, one for each window."""

    def __init__(self, api: Sandbox, weather: Weather, warehouse: Warehouse, mode: str) -> None:
        super().__init__(api, weather, Path())
        self.warehouse = warehouse
        self._mode = mode
        self._walks: dict[Window, Walked] = {}

    def table(self, window: Window) -> str:
        return f"rows_{window.until}"

    def new_try(self, plan: Plan, *arguments: Any, **further: Any) -> SqlTry:
        death: Death | None = further.get("death")
        if death is not None and death.how == "late":
            death.how = "error" if death.step % 2 else "late"
        return SqlTry(
            *arguments,
            table=self.table(arguments[3]),
            mode=self._mode,
            part_bytes=plan.part_bytes,
            walks=self._walks,
            **further,
        )

    def finish(self, window: Window, plans: list[Plan]) -> list[Row]:
        self._create(window)
        before = len(self._tries)
        self.run(window, [Plan(**{**vars(plan), "overwrite": False, "rot": False}) for plan in plans])
        self.run(window, [QUIET])
        for tried in self._tries[before:]:
            self._check_end(tried)
        loaded: Loaded = self._tries[-1].result
        assert all(tried.error is not None or counts(tried.result) == counts(loaded) for tried in self._tries[before:])
        rows = self._read(window)
        assert loaded.inserted == len(rows)
        assert leftovers(self.warehouse) == ([], 0)
        since = window.since and iso(window.since)
        tail = self._walks[window].tail
        manifest = SimpleNamespace(since=since, until=iso(window.until), tail_until=tail and iso(tail.until))
        check_set(self, manifest, rows)  # type: ignore[arg-type]
        return rows

    def _create(self, window: Window) -> None:
        with closing(Database.of("warehouse", 1)) as database, database.transaction() as transaction:
            tables = tables_of(
                self._selection,
                name=self.table(window),
                schema=None,
                naming="snake",
                deletes="keep",
                versions=self._mode == "append",
            )
            prepare(transaction, database.dialect, tables.values(), None, create=True, alter=True, indexes=False)

    def _read(self, window: Window) -> list[Row]:
        column = next(c.name for c in self._columns if c.field == self.cursor)
        deleted = "deleted" if any(c.field == "deleted" for c in self._columns) else "NULL"
        rows = self.warehouse.rows(f"SELECT id, {column}, {deleted} FROM {self.table(window)}")
        return [
            {"id": str(id), self.cursor: timestamp(moment) if moment else None, "deleted": bool(gone)}
            for id, moment, gone in rows
        ]

    @property
    def _columns(self) -> Any:
        tables = tables_of(self._selection, name="t", schema=None, naming="snake", deletes="keep")
        return next(iter(tables.values())).columns

    def _check_end(self, tried: Try) -> None:
        if isinstance(tried.error, DotyposDatabaseError):
            assert tried.death is not None
            assert tried.error.passing
            tried.error = Killed()
        super()._check_end(tried)


def counts(loaded: Loaded) -> tuple[object, ...]:
    """Return what a load says that it has brought."""
    return loaded.load.load_id, loaded.rows, loaded.inserted, loaded.updated, loaded.unchanged, loaded.removed


def leftovers(warehouse: Warehouse) -> tuple[list[str], Any]:
    """Return the staging tables that are left, and the number of parts."""
    staging = [name for name in warehouse.tables() if name.startswith("_dotypos_staging")]
    return staging, warehouse.rows("SELECT count(*) FROM _dotypos_parts")[0][0]
