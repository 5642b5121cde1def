"""The rows of one entity in one cloud, with what makes lists of them fast.

A stored row is never changed in place. A change stores another dict, so a row that somebody holds is one state of it.
"""

from __future__ import annotations

import functools
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from airflow_provider_dotypos.api.entities import Entity, Field, entities

Row = dict[str, Any]
Key = tuple[int, ...]

_KEPT_VERSIONS = 50

#: Where a comparison cuts sorted values. ``g…`` keeps what is above the cut, ``l…`` what is below.
_CUTS: Mapping[str, Callable[[Sequence[Any], Any], int]] = {
    "gteq": bisect_left,
    "gt": bisect_right,
    "lt": bisect_left,
    "lteq": bisect_right,
}

#: Usual values of fields that can't be null.
_USUAL: Mapping[str, Any] = {
    **dict.fromkeys(("display", "enabled", "discountPermitted", "stockDeduct", "visible", "subscribed"), True),
    **dict.fromkeys(("packaging", "quantity"), 1.0),
    "vat": 1.21,
    "unit": "Piece",
    "hexColor": "#607D8B",
    "stockOverdraft": "ALLOW",
    "documentType": "RECEIPT",
    "transactionType": "SALE",
    "paymentTypeId": 900000001,
    "event": "LOGIN",
    "payloadEntity": "ORDERBEAN",
    "payloadVersion": "V1",
    "method": "POST",
}
_USUAL_STATUS = {"orders": "closed", "reservations": "NEW"}
_USUAL_TYPE = {"tables": "SQUARE", "delivery-notes": "DELIVERY_NOTE", "customer-account-logs": "top-up"}
#: Empty values of types. All other types are texts.
_EMPTY = {"boolean": False, "short": 0, "int": 0, "long": 0, "double": 0.0, "decimal": 0}
#: Values of nullable fields that a create or a replacement doesn't name [D2]. All others become null.
_DEFAULTS: Mapping[str, Any] = {"display": True, "maxItemQuantity": 1}


@functools.cache
def _parents() -> Mapping[str, str]:
    """Return the field that names the row another row belongs to, for the entities that ``include`` nests."""
    return {child.entity: child.parent for entity in entities().values() for child in entity.includes.values()}


class SortedRows:
    """Rows sorted by one field, so that a range is found without looking at every row. Nulls are last [A]."""

    def __init__(self, rows: Sequence[Row], field: str) -> None:
        filled = sorted((row for row in rows if row.get(field) is not None), key=lambda row: row[field])
        self._values = [row[field] for row in filled]
        self._rows = filled + [row for row in rows if row.get(field) is None]

    def within(self, bounds: Sequence[tuple[str, Any]]) -> list[Row]:
        """Return the rows that meet all `bounds`, still sorted; without bounds those without a value, too.

        :param bounds: comparisons, such as ``("gteq", 5)``.
        """
        low, high = 0, len(self._values)
        for operator, value in bounds:
            cut = _CUTS[operator](self._values, value)
            low, high = (max(low, cut), high) if operator.startswith("g") else (low, min(high, cut))
        return self._rows[low:high] if bounds else self._rows


