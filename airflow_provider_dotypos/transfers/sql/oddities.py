"""What was odd in rows, as the tables of our own hold it: misfits, and fields that the entity table doesn't know.

Both are in one text, in the column ``misfits``: a column more would have to be added to tables that exist, and the role
of a connection may not own these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from airflow_provider_dotypos.transfers.rows.new_fields import NewField, NewFieldsByTable, sum_new_fields

#: The key of new fields among the misfits. No field of an entity has this name.
NEW_FIELDS = "_new_fields"


@dataclass(frozen=True)
class Oddities:
    """What was odd in rows.

    :param misfits: how many values of each field didn't fit their column.
    :param new_fields: fields that the entity table doesn't know, by table.
    """

    misfits: Mapping[str, int] = field(default_factory=dict)
    new_fields: NewFieldsByTable = field(default_factory=dict)

    @classmethod
    def read(cls, text: str | None) -> Oddities:
        """Return what a text says that `written` has made, or an earlier version of this package."""
        values: dict[str, Any] = msgspec.json.decode(text or "{}")
        new_fields = values.pop(NEW_FIELDS, {})
        return cls(values, msgspec.convert(new_fields, dict[str, dict[str, NewField]]))

    @classmethod
    def sum(cls, several: Iterable[Oddities]) -> Oddities:
        """Return what was odd in several parts."""
        parts = list(several)
        misfits = sum((Counter(part.misfits) for part in parts), Counter[str]())
        return cls(dict(misfits), sum_new_fields(part.new_fields for part in parts))

    def written(self) -> str:
        """Return it as a text."""
        values: dict[str, Any] = {**self.misfits}
        if self.new_fields:
            values[NEW_FIELDS] = self.new_fields
        return msgspec.json.encode(values).decode()
