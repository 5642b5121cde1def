"""A set of orders with their items and payments beside them, and which of these rows belong into sets of their own.

``docs/background/nested-history.md`` says why no row is lost and none is doubled.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api.entities import Child, Entity, find_entity
from airflow_provider_dotypos.api.errors import DotyposResponseError
from airflow_provider_dotypos.api.page import timestamp
from airflow_provider_dotypos.api.window import instant
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.files.committed_set import CommittedSet
from airflow_provider_dotypos.transfers.files.formats.file_format import FileFormat
from airflow_provider_dotypos.transfers.files.formats.part_rows import in_batches, text_rows
from airflow_provider_dotypos.transfers.rows.columns import NULL, Columns

#: How nested orders are written until their sets are made of them.
NESTED_FORMAT = FileFormat("jsonl", gzip_level=1)

#: The payments that belong to an order, as ``transactionType`` says. Others, such as the opening of a till, belong to
#: none, or to one that no list of orders nests them in [A].
PAYMENTS_OF_ORDERS = ("SALE", "REFUND")

_TYPES = tuple(msgspec.Raw(msgspec.json.encode(type)) for type in PAYMENTS_OF_ORDERS)


class NestedError(Exception):
    """Nested lists don't hold what lists of their own do."""


class NestedRow(NamedTuple):
    """A row of a nested set.

    :param moment: its cursor, in epoch milliseconds.
    :param parent: the id of its order; empty for an order.
    """

    row: msgspec.Raw
    id: str
    moment: int | None
    parent: str


class NestedSet:
    """Which rows of a set of orders belong into which set of a history.

    Orders that changed while they were read come more than once. Their ids are held in memory, and those of their
    children.

    :param committed: the set, in `NESTED_FORMAT`, with the child lists in files of their own.
    :ivar until: the end of its window, in epoch milliseconds.
    :ivar settled: the end of its tail; up to it, each change that was made meanwhile is in it.
    :ivar changed: the ids of orders that may be in it more than once.
    :ivar middle: the cursor of an order in the middle of it.
    """

    def __init__(self, committed: CommittedSet) -> None:
        self.manifest = committed.manifest
        self.until = instant(self.manifest.until, "until")
        self.settled = instant(self.manifest.tail_until or self.manifest.until, "tail_until")
        self._set = committed
        self._orders = find_entity(self.manifest.entity)
        self.changed: set[str] = set()
        self.middle: int | None = None
        for number, order in enumerate(self._rows(committed.files, self._orders, None)):
            if order.moment is None or order.moment >= self.until:
                self.changed.add(order.id)
            elif number <= self.manifest.rows // 2:
                self.middle = order.moment

    def orders(self) -> Iterator[NestedRow]:
        """Yield the orders of the window, and those that changed meanwhile and had settled when they were read."""
        for order in self._rows(self._set.files, self._orders, None):
            if order.moment is not None and order.moment < self.settled:
                yield order

    def children(self, name: str) -> Iterator[NestedRow]:
        """Yield the children of one entity that lie before the window's end, each once.

        Those without a cursor aren't among them: their own list is read for all of these.

        :raises NestedError: if they can't be read, or show no cursor where all have one.
        """
        child = next(child for child in self._orders.includes.values() if child.entity == name)
        entity = find_entity(name)
        seen: set[str] = set()
        try:
            for row in self._rows(self._set.children[name], entity, child):
                if row.moment is None and not entity.fields[entity.cursors[0]].nullable:
                    raise NestedError(f"nested {name} come without {entity.cursors[0]}")
                if row.moment is None or row.moment >= self.until or row.id in seen:
                    continue
                if row.parent in self.changed:
                    seen.add(row.id)
                yield row
        except (msgspec.MsgspecError, DotyposResponseError) as error:
            raise NestedError(f"nested {name} can't be read ({type(error).__name__})") from None

    def _rows(self, files: Iterable[ObjectStoragePath], entity: Entity, child: Child | None) -> Iterator[NestedRow]:
        """Yield the rows of a table. Of payments, only those that belong to an order."""
        store = Store(self._set.path.parent)
        keys = _keys(entity.cursors[0], child.parent if child else "")
        columns = Columns(entity.name, ())
        for file in files:
            with store.open(file.name) as part:
                for lines in in_batches(text_rows(part, NESTED_FORMAT.name, NESTED_FORMAT.compression, columns)):
                    rows = [msgspec.Raw(bytes(line).rstrip(b"\n")) for line in lines]
                    for row, key in zip(rows, keys.decode(b"[" + b",".join(rows) + b"]"), strict=True):
                        if "transactionType" in entity.fields and key.type not in _TYPES:
                            continue
                        moment = None if key.cursor is None else timestamp(key.cursor)
                        yield NestedRow(row, str(key.id), moment, str(key.parent))


@functools.cache
def _keys(cursor: str, parent: str) -> msgspec.json.Decoder[Any]:
    """Return a decoder of the few fields that decide where a row belongs."""
    row = msgspec.defstruct(
        "Key",
        [
            ("id", str | int),
            ("cursor", str | int | float | None, None),
            ("parent", str | int | None, None),
            ("type", msgspec.Raw, NULL),
        ],
        rename={"cursor": cursor, "parent": parent, "type": "transactionType"},
    )
    return msgspec.json.Decoder(list[row])  # type: ignore[valid-type]