class Table:
    """All rows of one entity in one cloud.

    :param on_change: called after each change with the row's earlier and its new state, ``None`` where it has none.
    :ivar rows: the rows by their primary keys, in the order in which they came.
    :ivar answers: rows as JSON, kept by the API: the row, the behaviour it was written for, and the text.
    """

    def __init__(self, entity: Entity, on_change: Callable[[Row | None, Row | None], None]) -> None:
        self.entity = entity
        self._on_change = on_change
        self.rows: dict[Key, Row] = {}
        self.answers: dict[Key, tuple[Row, object, bytes]] = {}
        self._parent = _parents().get(entity.name)
        self._children: dict[int, dict[Key, None]] = {}
        self._history: dict[Key, list[Row]] = {}
        self._changes: dict[Key, int] = {}  # how often a row was put, removed ones too
        self._sorted: SortedRows | None = None

    def key(self, row: Mapping[str, Any]) -> Key:
        """Return the row's primary key."""
        return tuple(row[name] for name in self.entity.primary_key)

    def put(self, row: Row) -> Row:
        """Store a whole row, over an earlier state of it if there is one."""
        key = self.key(row)
        earlier = self.rows.get(key)
        if earlier is not None:
            self._history.setdefault(key, []).append(earlier)
            del self._history[key][:-_KEPT_VERSIONS]
            self._unlink(key, earlier)
        self.rows[key] = row
        self._changes[key] = self._changes.get(key, 0) + 1
        self._sorted = None
        if self._parent:
            self._children.setdefault(row[self._parent], {})[key] = None
        self._on_change(earlier, row)
        return row

    def drop(self, key: Key) -> None:
        """Remove a row altogether."""
        last = self.rows.pop(key)
        self._unlink(key, last)
        self._history.pop(key, None)
        self.answers.pop(key, None)
        self._sorted = None
        self._on_change(last, None)

    def revision(self, state: Row) -> int:
        """Return the number of a row's state: each change of the row makes another one, also a change back.

        :param state: the row as it is, or as it was.
        """
        key = self.key(state)
        number = self._changes[key]
        if self.rows.get(key) is state:
            return number
        earlier = self._history.get(key, [])
        return number - next((back for back, kept in enumerate(reversed(earlier), 1) if kept is state), 0)

    def forget(self) -> None:
        """Forget all earlier states of the rows."""
        self._history.clear()

    def _unlink(self, key: Key, row: Row) -> None:
        if self._parent:
            self._children[row[self._parent]].pop(key, None)

    def children(self, parent: int) -> list[Row]:
        """Return the rows that belong to another row."""
        return [self.rows[key] for key in self._children.get(parent, ())]

    def by_cursor(self) -> SortedRows:
        """Return the rows sorted by the entity's first cursor."""
        if self._sorted is None:
            self._sorted = SortedRows(list(self.rows.values()), self.entity.cursors[0])
        return self._sorted

    def state_at(self, row: Row, edge: int | None) -> Row | None:
        """Return the newest state of `row` whose version date is not after `edge`, if there is one."""
        if edge is None:
            return row
        for state in (row, *reversed(self._history.get(self.key(row), ()))):
            versions = [state[name] for name in self.entity.cursors if state[name] is not None]
            if not versions or max(versions) <= edge:
                return state
        return None

    def states_at(self, edge: int | None) -> Iterator[Row]:
        """Yield the rows as they were committed at `edge`; without it, as they are."""
        states = (self.state_at(row, edge) for row in self.rows.values())
        return (state for state in states if state is not None)


def blank(entity: Entity, cloud_id: int, currency: str, now: int) -> Row:
    """Return a row of `entity` with every field: null, its documented default, or something usual."""
    return {
        field.name: _usual(entity, field, cloud_id, currency, now)
        for field in entity.fields.values()
        # Products leave this one out of their answers [D2]. It is read from the warehouse's products.
        if (entity.name, field.name) != ("products", "purchasePriceWithoutVat")
    }


def _usual(entity: Entity, field: Field, cloud_id: int, currency: str, now: int) -> Any:
    name, kind = field.name, field.type
    if name == "_cloudId":
        return cloud_id
    if name == "currency":
        return currency
    set_by_server = ("created", "modified", "updated", "version", *entity.cursors)
    if name == "versionDate" or (name in set_by_server and entity.name != "products"):
        return now
    if field.nullable:
        return _DEFAULTS.get(name)
    if name == "status":
        return _USUAL_STATUS.get(entity.name, 0 if kind == "int" else "NEW")
    if name == "type":
        return _USUAL_TYPE.get(entity.name, "default")
    if name in _USUAL:
        return _USUAL[name]
    if kind == "timestamp":
        return now
    if kind.endswith("[]"):
        return []
    return {} if kind == "object" else _EMPTY.get(kind, "")


def stored(value: Any) -> Any:
    """Return a value as rows keep it: a datetime becomes epoch milliseconds."""
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
        return round(moment.timestamp() * 1000)
    return value
