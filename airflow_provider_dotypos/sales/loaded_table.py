"""A table that an entity was loaded into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_dotypos.transfers.sql.tables import Naming


@dataclass(frozen=True)
class LoadedTable:
    """Where an entity's rows are in a database.

    :param schema: ``None``: the connection's own.
    """

    name: str
    schema: str | None
    naming: Naming

    @classmethod
    def of(cls, entity: str, name: str | None, schema: str | None, naming: Naming) -> LoadedTable:
        """Return an entity's table.

        :param name: defaults to the entity's name in snake case.
        """
        return cls(name or entity.replace("-", "_"), schema or None, naming)

    def __str__(self) -> str:
        return self.name if self.schema is None else f"{self.schema}.{self.name}"
