"""The merge of staged rows into their tables: newer wins, in any order of windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.sql.dialects.base import Dialect
    from airflow_provider_dotypos.transfers.sql.tables import Deletes, SqlTable
    from airflow_provider_dotypos.transfers.sql.transaction import Transaction

#: What becomes of rows: merged by key, appended as every version read, or merged with all that is missing removed.
Mode: TypeAlias = Literal["upsert", "append", "replace"]


@dataclass(frozen=True)
class Staged:
    """A table and the staging table with its rows.

    :param staging: its name, quoted and with its schema.
    """

    table: SqlTable
    staging: str


@dataclass(frozen=True)
class Merge:
    """What to merge and how.

    :param tables: the entity's own table first, then those of its child lists.
    :param begun_at: when the walk began, by the database's clock: with ``mode="replace"`` rows that were read before
        it and aren't staged are gone.
    :param scope: with ``mode="replace"``: values of columns that rows must have to be removed besides the cloud's id,
        such as the warehouse's id.
    """

    cloud_id: int
    load_id: str
    mode: Mode
    deletes: Deletes
    tables: Sequence[Staged]
    begun_at: datetime
    schema: str | None = None
    scope: Mapping[str, object] | None = None
    allow_empty: bool = False


@dataclass(frozen=True)
class Merged:
    """How many rows of the entity's own table a merge has changed."""

    inserted: int = 0
    updated: int = 0
    removed: int = 0


def merge(transaction: Transaction, dialect: Dialect, what: Merge) -> Merged:
    """Merge staged rows into their tables, in a transaction that holds the lock of the tables.

    :raises DotyposInputError: if an empty snapshot would empty a table.
    """
    raise NotImplementedError
