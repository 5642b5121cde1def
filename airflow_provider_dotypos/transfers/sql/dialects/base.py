"""What every database does, and where they may differ."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

import msgspec

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.rows.columns import Columns, Kind
    from airflow_provider_dotypos.transfers.sql.database import Transaction
    from airflow_provider_dotypos.transfers.sql.tables import SqlTable


class RowEncoder(ABC):
    """Encodes rows of one table in memory, until they are copied into its staging table.

    :ivar bytes: what it holds, about as many as they take in memory.
    :ivar rows: how many rows it holds.
    :ivar misfits: how many values of each field didn't fit their column.
    """

    bytes: int
    rows: int
    misfits: Counter[str]

    @abstractmethod
    def add(self, rows: Sequence[msgspec.Raw], read_at: datetime) -> None:
        """Add rows that were read at a time (`READ_AT`)."""

    @abstractmethod
    def copy(self, transaction: Transaction, staging: str) -> None:
        """Copy all rows into a staging table, in a transaction, and keep them, so that it can be tried again.

        :param staging: the staging table's name, quoted and with its schema.
        """

    @abstractmethod
    def clear(self) -> None:
        """Forget the rows."""


class Dialect(ABC):
    """Statements of one kind of database, as values."""

    #: What messages call it.
    title: ClassVar[str]
    #: How many bytes a name may have.
    longest_name: ClassVar[int]
    #: Whether a rollback takes back what changed tables.
    transactional_ddl: ClassVar[bool]
    #: What a parameter is marked by.
    mark: ClassVar[str] = "%s"
    #: How many connections may write at once; ``None`` for any number.
    writers: ClassVar[int | None] = None

    @abstractmethod
    def quote(self, name: str) -> str:
        """Return a name as a statement holds it."""

    def relation(self, schema: str | None, name: str) -> str:
        """Return a table's name as a statement holds it."""
        return self.quote(name) if schema is None else f"{self.quote(schema)}.{self.quote(name)}"

    # Tables: tables.py, ddl.py

    @abstractmethod
    def type_of(self, kind: Kind) -> str:
        """Return the type of columns of a kind."""

    # Staging: staging.py

    @abstractmethod
    def create_staging(self, table: SqlTable, staging: str) -> Iterable[str]:
        """Yield the statements that create a staging table with the columns of its target, none of them required.

        :param staging: its name, quoted and with its schema.
        """

    @abstractmethod
    def encoder(self, table: SqlTable, columns: Columns, cloud_id: int, load_id: str) -> RowEncoder:
        """Return an encoder of a table's rows. Threads have one each."""

    # Merging: merge.py

    @abstractmethod
    def differs(self, left: str, right: str) -> str:
        """Return a condition: two values aren't the same; two nulls are."""

    @abstractmethod
    def lock(self, transaction: Transaction, name: str) -> None:
        """Let no other transaction that locks the same name begin until this one ends."""

    @abstractmethod
    def clock(self) -> str:
        """Return a query of the database's clock: seconds since 1970 in UTC, as a number."""
