"""Rows that every reader takes: what isn't UTF-8 becomes U+FFFD, and is counted as a misfit of its field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from airflow_provider_dotypos.api.characters import as_text, is_text
from airflow_provider_dotypos.transfers.rows.columns import UNKNOWN, Columns, Kind, members

_TEXTUAL: frozenset[Kind] = frozenset({"text", "texts", "json"})


def readable(
    rows: Sequence[msgspec.Raw], columns: Columns, misfits: Counter[str], *, typed: bool = False
) -> Sequence[msgspec.Raw]:
    """Return rows as UTF-8. Rows that are it already stay as they are, to the byte.

    :param columns: the columns of the rows.
    :param misfits: counts the values that were changed, by field (children's fields as ``orderItems.name``). Names of
        fields, and fields that the entity table doesn't know, count as ``_unknown``.
    :param typed: whether the format counts itself what doesn't fit a column of numbers or times.
    """
    if is_text(b"".join(rows)):
        return rows
    mending = _Mending(columns, "", misfits, typed)
    return [row if is_text(bytes(row)) else mending.row(row) for row in rows]


class _Mending:
    """Mends rows of one level: of the entity, or of a child list within it."""

    def __init__(self, columns: Columns, prefix: str, misfits: Counter[str], typed: bool) -> None:
        self._columns, self._prefix, self._misfits = columns, prefix, misfits
        self._fitted = {c.name for c in columns.columns if typed and c.kind not in _TEXTUAL}
        self._children = {
            column.name: _Mending(column.rows, f"{prefix}{column.name}.", misfits, typed)
            for column in columns.columns
            if column.rows is not None
        }

    def row(self, row: msgspec.Raw) -> msgspec.Raw:
        """Return a row as UTF-8."""
        fields = members(row, self._misfits, self._prefix)
        mended = {n: v if is_text(bytes(v)) else self._value(n, v) for n, v in fields.items()}
        return msgspec.Raw(msgspec.json.encode(mended))

    def _value(self, name: str, value: msgspec.Raw) -> msgspec.Raw:
        child = self._children.get(name)
        if child is not None and bytes(value).startswith(b"["):
            items = _LISTS.decode(value)
            return msgspec.Raw(b"[" + b",".join(self._item(name, child, item) for item in items) + b"]")
        if self._columns.wants(name) and name not in self._fitted:
            self._misfits[self._prefix + (name if name in self._columns.names else UNKNOWN)] += 1
        return msgspec.Raw(as_text(bytes(value)))

    def _item(self, name: str, child: _Mending, item: msgspec.Raw) -> msgspec.Raw:
        if is_text(bytes(item)):
            return item
        return child.row(item) if bytes(item).startswith(b"{") else self._value(name, item)


_LISTS = msgspec.json.Decoder(list[msgspec.Raw])
