"""The rows of one entity in one cloud, with what makes lists of them fast.

A stored row is never changed in place: a change stores another dict. So whoever holds a row holds one state
of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from airflow_provider_dotypos.api.entities import Entity, Field
from airflow_provider_dotypos.sandbox.behaviour import Behaviour
from airflow_provider_dotypos.sandbox.shop import query, wire
from airflow_provider_dotypos.sandbox.shop.query import Row

Key = tuple[int, ...]

#: The field that names the row another row belongs to, for the entities that ``include`` nests [D2].
PARENTS: Mapping[str, str] = {
    "order-items": "_orderId",
    "money-logs": "_orderId",
    "product-customizations": "_productId",
    "product-ingredients": "_parentProductId",
}

_KEPT_VERSIONS = 50

_USUAL: Mapping[str, Any] = {
    "display": True,
    "enabled": True,
    "discountPermitted": True,
    "stockDeduct": True,
    "visible": True,
    "subscribed": True,
    "vat": 1.21,
    "unit": "Piece",
    "packaging": 1.0,
    "quantity": 1.0,
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
#: What nullable fields are when a create or a replacement doesn't name them [D2]; all others are null.
_DEFAULTS: Mapping[str, Any] = {"display": True, "maxItemQuantity": 1}
_USUAL_STATUS = {"orders": "closed", "reservations": "NEW"}
_USUAL_TYPE = {"tables": "SQUARE", "delivery-notes": "DELIVERY_NOTE", "customer-account-logs": "top-up"}


class Table:
    """All rows of one entity in one cloud."""

    def __init__(self, entity: Entity) -> None:
        self.entity = entity
        self.rows: dict[Key, Row] = {}
        self._parent = PARENTS.get(entity.name)
        self._children: dict[int, dict[Key, None]] = {}
        self._history: dict[Key, list[Row]] = {}
        self._index: query.Sorted | None = None
        self._encoded: dict[Key, tuple[Row, Behaviour, bytes]] = {}

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
        self._index = None
        if self._parent:
            self._children.setdefault(row[self._parent], {})[key] = None
        return row

    def drop(self, key: Key) -> None:
        """Take a row out altogether."""
        self._unlink(key, self.rows.pop(key))
        self._history.pop(key, None)
        self._encoded.pop(key, None)
        self._index = None

    def forget(self) -> None:
        """Forget all earlier states of the rows."""
        self._history.clear()

    def _unlink(self, key: Key, row: Row) -> None:
        if self._parent:
            self._children[row[self._parent]].pop(key, None)

    def children(self, parent: int) -> list[Row]:
        """Return the rows that belong to another row."""
        return [self.rows[key] for key in self._children.get(parent, ())]

    def index(self) -> query.Sorted:
        """Return the rows sorted by the entity's first cursor."""
        if self._index is None:
            self._index = query.Sorted(list(self.rows.values()), self.entity.cursors[0])
        return self._index

    def state_at(self, row: Row, edge: int) -> Row | None:
        """Return the newest state of `row` whose version date is not after `edge`, if there is one."""
        for state in (row, *reversed(self._history.get(self.key(row), ()))):
            versions = [state[name] for name in self.entity.cursors if state[name] is not None]
            if not versions or max(versions) <= edge:
                return state
        return None

    def states_at(self, edge: int) -> Iterator[Row]:
        """Yield the rows as they were committed at `edge`."""
        for row in self.rows.values():
            state = self.state_at(row, edge)
            if state is not None:
                yield state

    def encoded(self, row: Row, behaviour: Behaviour) -> bytes:
        """Return the row as JSON, made once for each state and behaviour."""
        key = self.key(row)
        known = self._encoded.get(key)
        if known is not None and known[0] is row and known[1] is behaviour:
            return known[2]
        body = wire.encode_row(row, behaviour)
        self._encoded[key] = (row, behaviour, body)
        return body

    def choose(self, asked: query.Query, edge: int | None) -> tuple[list[Row], str | None]:
        """Return the rows that an asked list is made of, and the field they happen to be sorted by."""
        entity, conditions, sorted_by = self.entity, list(asked.conditions), None
        cursor = entity.cursors[0] if entity.cursors else None
        bounds = [c for c in conditions if c.field == cursor and query.compares(c)]
        rows: Sequence[Row]
        if edge is not None:
            rows = list(self.states_at(edge))
        elif bounds or (asked.sort and asked.sort[0][0] == cursor):
            rows, sorted_by = self.index().between(bounds), cursor
            conditions = [c for c in conditions if c not in bounds]
        else:
            rows = list(self.rows.values())
        for condition in conditions:
            name, matches = condition.field, condition.matches
            rows = [row for row in rows if matches(row[name])]
        if entity.has_deleted and not any(c.field == "deleted" for c in asked.conditions):
            rows = [row for row in rows if not row["deleted"]]  # a null counts as not deleted [D]
        return list(rows), sorted_by


def blank(entity: Entity, cloud_id: int, currency: str, now: int) -> Row:
    """Return a row of `entity` with every field: null or its documented default, or something usual."""
    return {
        field.name: _usual(entity, field, cloud_id, currency, now)
        for field in entity.fields.values()
        # products leave this one out of their answers [D2]: it is read from the warehouse's products
        if (entity.name, field.name) != ("products", "purchasePriceWithoutVat")
    }


def _usual(entity: Entity, field: Field, cloud_id: int, currency: str, now: int) -> Any:
    name, kind = field.name, field.type
    if name == "_cloudId":
        return cloud_id
    if name == "currency":
        return currency
    if name in ("created", "modified", "updated", "version", *entity.cursors) and entity.name != "products":
        return now
    if name == "versionDate":
        return now
    if field.nullable:
        return _DEFAULTS.get(name)
    if name == "status":
        return _USUAL_STATUS.get(entity.name, 0 if kind == "int" else "NEW")
    if name == "type":
        return _USUAL_TYPE.get(entity.name, "default")
    if name in _USUAL:
        return _USUAL[name]
    if kind.endswith("[]"):
        return []
    empty: dict[str, Any] = {"boolean": False, "timestamp": now, "object": {}, "double": 0.0, "decimal": 0}
    if kind in wire.NUMBER_TYPES or kind in empty:
        return empty.get(kind, 0)
    return ""


def stored(value: Any) -> Any:
    """Return a value as rows keep it: a datetime becomes epoch milliseconds."""
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
        return round(moment.timestamp() * 1000)
    return value
