"""What transfers into tables of a database have in common, of one entity or many."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.api.list_log import list_log
from airflow_provider_dotypos.api.overrides import describe
from airflow_provider_dotypos.api.window import iso
from airflow_provider_dotypos.hooks.arguments import check_conn_id
from airflow_provider_dotypos.hooks.failures import named_errors
from airflow_provider_dotypos.transfers.arguments import check_switches
from airflow_provider_dotypos.transfers.lineage import Field, Output
from airflow_provider_dotypos.transfers.rows.new_fields import short_form
from airflow_provider_dotypos.transfers.sql.names import check_table_name
from airflow_provider_dotypos.transfers.task import TransferTask
from airflow_provider_dotypos.transfers.wording import count

if TYPE_CHECKING:
    from airflow.sdk import Asset, Context

    from airflow_provider_dotypos.api.client import DotyposClient
    from airflow_provider_dotypos.api.window import Window
    from airflow_provider_dotypos.transfers.list_transfer import ListTransfer
    from airflow_provider_dotypos.transfers.selection import Selection
    from airflow_provider_dotypos.transfers.sql.database import Database
    from airflow_provider_dotypos.transfers.sql.loads import Loaded
    from airflow_provider_dotypos.transfers.sql.location import Location
    from airflow_provider_dotypos.transfers.sql.merge import Mode
    from airflow_provider_dotypos.transfers.sql.sink import SqlSink
    from airflow_provider_dotypos.transfers.sql.state import SqlWatermark
    from airflow_provider_dotypos.transfers.sql.tables import Deletes, Naming, SqlTable
    from airflow_provider_dotypos.transfers.sql.transaction import Transaction

log = list_log(__name__)

#: What `mode`, `deletes` and `naming` can be, the defaults first.
CHOICES: Mapping[str, tuple[str, ...]] = {
    "mode": ("upsert", "append", "replace"),
    "deletes": ("keep", "remove", "mark"),
    "naming": ("snake", "api"),
}

#: How long staging tables of a load stay that no try goes on with.
_STAGING_STAYS = timedelta(days=7)


class SqlTables(TransferTask):
    """Brings the rows of a task's lists into tables. Operators inherit it beside the class that says which lists."""

    conn_id: str
    table: str | None = None
    schema: str | None
    staging_schema: str | None
    mode: Mode
    deletes: Deletes
    naming: Naming
    create: bool
    alter: bool
    indexes: bool
    reload: bool
    allow_empty: bool
    _no_result: ClassVar[Mapping[str, Any]] = {
        "table": None, "inserted": 0, "updated": 0, "unchanged": 0, "removed": 0, "load_id": None,
        "new_fields": {}, "misfits": {},
    }  # fmt: skip
    _database: Database | None = None
    _location: Location | None = None
    _tables: Mapping[str, Mapping[str, SqlTable]] = {}
    _threads: int = 1
    _has_own_tables: bool = False

    @property
    def incremental(self) -> bool:
        """Whether the task has no window, and continues from where its last success ended. A replacement doesn't."""
        return super().incremental and self.mode != "replace"

    def execute(self, context: Context) -> dict[str, Any]:
        """Load the window's rows into tables, unless that is done already, and return what came of it."""
        self._tables = {}
        self._has_own_tables = False
        self._watermarks: dict[str, SqlWatermark] = {}
        try:
            return super().execute(context)
        finally:
            if self._database is not None:
                self._database.close()

    def on_kill(self) -> None:
        """End every wait at once, and a merge under way. What was read by then is staged for the next attempt."""
        super().on_kill()
        if self._database is not None:
            self._database.cancel()

    def _check_tables(self, arguments: Mapping[str, Any]) -> None:
        """Raise if an argument that is about tables is wrong, unless it is a template."""
        check_switches(
            create=self.create,
            alter=self.alter,
            indexes=self.indexes,
            reload=self.reload,
            allow_empty=self.allow_empty,
        )
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise DotyposInputError(
                    f"{name} must be one of {', '.join(choices)}, not {getattr(self, name)!r} (no template)"
                )
        if self.mode == "append" and self.deletes != "keep":
            raise DotyposInputError("mode='append' keeps every version of a row: omit deletes")
        if self.mode == "replace" and (self.since is not None or self.start is not None or self.lookback):
            raise DotyposInputError("mode='replace' reads all rows: omit since, start and lookback")
        if self.allow_empty and self.mode != "replace":
            raise DotyposInputError("allow_empty is for mode='replace', which alone can empty a table")
        if "conn_id" in arguments:
            check_conn_id(self.conn_id, "conn_id")
        self._check_names(arguments)

    def _check_names(self, arguments: Mapping[str, Any] | None = None) -> None:
        """Raise if what is given as a name can't be one, among `arguments` or all. Empty text is none given."""
        given = vars(self) if arguments is None else arguments
        for argument in ("table", "schema", "staging_schema"):
            name = given.get(argument)
            if name is not None and (not isinstance(name, str) or (name and not name.strip())):
                raise DotyposInputError(f"{argument} must be a name, not {describe(name)}")
        check_table_name(given.get("table") or "")

    def _prepare(self) -> None:
        from airflow_provider_dotypos.transfers.sql.database import Database
        from airflow_provider_dotypos.transfers.sql.location import Location

        assert self._hook is not None
        self._threads = self._hook.get_conn().settings.max_concurrency
        with named_errors(self.conn_id):
            self._check_names()
            self._database = Database.of(self.conn_id, self._threads + 1)
            self._database.dialect.require_pyarrow()
            self._location = Location.of(self._database)

    def _selections(self, cloud_id: int) -> Sequence[Selection]:
        selections = super()._selections(cloud_id)
        return [replace(selection, open_end=self.mode == "replace") for selection in selections]

    def _begin(self, context: Context, transfer: ListTransfer) -> None:
        """Make a list's tables ready, before anything is asked for, and find its window."""
        from airflow_provider_dotypos.transfers.sql.state import State
        from airflow_provider_dotypos.transfers.sql.tables import tables_of

        selection = transfer.selection
        with named_errors(self.conn_id):
            tables = tables_of(
                selection,
                name=self.table,
                schema=self.schema or None,
                naming=self.naming,
                deletes=self.deletes,
                versions=self.mode == "append",
                replaces=self.mode == "replace",
            )
        self._tables = {**self._tables, selection.entity.name: tables}
        database = self._opened
        database.run(functools.partial(self._make_ready, selection, list(tables.values())), interruptible=True)
        self._has_own_tables = True  # the lists that follow find them ready
        target = _target(tables)
        selection.division.findings.store = State(database, self._own_schema, target)
        super()._begin(context, transfer)

    def _arrange(self, context: Context, client: DotyposClient) -> None:
        """Remove the staging tables of loads that nobody goes on with."""
        super()._arrange(context, client)
        from airflow_provider_dotypos.transfers.sql.errors import DotyposDatabaseError
        from airflow_provider_dotypos.transfers.sql.loads import Loads
        from airflow_provider_dotypos.transfers.sql.staging import sweep

        database, schema = self._opened, self._own_schema
        since = database.read_at(monotonic()) - _STAGING_STAYS

        def remove(transaction: Transaction) -> list[str]:
            loads = Loads(database.dialect, schema)
            open_loads = functools.partial(loads.open_loads, transaction, since)
            return sweep(transaction, database.dialect, schema, open_loads)

        if all(transfer.window is None for transfer in self._lists):
            return
        try:
            removed = database.run(remove)
        except DotyposDatabaseError as error:  # they may be another role's
            log.warning("Old staging tables of loads that nobody has finished couldn't be removed: %s", error)
        else:
            if removed:
                log.info("Removed %s of loads that nobody has finished.", count(len(removed), "old staging tables"))

    def _watermark(self, context: Context, selection: Selection) -> SqlWatermark:
        from airflow_provider_dotypos.transfers.sql.loads import load_shape
        from airflow_provider_dotypos.transfers.sql.state import SqlWatermark, State
        from airflow_provider_dotypos.transfers.watermark import watermark_key

        entity = selection.entity.name
        target = _target(self._tables[entity])
        key = watermark_key(selection.cloud_id, entity, target, load_shape(selection))
        of_run = f"/{_airflow.origin(context)}"
        watermark = self._watermarks[entity] = SqlWatermark(
            State(self._opened, self._own_schema, target),
            State(self._opened, self._own_schema, target, of_run),
            key,
            self._start(),
        )
        return watermark

    def _sink(self, context: Context, selection: Selection, window: Window) -> SqlSink:
        from airflow_provider_dotypos.transfers.sql.loads import Load
        from airflow_provider_dotypos.transfers.sql.place import Place
        from airflow_provider_dotypos.transfers.sql.sink import SqlSink

        entity = selection.entity.name
        tables = self._tables[entity]
        again = self.reload or self.mode == "replace"
        load = Load.of(
            selection,
            window,
            list(tables.values()),
            self.mode,
            again=_airflow.origin(context) or secrets.token_hex(8) if again else "",
            run_id=str(context.get("run_id") or ""),
            try_number=_airflow.try_number(context),
        )
        place = Place(
            self._opened, tables, self._own_schema, self.deletes, self.allow_empty, _scope(selection, tables[entity])
        )
        title = self._opened.dialect.title
        log.detail("The rows go to the table %s (%s, connection %r).", load.target, title, self.conn_id)
        watermark = self._watermarks.get(entity)
        move = None if watermark is None else functools.partial(watermark.move_within, window=window)
        return SqlSink.begin(place, selection, load, threads=self._threads, move_watermark=move)

    def _result(self, results: Sequence[Loaded]) -> dict[str, Any]:
        """Return what was loaded where."""
        loaded = results[-1]
        window = loaded.load.window
        return {
            "table": loaded.load.target,
            "entity": loaded.load.entity,
            "cloud_id": loaded.load.cloud_id,
            "since": None if window.since is None else iso(window.since),
            "until": iso(window.until),
            "rows": loaded.rows,
            "inserted": loaded.inserted,
            "updated": loaded.updated,
            "unchanged": loaded.unchanged,
            "removed": loaded.removed,
            "load_id": loaded.load.load_id,
            "new_fields": short_form(loaded.new_fields),
            "misfits": dict(loaded.misfits),
        }

    def _log_result(self, results: Sequence[Loaded]) -> None:
        loaded = results[-1]
        counts = {name: getattr(loaded, name) for name in ("inserted", "updated", "unchanged", "removed")}
        changes = ", ".join(f"{number:,} {name}" for name, number in counts.items() if number)
        rows = f"{count(loaded.rows, loaded.load.entity)} read" + (f": {changes}" if changes else "")
        log.info("Table %s: %s (load %s).", loaded.load.target, rows, loaded.load.load_id)

    def _assets(self, entity: str) -> list[Asset]:
        """Return the assets that an entity's tables are, its own first. Only a run knows where they are."""
        from airflow.sdk import Asset

        tables = self._tables.get(entity, {})
        return [] if self._location is None else [Asset(uri=self._location.uri(table)) for table in tables.values()]

    def _outputs(self, transfer: ListTransfer) -> list[Output]:
        loaded, type_of = transfer.results[-1], self._opened.dialect.type_of
        outputs = []
        for asset, (entity, table) in zip(
            self._assets(transfer.name), self._tables[transfer.name].items(), strict=True
        ):
            fields = [
                Field(column.name, type_of(column.kind), column.field, column.comment or None)
                for column in table.columns
            ]
            rows = loaded.inserted + loaded.updated if entity == transfer.name else None
            outputs.append(Output(asset, fields, rows))
        return outputs

    def _amounts(self, results: Iterable[Mapping[str, Any]]) -> Sequence[str]:
        listed = list(results)
        return [f"{sum(result[what] for result in listed):,} {what}" for what in ("inserted", "updated", "removed")]

    def _make_ready(self, selection: Selection, tables: Sequence[SqlTable], transaction: Transaction) -> None:
        """Create or check tables. What is remembered of a table that is gone is forgotten first."""
        from airflow_provider_dotypos.transfers.sql.ddl import prepare
        from airflow_provider_dotypos.transfers.sql.loads import Loads
        from airflow_provider_dotypos.transfers.sql.names import LOADS

        dialect, schema = self._opened.dialect, self._own_schema
        loads = Loads(dialect, schema)
        with dialect.creating(transaction):
            if self._has_own_tables or dialect.existing(transaction, schema, LOADS) is not None:
                gone = [table for table in tables if dialect.existing(transaction, table.schema, table.name) is None]
                loads.forget(transaction, tables[0].full_name, {table.full_name for table in gone})
                # Before a table gets columns: MySQL commits those at once.
                loads.check_tables(transaction, tables, selection.entity.name)
            prepare(
                transaction,
                dialect,
                tables,
                schema,
                create=self.create,
                alter=self.alter,
                indexes=self.indexes,
                ours=not self._has_own_tables,
            )

    @property
    def _opened(self) -> Database:
        assert self._database is not None
        return self._database

    @property
    def _own_schema(self) -> str | None:
        """Where our own tables lie."""
        return self.staging_schema or self.schema or None


def _target(tables: Mapping[str, SqlTable]) -> str:
    """Return the name of the entity's own table."""
    return next(iter(tables.values())).full_name


def _scope(selection: Selection, table: SqlTable) -> dict[str, object]:
    """Return what rows have that a selection of all rows below one parent reads."""
    if selection.warehouse_id is None:
        return {}
    _, parent, _ = table.key
    return {parent: int(selection.warehouse_id)}
