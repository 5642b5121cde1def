"""A staging table of an entity's rows: what an encoder copies them into."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime, timezone
from typing import Any

import msgspec

from airflow_provider_dotypos.transfers.encoding_thread import EncodingThread
from airflow_provider_dotypos.transfers.selection import Selection
from airflow_provider_dotypos.transfers.sql.database import Database
from airflow_provider_dotypos.transfers.sql.dialects.base import RowEncoder
from airflow_provider_dotypos.transfers.sql.tables import tables_of
from tests.transfers.sql.databases import Warehouse

CLOUD = 123456789
READ_AT = datetime(2026, 5, 1, 8, 30, 0, 123456, tzinfo=timezone.utc)


class Staging(ExitStack):
    """An empty staging table.

    :param connect: opens a driver's connection; by default that of Airflow's connection ``warehouse``.
    :param asked_for: what to read, see `Selection.of`.
    :ivar name: the staging table's, as statements hold it.
    """

    def __init__(
        self, warehouse: Warehouse, entity: str = "orders", connect: Callable[[], Any] | None = None, **asked_for: Any
    ) -> None:
        super().__init__()
        self.warehouse = warehouse
        self.database = Database.of("warehouse", 2)
        self.dialect = self.database.dialect
        if connect is not None:
            self.database = Database(connect, self.dialect, 2)
        self.callback(self.database.close)
        selection = Selection.of(entity, cloud_id=CLOUD, **asked_for)
        self.columns = selection.columns
        self.table = tables_of(selection, name=None, schema=None, naming="snake", deletes="keep")[entity]
        self.name = self.dialect.relation(None, f"_dotypos_staging_{entity}")
        self.thread = self.enter_context(EncodingThread())
        with self.database.transaction() as transaction:
            for statement in self.dialect.create_staging(self.table, self.name):
                transaction.execute(statement)

    def encoder(self) -> RowEncoder:
        encoder = self.dialect.encoder(self.table, self.columns, CLOUD, self.thread)
        encoder.load_id = "load-1"
        return encoder

    def copy(self, rows: Sequence[msgspec.Raw]) -> RowEncoder:
        """Copy rows; return their encoder."""
        encoder = self.encoder()
        for first in range(0, len(rows), 100):
            encoder.add(rows[first : first + 100], READ_AT)
        with self.database.transaction() as transaction:
            encoder.copy(transaction, self.name)
        return encoder

    def read(self, *columns: str) -> list[tuple[Any, ...]]:
        """Return columns of the rows by a driver that the package doesn't use, or not in this way, by their ids."""
        return self.warehouse.rows(f"SELECT {', '.join(columns)} FROM {self.name} ORDER BY id")
