"""Where a list's rows go in a database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_dotypos.transfers.sql.database import Database

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.sql.tables import Deletes, SqlTable


@dataclass(frozen=True)
class Place:
    """Where a list's rows go, and what becomes of them there.

    :param tables: by entity: its own first, then those of child lists.
    :param schema: where our own tables lie; ``None``: the connection's own.
    :param deletes: what becomes of rows that the API shows as deleted.
    :param allow_empty: whether a snapshot without rows may empty a table.
    :param scope: with ``mode="replace"``: what rows must have to be removed, see `Merge`.
    """

    database: Database
    tables: Mapping[str, SqlTable]
    schema: str | None = None
    deletes: Deletes = "keep"
    allow_empty: bool = False
    scope: Mapping[str, object] = field(default_factory=dict)
